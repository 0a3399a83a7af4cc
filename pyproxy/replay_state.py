"""The replay filter as processes see it: how it stands, and that it is cleared ahead of need, a slice at a time."""

from __future__ import annotations

from typing import NamedTuple

from pyproxy._native import ReplayFilter
from pyproxy.events import log


class ReplayState(NamedTuple):
    """How the filter stands at one moment."""

    capacity: int
    #: Of the fullest table, as a part of what it may hold; 1: calls of its time are refused.
    fill_ratio: float
    #: Nonces claimed since the file was made.
    claims: int
    #: Signatures created at or before this are refused, seconds since 1970: the higher of fence and floor.
    floor_s: int
    #: False while every signed call is refused because the wall clock jumped.
    clock_safe: bool
    #: A call that is signed now finds its table open.
    ready: bool

    @classmethod
    def of(cls, native: ReplayFilter) -> ReplayState:
        """As it stands now."""
        status = native.status()
        holds = max(1, status["slots_per_table"] // 2)
        return cls(
            capacity=status["capacity"],
            fill_ratio=max(table["fill"] for table in status["tables"]) / holds,
            claims=status["claims"],
            floor_s=max(status["floor"], status["fence"]),
            clock_safe=status["clock_safe"],
            ready=status["ready"],
        )


class Clearing:
    """A worker's part in keeping the filter's tables ready."""

    def __init__(self, native: ReplayFilter, interval_s: float) -> None:
        self._native = native
        self._slots_per_step = native.slots_per_step(round(interval_s * 1000))
        self._clock_safe = True

    def step(self) -> None:
        """One slice. Called at the interval."""
        clock_safe = self._native.clear_step(self._slots_per_step) != "clock-unsafe"
        if clock_safe != self._clock_safe:
            self._clock_safe = clock_safe
            if clock_safe:
                log.warning("the wall clock is believed again: calls signed before now are refused")
            else:
                log.error("the wall clock jumped against the boot clock: every signed call is refused (clock-unsafe)")
