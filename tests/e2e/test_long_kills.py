"""Hundreds of workers die under load: no call passes twice, and the node never stops for good."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

import pytest
from long_runs import SIGNED_LISTENER, record, signed, write_keys
from proxy_process import Proxy
from upstream_server import UpstreamServer

from pyproxy.slots import Timing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

KILLS = int(os.environ.get("PYPROXY_LONG_KILLS", "300"))
CALLERS = 6
EVERY_S = 0.4
QUICK_TO_RETURN = Timing(backoff_most_s=0.5)
"""Or most of the time nobody would be there to kill."""


class Caller(threading.Thread):
    """Sends signed calls, each once, on connections that it makes again when they break."""

    def __init__(self, proxy: Proxy, number: int, ended: threading.Event) -> None:
        super().__init__(daemon=True)
        self._proxy = proxy
        self._number = number
        self._ended = ended
        self.statuses: Counter[str] = Counter()
        self.accepted: deque[bytes] = deque(maxlen=300)
        """Calls that were answered 200, the latest."""

    def run(self) -> None:
        count = 0
        while not self._ended.is_set():
            with contextlib.suppress(OSError), self._connect() as connection:
                while not self._ended.is_set():
                    count += 1
                    call = signed("GET", f"/{self._number}/{count}", [], key=self._number)
                    connection.sendall(call)
                    status = status_of(connection)
                    self.statuses[status or "cut off"] += 1
                    if status is None:
                        break
                    if status == "200":
                        self.accepted.append(call)

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._proxy.port), timeout=20)


def status_of(connection: socket.socket) -> str | None:
    """Status of one answer, which is read to its end; None if the connection ended first."""
    received = b""
    while b"\r\n\r\n" not in received:
        try:
            part = connection.recv(65536)
        except OSError:
            return None
        if not part:
            return None
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        (int(line[15:]) for line in head.decode().lower().split("\r\n") if line.startswith("content-length:")), 0
    )
    while len(body) < length:
        part = connection.recv(65536)
        if not part:
            return None
        body += part
    return head.split(b" ")[1].decode()


def replay(proxy: Proxy, calls: list[bytes]) -> Counter[str]:
    """Sends these bytes once more."""
    statuses: Counter[str] = Counter()
    for call in calls:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as connection:
            connection.sendall(call)
            statuses[status_of(connection) or "cut off"] += 1
    return statuses


def test_workers_that_are_killed_let_no_call_pass_twice(
    start_proxy: Callable[..., Proxy], upstream: UpstreamServer, tmp_path: Path
) -> None:
    write_keys(tmp_path)
    proxy = start_proxy(upstream, listener=SIGNED_LISTENER, workers=4, timing=QUICK_TO_RETURN)
    time.sleep(1.1)  # the fence of a new filter
    ended = threading.Event()
    callers = [Caller(proxy, number, ended) for number in range(CALLERS)]
    for caller in callers:
        caller.start()
    replayed: Counter[str] = Counter()
    killed = 0
    while killed < KILLS:
        time.sleep(EVERY_S)
        if workers := proxy.worker_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.choice(workers), signal.SIGKILL)
                killed += 1
        if killed % 50 == 0:
            # Kept apart from the kills, so that each of these gets an answer.
            replayed += replay(proxy, [call for caller in callers for call in list(caller.accepted)[-20:]])
    ended.set()
    for caller in callers:
        caller.join(30)
    replayed += replay(proxy, [call for caller in callers for call in caller.accepted])
    statuses = sum((caller.statuses for caller in callers), Counter[str]())
    twice = {target: times for target, times in Counter(seen.target for seen in upstream.seen).items() if times > 1}
    record(
        "kills", killed=killed, answers=dict(statuses), replayed=dict(replayed), reached_the_upstream_twice=len(twice)
    )
    assert replayed, "nothing was replayed"
    assert set(replayed) == {"401"}
    assert not twice
    assert set(statuses) <= {"200", "cut off"}, statuses
    assert proxy.stop() == 0
