"""Which members of a JWK are secret, and which a verifier needs (RFC 7517, RFC 7518 section 6, RFC 8037)."""

from __future__ import annotations

from typing import Any, Final

Jwk = dict[str, Any]

#: RFC 9421 algorithm names and the JOSE names that `alg` has in a JWK (RFC 7518 section 3.1, RFC 9864 section 2.2).
JOSE_NAMES: Final = {
    "hmac-sha256": "HS256",
    "ed25519": "Ed25519",
    "ecdsa-p256-sha256": "ES256",
    "ecdsa-p384-sha384": "ES384",
    "rsa-pss-sha512": "PS512",
}

#: Members that nobody but the signer may see, by `kty`. What is not named here has none that we know of.
_PRIVATE: Final = {
    "oct": frozenset({"k"}),
    "OKP": frozenset({"d"}),
    "EC": frozenset({"d"}),
    "RSA": frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"}),
}
_ALL_PRIVATE: Final = frozenset[str]().union(*_PRIVATE.values())


def is_symmetric(jwk: Jwk) -> bool:
    """Who verifies with it can also sign with it."""
    return jwk.get("kty") == "oct"


def has_private_members(jwk: Jwk) -> bool:
    """It must be kept secret. A `kty` that we do not know is judged by every name that is private anywhere."""
    return not private_members(jwk).isdisjoint(jwk)


def without_private_members(jwk: Jwk) -> Jwk:
    """What a verifier needs of an asymmetric key; `key_ops` that speak of signing speak of verifying."""
    private = private_members(jwk)
    public = {name: value for name, value in jwk.items() if name not in private}
    if "sign" in _strings(public.get("key_ops")):
        public["key_ops"] = ["verify"]
    return public


def private_members(jwk: Jwk) -> frozenset[str]:
    """Names of members that must not leave the signer."""
    kty = jwk.get("kty")
    return _PRIVATE.get(kty, _ALL_PRIVATE) if isinstance(kty, str) else _ALL_PRIVATE


def _strings(value: object) -> list[object]:
    return [*value] if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]
