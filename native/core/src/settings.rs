//! What the driver tells the core to do, as one value: the typed contract between `pyproxy/config.py` and the gates.
//!
//! The driver reads TOML, reports every mistake of a person, and hands over this already checked form as JSON. Upstreams
//! and listeners are known by their index from here on.

use serde::{Deserialize, Serialize};

use crate::limits::Limits;

/// Everything that a worker's gates need to know, apart from keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// This node's name: letters, digits, `.`, `_`, `-`. It becomes the pseudonym in `Via` and `Forwarded`.
    pub node: String,
    /// What a signature must cover, and when it is in time.
    pub signature: SignatureSettings,
    /// Bounds on connections and calls.
    #[serde(default)]
    pub limits: Limits,
    /// In the order of the file.
    pub listeners: Vec<ListenerSettings>,
    /// In the order of the file; routes name them by index.
    pub upstreams: Vec<UpstreamSettings>,
    /// In the order of the file; order has no meaning.
    pub routes: Vec<RouteSettings>,
}

/// Section `[signature]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureSettings {
    /// Component identifiers as in Signature-Input, without quotes: `@method`, `content-type`, `@query-param;name="id"`.
    pub require: Vec<String>,
    /// Fields that must be covered when the request has them.
    #[serde(default)]
    pub require_if_present: Vec<String>,
    /// A signature older than this is refused, in seconds.
    pub max_age_s: u64,
    /// How far the caller's clock may be off, in seconds.
    pub clock_skew_s: u64,
    /// What happens to fields that the signature does not cover.
    #[serde(default)]
    pub uncovered: Uncovered,
    /// `rsa-v1_5-sha256` is off unless this is set (RFC 8017 section 8: new applications should use PSS).
    #[serde(default)]
    pub allow_rsa_v1_5: bool,
}

/// What happens to request fields that the signature does not cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uncovered {
    /// They are forwarded.
    #[default]
    Forward,
    /// They are removed, but for those that HTTP itself needs.
    Strip,
}

/// One `[[listener]]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerSettings {
    /// Its name in logs and metrics.
    pub name: String,
    /// Which credentials a call must present.
    pub authenticate: Authenticate,
    /// How a call proves that it is no replay, where its credentials cannot.
    pub freshness: Freshness,
    /// Who decides what the caller may do.
    pub authorize: Authorize,
    /// The scheme that callers use: `http`, or `https` where something before us ends TLS.
    pub external_scheme: String,
}

/// Which credentials a call must present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authenticate {
    /// Every one of these; none listed means that nothing is verified.
    All(Vec<Credential>),
    /// At least one of these.
    Any(Vec<Credential>),
}

/// A kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// A signed request (RFC 9421).
    Signature,
}

/// How a call is known to be no replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freshness {
    /// The signature's nonce is claimed.
    Claimed,
    /// Nothing is checked: config says so, and so does every record.
    None,
}

/// Who decides what an authenticated caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authorize {
    /// Everything is permitted; config must say so in as many words.
    AllowAll,
}

/// One `[[upstream]]`, as far as the core is concerned; endpoints, pools and health are the driver's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSettings {
    /// Its name in logs and metrics.
    pub name: String,
}

/// One `[[route]]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSettings {
    /// Its name in logs and metrics; by default host and path.
    pub name: String,
    /// `orders.internal`, `*.internal` (one or more labels) or `*`.
    pub host: String,
    /// `/v1` (itself only) or `/v1/*` (itself and everything below it).
    pub path: String,
    /// Index into [`Settings::upstreams`].
    pub upstream: usize,
    /// Host that the upstream is told instead of the caller's.
    #[serde(default)]
    pub upstream_host: Option<String>,
    /// When a call may be sent a second time.
    #[serde(default)]
    pub retry: Retry,
}

/// When a call whose upstream connection closed before any response byte may be sent once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Never.
    Never,
    /// GET, HEAD, OPTIONS and TRACE (RFC 9110 section 9.2.1), or when nothing of the call was written.
    #[default]
    Safe,
    /// PUT and DELETE too (RFC 9110 section 9.2.2).
    Idempotent,
}
