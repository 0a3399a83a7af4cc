//! The sans-IO core of pyproxy: every decision of the proxy, and nothing else.
//!
//! Bytes and a time ([`time::Now`]) go in, actions come out. There is no Python, clock, socket, file, thread or
//! environment here; `clippy.toml` beside this crate and `ci/layers.py` hold that rule.
//!
//! Read [`admission`] first: it is the product. A call passes five gates, each of which leaves a value that only it
//! can make, and only the last can be forwarded.
#![forbid(unsafe_code)]

// The base: no module here knows of HTTP connections.
pub mod limits;
pub mod path;
pub mod record;
pub mod rejection;
pub mod settings;
pub mod sfv;
pub mod time;

// The domains: each stands alone; none imports another.
pub mod http1;
pub mod httpsig;
pub mod replay;

// The gates, and what carries calls through them.
pub mod action;
pub mod admission;
pub mod connection;
pub mod embed;
mod exchange;
pub mod route;
mod upstream;
pub mod worker;

pub use connection::{Blocked, Connection};
pub use exchange::UpstreamFailure;
