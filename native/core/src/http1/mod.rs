//! HTTP/1.1 by RFC 9110 and RFC 9112, strict: bytes become a head that is certainly well formed, or a refusal.
//!
//! Two parties that disagree about where a message ends, or whom it is for, are how requests are smuggled. So nothing
//! here is lenient: what RFC 9112 lets a recipient repair is refused, and what is forwarded is written anew, with its
//! framing and its claims about the caller made by us. httparse does the grammar of lines; every rule about framing is
//! in [`framing`], about the target and Host in [`target`], and all have their names in [`rule`].
//!
//! - In: [`HeadScanner`] finds the end of a head as it arrives, [`parse_request`] and [`parse_response`] judge it,
//!   [`BodyDecoder`] takes the content out of its framing.
//! - Out: [`write_request`], [`write_response`], [`write_refusal`], [`encode_chunk`].
//!
//! Left to others: when a body is read, whether a connection is kept (the heads only say what they ask for), what a
//! path means ([`crate::path`]), and all signatures.

pub mod rule;

mod body;
mod date;
mod fields;
mod forward;
mod framing;
mod grammar;
mod refusal;
mod relay;
mod request;
mod response;
mod scan;
mod target;

pub use body::{BodyDecoder, Decoded, LAST_CHUNK, encode_chunk};
pub use date::write_http_date;
pub use fields::{Field, FieldId};
pub use forward::{Forwarding, Hop, carried, write_request};
pub use framing::{BodyLength, Version};
pub use refusal::{Refusal, write_refusal};
pub use relay::{ResponseForwarding, write_response};
pub use request::{RequestHead, parse_request};
pub use response::{ResponseHead, parse_response};
pub use scan::HeadScanner;
