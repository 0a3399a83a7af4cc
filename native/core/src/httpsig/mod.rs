//! HTTP Message Signatures (RFC 9421) and Content-Digest (RFC 9530).
//!
//! [`verify`] takes a request, the keys, the rules and the time, and returns a [`Verified`] or a refusal. A [`Verified`]
//! says who signed, which nonce is to be claimed and what was covered; nothing else makes one. [`sign`] is the other
//! side, over the same signature base.
//!
//! Left to others: whether the nonce was seen before (`replay`), and whether the body is what the digest says, which
//! is known only when its last byte came ([`digest::Digester`]).

mod algorithm;
mod base;
mod component;
pub mod digest;
mod jwk;
mod keys;
mod lines;
mod query;
mod rules;
mod sign;
mod signature_field;
mod signature_input;
mod spiffe;
mod verify;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod coverage;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod key_mistakes;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod rfc9421_vectors;
#[cfg(test)]
mod several_signatures;
#[cfg(test)]
mod wycheproof;

pub use algorithm::Algorithm;
pub use jwk::KeyError;
pub use keys::{KeySet, VerifyingKey};
pub use rules::Rules;
pub use sign::{SignError, SignParams, SigningKey, sign};
pub use spiffe::spiffe_id;
pub use verify::{Verified, verify};

/// What a signature sees of a request.
///
/// Values are given as they stand in the message; normalising is done here (RFC 9421 section 2.2).
pub trait Message {
    /// The method, in its own case.
    fn method(&self) -> &str;
    /// `http` or `https`: what the caller used, which may be known from settings only.
    fn scheme(&self) -> &str;
    /// The authority as sent, from the request target or Host.
    fn authority(&self) -> &str;
    /// The raw path; empty means `/`, and `*` is that of `OPTIONS *`.
    fn path(&self) -> &str;
    /// The raw query without its question mark; `Some("")` when there is a question mark and nothing behind it.
    fn query(&self) -> Option<&str>;
    /// The request target as it stands in the request line.
    fn request_target(&self) -> &str;
    /// Calls `each` with the value of every field line of this name, in order. `lower_name` is in lower case.
    fn field(&self, lower_name: &str, each: &mut dyn FnMut(&[u8]));
}
