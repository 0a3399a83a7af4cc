"""The load generator: building it, running it pinned to a core, and refusing runs with errors."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.load.place import Running, SetupError, program, spawn

if TYPE_CHECKING:
    from collections.abc import Sequence

CRATE = Path(__file__).with_name("loadgen")
# More calls per second than any proxy answers on one core: how many are signed for a run.
MOST_CALLS_PER_S = 80_000


class VoidRun(Exception):
    """A run in which a call failed says nothing about speed."""


@dataclass(frozen=True)
class Load:
    """How a run is played."""

    connections: int = 32
    warmup_s: float = 0.3
    duration_s: float = 0.8
    # None: closed loop.
    calls_per_s: float | None = None
    arrivals: str = "poisson"
    signed: bool = True


@dataclass(frozen=True)
class Generator:
    """The built generator with what it plays."""

    binary: Path
    core: int
    request_file: Path
    keys_file: Path

    def play(self, setup: Running, load: Load) -> dict[str, Any]:
        """Plays at a set-up and returns what the generator measured; raises `VoidRun` if any call failed."""
        argv: list[object] = [
            self.binary,
            *("--target", f"127.0.0.1:{setup.port}", "--request", self.request_file),
            *("--connections", load.connections, "--warmup", load.warmup_s, "--duration", load.duration_s),
            *("--cpu-of", ",".join(map(str, setup.pids()))),
        ]
        if load.calls_per_s is not None:
            argv += ["--rate", load.calls_per_s, "--arrivals", load.arrivals]
        if load.signed:
            rate = load.calls_per_s * 1.2 if load.calls_per_s else MOST_CALLS_PER_S
            argv += ["--keys", self.keys_file, "--signed-calls", int(rate * (load.warmup_s + load.duration_s)) + 1000]
        words = [str(word) for word in argv]
        with spawn(self.core, words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            output, complaint = process.communicate()
        if process.returncode != 0:
            raise VoidRun(f"{setup.name}: {complaint.strip()}")
        measured = json.loads(output)
        if measured["errors"]["total"]:
            raise VoidRun(f"{setup.name}: {json.dumps(measured['errors'], indent=2)}")
        return measured


def build() -> Path:
    """Compiles the generator and returns its path."""
    cargo = program("cargo", "install Rust from https://rustup.rs")
    # Not the product's target directory: its profile and lock file are not this crate's.
    target = Path(os.environ.get("BENCH_LOADGEN_TARGET", CRATE / "target"))
    where = [f"--manifest-path={CRATE / 'Cargo.toml'}", f"--target-dir={target}"]
    if subprocess.run([cargo, "build", "--quiet", "--release", "--locked", *where], check=False).returncode != 0:
        raise SetupError("the load generator does not compile")
    return target / "release" / "loadgen"


def played(rounds: Sequence[dict[str, Any]], measure: str) -> list[float]:
    """One measure of every round: `cpu_us_per_call`, `calls_per_s`, or a latency such as `p99`."""
    return [run["latency_us"][measure] if measure in run["latency_us"] else run[measure] for run in rounds]
