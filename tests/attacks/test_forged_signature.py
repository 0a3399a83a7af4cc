"""Attack: a signature that its key's owner did not make over this request."""

from __future__ import annotations

import base64

import pytest
from wire import HOST, SHOP_KEY, TILL_KEY, Node, Wire, private_jwk, signed


def test_the_call_that_every_attack_starts_from_passes(wire: Wire) -> None:
    assert wire.send(signed().bytes()).passed()


@pytest.mark.parametrize(
    "change",
    [
        (b"GET /v1/x", b"PUT /v1/x"),
        (b"/v1/x?a=b", b"/v1/y?a=b"),
        (b"/v1/x?a=b", b"/v1/x?a=c"),
        (b"/v1/x?a=b", b"/v1/x"),
        (b"/v1/x?a=b", b"/v1/%78?a=b"),
        (b"Host: orders.internal", b"Host: orders.internal:8080"),
        (b"Host: orders.internal", b"Host: admin.internal"),
    ],
    ids=str,
)
def test_a_changed_request_is_refused(wire: Wire, change: tuple[bytes, bytes]) -> None:
    call = signed().bytes()
    assert change[0] in call
    assert wire.send(call.replace(*change)).refused("signature-invalid"), wire


def test_changed_parameters_are_refused(wire: Wire) -> None:
    call = signed(nonce_="an-original-nonce")
    given = call.get("Signature-Input")
    for old, new in [("an-original-nonce", "another-one-of-it"), (";alg=", ";x=1;alg="), ("created=1", "created=01")]:
        changed = call.but("Signature-Input", given.replace(old, new))
        wire.send(changed.bytes())
    assert wire.reasons[0] == "signature-invalid"
    assert wire.reasons[1] == "signature-invalid"
    assert len(wire.upstream) <= 1, "created=01 is created=1 to RFC 9651, and is the same call"


@pytest.mark.parametrize("bit", [0, 7, 100, 255])
def test_a_flipped_bit_is_refused(wire: Wire, bit: int) -> None:
    call = signed()
    signature = bytearray(base64.b64decode(call.get("Signature").split(":")[1]))
    signature[bit // 8] ^= 1 << bit % 8
    forged = call.but("Signature", f"sig1=:{base64.b64encode(signature).decode()}:")
    assert wire.send(forged.bytes()).refused("signature-invalid"), wire


@pytest.mark.parametrize("length", [0, 1, 16, 31, 33, 64])
def test_a_signature_of_another_length_is_refused(wire: Wire, length: int) -> None:
    call = signed()
    signature = (base64.b64decode(call.get("Signature").split(":")[1]) * 2)[:length]
    forged = call.but("Signature", f"sig1=:{base64.b64encode(signature).decode()}:")
    assert wire.send(forged.bytes()).refused("signature-invalid"), wire


def test_another_key_under_a_known_name_is_refused(wire: Wire) -> None:
    assert wire.send(signed(key=private_jwk("HS256", "shop")).bytes()).refused("signature-invalid"), wire


def test_a_callers_signature_under_anothers_name_is_refused(wire: Wire) -> None:
    call = signed(key=TILL_KEY)
    forged = call.but("Signature-Input", call.get("Signature-Input").replace('"till"', '"shop"'))
    assert wire.send(forged.bytes()).reasons == ["algorithm-mismatch"], wire
    forged = call.but(
        "Signature-Input", call.get("Signature-Input").replace('"till"', '"shop"').replace(';alg="ed25519"', "")
    )
    assert wire.send(forged.bytes()).reasons[1:] == ["signature-invalid"], wire
    assert not wire.upstream


def test_an_unknown_key_is_refused_without_telling_which_are_known(wire: Wire) -> None:
    wire.send(signed(key=private_jwk("HS256", "stranger")).bytes())
    assert wire.refused("key-unknown"), wire
    assert b"shop" not in wire.caller and b"till" not in wire.caller


def test_a_removed_key_is_refused_on_a_connection_that_was_open_before(node: Node, wire: Wire) -> None:
    wire.send(signed().bytes()).respond()
    node.reload(keys=Node(keys=None).keys.replace(b'"shop"', b'"shop-2"'))
    assert wire.send(signed().bytes()).reasons == ["key-unknown"], wire
    assert len(wire.upstream) == 1


def test_the_authority_is_the_one_that_was_signed_in_any_spelling(wire: Wire) -> None:
    call = signed()
    assert wire.send(call.but("Host", HOST.upper() + ":80").bytes()).passed(), "RFC 9421 section 2.2.3 makes them one"
    assert SHOP_KEY["kid"] == "shop"
