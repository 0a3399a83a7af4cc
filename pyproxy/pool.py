"""The connections to one upstream: kept alive between calls, made when none is idle, bounded in every direction.

A call takes the idle connection that was used last at the endpoint whose turn it is. If there is none, a new connection
is made; if there may be no more connections, the call waits; if too many calls wait, it is refused (pushback). An
endpoint that cannot be reached is reported, and the call tries another within the same admission: nothing was written
yet.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from pyproxy.flags import CONNECT_FAILED, CONNECT_TIMEOUT, NO_ENDPOINT, PUSHBACK

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyproxy.endpoints import Endpoint, Endpoints
    from pyproxy.upstream import Upstream

MAX_ATTEMPTS = 3
"""Endpoints that one call tries."""

TICK_S = 5.0
"""How often idle connections are looked at."""


class Bounds(NamedTuple):
    """What one worker may use of one upstream."""

    connect_timeout_s: float = 3.0
    """For each attempt."""
    max_connections: int = 1024
    """Together, idle ones included."""
    max_idle: int = 128
    """Kept for each endpoint between calls."""
    max_waiting: int = 1024
    """Calls without a connection."""
    idle_timeout_s: float = 60.0
    """An idle connection older than this is closed; below the 75 s of most servers, so that we close first."""


class Waiter(Protocol):
    """A call that needs a connection."""

    def upstream_ready(self, upstream: Upstream) -> None: ...
    def upstream_unavailable(self, failure: int) -> None: ...


class Pool:
    """Connections to one upstream, of one worker."""

    def __init__(
        self,
        name: str,
        endpoints: Endpoints,
        bounds: Bounds,
        make: Callable[[Pool, Endpoint], Upstream],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.name = name
        self.endpoints = endpoints
        self._bounds = bounds
        self._make = make
        self._loop = loop
        self._connections = 0
        self._attempts: dict[Waiter, asyncio.Task[None]] = {}
        self._waiting: dict[Waiter, None] = {}
        self._tick = 0
        self._ticker = loop.call_later(TICK_S, self._close_idle)
        self._closed = False
        self._turn: Endpoint | None = None
        """Where `take` found no idle connection."""
        endpoints.on_removed = self._endpoint_removed

    def take(self) -> Upstream | None:
        """An idle connection to the endpoint whose turn it is, if it has one."""
        endpoint = self.endpoints.choose()
        if endpoint is None:
            return None
        idle = cast("list[Upstream]", endpoint.idle)
        while idle:
            upstream = idle.pop()
            if upstream.is_usable():
                upstream.in_call = True
                endpoint.outstanding += 1
                return upstream
        self._turn = endpoint
        return None

    def connect(self, waiter: Waiter) -> None:
        """Makes a connection for a call, or lets it wait for one; the waiter is told, never before this returns."""
        # The endpoint whose turn `take` said it is. Asked again, it would be the next one's: with two endpoints every
        # call would find no idle connection at the one and make a connection to the other.
        turn, self._turn = self._turn, None
        if len(self._attempts) + len(self._waiting) >= self._bounds.max_waiting:
            self._loop.call_soon(self._refuse, waiter, PUSHBACK)
            self._waiting[waiter] = None
        elif self._connections + len(self._attempts) >= self._bounds.max_connections:
            self._waiting[waiter] = None
        else:
            self._attempts[waiter] = self._loop.create_task(self._attempt(waiter, turn))

    def forget(self, waiter: Waiter) -> None:
        """The call has ended while it waited."""
        self._waiting.pop(waiter, None)
        attempt = self._attempts.pop(waiter, None)
        if attempt is not None:
            attempt.cancel()

    def put(self, upstream: Upstream) -> None:
        """Takes back a connection whose call is complete."""
        endpoint = upstream.endpoint
        if endpoint.failures or endpoint.ejections:
            self.endpoints.succeeded(endpoint)
        if self._waiting and upstream.is_usable() and not endpoint.removed:
            waiter = next(iter(self._waiting))
            del self._waiting[waiter]
            waiter.upstream_ready(upstream)
        elif endpoint.removed or self._closed or len(endpoint.idle) >= self._bounds.max_idle:
            upstream.abort()
        else:
            upstream.in_call = False
            endpoint.outstanding -= 1
            upstream.idle_since = self._tick
            endpoint.idle.append(upstream)

    def lost(self, upstream: Upstream) -> None:
        """A connection is gone, in the middle of a call or idle."""
        self._connections -= 1
        if upstream.in_call:
            upstream.in_call = False
            upstream.endpoint.outstanding -= 1
        elif upstream in upstream.endpoint.idle:
            upstream.endpoint.idle.remove(upstream)
        self._serve_waiting()

    def made(self) -> None:
        """A connection is there."""
        self._connections += 1

    def failed(self, endpoint: Endpoint) -> None:
        """An endpoint could not be reached, or failed a call before its response."""
        self.endpoints.failed(endpoint)

    def close(self) -> None:
        """No further calls come: closes what is idle, and what becomes idle."""
        self._closed = True
        self._ticker.cancel()
        for endpoint in self.endpoints.all():
            self._endpoint_removed(endpoint)

    def counts(self) -> tuple[int, int]:
        """Connections, and calls that wait for one."""
        return self._connections, len(self._waiting) + len(self._attempts)

    async def _attempt(self, waiter: Waiter, turn: Endpoint | None = None) -> None:
        failure = NO_ENDPOINT
        endpoint: Endpoint | None = None
        for _ in range(MAX_ATTEMPTS):
            another, turn = turn or self.endpoints.choose(endpoint), None
            if another is None:
                break
            endpoint = another
            upstream = self._make(self, endpoint)
            endpoint.outstanding += 1
            try:
                async with asyncio.timeout(self._bounds.connect_timeout_s):
                    await self._open(upstream, endpoint)
            except TimeoutError:
                failure = CONNECT_TIMEOUT
            except OSError:
                failure = CONNECT_FAILED
            except BaseException:
                # The call is over, perhaps just as the connection was made: nobody else would ever close it.
                endpoint.outstanding -= 1
                upstream.abort()
                raise
            else:
                upstream.in_call = True
                if self._attempts.pop(waiter, None) is not None:
                    waiter.upstream_ready(upstream)
                return
            endpoint.outstanding -= 1
            self.endpoints.failed(endpoint)
        if self._attempts.pop(waiter, None) is not None:
            waiter.upstream_unavailable(failure)

    async def _open(self, upstream: Upstream, endpoint: Endpoint) -> None:
        factory = cast("Callable[[], asyncio.Protocol]", lambda: upstream)
        if isinstance(endpoint.address, str):
            await self._loop.create_unix_connection(factory, endpoint.address)
        else:
            host, port = endpoint.address
            await self._loop.create_connection(factory, host, port)

    def _refuse(self, waiter: Waiter, failure: int) -> None:
        if waiter in self._waiting:
            del self._waiting[waiter]
            waiter.upstream_unavailable(failure)

    def _serve_waiting(self) -> None:
        """Room has become free: the call that waits longest gets a connection made."""
        if self._waiting and self._connections + len(self._attempts) < self._bounds.max_connections:
            waiter = next(iter(self._waiting))
            del self._waiting[waiter]
            self._attempts[waiter] = self._loop.create_task(self._attempt(waiter))

    def _close_idle(self) -> None:
        self._tick += 1
        self._ticker = self._loop.call_later(TICK_S, self._close_idle)
        oldest = self._tick - round(self._bounds.idle_timeout_s / TICK_S)
        for endpoint in self.endpoints.all():
            for upstream in [idle for idle in cast("list[Upstream]", endpoint.idle) if idle.idle_since < oldest]:
                upstream.abort()

    def _endpoint_removed(self, endpoint: Endpoint) -> None:
        for upstream in list(cast("list[Upstream]", endpoint.idle)):
            upstream.abort()
