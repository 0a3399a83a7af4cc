"""Interoperation, both ways, with the PyPI package `http-message-signatures`: every algorithm and kind of component."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)

from pyproxy._native import SignatureRefused, sign_request, verify_request

CREATED = 1_700_000_000
NONCE = "m1Q0gqvWk4lYz0Yl3cA2Cw"
BODY = b'{"hello": "world"}'
URL = "https://Orders.internal:443/v1/items%20x?id=1&name=with+plus&q=%C3%A7"
FIELDS = [
    ("Content-Type", "application/json"),
    ("X-Twice", "  one "),
    ("X-Twice", "two, three"),
    ("Priority", "u=1,   i"),
    ("X-Empty", ""),
]


def octets(value: int | bytes, length: int | None = None) -> str:
    if isinstance(value, int):
        value = value.to_bytes(length or (value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def hmac_key() -> tuple[Any, Any, dict[str, str]]:
    secret = hashlib.sha256(b"shared").digest()
    return secret, secret, {"alg": "HS256", "kty": "oct", "k": octets(secret)}


def ed25519_key() -> tuple[Any, Any, dict[str, str]]:
    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key()
    d, x = octets(key.private_bytes_raw()), octets(public.public_bytes_raw())
    return key, public, {"alg": "Ed25519", "kty": "OKP", "crv": "Ed25519", "d": d, "x": x}


def ecdsa_key(curve: ec.EllipticCurve, alg: str, name: str) -> tuple[Any, Any, dict[str, str]]:
    key = ec.generate_private_key(curve)
    numbers, size = key.private_numbers(), curve.key_size // 8
    point = numbers.public_numbers
    x, y, d = (octets(n, size) for n in (point.x, point.y, numbers.private_value))
    return key, key.public_key(), {"alg": alg, "kty": "EC", "crv": name, "x": x, "y": y, "d": d}


def rsa_key(alg: str) -> tuple[Any, Any, dict[str, str]]:
    key = rsa.generate_private_key(65537, 2048)
    n = key.private_numbers()
    parts = {"n": n.public_numbers.n, "e": n.public_numbers.e, "d": n.d, "p": n.p, "q": n.q}
    parts |= {"dp": n.dmp1, "dq": n.dmq1, "qi": n.iqmp}
    members = {name: octets(number) for name, number in parts.items()}
    return key, key.public_key(), {"alg": alg, "kty": "RSA"} | members


ALGORITHMS = {
    "hmac-sha256": (algorithms.HMAC_SHA256, hmac_key),
    "ed25519": (algorithms.ED25519, ed25519_key),
    "ecdsa-p256-sha256": (algorithms.ECDSA_P256_SHA256, lambda: ecdsa_key(ec.SECP256R1(), "ES256", "P-256")),
    "ecdsa-p384-sha384": (algorithms.ECDSA_P384_SHA384, lambda: ecdsa_key(ec.SECP384R1(), "ES384", "P-384")),
    "rsa-pss-sha512": (algorithms.RSA_PSS_SHA512, lambda: rsa_key("PS512")),
    "rsa-v1_5-sha256": (algorithms.RSA_V1_5_SHA256, lambda: rsa_key("RS256")),
}

# As we write them, and as the package does.
COMPONENTS = [
    ("@method", "@method"),
    ("@authority", "@authority"),
    ("@path", "@path"),
    ("@query", "@query"),
    ("@target-uri", "@target-uri"),
    ("@scheme", "@scheme"),
    ("@request-target", "@request-target"),
    ('@query-param;name="id"', '"@query-param";name="id"'),
    ('@query-param;name="name"', '"@query-param";name="name"'),
    ('@query-param;name="q"', '"@query-param";name="q"'),
    ("content-type", "content-type"),
    ("content-digest", "content-digest"),
    ("x-twice", "x-twice"),
    ("x-twice;bs", '"x-twice";bs'),
    ("x-empty", "x-empty"),
    ("priority;sf", '"priority";sf'),
    ('priority;key="u"', '"priority";key="u"'),
]
OURS = [ours for ours, _ in COMPONENTS]
THEIRS = [theirs for _, theirs in COMPONENTS]


class Fields:
    """Field lines in order, as the package wants to see them."""

    def __init__(self, lines: list[tuple[str, str]]) -> None:
        self.lines = list(lines)

    def items(self) -> list[tuple[str, str]]:
        return self.lines

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self.lines])

    def __contains__(self, name: str) -> bool:
        return any(other.lower() == name.lower() for other, _ in self.lines)

    def __setitem__(self, name: str, value: str) -> None:
        self.lines = [line for line in self.lines if line[0].lower() != name.lower()] + [(name, value)]

    def __delitem__(self, name: str) -> None:
        self.lines = [line for line in self.lines if line[0].lower() != name.lower()]


class Keys(HTTPSignatureKeyResolver):
    def __init__(self, private: Any, public: Any) -> None:
        self.private, self.public = private, public

    def resolve_private_key(self, key_id: str) -> Any:
        return self.private

    def resolve_public_key(self, key_id: str) -> Any:
        return self.public


def message(fields: list[tuple[str, str]]) -> SimpleNamespace:
    return SimpleNamespace(method="POST", url=URL, headers=Fields(fields))


def with_digest() -> list[tuple[str, str]]:
    digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    return [*FIELDS, ("Content-Digest", f"sha-256=:{digest}:")]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_they_verify_what_we_sign(name: str) -> None:
    algorithm, make = ALGORITHMS[name]
    private, public, members = make()
    jwk = json.dumps({"kid": "k", "principal": "spiffe://a/b"} | members).encode()
    added = sign_request(jwk, "POST", URL, FIELDS, BODY, OURS, CREATED, None, NONCE, "sig1")
    call = message([*FIELDS, *added])
    verifier = HTTPMessageVerifier(signature_algorithm=algorithm, key_resolver=Keys(private, public))
    [result] = verifier.verify(call, max_age=None, require_components=THEIRS, body=BODY)
    assert result.nonce == NONCE
    assert result.parameters["alg"] == name
    call.method = "PUT"
    with pytest.raises(InvalidSignature):
        verifier.verify(call, max_age=None)


@pytest.mark.parametrize("include_alg", [False, True])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_we_verify_what_they_sign(name: str, include_alg: bool) -> None:
    algorithm, make = ALGORITHMS[name]
    private, public, members = make()
    jwks = json.dumps({"keys": [{"kid": "k", "principal": "spiffe://a/b"} | members]}).encode()
    call = message(with_digest())
    HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=Keys(private, public)).sign(
        call,
        key_id="k",
        created=datetime.datetime.fromtimestamp(CREATED, datetime.UTC),
        expires=datetime.datetime.fromtimestamp(CREATED + 10, datetime.UTC),
        nonce=NONCE,
        include_alg=include_alg,
        tag="interop",
        covered_component_ids=THEIRS,
        use_existing_digest=True,
    )
    lines = call.headers.lines
    options: dict[str, Any] = {"now": CREATED + 1, "require": OURS, "allow_rsa_v1_5": True}
    assert verify_request(jwks, "POST", URL, lines, BODY, **options) == ("k", "spiffe://a/b", NONCE.encode(), CREATED)
    with pytest.raises(SignatureRefused, match="signature-invalid"):
        verify_request(jwks, "PUT", URL, lines, BODY, **options)
    with pytest.raises(SignatureRefused, match="digest-mismatch"):
        verify_request(jwks, "POST", URL, lines, BODY + b" ", **options)


def test_they_verify_our_signature_beside_theirs() -> None:
    private, public, members = ed25519_key()
    jwk = json.dumps({"kid": "k", "principal": "spiffe://a/b"} | members).encode()
    added = sign_request(jwk, "POST", URL, FIELDS, None, ["@method", "@path"], CREATED, None, NONCE, "ours")
    call = message([*FIELDS, *added])
    HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=Keys(private, public)).sign(
        call, key_id="stranger", tag="theirs", append_if_signature_exists=True, covered_component_ids=["@method"]
    )
    jwks = json.dumps({"keys": [json.loads(jwk)]}).encode()
    result = verify_request(jwks, "POST", URL, call.headers.lines, None, CREATED, require=["@method", "@path"])
    assert result[0] == "k"
