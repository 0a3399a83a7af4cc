"""Times the gates of the core, each alone: runs the divan benchmarks of native/core/benches and reads their output."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from bench.load.place import SetupError, program

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[2]
UNITS_US = {"ps": 1e-6, "ns": 1e-3, "µs": 1.0, "μs": 1.0, "us": 1.0, "ms": 1e3, "s": 1e6}

# `│  ├─ claim   41.2 ns  │ 95 ns  │ 42.1 ns  │ 43 ns  │ 100  │ 6400`: the third column is the median.
_ROW = re.compile(r"^(?P<branch>[│ ]*)(?:[├╰]─ )?(?P<name>[^│]*?)(?:\s{2,}(?P<columns>\S.*│.*))?\s*$")
_TIME = re.compile(r"([0-9.]+) (ps|ns|µs|μs|us|ms|s)$")


def medians_us(files: Iterable[str], rounds: int = 1) -> dict[str, float]:
    """Runs these benchmark files; the least median of `rounds`, in microseconds, by `file::function`.

    The least, as whatever else the machine does can only add.
    """
    least: dict[str, float] = {}
    for _ in range(rounds):
        for file in sorted(set(files)):
            for name, median in parsed(_run(file)):
                least[name] = min(median, least.get(name, median))
    return least


def parsed(output: str) -> Iterator[tuple[str, float]]:
    """Names and medians from divan's table."""
    path: list[str] = []
    for line in output.splitlines():
        row = _ROW.match(line)
        if row is None or not row["name"].strip() or line.startswith("Timer precision"):
            continue
        nested = line.lstrip("│ ").startswith(("├", "╰"))
        depth = len(row["branch"]) // 3 + 1 if nested else 0
        path[depth:] = [row["name"].strip()]
        columns = [column.strip() for column in (row["columns"] or "").split("│")]
        if len(columns) >= 3 and (time := _TIME.match(columns[2])):
            yield "::".join(path), float(time[1]) * UNITS_US[time[2]]


def _run(file: str) -> str:
    cargo = program("cargo", "install Rust from https://rustup.rs")
    argv = [cargo, "bench", "--quiet", "--locked", "-p", "pyproxy-core", "--bench", file]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SetupError(f"the benchmark `{file}` of native/core/benches failed")
    return done.stdout
