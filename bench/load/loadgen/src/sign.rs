//! Signs requests beforehand (RFC 9421, hmac-sha256, section 3.3.3), so that signing costs nothing while they are played.
//!
//! Independent of the product's own signer: what they agree on is the RFC.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use serde::Deserialize;
use sha2::Sha256;

use crate::requests::Requests;

const COMPONENTS: &str = r#"("@method" "@authority" "@path" "@query")"#;

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

/// A symmetric JSON Web Key (RFC 7518 section 6.4).
#[derive(Deserialize)]
struct Key {
    kid: String,
    k: String,
}

/// `count` copies of `template` with Signature-Input and Signature added, signed by the keys in turn, dated now.
pub fn signed_requests(template: &[u8], jwks: &[u8], count: usize) -> Result<Requests, String> {
    let keys = keyed(jwks)?;
    let base = base_without_parameters(template)?;
    let head = template.strip_suffix(b"\r\n\r\n").ok_or("--request: a request to be signed ends with its head")?;
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| format!("the clock: {error}"))?;
    let mut nonces = Nonces::new(since_epoch.as_nanos() as u64);

    let mut bytes = Vec::with_capacity(count * (template.len() + 320));
    let mut ends = Vec::with_capacity(count);
    for index in 0..count {
        let (kid, mac) = &keys[index % keys.len()];
        let created = since_epoch.as_secs();
        let nonce = nonces.next();
        let parameters = format!(r#"{COMPONENTS};created={created};keyid="{kid}";alg="hmac-sha256";nonce="{nonce}""#);
        let mut mac = mac.clone();
        mac.update(base.as_bytes());
        mac.update(parameters.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        bytes.extend_from_slice(head);
        bytes.extend_from_slice(format!("\r\nSignature-Input: sig1={parameters}\r\n").as_bytes());
        bytes.extend_from_slice(format!("Signature: sig1=:{signature}:\r\n\r\n").as_bytes());
        ends.push(bytes.len());
    }
    Ok(Requests::once_each(bytes, ends))
}

fn keyed(jwks: &[u8]) -> Result<Vec<(String, Hmac<Sha256>)>, String> {
    let set: KeySet =
        serde_json::from_slice(jwks).map_err(|error| format!("--keys: expected a set of oct keys: {error}"))?;
    if set.keys.is_empty() {
        return Err("--keys: the set is empty".to_owned());
    }
    let keyed = set.keys.into_iter().map(|key| {
        let secret = URL_SAFE_NO_PAD.decode(&key.k).map_err(|error| format!("--keys: key `{}`: {error}", key.kid))?;
        let mac = Hmac::new_from_slice(&secret).map_err(|error| format!("--keys: key `{}`: {error}", key.kid))?;
        Ok((key.kid, mac))
    });
    keyed.collect()
}

/// The signature base (RFC 9421 section 2.5) up to the parameters, which differ from call to call.
fn base_without_parameters(template: &[u8]) -> Result<String, String> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(template) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err("--request: the head is not complete".to_owned()),
        Err(error) => return Err(format!("--request: {error}")),
    }
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let host = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("host"));
    let host = host.and_then(|field| std::str::from_utf8(field.value).ok()).ok_or("--request: no Host")?;
    let authority = host.to_ascii_lowercase();
    Ok(format!(
        "\"@method\": {method}\n\"@authority\": {authority}\n\"@path\": {path}\n\"@query\": ?{query}\n\"@signature-params\": "
    ))
}

/// 128-bit nonces, no two alike: one half is the run's, the other a bijection of a counter (the finalizer of splitmix64),
/// so that they look random where a hash function samples a few bytes only.
struct Nonces {
    run: u64,
    counter: u64,
}

impl Nonces {
    fn new(run: u64) -> Self {
        Self { run: mixed(run), counter: 0 }
    }

    fn next(&mut self) -> String {
        self.counter += 1;
        let mut nonce = [0; 16];
        let unique = mixed(self.counter);
        nonce[..8].copy_from_slice(&(self.run ^ unique.rotate_left(32)).to_be_bytes());
        nonce[8..].copy_from_slice(&unique.to_be_bytes());
        URL_SAFE_NO_PAD.encode(nonce)
    }
}

fn mixed(value: u64) -> u64 {
    let value = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_nonce_comes_twice() {
        let mut nonces = Nonces::new(7);
        let seen: HashSet<String> = (0..100_000).map(|_| nonces.next()).collect();
        assert_eq!(seen.len(), 100_000);
    }

    #[test]
    fn the_base_is_that_of_rfc_9421() {
        let base =
            base_without_parameters(b"GET /a/b?x=1 HTTP/1.1\r\nHost: Orders.Internal\r\n\r\n").expect("well formed");
        let expected = "\"@method\": GET\n\"@authority\": orders.internal\n\"@path\": /a/b\n\"@query\": ?x=1\n\"@signature-params\": ";
        assert_eq!(base, expected);
    }

    #[test]
    fn signed_requests_run_out() {
        let jwks = br#"{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ"}]}"#;
        let mut requests = signed_requests(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", jwks, 2).expect("well formed");
        let (first, second) = (requests.take().expect("the first"), requests.take().expect("the second"));
        assert!(requests.bytes(first).starts_with(b"GET / HTTP/1.1\r\nHost: a\r\nSignature-Input: sig1=(\"@method\""));
        assert_ne!(requests.bytes(first), requests.bytes(second));
        assert!(requests.take().is_none());
    }
}
