"""A whole node at work: calls pass, endpoints fail and come back, time limits hold."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from proxy_process import Load, Proxy, eventually, free_port
from upstream_server import UpstreamServer

Start = Callable[..., Proxy]


def test_calls_pass_and_the_end_is_clean(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream, workers=2)
    assert proxy.get("/v1/a?b=c") == (200, b"upstream GET /v1/a?b=c 0")
    assert proxy.stop() == 0


def test_an_endpoint_that_is_not_there_costs_no_call_and_is_left_out(
    start_proxy: Start, upstream: UpstreamServer
) -> None:
    dead = f"127.0.0.1:{free_port()}"
    proxy = start_proxy(dead, upstream)
    with Load(proxy, connections=8, keep_alive=False) as load:
        eventually(lambda: len(load.statuses) > 200)
    assert (set(load.statuses), load.errors) == ({200}, [])
    eventually(lambda: proxy.metric("pyproxy_endpoints_ejected_total") >= 1, what="reported")


def test_calls_take_turns_at_the_endpoints_on_connections_that_are_kept(start_proxy: Start) -> None:
    with UpstreamServer("one") as one, UpstreamServer("two") as two:
        proxy = start_proxy(one, two)
        for _ in range(20):
            assert proxy.get("/")[0] == 200
        assert (len(one.seen), len(two.seen)) == (10, 10)
        assert (one.connections, two.connections) == (1, 1)


def test_an_endpoint_named_by_a_host_name_is_resolved_before_the_first_call(start_proxy: Start) -> None:
    with UpstreamServer() as server:
        proxy = start_proxy(f"localhost:{server.port}")
        assert proxy.get("/")[0] == 200


def test_an_endpoint_that_fails_its_health_checks_gets_no_calls(start_proxy: Start) -> None:
    port = free_port()
    with UpstreamServer("well") as well:
        sick = UpstreamServer("sick", fixed_port=port)
        with sick:
            proxy = start_proxy(
                well,
                f"127.0.0.1:{port}",
                extra='\n[upstream.health]\npath = "/?status=200"\ninterval = "100ms"\ntimeout = "100ms"\n'
                "unhealthy_after = 2\nhealthy_after = 1\n",
                routes="""
[[route]]
name = "all"
host = "*"
path = "/*"
upstream = "orders"

[[upstream]]
name = "orders"
endpoints = [{endpoints}]
""",
            )
            eventually(lambda: {proxy.get("/")[1].split()[0] for _ in range(4)} == {b"well", b"sick"})
        proxy.wait_event("endpoint is not well")
        assert {proxy.get("/")[1].split()[0] for _ in range(10)} == {b"well"}
        with UpstreamServer("sick", fixed_port=port):
            proxy.wait_event("endpoint is well again")
            eventually(lambda: {proxy.get("/")[1].split()[0] for _ in range(4)} == {b"well", b"sick"})


def test_a_head_that_does_not_end_and_a_connection_without_a_call_are_closed_in_time(
    start_proxy: Start, upstream: UpstreamServer
) -> None:
    proxy = start_proxy(upstream, extra='\n[limits]\nhead_timeout = "300ms"\nidle_timeout = "300ms"\n')
    began_s = time.monotonic()
    with (
        socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as slow,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as idle,
    ):
        slow.sendall(b"GET / HTTP/1.1\r\nHo")
        idle.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert slow.recv(12) == b"HTTP/1.1 408"
        received = b""
        while chunk := idle.recv(4096):
            received += chunk
        assert received.startswith(b"HTTP/1.1 200")
    assert time.monotonic() - began_s < 5
