"""The proxy as a process, for tests: a real supervisor with real workers, on free ports, in a directory of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyproxy.slots import Timing

ROOT = Path(__file__).parent.parent.parent
_RUN = """
import sys
from pyproxy.slots import Timing
from pyproxy.supervisor import run
sys.exit(run(sys.argv[1], timing=Timing(**eval(sys.argv[2]))))
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def eventually(true: Callable[[], object], within_s: float = 10.0, what: str = "") -> None:
    """Waits until it is so."""
    end_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end_s, f"not so within {within_s} s: {what}"
        time.sleep(0.02)


class Proxy:
    """One running proxy. `admin` and `port` are where its config says."""

    def __init__(
        self,
        directory: Path,
        config: str,
        *,
        port: int = 0,
        admin_port: int = 0,
        timing: Timing | None = None,
        environment: dict[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
        before: str = "",
    ) -> None:
        self.directory = directory
        self.port = port
        self.admin_port = admin_port
        self.config_path = directory / "pyproxy.toml"
        self.config_path.write_text(config)
        self.lines: list[dict[str, Any]] = []
        changed = {} if timing is None else timing._asdict()
        self._process = subprocess.Popen(
            [sys.executable, "-c", before + _RUN, str(self.config_path), repr(changed)],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=pass_fds,
        )
        self.stdout: list[bytes] = []
        self._readers = [
            threading.Thread(target=self._read_events, daemon=True),
            threading.Thread(target=self._read_stdout, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self, within_s: float = 20.0) -> Proxy:
        eventually(
            lambda: self.has_event("ready") or self._process.poll() is not None, within_s, f"ready; said {self.lines}"
        )
        assert self.has_event("ready"), self.lines
        return self

    def has_event(self, event: str, **members: object) -> bool:
        return bool(self.events(event, **members))

    def events(self, event: str, **members: object) -> list[dict[str, Any]]:
        return [
            line
            for line in list(self.lines)
            if line.get("event") == event and all(line.get(name) == value for name, value in members.items())
        ]

    def wait_event(self, event: str, within_s: float = 10.0, **members: object) -> dict[str, Any]:
        eventually(lambda: self.has_event(event, **members), within_s, f"event `{event}`; said {self.lines}")
        return self.events(event, **members)[-1]

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait_end(self, within_s: float = 20.0) -> int:
        code = self._process.wait(within_s)
        for reader in self._readers:
            reader.join(5)
        return code

    def stop(self) -> int:
        """SIGTERM, and its exit status; whoever does not obey is killed, and that fails the test."""
        if self._process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            return self.wait_end()
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL to the supervisor and to every worker it told of."""
        pids = self.worker_pids() if self._process.poll() is None else []
        self._process.kill()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(5)

    def worker_pids(self) -> list[int]:
        """Children of the supervisor."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def admin(self, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=5)
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, body

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples with this name whose labels include these."""
        _, body = self.admin("/metrics")
        total = 0.0
        for line in body.decode().splitlines():
            match = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)", line)
            if match and match[1] == name:
                found = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
                if all(found.get(key) == value for key, value in labels.items()):
                    total += float(match[3])
        return total

    def get(self, path: str = "/", headers: dict[str, str] | None = None, timeout: float = 10) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _read_events(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            try:
                self.lines.append(json.loads(line))
            except json.JSONDecodeError:
                self.lines.append({"event": "not JSON", "line": line.decode("utf-8", "replace")})

    def _read_stdout(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.stdout.append(line)


class Load:
    """Calls without end, on several connections, each kept alive until it is closed; every outcome is kept."""

    def __init__(
        self,
        proxy: Proxy,
        *,
        connections: int = 4,
        path: str = "/",
        keep_alive: bool = True,
        headers: Callable[[], dict[str, str]] | None = None,
    ) -> None:
        self.statuses: list[int] = []
        self.errors: list[str] = []
        self._proxy = proxy
        self._path = path
        self._keep_alive = keep_alive
        self._headers = headers
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(connections)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)

    def _run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        used = 0
        while not self._stop.is_set():
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self._proxy.port, timeout=10)
                used = 0
            try:
                connection.request("GET", self._path, headers=self._headers() if self._headers else {})
                response = connection.getresponse()
                response.read()
                self.statuses.append(response.status)
                used += 1
                if response.will_close or not self._keep_alive:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                connection = None
                # A kept-alive connection may be closed between two calls; a client that knows HTTP asks again.
                if not (
                    used and isinstance(error, http.client.RemoteDisconnected | BrokenPipeError | ConnectionResetError)
                ):
                    self.errors.append(repr(error))
