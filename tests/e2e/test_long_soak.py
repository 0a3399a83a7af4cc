"""Minutes of verified calls at a steady rate: memory stays where it was, and no call fails."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from long_runs import MemoryWatch, record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("PYPROXY_LONG_SOAK_S", "600"))
CALLS_PER_S = 8_000
ROUND_S = 10.0
MOST_GROWTH = 2 << 20


def test_memory_is_flat_over_a_soak() -> None:
    sys.path.insert(0, str(ROOT))
    from bench.load import run
    from bench.load.generator import Load

    calls: Counter[str] = Counter()
    latencies: list[float] = []
    with run.stage(["pyproxy-hmac"], run.Cores()) as (generator, running):
        proxy = running["pyproxy-hmac"]
        load = Load(duration_s=ROUND_S, calls_per_s=CALLS_PER_S)
        generator.play(proxy, load)
        end_s = time.monotonic() + SECONDS
        with MemoryWatch(proxy.pids(), every_s=1.0) as memory:
            while time.monotonic() < end_s:
                measured = generator.play(proxy, load)  # raises if any call failed
                calls["answered"] += measured["calls"]
                latencies.append(measured["latency_us"]["p99"])
    before, after = memory.thirds()
    record(
        "soak",
        seconds=SECONDS,
        calls=calls["answered"],
        private_bytes_second_third=int(before),
        private_bytes_last_third=int(after),
        worst_p99_us=max(latencies),
    )
    assert after - before < MOST_GROWTH
