"""Attack: a part of the signature comes twice, so that two readers may take two different ones."""

from __future__ import annotations

import pytest
from wire import Wire, signed


@pytest.mark.parametrize("name", ["Signature", "Signature-Input"])
@pytest.mark.parametrize("lines", [True, False], ids=["two lines", "one line"])
def test_a_label_that_occurs_twice_is_refused(wire: Wire, name: str, lines: bool) -> None:
    call = signed()
    value = call.get(name)
    doubled = call.but(name, value, value) if lines else call.but(name, f"{value}, {value}")
    assert wire.send(doubled.bytes()).refused("signature-malformed"), wire


def test_a_component_that_is_covered_twice_is_refused(wire: Wire) -> None:
    call = signed()
    for twice in ('"@method" "@method"', '"x-a" "@method" "x-a"', '"x-a";key="k" "@method" "x-a";key="k"'):
        given = call.get("Signature-Input").replace('"@method"', twice)
        wire.send(call.but("Signature-Input", given).bytes())
    assert wire.reasons == ["signature-malformed"] * 3 and not wire.upstream


@pytest.mark.parametrize("parameter", ["created=1", 'keyid="till"', 'nonce="another-nonce-of-it"', 'alg="ed25519"'])
def test_a_parameter_that_occurs_twice_is_refused(wire: Wire, parameter: str) -> None:
    call = signed()
    for given in (
        call.get("Signature-Input") + ";" + parameter,
        call.get("Signature-Input").replace(");", f");{parameter};", 1),
    ):
        wire.send(call.but("Signature-Input", given).bytes())
    assert wire.reasons == ["signature-malformed"] * 2 and not wire.upstream


@pytest.mark.parametrize("name", ["Host", "Content-Length"])
def test_a_line_that_must_come_once_is_refused_twice_though_signed(wire: Wire, name: str) -> None:
    call = signed("POST", body=b"payload")
    value = call.get(name)
    assert wire.send(call.but(name, value, value).bytes()).refused("malformed"), wire
    assert wire.closed
