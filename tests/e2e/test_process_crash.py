"""A worker that dies or hangs is replaced on the same sockets; queued connections wait, other workers never stop."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from proxy_process import Proxy, eventually
from upstream_server import UpstreamServer

from pyproxy.slots import Timing

Start = Callable[..., Proxy]
REQUEST = b"GET /queued HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SLOW_TO_RETURN = Timing(backoff_first_s=0.5)


def ask_without_waiting(proxy: Proxy) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    sock.sendall(REQUEST)
    return sock


def answer(sock: socket.socket) -> bytes:
    with sock:
        received = b""
        while chunk := sock.recv(65536):
            received += chunk
        return received


def test_connections_queued_at_a_worker_that_is_killed_are_served_by_the_next(
    start_proxy: Start, upstream: UpstreamServer
) -> None:
    proxy = start_proxy(upstream)
    [worker] = proxy.worker_pids()
    os.kill(worker, signal.SIGSTOP)
    queued = [ask_without_waiting(proxy) for _ in range(20)]
    os.kill(worker, signal.SIGKILL)
    assert [answer(sock)[:12] for sock in queued] == [b"HTTP/1.1 200"] * 20
    assert proxy.wait_event("worker ended")["cause"] == "killed by SIGKILL"


def test_a_caller_that_comes_while_no_worker_is_there_waits(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream, timing=SLOW_TO_RETURN)
    os.kill(proxy.worker_pids()[0], signal.SIGKILL)
    proxy.wait_event("worker ended")
    assert proxy.worker_pids() == []
    assert proxy.get("/")[0] == 200


def test_the_other_workers_never_stop(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream, workers=2, timing=SLOW_TO_RETURN)
    connections = [http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5) for _ in range(32)]
    for connection in connections:
        connection.request("GET", "/")
        connection.getresponse().read()
    os.kill(proxy.worker_pids()[0], signal.SIGKILL)
    proxy.wait_event("worker ended")
    survivors = 0
    began_s = time.monotonic()
    for connection in connections:
        connection.auto_open = 0  # pyright: ignore[reportAttributeAccessIssue] - it must be this very connection
        try:
            connection.request("GET", "/")
            survivors += connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            pass
    # The kernel spreads connections by a hash: 32 of them all at one of two workers has a chance of 2^-31.
    assert 0 < survivors < 32
    assert time.monotonic() - began_s < SLOW_TO_RETURN.backoff_first_s + 5
    eventually(lambda: len(proxy.worker_pids()) == 2)


def test_no_counter_goes_down_when_a_worker_is_replaced(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream)
    for _ in range(10):
        proxy.get("/")
    eventually(lambda: proxy.metric("pyproxy_connections_accepted_total") >= 10, what="reported")
    os.kill(proxy.worker_pids()[0], signal.SIGKILL)
    for _ in range(10):
        proxy.get("/")
    assert proxy.metric("pyproxy_calls_total", route="all", status="200") == 20
    assert proxy.metric("pyproxy_worker_restarts_total", worker="0") == 1
    eventually(lambda: proxy.metric("pyproxy_connections_accepted_total") == 20, what="counted on")


def test_a_worker_that_hangs_is_killed_and_replaced(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream, timing=Timing(heartbeat_s=0.2, hung_after=10))
    [worker] = proxy.worker_pids()
    os.kill(worker, signal.SIGSTOP)
    queued = ask_without_waiting(proxy)
    proxy.wait_event("worker hangs and is killed", pid=worker)
    assert answer(queued).startswith(b"HTTP/1.1 200")
    assert proxy.metric("pyproxy_workers_hung_total") == 1


def test_workers_leave_when_the_supervisor_is_killed(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream, workers=2)
    workers = proxy.worker_pids()
    os.kill(proxy.pid, signal.SIGKILL)

    def gone(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        # Whoever inherits orphans may be slow to collect them.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"

    eventually(lambda: all(gone(worker) for worker in workers), what="workers are gone")


def test_a_worker_that_cannot_start_ends_the_start(start_proxy: Start, upstream: UpstreamServer) -> None:
    broken = "import pyproxy.slots as s; s._BOOT = 'raise SystemExit(3)'\n"
    proxy = start_proxy(upstream, ready=False, before=broken)
    assert proxy.wait_end() == 1
    assert "exit status 3" in proxy.events("cannot start")[0]["problem"]
