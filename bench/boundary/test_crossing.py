"""One crossing per read, and what a call costs in them: `pytest bench/boundary`."""

from __future__ import annotations

import os
import secrets
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.load import call
from pyproxy import config
from pyproxy._native import Connection, Gate, Metrics, ReplayFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: 13\r\nConnection: keep-alive\r\n\r\n" + b'{"state":"a"}'
)
LISTENER = """
[node]
name = "bench"
state_dir = "state"

[keys]
file = "keys.json"

[[listener]]
name = "ingress"
bind = "127.0.0.1:8080"
authenticate = {authenticate}
authorize = "allow_all"

[[upstream]]
name = "orders"
endpoints = ["127.0.0.1:9000"]

[[route]]
host = "orders.internal"
path = "/v1/*"
upstream = "orders"
"""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys.json"
    call.write_keys(file)
    return file


@pytest.fixture
def connect(keys: Path) -> Callable[[str], Connection]:
    """A connection of a listener that authenticates by this."""

    def connect(authenticate: str) -> Connection:
        settings = config.parse(LISTENER.format(authenticate=authenticate).encode(), keys.with_name("pyproxy.toml"))
        # Born two minutes ago: its fence is behind us.
        wall_ns, boot_ns = time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        birth = (wall_ns - 120 * 10**9, max(boot_ns - 120 * 10**9, 0))
        replay = ReplayFilter.in_memory(
            capacity=1_000_000, max_age_s=30, clock_skew_s=5, tag_key=secrets.token_bytes(32), now=birth
        )
        while replay.clear_step(1 << 30) == "cleared":
            pass
        memory = os.memfd_create("metrics")
        os.ftruncate(memory, Metrics.SIZE_BYTES)
        metrics = Metrics(memory, ["ingress"])
        seed = secrets.token_bytes(16)
        gate = Gate(settings.settings_json(), keys.read_bytes(), seed=seed, replay=replay, metrics=metrics)
        return gate.connect(0, "192.0.2.1:5000")

    return connect


def test_a_crossing(benchmark: BenchmarkFixture, connect: Callable[[str], Connection]) -> None:
    """There and back with nothing to do: the lock, both clocks, the checks of types."""
    receive = connect('["signature"]').receive_data
    assert benchmark(receive, b"") is None


def test_a_plain_call(benchmark: BenchmarkFixture, connect: Callable[[str], Connection]) -> None:
    """Two crossings: the request, and its answer."""
    connection = connect("[]")
    request = call.unsigned_request()

    def both() -> None:
        connection.receive_data(request)
        connection.receive_response(RESPONSE)

    both()
    assert connection.is_idle()
    benchmark(both)


def test_a_signed_call(benchmark: BenchmarkFixture, connect: Callable[[str], Connection], keys: Path) -> None:
    """The same, verified and its nonce claimed: each request is new."""
    connection = connect('["signature"]')
    key_id, secret = next(iter(call.read_keys(keys).items()))
    created, number, prefix = int(time.time()), count(), secrets.token_urlsafe(12)

    def signed() -> tuple[tuple[bytes], dict[str, object]]:
        nonce = f"{prefix}{next(number):012}"
        parameters, signature = call.Call(key_id, secret, created=created, nonce=nonce).signature()
        return (call.signed_request(call.unsigned_request(), parameters, signature),), {}

    def both(request: bytes) -> None:
        connection.receive_data(request)
        connection.receive_response(RESPONSE)

    (request,), _ = signed()
    action = connection.receive_data(request)
    assert action is not None
    assert action[2] is not None, action[1]
    connection.receive_response(RESPONSE)
    benchmark.pedantic(both, setup=signed, rounds=20_000)
    assert connection.is_idle()
