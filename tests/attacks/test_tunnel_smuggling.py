"""Attack: have the connection turned into a tunnel, through which requests reach the upstream that no gate has seen."""

from __future__ import annotations

import pytest
from wire import Wire, signed, upstream_fields

GET = b"GET /v1/x HTTP/1.1\r\nHost: orders.internal\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
INNER = b"GET /v1/admin HTTP/1.1\r\nHost: orders.internal\r\n\r\n"


def upgrade(protocol: str = "websocket", *, covered: bool = True) -> bytes:
    call = signed(fields=[("Upgrade", protocol)], cover=["upgrade"]) if covered else signed()
    call = call if covered else call.plus(("Upgrade", protocol))
    return call.plus(("Connection", "Upgrade")).bytes()


def test_a_websocket_that_its_caller_signed_is_a_tunnel(wire: Wire) -> None:
    wire.send(upgrade()).respond(SWITCHED).send(b"frame")
    assert wire.upstream[0].endswith(b"\r\n\r\nframe") and not wire.reasons


@pytest.mark.parametrize("protocol", ["h2c", "h2c, websocket", "websocket, h2c", "TLS/1.0", "HTTP/2.0", "x"])
def test_no_other_protocol_is_passed_on(wire: Wire, protocol: str) -> None:
    wire.send(upgrade(protocol))
    assert wire.passed() and not {"upgrade", "connection", "http2-settings"} & dict(upstream_fields(wire)).keys()
    wire.respond(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n").send(INNER)
    assert wire.reasons[0] == "upstream-malformed" and len(wire.upstream) == 1


def test_a_stranger_cannot_make_a_tunnel_of_a_signed_call(wire: Wire) -> None:
    wire.send(upgrade(covered=False))
    assert wire.passed() and "upgrade" not in dict(upstream_fields(wire))
    assert wire.respond(SWITCHED).reasons == ["upstream-malformed"]


def test_there_is_no_tunnel_before_the_upstream_agrees(relay: Wire) -> None:
    relay.send(GET + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n" + INNER)
    assert b"admin" not in relay.upstream[0]
    relay.respond(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
    assert len(relay.upstream) == 2, "what came early is judged as the next call"


@pytest.mark.parametrize("line", [b"CONNECT orders.internal:80 HTTP/1.1", b"CONNECT / HTTP/1.1"])
def test_connect_is_refused(relay: Wire, line: bytes) -> None:
    assert relay.send(line + b"\r\nHost: orders.internal:80\r\n\r\n" + INNER).refused("malformed")
