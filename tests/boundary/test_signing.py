"""Keys and signatures across the boundary: what the command line and the client are built on."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from pyproxy._native import SignatureRefused, check_keys, sign_request, verify_request

NOW = 1_700_000_000
NONCE = "b3k2pp5k7z-50gnwp.yemd"
PRINCIPAL = "spiffe://prod.example/orders"


def octets(value: int | bytes, length: int | None = None) -> str:
    if isinstance(value, int):
        value = value.to_bytes(length or (value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def private_jwk(alg: str) -> dict[str, Any]:
    common = {"kid": f"key-{alg}", "alg": alg, "principal": PRINCIPAL}
    if alg == "HS256":
        return common | {"kty": "oct", "k": octets(hashlib.sha256(alg.encode()).digest())}
    if alg in ("Ed25519", "EdDSA"):
        key = ed25519.Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes_raw()
        return common | {"kty": "OKP", "crv": "Ed25519", "x": octets(public), "d": octets(key.private_bytes_raw())}
    if alg in ("ES256", "ES384"):
        size = 32 if alg == "ES256" else 48
        numbers = ec.generate_private_key(ec.SECP256R1() if alg == "ES256" else ec.SECP384R1()).private_numbers()
        point = numbers.public_numbers
        x, y, d = (octets(n, size) for n in (point.x, point.y, numbers.private_value))
        return common | {"kty": "EC", "crv": "P-256" if alg == "ES256" else "P-384", "x": x, "y": y, "d": d}
    n = rsa.generate_private_key(65537, 2048).private_numbers()
    parts = {"n": n.public_numbers.n, "e": n.public_numbers.e, "d": n.d, "p": n.p, "q": n.q}
    parts |= {"dp": n.dmp1, "dq": n.dmq1, "qi": n.iqmp}
    return common | {"kty": "RSA"} | {name: octets(number) for name, number in parts.items()}


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def signed(key: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Arguments of verify_request for a call signed with this key."""
    call: dict[str, Any] = {
        "method": "POST",
        "url": "https://orders.internal/v1/items?id=1",
        "headers": [("Content-Type", "application/json")],
        "body": b'{"a": 1}',
    } | changes
    added = sign_request(
        json.dumps(key).encode(), **call, components=None, created=NOW, expires=None, nonce=NONCE, label="sig1"
    )
    return call | {"headers": [*call["headers"], *added]}


@pytest.mark.parametrize("alg", ["HS256", "Ed25519", "EdDSA", "ES256", "ES384", "PS512", "RS256"])
def test_what_is_signed_here_verifies_here(alg: str) -> None:
    key = private_jwk(alg)
    call = signed(key)
    result = verify_request(jwks(key), **call, now=NOW, allow_rsa_v1_5=True)
    assert result == (f"key-{alg}", PRINCIPAL, NONCE.encode(), NOW)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"method": "PUT"}, "signature-invalid"),
        ({"url": "https://orders.internal/v1/items?id=2"}, "signature-invalid"),
        ({"url": "https://other.internal/v1/items?id=1"}, "signature-invalid"),
        ({"body": b'{"a": 2}'}, "digest-mismatch"),
        ({"body": None}, "digest-mismatch"),
        ({"now": NOW + 36}, "signature-expired"),
        ({"now": NOW - 6}, "signature-future"),
        ({"headers": []}, "signature-missing"),
        ({"require": ["content-type"]}, "coverage-insufficient"),
        ({"require_if_present": ["content-type"]}, "coverage-insufficient"),
        ({"jwks": jwks()}, "key-unknown"),
    ],
)
def test_a_changed_call_is_refused_for_its_reason(change: dict[str, Any], reason: str) -> None:
    key = private_jwk("HS256")
    call = {"jwks": jwks(key), "now": NOW} | signed(key) | change
    with pytest.raises(SignatureRefused) as refused:
        verify_request(**call)
    assert refused.value.args[0] == reason


def test_rsa_v1_5_is_off_by_default() -> None:
    key = private_jwk("RS256")
    with pytest.raises(SignatureRefused) as refused:
        verify_request(jwks(key), **signed(key), now=NOW)
    assert refused.value.args[0] == "algorithm-mismatch"


def test_a_body_gets_a_digest_and_the_digest_is_covered() -> None:
    call = signed(private_jwk("HS256"))
    fields = dict(call["headers"])
    expected = base64.b64encode(hashlib.sha256(b'{"a": 1}').digest()).decode()
    assert fields["Content-Digest"] == f"sha-256=:{expected}:"
    assert '"content-digest"' in fields["Signature-Input"]
    assert "Content-Digest" not in dict(signed(private_jwk("HS256"), body=None)["headers"])


def test_a_digest_that_the_caller_brings_is_checked() -> None:
    with pytest.raises(ValueError, match="content-digest"):
        signed(private_jwk("HS256"), headers=[("Content-Digest", "sha-256=:" + "A" * 43 + "=:")])
    with pytest.raises(ValueError, match="content-digest"):
        signed(private_jwk("HS256"), headers=[("content-digest", "md5=:AAAA:")])


def test_a_url_that_a_signature_cannot_be_made_for_is_refused() -> None:
    for url in ["/v1", "ftp://x/", "http:///", "http://user@x/", "http://x/a b", "http://x/\u00e9"]:
        with pytest.raises(ValueError, match="url"):
            signed(private_jwk("HS256"), url=url)


def test_an_empty_path_is_a_slash() -> None:
    key = private_jwk("HS256")
    for url in ["http://x", "http://x?a=1", "http://x#f"]:
        call = {**signed(key, url=url), "url": url.replace("http://x", "http://X:80/").split("#", maxsplit=1)[0]}
        verify_request(jwks(key), **call, now=NOW)


def test_every_mistake_of_a_key_set_is_reported_at_once() -> None:
    good = private_jwk("HS256")
    keys, errors, warnings = check_keys(
        jwks(good, good | {"alg": "none"}, good | {"kid": "b", "k": "AAAA"}, {"kid": "c"}, good)
    )
    assert keys == []
    assert warnings == []
    assert [error for error in errors if error.startswith("keys[1]") and "alg" in error]
    assert [error for error in errors if error.startswith("keys[2]") and "k:" in error]
    assert [error for error in errors if error.startswith("keys[3]") and "alg: missing" in error]
    assert [error for error in errors if error.startswith("keys[3]") and "principal: missing" in error]
    assert [error for error in errors if error.startswith("keys[4]") and "same kid" in error]


def test_a_key_set_shows_its_keys_but_no_secret() -> None:
    secret, public = private_jwk("HS256"), private_jwk("ES256")
    keys, errors, warnings = check_keys(jwks(secret, public))
    assert keys == [
        ("key-HS256", "hmac-sha256", PRINCIPAL, "secret"),
        ("key-ES256", "ecdsa-p256-sha256", PRINCIPAL, "public"),
    ]
    assert errors == []
    assert len(warnings) == 1
    assert "private" in warnings[0]
    for broken in [secret | {"alg": "HS512"}, secret | {"k": secret["k"] + "!"}, public | {"d": 7, "x": "AA"}]:
        text = repr(check_keys(jwks(broken)))
        assert secret["k"] not in text
        assert public["d"] not in text


def test_a_public_key_cannot_sign() -> None:
    key = private_jwk("Ed25519")
    del key["d"]
    with pytest.raises(ValueError, match="d: missing"):
        signed(key)
