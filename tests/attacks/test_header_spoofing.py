"""Attack: the caller says what only the proxy may say: who calls, from where, under which identifiers."""

from __future__ import annotations

import pytest
from wire import SHOP, Node, Wire, signed, upstream_fields

SPOOFED = "spiffe://prod.example/root"


@pytest.mark.parametrize("covered", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        "X-Pyproxy-Principal",
        "x-pyproxy-principal",
        "X_Pyproxy_Principal",
        "X-Pyproxy_Principal",
        "X.Pyproxy.Principal",
        "X-Pyproxy.Principal",
        "X!PYPROXY~Principal",
        "X-Pyproxy-Anything",
    ],
)
def test_the_principal_is_the_signers_whatever_the_caller_says(wire: Wire, name: str, covered: bool) -> None:
    call = signed(fields=[(name, SPOOFED)], cover=[name.lower()]) if covered else signed().plus((name, SPOOFED))
    assert wire.send(call.bytes()).passed(), wire
    assert SPOOFED.encode() not in wire.upstream[0]
    assert [value for known, value in upstream_fields(wire) if known == "x-pyproxy-principal"] == [SHOP]


def test_where_nothing_is_verified_nobody_is_named() -> None:
    wire = Node.open().wire()
    wire.send(f"GET /v1/x HTTP/1.1\r\nHost: orders.internal\r\nX-Pyproxy-Principal: {SPOOFED}\r\n\r\n".encode())
    assert wire.passed()
    assert b"rincipal" not in wire.upstream[0]


@pytest.mark.parametrize(
    "name",
    [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Prefix",
        "X-Forwarded-User",
        "X-Real-IP",
        "True-Client-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
    ],
)
def test_where_a_call_came_from_is_what_we_saw(wire: Wire, name: str) -> None:
    assert wire.send(signed(fields=[(name, "203.0.113.66")], cover=[name.lower()]).bytes()).passed()
    assert b"203.0.113.66" not in wire.upstream[0]
    fields = dict(upstream_fields(wire))
    assert fields["x-forwarded-for"] == "192.0.2.1"
    assert fields["x-forwarded-host"] == "orders.internal"
    assert fields["forwarded"] == 'for=192.0.2.1;by=_edge-1;proto=http;host="orders.internal"'


def test_identifiers_are_ours_unless_signed(wire: Wire) -> None:
    own = [("X-Request-Id", "mine"), ("traceparent", f"00-{'1' * 32}-{'1' * 16}-01"), ("tracestate", "a=b")]
    assert wire.send(signed().plus(*own).bytes()).passed()
    fields = dict(upstream_fields(wire))
    assert fields["x-request-id"] != "mine" and "1" * 32 not in fields["traceparent"] and "tracestate" not in fields
    wire.respond()
    wire.send(signed(fields=own, cover=[name.lower() for name, _ in own]).bytes())
    assert {"x-request-id": "mine", "tracestate": "a=b"}.items() <= dict(upstream_fields(wire)).items()


def test_via_is_appended_to_and_never_replaced(wire: Wire) -> None:
    assert wire.send(signed().plus(("Via", "1.1 edge-1")).bytes()).passed()
    assert [value for name, value in upstream_fields(wire) if name == "via"] == ["1.1 edge-1", "1.1 edge-1"]


@pytest.mark.parametrize("name", ["Proxy", "Proxy-Authorization", "Proxy-Connection", "TE", "Keep-Alive", "Trailer"])
def test_what_is_of_this_connection_stays_on_it(wire: Wire, name: str) -> None:
    assert wire.send(signed().plus((name, "http://203.0.113.66")).bytes()).passed()
    assert b"203.0.113.66" not in wire.upstream[0]
