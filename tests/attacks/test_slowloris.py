"""Attack: many connections that say almost nothing, each of them for ever, so that nobody else can be heard.

Over real sockets with short limits. The limits themselves, to the second, are tested in
`native/core/tests/connection.rs` and `signed.rs`, where time is an argument.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from configs import NODE, OPEN_LISTENER, ROUTES
from proxy_process import Proxy, free_port
from upstream_server import UpstreamServer

LIMITS = """
[limits]
head_timeout = "500ms"
body_timeout = "500ms"
idle_timeout = "500ms"
"""
GET = b"GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where a proxy with short limits listens."""
    with UpstreamServer() as upstream:
        port = free_port()
        config = (NODE + OPEN_LISTENER + ROUTES + LIMITS).format(
            port=port, admin_port=free_port(), workers=1, endpoints=f'"127.0.0.1:{upstream.port}"'
        )
        proxy = Proxy(tmp_path_factory.mktemp("proxy"), config, port=port)
        proxy.wait_ready()
        yield port
        proxy.kill()


def ended(sock: socket.socket, *, dripping: bytes = b"", within_s: float = 8.0) -> bytes:
    """All that comes until the proxy ends the connection, while the caller drips bytes at it."""
    end_s = time.monotonic() + within_s
    answer = b""
    sock.settimeout(0.1)
    while time.monotonic() < end_s:
        with contextlib.suppress(TimeoutError):
            data = sock.recv(65536)
            if not data:
                return answer
            answer += data
        if dripping and not answer:
            with contextlib.suppress(OSError):
                sock.send(dripping)
    raise AssertionError(f"still open after {within_s} s; got {answer!r}")


def test_a_head_that_drips_is_cut_off(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"GET /v1/x HTTP/1.1\r\nHost: a\r\nX: ")
        assert ended(sock, dripping=b"a").startswith(b"HTTP/1.1 408 ")


def test_a_body_that_stops_is_cut_off(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        assert ended(sock).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("before", [b"", GET], ids=["before the first call", "between calls"])
def test_a_connection_without_a_call_is_ended(port: int, before: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(before)
        answer = ended(sock)
        assert answer.count(b"HTTP/1.1 ") == before.count(b"GET") and b" 408 " not in answer


def test_others_are_served_while_hundreds_say_nothing(port: int) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            sock.sendall(b"GET /")
        with socket.create_connection(("127.0.0.1", port), timeout=5) as honest:
            honest.sendall(GET)
            assert honest.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_refused_caller_that_goes_on_sending_is_cut_off(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        end_s = time.monotonic() + 15
        with contextlib.suppress(OSError):
            while time.monotonic() < end_s:
                sock.send(b"x" * 1000)
                time.sleep(0.05)
        assert time.monotonic() < end_s
