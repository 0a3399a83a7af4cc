"""Attack: the signature, or a part of it, is left out."""

from __future__ import annotations

import pytest
from wire import Wire, signed


def test_an_unsigned_call_is_refused_and_told_what_to_sign(wire: Wire) -> None:
    wire.send(b"GET /v1/x HTTP/1.1\r\nHost: orders.internal\r\n\r\n")
    assert wire.refused("signature-missing"), wire
    assert b'\r\nAccept-Signature: sig1=("@method" "@authority" "@path" "@query");created\r\n' in wire.caller


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("Signature", (), "signature-malformed"),
        ("Signature-Input", (), "signature-malformed"),
        ("Signature", ("",), "signature-malformed"),
        ("Signature-Input", ("",), "signature-malformed"),
        ("Signature", ("sig1",), "signature-malformed"),
        ("Signature", ('sig1="text"',), "signature-malformed"),
        ("Signature", ("sig1=()",), "signature-malformed"),
        ("Signature", ("sig1=::",), "signature-invalid"),
        ("Signature-Input", ("sig1=()",), "signature-parameters"),
        ("Signature-Input", ("sig1",), "signature-malformed"),
    ],
    ids=str,
)
def test_half_a_signature_is_none(wire: Wire, name: str, values: tuple[str, ...], reason: str) -> None:
    assert wire.send(signed().but(name, *values).bytes()).refused(reason), wire


def test_both_fields_empty_are_no_signature(wire: Wire) -> None:
    call = signed().but("Signature", "").but("Signature-Input", "")
    assert wire.send(call.bytes()).refused("signature-missing"), wire


@pytest.mark.parametrize("parameter", ["created", "keyid", "nonce"])
def test_a_parameter_that_the_gates_need_cannot_be_left_out(wire: Wire, parameter: str) -> None:
    call = signed()
    parts = [part for part in call.get("Signature-Input").split(";") if not part.startswith(parameter)]
    assert wire.send(call.but("Signature-Input", ";".join(parts)).bytes()).refused("signature-parameters"), wire


@pytest.mark.parametrize("component", ['"@method" ', '"@authority" ', '"@path" ', ' "@query"'])
def test_a_required_component_cannot_be_left_out(wire: Wire, component: str) -> None:
    call = signed()
    given = call.get("Signature-Input")
    assert component in given
    stripped = call.but("Signature-Input", given.replace(component, ""))
    assert wire.send(stripped.bytes()).refused("coverage-insufficient"), wire


def test_a_thin_signature_by_the_owner_is_refused_too(wire: Wire) -> None:
    thin = signed(cover=[])
    given = thin.get("Signature-Input")
    for identifier in ('"@query-param";name="a"', '"@target-uri"', '"@request-target"'):
        replaced = thin.but("Signature-Input", given.replace('"@query"', identifier))
        wire.send(replaced.bytes())
    assert wire.reasons == ["coverage-insufficient"] * 3, "what is required is required by name"
