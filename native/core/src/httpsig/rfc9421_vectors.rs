//! The test vectors of RFC 9421 appendix B.
