"""The subject: pyproxy, as a plain relay and verifying, with its Protocol classes compiled and as plain Python."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from bench.load.call import CLOCK_SKEW_S, MAX_AGE_S
from bench.load.place import Place, Running, first_line, free_port

VERIFYING = f"""
[keys]
file = "keys.json"

[signature]
require = ["@method", "@authority", "@path", "@query"]
max_age = "{MAX_AGE_S}s"
clock_skew = "{CLOCK_SKEW_S}s"

[replay]
capacity = 1_000_000
"""


@dataclass(frozen=True)
class Form:
    """One way of running it."""

    name: str
    verifies: bool
    compiled: bool

    def start(self, place: Place) -> Running:
        """Starts it with one worker on the core of `place`."""
        port = free_port()
        directory = place.subdirectory(self.name)
        if self.verifies:
            keys = directory / "keys.json"
            keys.touch(mode=0o600)
            keys.write_bytes(place.keys_file.read_bytes())
        conf = place.fill(
            Path(__file__).with_name("pyproxy.toml"),
            self.name,
            port=port,
            upstream_port=place.upstream_port,
            keys=VERIFYING if self.verifies else "",
            authenticate='["signature"]' if self.verifies else '[]\nfreshness = "none"',
        )
        python = {} if self.compiled else {"PYPROXY_PURE_PYTHON": "1"}
        argv = [sys.executable, "-m", "pyproxy.cli", "serve", "-c", conf]
        process = place.start(self.name, argv, port, environment=python)
        return Running(self.name, _version(), port, process, verifies=self.verifies)


def _version() -> str:
    python = ".".join(map(str, sys.version_info[:3]))
    return f"{first_line([sys.executable, '-m', 'pyproxy', '--version'])} on Python {python}"


PLAIN = Form("pyproxy", verifies=False, compiled=True)
HMAC = Form("pyproxy-hmac", verifies=True, compiled=True)
PLAIN_PYTHON = Form("pyproxy-python", verifies=False, compiled=False)
HMAC_PYTHON = Form("pyproxy-python-hmac", verifies=True, compiled=False)
