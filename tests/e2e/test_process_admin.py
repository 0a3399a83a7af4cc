"""The admin listener of a running node."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable

from proxy_process import Proxy, eventually
from upstream_server import UpstreamServer

from pyproxy.slots import Timing

Start = Callable[..., Proxy]


def test_pages_tell_how_the_node_is(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream, workers=2, timing=Timing(backoff_first_s=60))
    assert proxy.admin("/livez") == (200, b'{\n  "alive": true\n}\n')
    status, body = proxy.admin("/readyz")
    assert (status, json.loads(body)["reasons"]) == (200, [])
    first, second = proxy.worker_pids()
    os.kill(first, signal.SIGKILL)
    proxy.wait_event("worker ended")
    assert proxy.admin("/readyz")[0] == 200, "one of two is being replaced: its queue waits, the other serves"
    os.kill(second, signal.SIGKILL)
    eventually(lambda: len(proxy.events("worker ended")) == 2)
    status, body = proxy.admin("/readyz")
    assert (status, json.loads(body)["reasons"]) == (503, ["no worker is ready"])
    assert proxy.admin("/livez")[0] == 200


def test_metrics_are_of_all_workers_and_in_both_formats(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream, workers=2)
    for _ in range(30):
        proxy.get("/")
    proxy.get("/?status=404")
    assert proxy.metric("pyproxy_calls_total", listener="ingress", route="all", status="200", reason="") == 30
    assert proxy.metric("pyproxy_calls_total", status="404") == 1
    assert proxy.metric("pyproxy_upstream_seconds_count", route="all") == 31
    assert proxy.metric("pyproxy_gates_seconds_bucket", route="all", le="+Inf") == 31
    assert 0 < proxy.metric("pyproxy_own_seconds_sum") < proxy.metric("pyproxy_total_seconds_sum")
    _, text = proxy.admin("/metrics")
    assert text.startswith(b"# HELP pyproxy_calls_total ")
    _, text = proxy.admin("/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"})
    assert text.endswith(b"# EOF\n")


def test_it_cannot_be_asked_under_a_strangers_name(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream)
    assert proxy.admin("/metrics", {"Host": "attacker.example"})[0] == 421
    assert proxy.admin("/metrics", {"Host": f"localhost:{proxy.admin_port}"})[0] == 200
    assert proxy.admin("/metrics", method="POST")[0] == 405
    assert proxy.admin("/nothing")[0] == 404


def test_a_peer_that_sends_too_much_or_nothing_does_not_hold_it(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream)
    silent = [socket.create_connection(("127.0.0.1", proxy.admin_port), timeout=20) for _ in range(32)]
    eventually(lambda: silent[0].recv(1) == b"", within_s=15, what="a silent connection is closed")
    with socket.create_connection(("127.0.0.1", proxy.admin_port), timeout=5) as sock:
        sock.sendall(b"GET /livez HTTP/1.1\r\nX: " + b"a" * 20_000)
        assert sock.recv(64).startswith(b"HTTP/1.1 431")
    assert proxy.admin("/livez")[0] == 200
    for sock in silent:
        sock.close()
