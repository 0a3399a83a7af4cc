"""Attack: the message says by which algorithm it is to be verified, and so turns a public key into a secret."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from wire import Node, Wire, jwks, private_jwk, public, signed, signed_by_hand

from pyproxy._native import check_keys


def hmac_signed(kid: str, secret: bytes, alg: str) -> bytes:
    """A call under `kid`, signed by HMAC with whatever secret."""
    return signed_by_hand(method="GET", kid=kid, secret=secret, alg=alg).bytes()


def spellings(jwk: dict[str, Any]) -> list[bytes]:
    """The public key in the forms in which it might have been handed to an HMAC."""
    padded = {name: base64.urlsafe_b64decode(jwk[name] + "==") for name in ("x", "y", "n") if name in jwk}
    forms = [*padded.values(), json.dumps(public(jwk)).encode()]
    if jwk["kty"] == "OKP":
        key: Any = ed25519.Ed25519PublicKey.from_public_bytes(padded["x"])
    elif jwk["kty"] == "EC":
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + padded["x"] + padded["y"])
    else:
        return forms
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return [
        *forms,
        *(key.public_bytes(kind, info) for kind in (serialization.Encoding.PEM, serialization.Encoding.DER)),
    ]


def test_the_forger_of_this_test_can_sign() -> None:
    key = private_jwk("HS256", "shop")
    secret = base64.urlsafe_b64decode(key["k"] + "==")
    for alg in ("hmac-sha256", ""):
        wire = Node(keys=jwks(key)).wire()
        assert wire.send(hmac_signed("shop", secret, alg)).passed(), wire


@pytest.mark.parametrize("alg", ["Ed25519", "ES256", "PS512"])
def test_an_hmac_keyed_with_a_public_key_is_refused(alg: str) -> None:
    key = private_jwk(alg, "till")
    wire = Node(keys=jwks(key)).wire()
    for secret in spellings(key):
        wire.send(hmac_signed("till", secret, "hmac-sha256"))
        wire.send(hmac_signed("till", secret, ""))
    assert set(wire.reasons[0::2]) == {"algorithm-mismatch"}
    assert set(wire.reasons[1::2]) == {"signature-invalid"}
    assert not wire.upstream


@pytest.mark.parametrize("alg", ['"ed25519"', '"none"', '""', '"HS256"', '"HMAC-SHA256"', "hmac-sha256", "1", "?0"])
def test_an_alg_that_is_not_the_keys_is_refused(wire: Wire, alg: str) -> None:
    call = signed()
    given = call.get("Signature-Input").replace('alg="hmac-sha256"', f"alg={alg}")
    assert wire.send(call.but("Signature-Input", given).bytes()).refused("algorithm-mismatch"), wire


def test_rsa_v1_5_is_off_unless_config_turns_it_on() -> None:
    key = private_jwk("RS256", "old")
    assert Node(keys=jwks(key)).wire().send(signed(key=key).bytes()).refused("algorithm-mismatch")
    allowed = Node(keys=jwks(key), signature={"allow_rsa_v1_5": True})
    assert allowed.wire().send(signed(key=key).bytes()).passed()


@pytest.mark.parametrize(
    "changes",
    [
        {"alg": "HS256"},
        {"alg": "none"},
        {"alg": None},
        {"kty": "oct"},
        {"kty": "oct", "alg": "HS256", "k": "c2hvcnQ"},
        {"crv": "P-256"},
        {"use": "enc"},
        {"key_ops": ["sign"]},
    ],
    ids=str,
)
def test_a_key_that_is_not_what_its_alg_says_is_never_loaded(changes: dict[str, Any]) -> None:
    key = {name: value for name, value in (public(private_jwk("Ed25519", "x")) | changes).items() if value is not None}
    keys, errors, _ = check_keys(jwks(key))
    assert errors and not keys
