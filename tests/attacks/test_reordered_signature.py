"""Attack: the parts of a signature in another order than the signer's."""

from __future__ import annotations

from wire import Wire, signed


def test_reordered_components_are_another_signature(wire: Wire) -> None:
    call = signed()
    given = call.get("Signature-Input").replace('"@method" "@authority"', '"@authority" "@method"')
    assert wire.send(call.but("Signature-Input", given).bytes()).refused("signature-invalid"), wire


def test_reordered_parameters_are_another_signature(wire: Wire) -> None:
    call = signed()
    components, *parameters = call.get("Signature-Input").split(";")
    given = ";".join([components, *reversed(parameters)])
    assert wire.send(call.but("Signature-Input", given).bytes()).refused("signature-invalid"), wire


def test_reordered_lines_of_a_covered_field_are_another_value(wire: Wire) -> None:
    call = signed(fields=[("X-Order", "1"), ("X-Order", "2")], cover=["x-order"])
    assert wire.send(call.but("X-Order", "2", "1").bytes()).refused("signature-invalid"), wire


def test_a_line_more_or_less_of_a_covered_field_is_another_value(wire: Wire) -> None:
    call = signed(fields=[("X-Order", "1"), ("X-Order", "2")], cover=["x-order"])
    for lines in (("1",), ("1", "2", ""), ("1", "2", "2"), ("", "1", "2"), ()):
        wire.send(call.but("X-Order", *lines).bytes())
    assert wire.reasons == ["signature-invalid"] * 5 and not wire.upstream


def test_fields_in_another_order_are_the_same_call_and_so_a_replay(wire: Wire) -> None:
    call = signed(fields=[("X-A", "1"), ("X-B", "2")])
    wire.send(call.bytes()).respond()
    call.fields.reverse()
    assert wire.send(call.bytes()).reasons == ["replayed"], wire
