//! Structured Field Values (RFC 9651), as far as signatures and digests need them.
