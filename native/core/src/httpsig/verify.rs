//! Verifying a request (RFC 9421 section 3.2) under the rules of this proxy.
//!
//! What several signatures mean. Labels mean nothing. A signature is a *candidate* if its `keyid` is one of our keys;
//! all others are strangers' and are ignored without any cryptography: they neither help nor hurt.
//!
//! | candidates | result |
//! | --- | --- |
//! | none, and no signature at all | `signature-missing` |
//! | none, and some signature has no usable `keyid` | `signature-parameters` |
//! | none | `key-unknown` |
//! | one | its own result |
//! | two, both good | `signature-ambiguous`: each would be a call of its own |
//! | two, one or both bad | the result of the first bad one: a credential that is presented must be valid |
//! | three or more | `signature-ambiguous`, without any cryptography |
//!
//! The order of checks of one candidate: form, parameters, algorithm, time, coverage, base, and only then the signature.
//! Nothing before the last one depends on a secret, so a refusal tells no more than the message itself does, and an
//! outdated or thin signature costs no public-key operation.

use std::sync::Arc;

use smallvec::SmallVec;

use super::base::write_base;
use super::digest::Digests;
use super::lines::{Text, join_lines};
use super::signature_field::Signatures;
use super::signature_input::{Input, Inputs, Parameter};
use super::{Algorithm, KeySet, Message, Rules, VerifyingKey};
use crate::rejection::{Reason, Rejection, clipped};
use crate::time::Now;

/// Most signatures of known keys that are verified.
const MAX_CANDIDATES: usize = 2;
/// Shortest nonce, in characters: 16 of base64 carry 96 bits.
pub(crate) const MIN_NONCE_CHARS: usize = 16;
/// Longest nonce, in bytes.
pub(crate) const MAX_NONCE_BYTES: usize = 256;

/// The proof that a request was signed by a known key, in time and over enough of it. Only [`verify`] makes one.
#[derive(Debug)]
pub struct Verified {
    key: Arc<VerifyingKey>,
    created: u64,
    nonce: SmallVec<[u8; 48]>,
    /// Names of the fields that are covered as a whole, each with a newline behind it.
    fields: SmallVec<[u8; 160]>,
    digests: Option<Digests>,
}

impl Verified {
    /// Id of the key.
    #[must_use]
    pub fn key_id(&self) -> &Arc<str> {
        self.key.kid()
    }

    /// SPIFFE ID of the caller.
    #[must_use]
    pub fn principal(&self) -> &Arc<str> {
        self.key.principal()
    }

    /// Algorithm of the key.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    /// When it was signed, in seconds since 1970.
    #[must_use]
    pub fn created(&self) -> u64 {
        self.created
    }

    /// The nonce, as signed.
    #[must_use]
    pub fn nonce(&self) -> &[u8] {
        &self.nonce
    }

    /// Whether the whole value of this field is covered. One member of it (`key`) is not the whole.
    #[must_use]
    pub fn covers_field(&self, lower_name: &str) -> bool {
        let name = lower_name.as_bytes();
        !name.is_empty() && self.fields.split(|&byte| byte == b'\n').any(|covered| covered == name)
    }

    /// What the content must be, if Content-Digest is covered, in whole or in part.
    #[must_use]
    pub fn digests(&self) -> Option<&Digests> {
        self.digests.as_ref()
    }

    /// The same, once the rest of the proof is no longer needed.
    #[must_use]
    pub fn into_digests(self) -> Option<Digests> {
        self.digests
    }
}

/// Verifies the signature of a request.
///
/// `has_body` is whether a body exists: Transfer-Encoding is present or Content-Length is not 0.
///
/// # Errors
/// See the module's table; the detail of the refusal says what exactly was wrong.
pub fn verify<M: Message + ?Sized>(
    message: &M,
    keys: &KeySet,
    rules: &Rules,
    now: Now,
    has_body: bool,
) -> Result<Verified, Rejection> {
    let (mut input_field, mut signature_field) = (Text::new(), Text::new());
    let has_input = join_lines(message, "signature-input", &mut input_field);
    let has_signature = join_lines(message, "signature", &mut signature_field);
    if !has_input && !has_signature {
        return Err(Rejection::new(Reason::SignatureMissing, "the request has no Signature"));
    }
    let mut inputs = Inputs::default();
    inputs.parse(&input_field)?;
    let signatures = Signatures::parse(&signature_field)?;
    signatures.match_labels(&inputs)?;

    let mut accepted = None;
    for (input, key) in candidates(&inputs, keys)? {
        let signature = signatures.get(input.label).unwrap_or_default();
        let candidate = Candidate { inputs: &inputs, input, key, signature };
        let verified = candidate.verify(message, rules, now, has_body)?;
        if accepted.replace(verified).is_some() {
            return Err(ambiguous("two signatures of known keys verify; which call is it?"));
        }
    }
    accepted.ok_or_else(|| Rejection::new(Reason::SignatureMissing, "the request has no Signature"))
}

fn ambiguous(detail: &'static str) -> Rejection {
    Rejection::new(Reason::SignatureAmbiguous, detail)
}

type Candidates<'i, 'b> = SmallVec<[(&'i Input<'b>, &'i Arc<VerifyingKey>); MAX_CANDIDATES]>;

/// The signatures whose keys are ours, in the order of the message.
fn candidates<'i, 'b>(inputs: &'i Inputs<'b>, keys: &'i KeySet) -> Result<Candidates<'i, 'b>, Rejection> {
    let mut candidates = Candidates::new();
    for input in &inputs.members {
        let Parameter::Given(keyid) = &input.parameters.keyid else { continue };
        let Some(key) = keys.get(keyid) else { continue };
        if candidates.len() == MAX_CANDIDATES {
            return Err(ambiguous("more than two signatures of known keys"));
        }
        candidates.push((input, key));
    }
    if candidates.is_empty() { Err(nobody(inputs)) } else { Ok(candidates) }
}

/// Why no signature is a candidate.
fn nobody(inputs: &Inputs<'_>) -> Rejection {
    for input in &inputs.members {
        match &input.parameters.keyid {
            Parameter::Given(keyid) if keyid.len() > super::jwk::MAX_KID_BYTES => {
                return Rejection::new(Reason::SignatureParameters, "keyid is longer than 256 bytes");
            }
            Parameter::Given(_) => {}
            Parameter::Absent => return Rejection::new(Reason::SignatureParameters, "keyid is missing"),
            Parameter::Mistyped => return Rejection::new(Reason::SignatureParameters, "keyid is not a string"),
        }
    }
    match inputs.members.first().map(|input| &input.parameters.keyid) {
        Some(Parameter::Given(keyid)) => {
            let keyid = clipped(keyid.as_bytes(), 64);
            Rejection::with(Reason::KeyUnknown, format!("no key here has the id `{keyid}`"))
        }
        _ => Rejection::new(Reason::SignatureMissing, "the request has no Signature"),
    }
}

/// One signature of a known key.
struct Candidate<'i, 'b> {
    inputs: &'i Inputs<'b>,
    input: &'i Input<'b>,
    key: &'i Arc<VerifyingKey>,
    signature: &'i [u8],
}

impl Candidate<'_, '_> {
    fn verify<M: Message + ?Sized>(
        &self,
        message: &M,
        rules: &Rules,
        now: Now,
        has_body: bool,
    ) -> Result<Verified, Rejection> {
        self.check_form()?;
        let (created, nonce) = self.check_parameters()?;
        self.check_algorithm(rules)?;
        rules.check_time(created, &self.input.parameters, now)?;
        let components = self.inputs.components_of(self.input);
        rules.check_coverage(message, self.inputs, components, has_body)?;
        self.check_signature(message)?;

        let mut verified = Verified {
            key: Arc::clone(self.key),
            created,
            nonce: SmallVec::from_slice(nonce.as_bytes()),
            fields: SmallVec::new(),
            digests: None,
        };
        let mut digest_covered = false;
        for component in components {
            let name = component.name_in(&self.inputs.text);
            if component.covers_whole_field() {
                verified.fields.extend_from_slice(name);
                verified.fields.push(b'\n');
            }
            digest_covered |= name == b"content-digest";
        }
        if digest_covered {
            verified.digests = Some(Digests::of_message(message)?);
        }
        Ok(verified)
    }

    /// Every component is one that a request can have, and none is covered twice.
    fn check_form(&self) -> Result<(), Rejection> {
        if let Some(fault) = &self.input.fault {
            return Err(Rejection::with(Reason::SignatureMalformed, format!("`{}` {}", fault.subject, fault.cause)));
        }
        match self.inputs.covered_twice(self.input) {
            Some(twice) => Err(Rejection::with(Reason::SignatureMalformed, format!("{twice} is covered twice"))),
            None => Ok(()),
        }
    }

    /// `created` and `nonce` are there and sane; `keyid` is, or this were no candidate.
    fn check_parameters(&self) -> Result<(u64, &str), Rejection> {
        let parameters = &self.input.parameters;
        let refuse = |detail| Rejection::new(Reason::SignatureParameters, detail);
        let created = match parameters.created {
            Parameter::Given(created) => u64::try_from(created).map_err(|_| refuse("created is less than 0"))?,
            Parameter::Absent => return Err(refuse("created is missing")),
            Parameter::Mistyped => return Err(refuse("created is not an integer")),
        };
        let nonce = match &parameters.nonce {
            Parameter::Given(nonce) => nonce.as_ref(),
            Parameter::Absent => return Err(refuse("nonce is missing")),
            Parameter::Mistyped => return Err(refuse("nonce is not a string")),
        };
        if nonce.len() < MIN_NONCE_CHARS {
            return Err(refuse("nonce is shorter than 16 characters: it could be guessed, or come twice by chance"));
        }
        if nonce.len() > MAX_NONCE_BYTES {
            return Err(refuse("nonce is longer than 256 bytes"));
        }
        Ok((created, nonce))
    }

    /// The algorithm is the key's; `alg` can only agree (RFC 9421 section 3.2, step 6).
    fn check_algorithm(&self, rules: &Rules) -> Result<(), Rejection> {
        let algorithm = self.key.algorithm();
        match &self.input.parameters.alg {
            Parameter::Absent => {}
            Parameter::Given(alg) if alg == algorithm.name() => {}
            Parameter::Given(alg) => {
                let alg = clipped(alg.as_bytes(), 40);
                return Err(Rejection::with(
                    Reason::AlgorithmMismatch,
                    format!("alg is `{alg}`, the key's is {algorithm}"),
                ));
            }
            Parameter::Mistyped => return Err(Rejection::new(Reason::AlgorithmMismatch, "alg is not a string")),
        }
        if algorithm == Algorithm::RsaV15Sha256 && !rules.allow_rsa_v1_5() {
            return Err(Rejection::new(Reason::AlgorithmMismatch, "rsa-v1_5-sha256 is off (signature.allow_rsa_v1_5)"));
        }
        Ok(())
    }

    fn check_signature<M: Message + ?Sized>(&self, message: &M) -> Result<(), Rejection> {
        let mut base = Text::new();
        let parameters = &self.inputs.text[self.input.text.clone()];
        let components = self.inputs.components_of(self.input);
        write_base(&mut base, message, &self.inputs.text, components, parameters)
            .map_err(|error| Rejection::with(Reason::SignatureInvalid, error.to_string()))?;
        self.key.verify(&base, self.signature).map_err(|_| {
            Rejection::new(Reason::SignatureInvalid, "the signature does not verify: another key, or a changed request")
        })
    }
}
