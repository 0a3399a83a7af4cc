//! The keys that signatures are verified with: a JWK Set (RFC 7517 section 5).
//!
//! A key set is read whole or not at all, every mistake at once. It holds what verifying needs: of asymmetric keys the
//! public members only, prepared once. A lookup costs the same for one key and for a million.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};
use serde_json::Value;

use super::jwk::{Jwk, KeyError, Purpose, SecretJson};
use super::{Algorithm, spiffe_id};

/// Shortest secret of HS256, in bytes: "a key of the same size as the hash output [...] or larger MUST be used"
/// (RFC 7518 section 3.2).
pub(crate) const MIN_SECRET_BYTES: usize = 32;
/// Sizes of RSA moduli, in bits; RFC 7518 section 3.3 sets the lower bound, aws-lc the upper one.
const RSA_MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Keys by their id.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: HashMap<Box<str>, Arc<VerifyingKey>>,
    order: Vec<Arc<VerifyingKey>>,
    warnings: Vec<KeyError>,
}

impl KeySet {
    /// Reads a JWK Set.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn from_jwks(json: &[u8]) -> Result<Self, Vec<KeyError>> {
        let whole = |cause: &str| KeyError { index: None, kid: None, member: "keys", cause: cause.into() };
        let json = SecretJson::parse(json).map_err(|error| vec![error])?;
        let Some(Value::Array(values)) = json.value().get("keys") else {
            return Err(vec![whole(
                "expected a JWK Set: an object whose member `keys` is an array (RFC 7517 section 5)",
            )]);
        };
        let mut set = Self::default();
        let mut errors = Vec::new();
        for (index, value) in values.iter().enumerate() {
            match Jwk::new(Some(index), value) {
                Ok(jwk) => set.add(jwk, &mut errors),
                Err(error) => errors.push(error),
            }
        }
        if values.is_empty() {
            set.warnings.push(whole("the set is empty: every signed call will be refused"));
        }
        if errors.is_empty() { Ok(set) } else { Err(errors) }
    }

    /// The key of this id.
    #[must_use]
    pub fn get(&self, kid: &str) -> Option<&Arc<VerifyingKey>> {
        self.keys.get(kid)
    }

    /// The keys in the order of the set.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<VerifyingKey>> {
        self.order.iter()
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// What is allowed and yet worth knowing: private members in a verifier's file, links that are not followed.
    #[must_use]
    pub fn warnings(&self) -> &[KeyError] {
        &self.warnings
    }

    fn add(&mut self, mut jwk: Jwk<'_>, errors: &mut Vec<KeyError>) {
        let key = VerifyingKey::read(&mut jwk);
        errors.append(&mut jwk.errors);
        self.warnings.append(&mut jwk.warnings);
        let Some(key) = key else { return };
        let key = Arc::new(key);
        if self.keys.insert(key.kid.as_ref().into(), Arc::clone(&key)).is_some() {
            errors.push(jwk.note("kid", "another key of this set has the same kid"));
        }
        self.order.push(key);
    }
}

/// A key that signatures are verified with, and whose it is.
pub struct VerifyingKey {
    kid: Arc<str>,
    principal: Arc<str>,
    algorithm: Algorithm,
    material: Material,
}

#[expect(
    clippy::large_enum_variant,
    reason = "each key has its own allocation; a box would cost the HMAC path a cache miss"
)]
enum Material {
    Secret(hmac::Key),
    Public(ParsedPublicKey),
}

impl VerifyingKey {
    /// Its id.
    #[must_use]
    pub fn kid(&self) -> &Arc<str> {
        &self.kid
    }

    /// The SPIFFE ID of the workload that signs with it.
    #[must_use]
    pub fn principal(&self) -> &Arc<str> {
        &self.principal
    }

    /// Its one algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether this is the signature of this key over this base. HMAC is compared in constant time.
    pub(crate) fn verify(&self, base: &[u8], signature: &[u8]) -> Result<(), aws_lc_rs::error::Unspecified> {
        match &self.material {
            Material::Secret(key) => hmac::verify(key, base, signature),
            Material::Public(key) => key.verify_sig(base, signature),
        }
    }

    fn read(jwk: &mut Jwk<'_>) -> Option<Self> {
        let kid = jwk.kid();
        let principal = jwk.text("principal").filter(|&principal| match spiffe_id(principal) {
            Ok(()) => true,
            Err(cause) => {
                let cause = format!("`{}` {cause}", crate::rejection::clipped(principal.as_bytes(), 80));
                jwk.error("principal", cause);
                false
            }
        });
        jwk.check_use(Purpose::Verify);
        jwk.check_links();
        let algorithm = jwk.algorithm()?;
        if algorithm != Algorithm::HmacSha256 && jwk.has("d") {
            jwk.warn("d", "private members are here; a verifier needs the public ones only, and loads no others: see `pyproxy keys public`");
        }
        let material = Material::read(jwk, algorithm)?;
        let (kid, principal) = (kid?.into(), principal?.into());
        if !jwk.errors.is_empty() {
            return None;
        }
        Some(Self { kid, principal, algorithm, material })
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid)
            .field("principal", &self.principal)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Material {
    fn read(jwk: &mut Jwk<'_>, algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::HmacSha256 => secret(jwk).map(Self::Secret),
            Algorithm::Ed25519 => {
                let x = jwk.octets_of_length("x", 32)?;
                public(jwk, "x", &signature::ED25519, &x).map(Self::Public)
            }
            Algorithm::EcdsaP256Sha256 => {
                let point = point(jwk, 32)?;
                public(jwk, "x", &signature::ECDSA_P256_SHA256_FIXED, &point).map(Self::Public)
            }
            Algorithm::EcdsaP384Sha384 => {
                let point = point(jwk, 48)?;
                public(jwk, "x", &signature::ECDSA_P384_SHA384_FIXED, &point).map(Self::Public)
            }
            Algorithm::RsaPssSha512 => rsa(jwk, &signature::RSA_PSS_2048_8192_SHA512).map(Self::Public),
            Algorithm::RsaV15Sha256 => rsa(jwk, &signature::RSA_PKCS1_2048_8192_SHA256).map(Self::Public),
        }
    }
}

/// `k` of a symmetric key, prepared: both key blocks are hashed once.
pub(crate) fn secret(jwk: &mut Jwk<'_>) -> Option<hmac::Key> {
    let secret = jwk.octets("k")?;
    if secret.len() < MIN_SECRET_BYTES {
        jwk.error("k", format!("expected at least {MIN_SECRET_BYTES} octets, got {}", secret.len()));
        return None;
    }
    Some(hmac::Key::new(hmac::HMAC_SHA256, &secret))
}

/// `x` and `y` of an elliptic curve key as an uncompressed point (SEC 1 section 2.3.3).
pub(crate) fn point(jwk: &mut Jwk<'_>, coordinate_bytes: usize) -> Option<Vec<u8>> {
    let x = jwk.octets_of_length("x", coordinate_bytes);
    let y = jwk.octets_of_length("y", coordinate_bytes);
    let mut point = Vec::with_capacity(1 + 2 * coordinate_bytes);
    point.push(4);
    point.extend_from_slice(&x?);
    point.extend_from_slice(&y?);
    Some(point)
}

fn public(
    jwk: &mut Jwk<'_>,
    member: &'static str,
    algorithm: &'static dyn signature::VerificationAlgorithm,
    octets: &[u8],
) -> Option<ParsedPublicKey> {
    match ParsedPublicKey::new(algorithm, octets) {
        Ok(key) => Some(key),
        Err(_) => {
            jwk.error(member, "not a public key: is it a point on the curve?");
            None
        }
    }
}

/// `n` and `e` of an RSA key, sound enough to be used.
pub(crate) fn rsa_public(jwk: &mut Jwk<'_>) -> Option<RsaPublicKeyComponents<Vec<u8>>> {
    let n = jwk.octets("n");
    let e = jwk.octets("e");
    let (n, e) = (n?, e?);
    for (member, octets) in [("n", &n), ("e", &e)] {
        if octets.first().is_none_or(|&first| first == 0) {
            jwk.error(member, "is empty or begins with a zero octet (RFC 7518 section 2)");
            return None;
        }
    }
    let bits = 8 * n.len() - n[0].leading_zeros() as usize;
    if !RSA_MODULUS_BITS.contains(&bits) {
        jwk.error("n", format!("expected a modulus of 2048 to 8192 bits, got {bits}"));
    } else if n.last().is_none_or(|last| last % 2 == 0) {
        jwk.error("n", "the modulus is even");
    }
    // With an exponent of 1 every message is its own signature.
    if e.last().is_none_or(|last| last % 2 == 0) || e.as_slice() == [1] || e.len() > 4 {
        jwk.error("e", "expected an odd exponent from 3 to 32 bits");
    }
    jwk.errors.is_empty().then(|| RsaPublicKeyComponents { n: n.to_vec(), e: e.to_vec() })
}

fn rsa(jwk: &mut Jwk<'_>, parameters: &'static signature::RsaParameters) -> Option<ParsedPublicKey> {
    let key = rsa_public(jwk)?.to_parsed_public_key(parameters);
    if key.is_err() {
        jwk.error("n", "not a usable RSA public key");
    }
    key.ok()
}
