"""Making signing keys: material from `cryptography` and `secrets`, written as JWKs (RFC 7518 section 6, RFC 8037)."""

from __future__ import annotations

import base64
import secrets
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from pyproxy.jwk import JOSE_NAMES, Jwk

#: As strong as the 128-bit curves (NIST SP 800-57 part 1, table 2).
_RSA_BITS: Final = 3072
#: As long as the hash: RFC 2104 section 3 discourages less, and more adds nothing.
_SECRET_BYTES: Final = 32


def generate(kid: str, algorithm: str, principal: str) -> Jwk:
    """A new private JWK. `algorithm` is one of [`JOSE_NAMES`]."""
    match algorithm:
        case "hmac-sha256":
            members = {"kty": "oct", "k": _base64url(secrets.token_bytes(_SECRET_BYTES))}
        case "ed25519":
            members = _ed25519(ed25519.Ed25519PrivateKey.generate())
        case "ecdsa-p256-sha256":
            members = _ec(ec.generate_private_key(ec.SECP256R1()), "P-256", 32)
        case "ecdsa-p384-sha384":
            members = _ec(ec.generate_private_key(ec.SECP384R1()), "P-384", 48)
        case "rsa-pss-sha512":
            members = _rsa(rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS))
        case _:
            raise ValueError(f"`{algorithm}` is none of {', '.join(JOSE_NAMES)}")
    return {"kid": kid, "alg": JOSE_NAMES[algorithm], "use": "sig", "principal": principal, **members}


def _ed25519(key: ed25519.Ed25519PrivateKey) -> Jwk:
    # RFC 8037 section 2.
    seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(public), "d": _base64url(seed)}


def _ec(key: ec.EllipticCurvePrivateKey, curve: str, octets: int) -> Jwk:
    # RFC 7518 section 6.2: coordinates and d have the curve's full length, leading zeros kept.
    numbers = key.private_numbers()
    point = numbers.public_numbers
    return {
        "kty": "EC",
        "crv": curve,
        "x": _base64url(point.x.to_bytes(octets, "big")),
        "y": _base64url(point.y.to_bytes(octets, "big")),
        "d": _base64url(numbers.private_value.to_bytes(octets, "big")),
    }


def _rsa(key: rsa.RSAPrivateKey) -> Jwk:
    # RFC 7518 section 6.3: Base64urlUInt has no leading zeros.
    numbers = key.private_numbers()
    members = {
        "n": numbers.public_numbers.n,
        "e": numbers.public_numbers.e,
        "d": numbers.d,
        "p": numbers.p,
        "q": numbers.q,
        "dp": numbers.dmp1,
        "dq": numbers.dmq1,
        "qi": numbers.iqmp,
    }
    return {"kty": "RSA"} | {
        name: _base64url(number.to_bytes((number.bit_length() + 7) // 8, "big")) for name, number in members.items()
    }


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
