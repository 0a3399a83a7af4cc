"""What a scrape shows: all workers added up, whatever became of them."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pyproxy._native import Metrics
from pyproxy.metrics import NUMBERS, NodeNumbers, Scrape, SlotMemory
from pyproxy.replay_state import ReplayState

REPLAY = ReplayState(capacity=1000, fill_ratio=0.25, claims=7, floor_s=1_700_000_000, clock_safe=True, ready=True)


def node() -> NodeNumbers:
    return NodeNumbers(
        version="0.1.0",
        workers=2,
        workers_ready=1,
        restarts=[0, 3],
        hung=1,
        generation=4,
        reloads=3,
        reloads_refused=2,
        last_reload_ok=False,
        draining=False,
        replay=REPLAY,
    )


def samples(scrape: Scrape) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    body, _ = scrape.render("")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_workers_are_added_up_and_a_replacement_counts_on() -> None:
    memories = [SlotMemory(0), SlotMemory(1)]
    first, second = (Metrics(memory.descriptor, ["in"]) for memory in memories)
    first.add(NUMBERS["connections_accepted"], 5)
    second.add(NUMBERS["connections_accepted"], 7)
    first.set(NUMBERS["connections_open"], 2)
    second.set(NUMBERS["connections_open"], 3)
    scrape = Scrape(memories, node)
    shown = samples(scrape)
    assert shown["pyproxy_connections_accepted_total", ()] == 12
    assert shown["pyproxy_connections", ()] == 5
    replacement = Metrics(memories[1].descriptor, ["in"])
    replacement.add(NUMBERS["connections_accepted"], 1)
    shown = samples(scrape)
    assert shown["pyproxy_connections_accepted_total", ()] == 13
    assert shown["pyproxy_connections", ()] == 2


def test_the_node_tells_of_reloads_workers_replay_and_clock() -> None:
    shown = samples(Scrape([SlotMemory(0)], node))
    assert shown["pyproxy_reloads_total", (("result", "refused"),)] == 2
    assert shown["pyproxy_last_reload_ok", ()] == 0
    assert shown["pyproxy_worker_restarts_total", (("worker", "1"),)] == 3
    assert shown["pyproxy_workers_ready", ()] == 1
    assert shown["pyproxy_replay_fill_ratio", ()] == 0.25
    assert shown["pyproxy_replay_clock_safe", ()] == 1
    assert shown["process_start_time_seconds", ()] > 1_700_000_000


def test_memory_that_could_be_cut_short_or_is_too_small_is_refused() -> None:
    import os

    memory = SlotMemory(0)
    with pytest.raises(PermissionError):
        os.ftruncate(memory.descriptor, 8)
    small = os.memfd_create("small")
    os.ftruncate(small, 4096)
    with pytest.raises(OSError, match="4096 bytes"):
        Metrics(small, ["in"])
    with pytest.raises(OSError, match="descriptor"):
        Metrics(10_000, ["in"])
    os.close(small)


def test_a_number_that_does_not_exist_is_refused() -> None:
    metrics = Metrics(SlotMemory(0).descriptor, ["in"])
    with pytest.raises(ValueError, match="number"):
        metrics.add(len(NUMBERS), 1)
