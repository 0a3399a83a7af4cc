"""Attack: a field whose name is that of a derived component, so that its value is covered instead of the real one."""

from __future__ import annotations

import pytest
from wire import Wire, signed


@pytest.mark.parametrize("name", ["@method", "@path", "@authority", "@signature-params", '"@method"'])
def test_a_field_named_like_a_component_is_refused(wire: Wire, name: str) -> None:
    call = signed().plus((name, "DELETE"))
    assert wire.send(call.bytes()).refused("malformed"), wire
    assert wire.closed


def test_the_method_is_that_of_the_request_line(wire: Wire) -> None:
    call = signed("GET").plus(("method", "GET"))
    call.method = "DELETE"
    assert wire.send(call.bytes()).refused("signature-invalid"), wire


@pytest.mark.parametrize(
    "identifier",
    [
        '"@Method"',
        '"@method";sf',
        '"@method";bs',
        '"@method";req',
        '"@status"',
        '"@signature-params"',
        '"@nothing"',
        '"X-Upper"',
        '"a b"',
        '""',
        '"x";tr',
    ],
)
def test_a_component_that_no_request_has_is_refused(wire: Wire, identifier: str) -> None:
    call = signed()
    given = call.get("Signature-Input").replace('"@method"', f'"@method" {identifier}')
    assert wire.send(call.but("Signature-Input", given).bytes()).refused("signature-malformed"), wire
