"""Attack: a signed call is played again at other workers of a running node, and after one of them was killed."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from configs import NODE, ROUTES
from proxy_process import Proxy, eventually, free_port
from upstream_server import UpstreamServer
from wire import SHOP_KEY, TILL_KEY, jwks, signed

LISTENER = """
[keys]
file = "keys.json"

[signature]
clock_skew = "0s"

[replay]
capacity = {capacity}
path = "replay"

[[listener]]
name = "ingress"
bind = "127.0.0.1:{port}"
authenticate = ["signature"]
authorize = "allow_all"
"""
Start = Callable[..., Proxy]


@pytest.fixture
def upstream() -> Iterator[UpstreamServer]:
    with UpstreamServer() as server:
        yield server


@pytest.fixture
def start(tmp_path: Path, upstream: UpstreamServer) -> Iterator[Start]:
    """Starts a node that knows the keys of the shop and the till, past its fence."""
    proxies: list[Proxy] = []

    def start_node(workers: int = 4, capacity: int = 10_000) -> Proxy:
        keys = tmp_path / "keys.json"
        keys.touch(0o600)
        keys.write_bytes(jwks(SHOP_KEY, TILL_KEY))
        port = free_port()
        endpoint = f'"127.0.0.1:{upstream.port}"'
        config = (NODE + LISTENER + ROUTES).format(
            port=port, admin_port=free_port(), workers=workers, endpoints=endpoint, capacity=capacity
        )
        proxy = Proxy(tmp_path, config, port=port)
        proxies.append(proxy)
        proxy.wait_ready()
        eventually(lambda: outcome(proxy, signed().bytes()) == "200", what="the fence is past")
        return proxy

    yield start_node
    for proxy in proxies:
        proxy.kill()


def outcome(proxy: Proxy, request: bytes) -> str:
    """`200`, or the reason of the refusal, on a connection of its own."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while data := sock.recv(65536):
            answer += data
    head, _, content = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1].decode() if head else "nothing"
    return json.loads(content)["reason"] if b"problem+json" in head else status


def test_of_duplicates_at_four_workers_one_passes_each(start: Start, upstream: UpstreamServer) -> None:
    proxy = start()
    before = len(upstream.seen)
    calls = [signed().bytes() for _ in range(60)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda call: outcome(proxy, call), [call for call in calls for _ in range(6)]))
    by_call = [answers[at : at + 6] for at in range(0, len(answers), 6)]
    assert all(sorted(each) == ["200", *["replayed"] * 5] for each in by_call)
    assert len(upstream.seen) == before + len(calls)


def test_what_a_killed_worker_let_through_is_a_replay_at_its_successor(start: Start) -> None:
    proxy = start(workers=2)
    calls = [signed().bytes() for _ in range(30)]
    assert {outcome(proxy, call) for call in calls} == {"200"}
    old = proxy.worker_pids()
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(set(proxy.worker_pids()) - set(old)) == 2, what="both workers are new")
    assert {outcome(proxy, call) for call in calls} == {"replayed"}
    assert outcome(proxy, signed().bytes()) == "200"


def test_what_was_let_through_before_a_restart_is_a_replay_after_it(start: Start) -> None:
    proxy = start(workers=1)
    calls = [signed().bytes() for _ in range(5)]
    assert {outcome(proxy, call) for call in calls} == {"200"}
    assert proxy.stop() == 0
    again = start(workers=1)
    assert {outcome(again, call) for call in calls} <= {"replayed", "replay-fenced"}


def test_a_flood_by_one_key_at_all_workers_leaves_the_others_room(start: Start) -> None:
    proxy = start(workers=2, capacity=400)
    flood = [signed().bytes() for _ in range(900)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda call: outcome(proxy, call), flood))
    assert set(answers) == {"200", "key-quota"}
    assert outcome(proxy, signed(key=TILL_KEY).bytes()) == "200"
