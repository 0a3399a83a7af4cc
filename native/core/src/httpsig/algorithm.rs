//! The signature algorithms of RFC 9421 section 3.3, and what each is called elsewhere.

use std::fmt;

/// One of the six algorithms. A key has exactly one; a message can only agree with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Section 3.3.3.
    HmacSha256,
    /// Section 3.3.6.
    Ed25519,
    /// Section 3.3.4; the signature is r || s, 64 bytes.
    EcdsaP256Sha256,
    /// Section 3.3.5; the signature is r || s, 96 bytes.
    EcdsaP384Sha384,
    /// Section 3.3.1; MGF1 with SHA-512, a salt of 64 bytes.
    RsaPssSha512,
    /// Section 3.3.2; off unless the rules allow it.
    RsaV15Sha256,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 6] = [
        Self::HmacSha256,
        Self::Ed25519,
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::RsaPssSha512,
        Self::RsaV15Sha256,
    ];

    /// Name in the "HTTP Signature Algorithms" registry, the value of `alg` in a message.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::RsaV15Sha256 => "rsa-v1_5-sha256",
        }
    }

    /// Name in a JWK (RFC 7518 section 3.1, RFC 8037 section 3.1, RFC 9864 for `Ed25519`).
    #[must_use]
    pub const fn jose_name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "HS256",
            Self::Ed25519 => "Ed25519",
            Self::EcdsaP256Sha256 => "ES256",
            Self::EcdsaP384Sha384 => "ES384",
            Self::RsaPssSha512 => "PS512",
            Self::RsaV15Sha256 => "RS256",
        }
    }

    /// The algorithm of this JOSE name; `EdDSA` is the older name of `Ed25519`.
    #[must_use]
    pub fn from_jose_name(name: &str) -> Option<Self> {
        if name == "EdDSA" {
            return Some(Self::Ed25519);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.jose_name() == name)
    }

    /// The `kty` of its keys (RFC 7518 section 6.1).
    #[must_use]
    pub const fn key_type(self) -> &'static str {
        match self {
            Self::HmacSha256 => "oct",
            Self::Ed25519 => "OKP",
            Self::EcdsaP256Sha256 | Self::EcdsaP384Sha384 => "EC",
            Self::RsaPssSha512 | Self::RsaV15Sha256 => "RSA",
        }
    }

    /// The `crv` of its keys, if they have one.
    #[must_use]
    pub const fn curve(self) -> Option<&'static str> {
        match self {
            Self::Ed25519 => Some("Ed25519"),
            Self::EcdsaP256Sha256 => Some("P-256"),
            Self::EcdsaP384Sha384 => Some("P-384"),
            Self::HmacSha256 | Self::RsaPssSha512 | Self::RsaV15Sha256 => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
