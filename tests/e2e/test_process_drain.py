"""SIGTERM: what is queued is accepted, what runs is finished, what is idle is closed; then time is up."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from configs import OPEN_LISTENER
from proxy_process import Proxy, eventually
from test_process_crash import answer, ask_without_waiting
from upstream_server import UpstreamServer

from pyproxy.slots import Timing

Start = Callable[..., Proxy]


def in_background(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, results


def test_a_slow_call_is_finished(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream, workers=2)
    call, results = in_background(lambda: proxy.get("/?wait=1"))
    eventually(lambda: upstream.seen)
    proxy.signal(signal.SIGTERM)
    call.join(10)
    assert results == [(200, b"upstream GET /?wait=1 0")]
    assert proxy.wait_end() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_queued_connections_are_served(start_proxy: Start, upstream: UpstreamServer, workers: int) -> None:
    proxy = start_proxy(upstream, workers=workers)
    pids = proxy.worker_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    queued = [ask_without_waiting(proxy) for _ in range(50)]
    proxy.signal(signal.SIGTERM)
    proxy.wait_event("draining")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert [answer(sock)[:12] for sock in queued] == [b"HTTP/1.1 200"] * 50
    assert proxy.wait_end() == 0


def test_callers_queued_where_no_worker_is_are_served_all_the_same(
    start_proxy: Start, upstream: UpstreamServer
) -> None:
    proxy = start_proxy(upstream, timing=Timing(backoff_first_s=60))
    os.kill(proxy.worker_pids()[0], signal.SIGKILL)
    proxy.wait_event("worker ended")
    queued = [ask_without_waiting(proxy) for _ in range(5)]
    proxy.signal(signal.SIGTERM)
    assert [answer(sock)[:12] for sock in queued] == [b"HTTP/1.1 200"] * 5
    assert proxy.wait_end() == 0


def test_connections_that_are_begun_while_it_drains_are_refused_and_none_is_reset(
    start_proxy: Start, upstream: UpstreamServer
) -> None:
    proxy = start_proxy(upstream, workers=2)
    outcomes: list[str] = []
    stop = threading.Event()

    def call_again_and_again() -> None:
        while not stop.is_set():
            try:
                sock = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
            except ConnectionRefusedError:
                outcomes.append("refused")
                return
            try:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                outcomes.append(answer(sock)[9:12].decode())
            except OSError as error:
                outcomes.append(repr(error))

    threads = [threading.Thread(target=call_again_and_again) for _ in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(outcomes) > 50)
    proxy.signal(signal.SIGTERM)
    assert proxy.wait_end() == 0
    stop.set()
    for thread in threads:
        thread.join(10)
    assert set(outcomes) <= {"200", "refused"}
    assert outcomes.count("200") > 50


def test_idle_connections_are_closed_at_once(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream)
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    connection.request("GET", "/")
    connection.getresponse().read()
    began_s = time.monotonic()
    proxy.signal(signal.SIGTERM)
    assert connection.sock.recv(1) == b""
    assert proxy.wait_end() == 0
    assert time.monotonic() - began_s < 5


def test_calls_that_outlast_the_drain_timeout_are_aborted(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream, extra='\n[limits]\ndrain_timeout = "500ms"\n')
    call, results = in_background(lambda: proxy.get("/?wait=60"))
    eventually(lambda: upstream.seen)
    proxy.signal(signal.SIGTERM)
    assert proxy.wait_end(within_s=5) == 0
    call.join(5)
    assert isinstance(results[0], Exception) or results[0][0] == 503  # pyright: ignore
    assert proxy.has_event("drain timed out: calls are aborted")


def test_a_second_signal_ends_it_at_once(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream)
    in_background(lambda: proxy.get("/?wait=60"))
    eventually(lambda: upstream.seen)
    proxy.signal(signal.SIGTERM)
    proxy.wait_event("draining")
    began_s = time.monotonic()
    proxy.signal(signal.SIGTERM)
    assert proxy.wait_end() == 0
    assert time.monotonic() - began_s < 3


def test_a_unix_socket_serves_and_goes_with_the_proxy(
    start_proxy: Start, upstream: UpstreamServer, tmp_path: Path
) -> None:
    listener = OPEN_LISTENER.replace("127.0.0.1:{port}", "unix:in.sock")
    path = tmp_path / "in.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    proxy = start_proxy(upstream, workers=2, listener=listener)
    assert path.stat().st_mode & 0o777 == 0o660
    for pid in proxy.worker_pids():
        os.kill(pid, signal.SIGSTOP)
    queued: list[socket.socket] = []
    for _ in range(20):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(str(path))
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        queued.append(sock)
    proxy.signal(signal.SIGTERM)
    eventually(lambda: not path.exists(), what="the socket's file is gone before the queue is served")
    for pid in proxy.worker_pids():
        os.kill(pid, signal.SIGCONT)
    assert [answer(sock)[:12] for sock in queued] == [b"HTTP/1.1 200"] * 20
    assert proxy.wait_end() == 0
