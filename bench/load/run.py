"""Rounds of all set-ups, and what they come to.

In each round every set-up of a case is played once; the next round goes the other way round, so that whatever drifts
falls on both sides of each pair alike. Proxies have core 0, one worker each; the generator and the upstream share
core 1. All are up during the whole run, those not played at idle.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.load import call, envoy, generator, haproxy, nginx, nginx_lua, pyproxy, upstream
from bench.load.generator import Generator, Load, VoidRun, played
from bench.load.place import Place, Running, SetupError, runs_ahead
from bench.ratio import Ratio, ratio_of_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SETUPS: dict[str, Callable[[Place], Running]] = {
    nginx.NAME: nginx.start,
    nginx_lua.NAME: nginx_lua.start,
    haproxy.NAME: haproxy.start,
    envoy.NAME: envoy.start,
    **{form.name: form.start for form in (pyproxy.PLAIN, pyproxy.HMAC, pyproxy.PLAIN_PYTHON, pyproxy.HMAC_PYTHON)},
}

MEASURES = ("cpu_us_per_call", "calls_per_s", "p50", "p99", "load_cpu_us_per_call")
ATTEMPTS = 2


@dataclass(frozen=True)
class Case:
    """Set-ups to be compared on the same calls. Neighbours in the list are neighbours in time."""

    name: str
    setups: tuple[str, ...]
    load: Load = field(default_factory=Load)
    # Open loop: which share of nginx's own maximum rate, measured first.
    share_of_nginx: float | None = None


CASES = {
    case.name: case
    for case in (
        Case("plain", ("haproxy", "pyproxy", "nginx", "pyproxy-python", "envoy"), Load(signed=False)),
        Case("hmac", ("nginx-lua-hmac", "pyproxy-hmac", "nginx", "pyproxy-python-hmac", "envoy")),
        Case("latency", ("pyproxy", "nginx", "pyproxy-hmac", "nginx-lua-hmac"), share_of_nginx=0.5),
    )
}


@dataclass(frozen=True)
class Cores:
    """Which core runs what."""

    proxy: int = 0
    load: int = 1
    upstream: int = 1


@dataclass
class Measured:
    """All rounds of a case, by set-up."""

    case: Case
    rounds: dict[str, list[dict[str, Any]]]
    versions: dict[str, str]
    ahead: bool = False
    calls_per_s: float | None = None

    def median(self, setup: str, measure: str) -> float:
        return statistics.median(played(self.rounds[setup], measure))

    def ratio(self, setup: str, rival: str, measure: str) -> Ratio:
        return ratio_of_pairs(played(self.rounds[setup], measure), played(self.rounds[rival], measure))


@contextlib.contextmanager
def stage(names: Sequence[str], cores: Cores) -> Iterator[tuple[Generator, dict[str, Running]]]:
    """Everything that is needed, built, started, and checked to do its work."""
    if (cpus := os.cpu_count() or 1) <= max(cores.proxy, cores.load, cores.upstream):
        raise SetupError(f"a proxy and its load need a core each, and this machine has {cpus}")
    binary = generator.build()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        keys_file, request_file = directory / "keys.json", directory / "request"
        call.write_keys(keys_file)
        request_file.write_bytes(call.unsigned_request())
        upstream_port = upstream.start(stack.enter_context(Place(directory, cores.upstream))).port
        place = stack.enter_context(Place(directory, cores.proxy, upstream_port, keys_file))
        running = {name: SETUPS[name](place) for name in names}
        for setup in running.values():
            call.check(setup, keys_file)
        yield Generator(binary, cores.load, request_file, keys_file), running


def measure(case: Case, rounds: int, gen: Generator, running: dict[str, Running], *, report: bool = True) -> Measured:
    """Plays a case's rounds."""
    load = case.load
    if case.share_of_nginx is not None:
        fastest = max(_play(gen, running["nginx"], replace(load, duration_s=2.0))["calls_per_s"] for _ in range(3))
        load = replace(load, calls_per_s=round(fastest * case.share_of_nginx))
    setups = [name for name in case.setups if name in running]
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in setups}
    for number in range(rounds):
        for name in setups if number % 2 == 0 else reversed(setups):
            results[name].append(_play(gen, running[name], load))
        if report:
            costs = (f"{name} {results[name][-1]['cpu_us_per_call']:.1f}" for name in setups)
            print(f"{case.name}, round {number + 1} of {rounds}, CPU us per call: {', '.join(costs)}", file=sys.stderr)
    versions = {name: running[name].version for name in setups}
    ahead = all(runs_ahead(running[name]) for name in setups)
    return Measured(case, results, versions, ahead, load.calls_per_s)


def _play(gen: Generator, setup: Running, load: Load) -> dict[str, Any]:
    """One run; a void one is repeated once, as a machine may hiccup, and a proxy that fails calls fails again."""
    for attempt in range(ATTEMPTS):
        try:
            return gen.play(setup, load)
        except VoidRun:
            if attempt + 1 == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def table(measured: Measured) -> str:
    """The case as text for people: medians, and ratios to nginx."""
    rate = f", open loop at {measured.calls_per_s:,.0f} calls/s" if measured.calls_per_s else ", closed loop"
    load = measured.case.load
    rounds = len(next(iter(measured.rounds.values())))
    lines = [
        f"{measured.case.name}: {load.connections} connections{rate}, {rounds} rounds of {load.duration_s:g} s",
        f"{'':<20}{'CPU us/call':>12}{'calls/s':>10}{'p50 us':>9}{'p99 us':>9}"
        f"{'CPU : nginx':>24}{'p50 : nginx':>24}{'p99 : nginx':>24}",
    ]
    for name in measured.rounds:
        cpu, calls, p50, p99, _ = (measured.median(name, what) for what in MEASURES)
        line = f"{name:<20}{cpu:>12.1f}{calls:>10,.0f}{p50:>9.0f}{p99:>9.0f}"
        if name != "nginx" and "nginx" in measured.rounds:
            ratios = (measured.ratio(name, "nginx", what) for what in ("cpu_us_per_call", "p50", "p99"))
            line += "".join(f"{ratio!s:>24}" for ratio in ratios)
        lines.append(line)
    return "\n".join(lines)


def record(measured: Measured) -> dict[str, Any]:
    """The case as data: every round, so that any ratio can be worked out again."""
    return {
        "case": measured.case.name,
        "connections": measured.case.load.connections,
        "duration_s": measured.case.load.duration_s,
        "open_loop_calls_per_s": measured.calls_per_s,
        "scheduling": "round-robin" if measured.ahead else "shared",
        "versions": measured.versions,
        "medians": {
            name: {what: round(measured.median(name, what), 3) for what in MEASURES} for name in measured.rounds
        },
        "rounds": {
            name: [{what: round(value, 3) for what, value in zip(MEASURES, values, strict=True)} for values in runs]
            for name, runs in (
                (name, list(zip(*(played(rounds, what) for what in MEASURES), strict=True)))
                for name, rounds in measured.rounds.items()
            )
        },
    }


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()
    )
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "cpu": model,
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit or None,
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        # Others on the machine make absolute figures worthless, and ratios wider.
        "load_average": round(os.getloadavg()[0], 2),
    }


def _cpuinfo() -> list[str]:
    with contextlib.suppress(OSError):
        return Path("/proc/cpuinfo").read_text().splitlines()
    return []


def write(name: str, results: Sequence[Measured], directory: Path) -> None:
    """Writes `<name>.json` and `<name>.txt`."""
    directory.mkdir(parents=True, exist_ok=True)
    of = machine()
    data = {"machine": of, "cases": [record(measured) for measured in results]}
    (directory / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")
    versions = {setup: version for measured in results for setup, version in measured.versions.items()}
    head = ", ".join(f"{key} {value}" for key, value in of.items() if value is not None)
    listed = "\n".join(f"{setup:<20}{version}" for setup, version in versions.items())
    text = "\n\n".join([head, listed, *map(table, results)])
    (directory / f"{name}.txt").write_text(text + "\n")
