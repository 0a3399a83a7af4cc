"""The upstreams of one worker: for each its endpoints, its pool of connections, and what keeps them up to date.

A reload exchanges all of them in one step, in the same step as the core's settings, so that the index of an upstream
always means the same to both. An upstream whose name and bounds stay keeps its pool and what is known of its
endpoints; one that goes finishes its calls and closes its connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple

from pyproxy.control import UpstreamSettings
from pyproxy.endpoints import Ejection, Endpoints
from pyproxy.health import Probes
from pyproxy.pool import Bounds, Pool
from pyproxy.resolution import Found, Resolution, first_answers, is_address
from pyproxy.upstream import Upstream as Connection

#: Names are waited for at start and reload, so that the first call finds endpoints; a dead resolver delays no longer.
FIRST_RESOLUTION_S = 3.0
#: Where config sets none: more than a worker's descriptors allow.
NO_BOUND = 1 << 30


class Upstream:
    """One upstream, as long as it is in force."""

    def __init__(self, settings: UpstreamSettings, before: Upstream | None, found: Found) -> None:
        loop = asyncio.get_running_loop()
        self.settings = settings
        keeps = before is not None and _bounds(before.settings) == _bounds(settings)
        if before is not None and keeps:
            self.endpoints = before.endpoints
            self.endpoints.set_ejection(_ejection(settings))
            self.pool = before.pool
        else:
            self.endpoints = Endpoints(ejection=_ejection(settings))
            self.pool = Pool(settings.name, self.endpoints, _bounds(settings), Connection, loop)
        self.resolution = Resolution(
            settings.name,
            settings.tcp,
            settings.unix,
            self.endpoints,
            interval_s=settings.resolve_interval_s,
            # A name that cannot be resolved just now keeps what it had.
            found=(before.resolution.found if before is not None else {}) | found,
        )
        if settings.health is None:
            for endpoint in self.endpoints.all():
                self.endpoints.set_healthy(endpoint, True)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Resolves and probes from now on."""
        self._run(self.resolution.keep_resolving())
        if self.settings.health is not None:
            self._run(Probes(self.settings.name, self.endpoints, self.settings.health).keep_asking())

    def stop(self, successor: Upstream | None) -> None:
        """No longer in force."""
        for task in self._tasks:
            task.cancel()
        if successor is None or successor.pool is not self.pool:
            self.pool.close()

    def _run(self, forever: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(forever))


class Upstreams:
    """All upstreams of this worker, by their index."""

    def __init__(self) -> None:
        self._in_force: list[Upstream] = []
        self.ended_failures = 0
        self.ended_ejections = 0

    async def find(self, settings: Sequence[UpstreamSettings]) -> Found:
        """Asks for the addresses of names before an exchange, which itself cannot wait."""
        names = {(host, port) for upstream in settings for host, port in upstream.tcp if not is_address(host)}
        return await first_answers(names, FIRST_RESOLUTION_S)

    def exchange(self, settings: Sequence[UpstreamSettings], found: Found) -> list[Pool]:
        """Puts these in force, in one step. Returns their pools, by index."""
        before = {upstream.settings.name: upstream for upstream in self._in_force}
        after = [Upstream(each, before.get(each.name), found) for each in settings]
        successors = {upstream.settings.name: upstream for upstream in after}
        for name, upstream in before.items():
            upstream.stop(successors.get(name))
            successor = successors.get(name)
            if successor is None or successor.endpoints is not upstream.endpoints:
                self.ended_failures += upstream.endpoints.failures
                self.ended_ejections += upstream.endpoints.ejections
        self._in_force = after
        for upstream in after:
            upstream.start()
        return [upstream.pool for upstream in after]

    def counts(self) -> Counts:
        """What the metrics say of all upstreams together."""
        pools = [upstream.pool.counts() for upstream in self._in_force]
        return Counts(
            connections=sum(connections for connections, _ in pools),
            waiting=sum(waiting for _, waiting in pools),
            failures=self.ended_failures + sum(upstream.endpoints.failures for upstream in self._in_force),
            ejections=self.ended_ejections + sum(upstream.endpoints.ejections for upstream in self._in_force),
        )


class Counts(NamedTuple):
    """Of all upstreams of a worker together."""

    connections: int
    waiting: int
    #: Since the worker started.
    failures: int
    ejections: int


def _bounds(settings: UpstreamSettings) -> Bounds:
    return Bounds(
        connect_timeout_s=settings.connect_timeout_s,
        max_connections=settings.max_connections or NO_BOUND,
        max_idle=settings.max_idle,
        max_waiting=settings.max_waiting,
        idle_timeout_s=settings.idle_timeout_s,
    )


def _ejection(settings: UpstreamSettings) -> Ejection:
    return Ejection(
        consecutive_failures=settings.eject_after,
        time_s=settings.eject_for_s,
        max_percent=settings.max_ejected_percent,
    )
