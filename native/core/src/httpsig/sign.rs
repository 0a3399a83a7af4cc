//! Signing a request (RFC 9421 section 3.1): for clients, the command line and an egress.
//!
//! Signature-Input is written first, and then read by the verifier's own parser; the base is made by the verifier's own
//! code from what it read. So a signature that is made here cannot differ from what is checked there.
//!
//! ECDSA and RSA-PSS need randomness, which aws-lc draws itself: the one place where the core uses entropy.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPairComponents;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaKeyPair, RsaSignatureEncoding,
};
use sfv::{DictSerializer, Integer, KeyRef, StringRef};
use zeroize::Zeroizing;

use super::base::write_base;
use super::jwk::{Jwk, KeyError, Purpose, SecretJson};
use super::keys::{point, rsa_public, secret};
use super::lines::Text;
use super::signature_input::Inputs;
use super::{Algorithm, Message};

/// A key that requests are signed with, from a private JWK.
pub struct SigningKey {
    kid: Arc<str>,
    algorithm: Algorithm,
    material: Material,
}

enum Material {
    Secret(Box<hmac::Key>),
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>, &'static RsaSignatureEncoding),
}

impl SigningKey {
    /// Reads one private JWK.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn from_jwk(json: &[u8]) -> Result<Self, Vec<KeyError>> {
        let json = SecretJson::parse(json).map_err(|error| vec![error])?;
        let mut jwk = Jwk::new(None, json.value()).map_err(|error| vec![error])?;
        let key = Self::read(&mut jwk);
        match key {
            Some(key) if jwk.errors.is_empty() => Ok(key),
            _ => Err(jwk.errors),
        }
    }

    /// Its id.
    #[must_use]
    pub fn kid(&self) -> &Arc<str> {
        &self.kid
    }

    /// Its one algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn read(jwk: &mut Jwk<'_>) -> Option<Self> {
        let kid = jwk.kid();
        jwk.check_use(Purpose::Sign);
        let algorithm = jwk.algorithm()?;
        let material = Material::read(jwk, algorithm)?;
        Some(Self { kid: kid?.into(), algorithm, material })
    }

    pub(super) fn sign(&self, base: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        let failed = |_| SignError::Failed;
        Ok(match &self.material {
            Material::Secret(key) => hmac::sign(key, base).as_ref().to_vec(),
            Material::Ed25519(key) => key.try_sign(base).map_err(failed)?.as_ref().to_vec(),
            Material::Ecdsa(key) => key.sign(&random, base).map_err(failed)?.as_ref().to_vec(),
            Material::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, base, &mut signature).map_err(failed)?;
                signature
            }
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Material {
    fn read(jwk: &mut Jwk<'_>, algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::HmacSha256 => secret(jwk).map(|key| Self::Secret(Box::new(key))),
            Algorithm::Ed25519 => ed25519(jwk).map(Self::Ed25519),
            Algorithm::EcdsaP256Sha256 => ecdsa(jwk, 32, &signature::ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::Ecdsa),
            Algorithm::EcdsaP384Sha384 => ecdsa(jwk, 48, &signature::ECDSA_P384_SHA384_FIXED_SIGNING).map(Self::Ecdsa),
            Algorithm::RsaPssSha512 => rsa(jwk).map(|key| Self::Rsa(Box::new(key), &signature::RSA_PSS_SHA512)),
            Algorithm::RsaV15Sha256 => rsa(jwk).map(|key| Self::Rsa(Box::new(key), &signature::RSA_PKCS1_SHA256)),
        }
    }
}

fn ed25519(jwk: &mut Jwk<'_>) -> Option<Ed25519KeyPair> {
    let seed = jwk.octets_of_length("d", 32);
    let public = jwk.octets_of_length("x", 32);
    let key = Ed25519KeyPair::from_seed_and_public_key(&seed?, &public?);
    if key.is_err() {
        jwk.error("d", "is not the private key of x");
    }
    key.ok()
}

fn ecdsa(jwk: &mut Jwk<'_>, bytes: usize, algorithm: &'static EcdsaSigningAlgorithm) -> Option<EcdsaKeyPair> {
    let private = jwk.octets_of_length("d", bytes);
    let public = point(jwk, bytes);
    let key = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &private?, &public?);
    if key.is_err() {
        jwk.error("d", "is not the private key of the point x, y");
    }
    key.ok()
}

fn rsa(jwk: &mut Jwk<'_>) -> Option<RsaKeyPair> {
    if jwk.has("oth") {
        jwk.error("oth", "keys of more than two primes are not supported");
    }
    let public_key = rsa_public(jwk);
    let [d, p, q, d_p, d_q, q_inv] = ["d", "p", "q", "dp", "dq", "qi"].map(|member| jwk.octets(member));
    let components: KeyPairComponents<Vec<u8>, Zeroizing<Vec<u8>>> =
        KeyPairComponents { public_key: public_key?, d: d?, p: p?, q: q?, dP: d_p?, dQ: d_q?, qInv: q_inv? };
    let key = RsaKeyPair::from_components(&components);
    if key.is_err() {
        jwk.error("d", "the members do not form one RSA private key");
    }
    key.ok()
}

/// What a signature says about itself.
#[derive(Clone, Copy, Debug)]
pub struct SignParams<'p> {
    /// Its label in both fields; a key of RFC 9651, such as `sig1`.
    pub label: &'p str,
    /// What it covers: identifiers as in Signature-Input, without quotes around the name: `@method`,
    /// `@query-param;name="id"`.
    pub components: &'p [&'p str],
    /// Seconds since 1970.
    pub created: u64,
    /// Seconds since 1970.
    pub expires: Option<u64>,
    /// Used once and never again; 16 to 256 characters.
    pub nonce: &'p str,
    /// What the signature is for (RFC 9421 section 7.2.7).
    pub tag: Option<&'p str>,
    /// Whether to name the algorithm; the verifier knows it from the key.
    pub alg: bool,
}

/// Why a request cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignError {
    /// A parameter cannot be written as a structured field.
    Parameter(String),
    /// A component is not one of a request, is there twice, or the request does not have it.
    Component(String),
    /// The algorithm failed.
    Failed,
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(cause) | Self::Component(cause) => f.write_str(cause),
            Self::Failed => f.write_str("the algorithm could not sign"),
        }
    }
}

impl std::error::Error for SignError {}

/// Signs a request; returns the values of Signature-Input and Signature.
///
/// # Errors
/// See [`SignError`].
pub fn sign<M: Message + ?Sized>(
    message: &M,
    key: &SigningKey,
    params: &SignParams<'_>,
) -> Result<(String, String), SignError> {
    let label = KeyRef::from_str(params.label).map_err(|error| parameter("label", params.label, &error))?;
    let signature_input = write_signature_input(key, params)?;
    let mut inputs = Inputs::default();
    inputs
        .parse(signature_input.as_bytes())
        .map_err(|rejection| SignError::Component(rejection.detail.into_owned()))?;
    let [input] = inputs.members.as_slice() else {
        return Err(SignError::Component("the components are not a list of component identifiers".into()));
    };
    if let Some(fault) = &input.fault {
        return Err(SignError::Component(format!("`{}` {}", fault.subject, fault.cause)));
    }
    if let Some(twice) = inputs.covered_twice(input) {
        return Err(SignError::Component(format!("{twice} is covered twice")));
    }
    let mut base = Text::new();
    let components = inputs.components_of(input);
    write_base(&mut base, message, &inputs.text, components, &inputs.text[input.text.clone()])
        .map_err(|error| SignError::Component(error.to_string()))?;
    let signature = key.sign(&base)?;
    let canonical = String::from_utf8_lossy(&inputs.text[input.text.clone()]);
    let mut field = DictSerializer::new();
    let _ = field.bare_item(label, signature.as_slice());
    Ok((format!("{}={canonical}", params.label), field.finish().unwrap_or_default()))
}

fn write_signature_input(key: &SigningKey, params: &SignParams<'_>) -> Result<String, SignError> {
    let mut out = format!("{}=(", params.label);
    for (index, written) in params.components.iter().enumerate() {
        let (name, parameters) = written.find(';').map_or((*written, ""), |at| written.split_at(at));
        if name.contains(['"', '\\']) {
            return Err(SignError::Component(format!(
                "`{}` is not a component",
                crate::rejection::clipped(name.as_bytes(), 80)
            )));
        }
        out.push_str(if index == 0 { "\"" } else { " \"" });
        out.push_str(name);
        out.push('"');
        out.push_str(parameters);
    }
    out.push(')');
    for (name, value) in [("created", Some(params.created)), ("expires", params.expires)] {
        let Some(value) = value else { continue };
        let integer = i64::try_from(value).ok().and_then(|value| Integer::try_from(value).ok());
        let integer = integer.ok_or_else(|| SignError::Parameter(format!("{name} {value} has more than 15 digits")))?;
        out.push_str(&format!(";{name}={integer}"));
    }
    let alg = params.alg.then(|| key.algorithm.name());
    for (name, value) in [("nonce", Some(params.nonce)), ("alg", alg), ("keyid", Some(&key.kid)), ("tag", params.tag)] {
        let Some(value) = value else { continue };
        let string = StringRef::from_str(value).map_err(|error| parameter(name, value, &error))?;
        out.push_str(&format!(";{name}={}", sfv::ItemSerializer::new().bare_item(string).finish()));
    }
    Ok(out)
}

fn parameter(name: &str, value: &str, error: &sfv::Error) -> SignError {
    SignError::Parameter(format!("{name} `{}`: {error}", crate::rejection::clipped(value.as_bytes(), 64)))
}
