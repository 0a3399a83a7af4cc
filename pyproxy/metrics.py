"""The node's numbers at a scrape: what the workers counted in shared memory, and what the supervisor knows.

Nothing here runs per call. Workers count natively (`native/src/metrics.rs`); at a scrape this module reads the memory
of every slot, adds it up and lets prometheus-client write it. A name, once published, stays.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from pyproxy._native import Metrics, MetricsReader

if TYPE_CHECKING:
    from pyproxy.replay_state import ReplayState

NUMBERS: dict[str, int] = {name: index for index, name in enumerate(Metrics.number_names)}
"""Index of each of a worker's numbers."""

#: Kind, help, name at the scrape and name in the memory of a slot.
WORKER_NUMBERS: tuple[tuple[type[CounterMetricFamily] | type[GaugeMetricFamily], str, str, str], ...] = (
    (GaugeMetricFamily, "Connections from callers that are open.", "connections", "connections_open"),
    (
        CounterMetricFamily,
        "Connections from callers that were accepted.",
        "connections_accepted",
        "connections_accepted",
    ),
    (
        CounterMetricFamily,
        "Connections closed at once because too many were open.",
        "connections_refused",
        "connections_refused",
    ),
    (GaugeMetricFamily, "Bytes of bodies held until their digest is verified.", "held_body_bytes", "held_body_bytes"),
    (GaugeMetricFamily, "Calls that wait for an upstream connection.", "upstream_waiting", "upstream_waiting"),
    (GaugeMetricFamily, "Connections to upstreams that are open.", "upstream_connections", "upstream_connections_open"),
    (
        CounterMetricFamily,
        "Failures to connect to an endpoint or to get a response head from it.",
        "upstream_failures",
        "upstream_failures",
    ),
    (
        CounterMetricFamily,
        "Endpoints left out for a while because they kept failing.",
        "endpoints_ejected",
        "endpoints_ejected",
    ),
    (CounterMetricFamily, "Access log lines that were not written.", "access_log_dropped", "access_log_dropped"),
    (
        CounterMetricFamily,
        "Batches of the access log that could not be written.",
        "access_log_write_errors",
        "access_log_write_errors",
    ),
)

PHASE_HELP = {
    "gates": "From the head's last byte to the verdict: what verification costs.",
    "forward": "From the verdict to the first byte given to an upstream connection.",
    "own": "What we added before the upstream had the call: gates and forward.",
    "upstream": "From the first byte given to the upstream to its response head.",
    "total": "From the head's first byte to the response's last.",
}


class SlotMemory:
    """The memory that one worker slot counts in: made by the supervisor, inherited by each worker of the slot."""

    def __init__(self, slot: int) -> None:
        self.descriptor = os.memfd_create(f"pyproxy-metrics-w{slot}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.posix_fallocate(self.descriptor, 0, Metrics.SIZE_BYTES)
        # Whoever has it mapped would be killed (SIGBUS) if it were ever cut short.
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, seals)
        self.reader = MetricsReader(self.descriptor)

    def close(self) -> None:
        """No worker of this slot will come any more."""
        os.close(self.descriptor)


class NodeNumbers(NamedTuple):
    """What the supervisor knows, at one moment."""

    version: str
    workers_ready: int
    workers: int
    #: By slot: how often its worker was replaced.
    restarts: Sequence[int]
    #: How many of those were killed because they hung.
    hung: int
    generation: int
    reloads: int
    reloads_refused: int
    last_reload_ok: bool
    draining: bool
    replay: ReplayState | None


class Scrape(Collector):
    """Everything, anew at each scrape."""

    def __init__(self, memories: Sequence[SlotMemory], node: Callable[[], NodeNumbers]) -> None:
        self._memories = memories
        self._node = node
        self._started_s = time.time()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The body and its content type: OpenMetrics if `accept` asks for it, else Prometheus text."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterable[Metric]:
        """What prometheus-client asks for."""
        yield from self._calls()
        yield from self._phases()
        yield from self._worker_numbers()
        yield from self._node_numbers()

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: the registry need not scrape to learn our names."""
        return []

    def _calls(self) -> Iterable[Metric]:
        counts: dict[tuple[str, str, str, str], list[int]] = {}
        for memory in self._memories:
            for listener, route, status, reason, calls, sent, received in memory.reader.read_calls():
                key = (listener, route, str(status), reason)
                so_far = counts.setdefault(key, [0, 0, 0])
                so_far[0] += calls
                so_far[1] += sent
                so_far[2] += received
        labels = ["listener", "route", "status", "reason"]
        families = (
            CounterMetricFamily("pyproxy_calls", "Calls that have ended; status 0: without an answer.", labels=labels),
            CounterMetricFamily("pyproxy_request_body_bytes", "Body bytes from callers.", labels=labels),
            CounterMetricFamily("pyproxy_response_body_bytes", "Body bytes to callers.", labels=labels),
        )
        for key, values in sorted(counts.items()):
            for family, value in zip(families, values, strict=True):
                family.add_metric(key, value)
        return families

    def _phases(self) -> Iterable[Metric]:
        sums: dict[tuple[str, str], list[tuple[list[int], int]]] = {}
        for memory in self._memories:
            for listener, route, phases in memory.reader.read_phases():
                known = sums.get((listener, route))
                sums[listener, route] = (
                    phases
                    if known is None
                    else [
                        ([one + other for one, other in zip(counts, more, strict=True)], total + more_total)
                        for (counts, total), (more, more_total) in zip(known, phases, strict=True)
                    ]
                )
        bounds = [f"{bound_ns / 1e9:g}" for bound_ns in Metrics.BOUNDS_NS] + ["+Inf"]
        for index, phase in enumerate(Metrics.PHASES):
            family = HistogramMetricFamily(f"pyproxy_{phase}_seconds", PHASE_HELP[phase], labels=["listener", "route"])
            for key, phases in sorted(sums.items()):
                counts, sum_ns = phases[index]
                if any(counts):
                    family.add_metric(key, _cumulative(bounds, counts), sum_ns / 1e9)
            yield family

    def _worker_numbers(self) -> Iterable[Metric]:
        numbers = [memory.reader.read_numbers() for memory in self._memories]
        for kind, help_text, name, inner in WORKER_NUMBERS:
            yield kind(f"pyproxy_{name}", help_text, value=sum(of_slot[NUMBERS[inner]] for of_slot in numbers))
        lag = GaugeMetricFamily(
            "pyproxy_worker_loop_lag_seconds",
            "The latest that a worker's timer was during the last second.",
            labels=["worker"],
        )
        for slot, of_slot in enumerate(numbers):
            lag.add_metric([str(slot)], of_slot[NUMBERS["loop_lag_us"]] / 1e6)
        yield lag

    def _node_numbers(self) -> Iterable[Metric]:
        node = self._node()
        info = GaugeMetricFamily("pyproxy_build_info", "Always 1; what runs.", labels=["version"])
        info.add_metric([node.version], 1)
        yield info
        restarts = CounterMetricFamily("pyproxy_worker_restarts", "Workers replaced.", labels=["worker"])
        for slot, count in enumerate(node.restarts):
            restarts.add_metric([str(slot)], count)
        yield restarts
        reloads = CounterMetricFamily("pyproxy_reloads", "Reloads asked for, by their result.", labels=["result"])
        reloads.add_metric(["ok"], node.reloads)
        reloads.add_metric(["refused"], node.reloads_refused)
        yield reloads
        for name, help_text, value in (
            ("process_start_time_seconds", "When the supervisor started, since 1970.", self._started_s),
            ("pyproxy_workers", "Worker slots.", node.workers),
            ("pyproxy_workers_ready", "Workers that serve calls.", node.workers_ready),
            ("pyproxy_generation", "The configuration in force: 1 at start, one more per reload.", node.generation),
            ("pyproxy_last_reload_ok", "1 unless the last reload was refused.", float(node.last_reload_ok)),
            ("pyproxy_draining", "1 while shutting down.", float(node.draining)),
        ):
            yield GaugeMetricFamily(name, help_text, value=value)
        yield CounterMetricFamily("pyproxy_workers_hung", "Workers killed because they hung.", value=node.hung)
        if node.replay is not None:
            yield from _replay_numbers(node.replay)


def _replay_numbers(replay: ReplayState) -> Iterable[Metric]:
    for name, help_text, value in (
        ("capacity", "Calls that one acceptance window may hold.", replay.capacity),
        ("fill_ratio", "How full the fullest table is; at 1 its calls are refused.", replay.fill_ratio),
        ("floor_seconds", "Signatures created at or before this time are refused.", replay.floor_s),
        ("ready", "1 if a call that is signed now finds its table open.", float(replay.ready)),
        ("clock_safe", "0 while the wall clock has jumped and every signed call is refused.", float(replay.clock_safe)),
    ):
        yield GaugeMetricFamily(f"pyproxy_replay_{name}", help_text, value=value)
    yield CounterMetricFamily("pyproxy_replay_claims", "Nonces claimed.", value=replay.claims)


def _cumulative(bounds: Sequence[str], counts: Sequence[int]) -> list[tuple[str, float]]:
    so_far = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip(bounds, counts, strict=True):
        so_far += count
        buckets.append((bound, so_far))
    return buckets
