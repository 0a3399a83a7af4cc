"""Where a set-up runs: its directory, its core, and the processes that it starts there.

Promises: a process is pinned before it executes; a set-up that does not come up ends in an error with the end of its
log; all that was started is stopped, with its children, when the place is left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

READY_WITHIN_S = 20.0
STOP_WITHIN_S = 10.0


class SetupError(Exception):
    """A set-up cannot be measured: something is missing, does not start, or does not do its work."""


@dataclass(frozen=True)
class Running:
    """A set-up that is up and listening."""

    name: str
    version: str
    port: int
    process: subprocess.Popen[bytes]
    verifies: bool = False

    def pids(self) -> list[int]:
        """All its processes, children included."""
        return list(_tree(self.process.pid))


@dataclass
class Place:
    """A temporary directory and a core, for one set-up after the other."""

    directory: Path
    core: int
    upstream_port: int = 0
    keys_file: Path = Path()
    _stop: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.close()

    def fill(self, template: Path, name: str, **values: object) -> Path:
        """Writes a configuration file from a template with `$placeholders`."""
        target = self.subdirectory(name) / template.name
        # `safe`: nginx's own $variables stay.
        target.write_text(Template(template.read_text()).safe_substitute({k: str(v) for k, v in values.items()}))
        return target

    def subdirectory(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir(exist_ok=True)
        return path

    def start(
        self, name: str, argv: Sequence[str | Path], port: int, *, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts a server pinned to this place's core and waits until it listens on `port`."""
        log = self.subdirectory(name) / "log"
        with log.open("wb") as output:
            surroundings = {**os.environ, **(environment or {})}
            process = spawn(self.core, argv, stdout=output, stderr=output, env=surroundings)
        self._stop.callback(_stop_group, process)
        _wait_until_listening(name, process, port, log)
        return process


def spawn(core: int, argv: Sequence[str | Path], **options: Any) -> subprocess.Popen[Any]:
    """Starts a process on one core, in a session of its own, ahead of whatever else the machine does where we may.

    Ahead means SCHED_RR: by niceness alone, a compiler beside us got its slice of 3 ms whenever a proxy slept, which
    decided both the tail and, by what had piled up meanwhile, the CPU per call.
    """

    def surround() -> None:
        os.sched_setaffinity(0, {core})
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))

    command = [str(word) for word in argv]
    # Safe here: this process has one thread.
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=surround, **options)  # noqa: PLW1509


def runs_ahead(setup: Running) -> bool:
    """Whether a set-up is scheduled ahead of the rest of the machine."""
    return os.sched_getscheduler(setup.process.pid) == os.SCHED_RR


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str, hint: str) -> str:
    """The path of a program, or an error that says how to get it."""
    # Debian keeps servers in sbin, which is not on everybody's path.
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin")
    if found is None:
        raise SetupError(f"`{name}` is not on this machine: {hint}")
    return found


def first_line(argv: Sequence[str]) -> str:
    """The first line that a program prints, such as its version."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=20)
    return done.stdout.strip().partition("\n")[0]


def _wait_until_listening(name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SetupError(f"{name} ended with status {process.returncode}:\n{_end_of(log)}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise SetupError(f"{name} does not listen on port {port} after {READY_WITHIN_S:.0f} s:\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_WITHIN_S)
            return


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _tree(int(child))
