//! Reading JWKs (RFC 7517, 7518 section 6, 8037): members out of JSON, and every mistake reported at once.
//!
//! Errors name the key's place, its kid, the member and the cause; they never hold the value of a secret member. The
//! parsed JSON is overwritten with zeros when it is dropped.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use super::Algorithm;
use crate::rejection::clipped;

/// Longest key id, in bytes.
pub(crate) const MAX_KID_BYTES: usize = 256;
/// Name of a key that is no JWK: what a TLS connection exports.
const RESERVED_KID: &str = "tls-exporter";

/// One mistake in a key set, or one thing worth a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError {
    /// Place of the key in `keys`, counted from 0; `None` if the whole set is meant.
    pub index: Option<usize>,
    /// Its `kid`, clipped, if it has one.
    pub kid: Option<String>,
    /// The member of the JWK.
    pub member: &'static str,
    /// What was expected, and what came. Never a secret.
    pub cause: String,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.index {
            write!(f, "keys[{index}]")?;
            if let Some(kid) = &self.kid {
                write!(f, " (kid `{kid}`)")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}: {}", self.member, self.cause)
    }
}

impl std::error::Error for KeyError {}

/// JSON that may hold secrets.
pub(crate) struct SecretJson(Value);

impl SecretJson {
    pub(crate) fn parse(json: &[u8]) -> Result<Self, KeyError> {
        // serde_json's own message says where, and could quote; the place is enough.
        serde_json::from_slice(json).map(Self).map_err(|error| KeyError {
            index: None,
            kid: None,
            member: "JSON",
            cause: format!("not well formed at line {} column {}", error.line(), error.column()),
        })
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0
    }
}

impl Drop for SecretJson {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What a key is read for (RFC 7517 sections 4.2 and 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Verify,
    Sign,
}

/// One JWK while it is read.
pub(crate) struct Jwk<'j> {
    index: Option<usize>,
    members: &'j Map<String, Value>,
    pub(crate) errors: Vec<KeyError>,
    pub(crate) warnings: Vec<KeyError>,
}

impl<'j> Jwk<'j> {
    pub(crate) fn new(index: Option<usize>, value: &'j Value) -> Result<Self, KeyError> {
        match value {
            Value::Object(members) => Ok(Self { index, members, errors: Vec::new(), warnings: Vec::new() }),
            _ => Err(KeyError { index, kid: None, member: "key", cause: "expected a JSON object".into() }),
        }
    }

    pub(crate) fn note(&self, member: &'static str, cause: impl Into<String>) -> KeyError {
        let kid = self.members.get("kid").and_then(Value::as_str).map(|kid| clipped(kid.as_bytes(), 64));
        KeyError { index: self.index, kid, member, cause: cause.into() }
    }

    pub(crate) fn error(&mut self, member: &'static str, cause: impl Into<String>) {
        let error = self.note(member, cause);
        self.errors.push(error);
    }

    pub(crate) fn warn(&mut self, member: &'static str, cause: impl Into<String>) {
        let warning = self.note(member, cause);
        self.warnings.push(warning);
    }

    pub(crate) fn has(&self, member: &str) -> bool {
        self.members.contains_key(member)
    }

    /// The text of a member that must be there.
    pub(crate) fn text(&mut self, member: &'static str) -> Option<&'j str> {
        match self.members.get(member) {
            Some(Value::String(text)) => return Some(text),
            Some(_) => self.error(member, "expected a string"),
            None => self.error(member, "missing"),
        }
        None
    }

    /// The octets of a member that must be there, in base64url without padding (RFC 7515 section 2).
    pub(crate) fn octets(&mut self, member: &'static str) -> Option<Zeroizing<Vec<u8>>> {
        let text = self.text(member)?;
        match BASE64URL_NOPAD.decode(text.as_bytes()) {
            Ok(octets) => Some(Zeroizing::new(octets)),
            Err(error) => {
                self.error(
                    member,
                    format!("expected base64url without padding; wrong at character {}", error.position),
                );
                None
            }
        }
    }

    /// The octets of a member that must have exactly this length.
    pub(crate) fn octets_of_length(&mut self, member: &'static str, length: usize) -> Option<Zeroizing<Vec<u8>>> {
        let octets = self.octets(member)?;
        if octets.len() == length {
            return Some(octets);
        }
        self.error(member, format!("expected {length} octets, got {}", octets.len()));
        None
    }

    pub(crate) fn kid(&mut self) -> Option<&'j str> {
        let kid = self.text("kid")?;
        let cause = if kid.is_empty() {
            "is empty"
        } else if kid.len() > MAX_KID_BYTES {
            "is longer than 256 bytes"
        } else if !kid.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            "holds something other than printable ASCII, so no `keyid` could ever name it (RFC 9651 section 3.3.3)"
        } else if kid == RESERVED_KID {
            "is reserved for keys that a TLS connection exports"
        } else {
            return Some(kid);
        };
        self.error("kid", cause);
        None
    }

    /// `alg`, with `kty` and `crv` that fit it.
    pub(crate) fn algorithm(&mut self) -> Option<Algorithm> {
        let name = self.text("alg")?;
        let Some(algorithm) = Algorithm::from_jose_name(name) else {
            let known = "HS256, Ed25519 (or EdDSA), ES256, ES384, PS512, RS256";
            self.error("alg", format!("`{}` is not one of {known}", clipped(name.as_bytes(), 40)));
            return None;
        };
        let key_type = self.text("kty")?;
        if key_type != algorithm.key_type() {
            let key_type = clipped(key_type.as_bytes(), 20);
            self.error("kty", format!("`{key_type}` does not fit alg {name}, which needs `{}`", algorithm.key_type()));
            return None;
        }
        if let Some(curve) = algorithm.curve() {
            let given = self.text("crv")?;
            if given != curve {
                let given = clipped(given.as_bytes(), 20);
                self.error("crv", format!("`{given}` does not fit alg {name}, which needs `{curve}`"));
                return None;
            }
        }
        Some(algorithm)
    }

    /// `use` and `key_ops`, if they are there, must allow the purpose.
    pub(crate) fn check_use(&mut self, purpose: Purpose) {
        match self.members.get("use") {
            None => {}
            Some(Value::String(text)) if text == "sig" => {}
            Some(_) => self.error("use", "expected `sig`: this key is not for signatures"),
        }
        let operation = match purpose {
            Purpose::Verify => "verify",
            Purpose::Sign => "sign",
        };
        match self.members.get("key_ops") {
            None => {}
            Some(Value::Array(operations)) if operations.iter().any(|given| given == operation) => {}
            Some(_) => self.error("key_ops", format!("does not hold `{operation}`")),
        }
    }

    /// Members that point elsewhere: nothing is ever fetched, and that is said.
    pub(crate) fn check_links(&mut self) {
        for member in ["jku", "x5u"] {
            if self.has(member) {
                self.warn(member, "never fetched: only the key in this file counts");
            }
        }
    }
}
