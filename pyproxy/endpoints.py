"""Which endpoint of an upstream takes the next call.

Promises: the least outstanding of the endpoints in use is chosen, ties in turn; an endpoint that keeps failing is left
out for a while (passive ejection), one that fails its health checks until it passes them (`health.py`). Passive
ejection takes out no more than half by default, and if nothing at all were left everything is in use again (Envoy's
panic mode): a proxy that has lost sight of its endpoints does less harm by trying them than by refusing every call.
Nothing here decides whether a call may pass, only where it goes.

What counts as a failure is the pool's to say: a connection that could not be made, one that closed or fell silent
before its response. An answer with status 5xx does not: its cause may be the call, and then whoever sends such calls
could eject every endpoint.

Leaves to others: connections (`pool.py`), names (`resolution.py`), probes (`health.py`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

Address = tuple[str, int] | str
"""An IP address and a port, or the path of a Unix socket."""

SCAN_AT_MOST = 8
"""Up to so many endpoints are all compared; of more, two are drawn (two choices, as Envoy's LEAST_REQUEST)."""


class Ejection(NamedTuple):
    """When an endpoint that fails is left out, and for how long."""

    consecutive_failures: int = 5
    """Failures in a row, with no success between; 0: never. Envoy: `consecutive_5xx`, 5."""
    time_s: float = 10.0
    """The first time; each further time as long again. Envoy: `base_ejection_time`, 30 s."""
    max_time_s: float = 300.0
    """It never grows beyond this. Envoy: `max_ejection_time`, 300 s."""
    max_percent: int = 50
    """At most this part of the endpoints, rounded down, is left out at a time."""


class Endpoint:
    """One address of an upstream, with what this worker knows of it."""

    __slots__ = ("address", "ejected_until_s", "ejections", "failures", "healthy", "idle", "outstanding", "removed")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.outstanding = 0
        """Calls now at it; the pool counts up when it takes the endpoint for a call, and down when that call ends."""
        self.idle: list[object] = []
        """The pool's kept-alive connections to it: kept here, so that finding one looks nothing up."""
        self.removed = False
        """No longer an endpoint of its upstream: its connections are closed as their calls end."""
        self.healthy = True
        """What active health checks say; true where there are none."""
        self.failures = 0
        self.ejections = 0
        self.ejected_until_s = 0.0

    def __repr__(self) -> str:
        where = self.address if isinstance(self.address, str) else "{}:{}".format(*self.address)
        return f"<Endpoint {where} outstanding={self.outstanding}>"


class Endpoints:
    """The endpoints of one upstream. Not for threads: it lives on a worker's loop."""

    __slots__ = ("_all", "_clock_s", "_ejected", "_ejection", "_in_use", "_next", "ejections", "failures", "on_removed")

    def __init__(
        self,
        addresses: Iterable[Address] = (),
        *,
        ejection: Ejection = Ejection(),  # noqa: B008 - immutable
        on_removed: Callable[[Endpoint], None] | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ejection = ejection
        self._clock_s = clock_s
        self._all: dict[Address, Endpoint] = {}
        self._in_use: list[Endpoint] = []
        self._ejected: list[Endpoint] = []
        self._next = 0
        self.failures = 0
        """How often `failed` was called, and how often that led to an ejection: for the metrics."""
        self.ejections = 0
        self.on_removed = on_removed
        """Told of every endpoint that goes, so that the pool closes its idle connections."""
        self.replace(addresses)

    def choose(self, excluding: Endpoint | None = None) -> Endpoint | None:
        """The endpoint for the next call; `excluding` is the one that just failed this call. None: there is none."""
        if self._ejected:
            self._readmit()
        in_use = self._in_use
        count = len(in_use)
        if count == 1:
            only = in_use[0]
            return only if only is not excluding else self._other_than(only)
        if count > SCAN_AT_MOST:
            return self._draw(excluding)
        start = self._next
        self._next = start + 1
        best: Endpoint | None = None
        for offset in range(count):
            endpoint = in_use[(start + offset) % count]
            if endpoint is not excluding and (best is None or endpoint.outstanding < best.outstanding):
                best = endpoint
                if endpoint.outstanding == 0:
                    break
        return best

    def succeeded(self, endpoint: Endpoint) -> None:
        """A response head came from it."""
        if endpoint.failures:
            endpoint.failures = 0
        if endpoint.ejections and endpoint.ejected_until_s == 0.0:
            endpoint.ejections -= 1

    def failed(self, endpoint: Endpoint) -> None:
        """No connection to it could be made, or one ended or fell silent before its response head."""
        self.failures += 1
        endpoint.failures += 1
        if (
            not 0 < self._ejection.consecutive_failures <= endpoint.failures
            or endpoint.ejected_until_s > 0.0
            or endpoint.removed
            or 100 * (len(self._ejected) + 1) > self._ejection.max_percent * len(self._all)
        ):
            return
        self.ejections += 1
        endpoint.ejections += 1
        time_s = min(self._ejection.time_s * endpoint.ejections, self._ejection.max_time_s)
        endpoint.ejected_until_s = self._clock_s() + time_s
        self._ejected.append(endpoint)
        self._choose_in_use()

    def set_healthy(self, endpoint: Endpoint, healthy: bool) -> None:
        """What its health checks have come to."""
        if endpoint.healthy != healthy:
            endpoint.healthy = healthy
            self._choose_in_use()

    def replace(self, addresses: Iterable[Address]) -> None:
        """These are the endpoints from now on; those that stay keep what is known of them."""
        before = self._all
        self._all = {address: before.get(address) or Endpoint(address) for address in addresses}
        gone = [endpoint for address, endpoint in before.items() if address not in self._all]
        for endpoint in gone:
            endpoint.removed = True
        self._ejected = [endpoint for endpoint in self._ejected if not endpoint.removed]
        self._choose_in_use()
        if self.on_removed is not None:
            for endpoint in gone:
                self.on_removed(endpoint)

    def set_ejection(self, ejection: Ejection) -> None:
        """The rule from now on; who is out already stays out."""
        self._ejection = ejection

    def all(self) -> list[Endpoint]:
        """Every endpoint, in use or not."""
        return list(self._all.values())

    def in_use(self) -> int:
        """How many endpoints calls may go to now."""
        if self._ejected:
            self._readmit()
        return len(self._in_use)

    def _readmit(self) -> None:
        """Takes back those whose time is over; one more failure sends such an endpoint out again."""
        now_s = self._clock_s()
        over = [endpoint for endpoint in self._ejected if endpoint.ejected_until_s <= now_s]
        if not over:
            return
        for endpoint in over:
            endpoint.ejected_until_s = 0.0
            endpoint.failures = self._ejection.consecutive_failures - 1
        self._ejected = [endpoint for endpoint in self._ejected if endpoint.ejected_until_s > now_s]
        self._choose_in_use()

    def _choose_in_use(self) -> None:
        everything = list(self._all.values())
        self._in_use = [e for e in everything if e.healthy and e.ejected_until_s == 0.0] or everything

    def _other_than(self, excluded: Endpoint) -> Endpoint | None:
        """Where the only endpoint in use has just failed a call: one that is out is still better than none."""
        others = [endpoint for endpoint in self._all.values() if endpoint is not excluded]
        return min(others, key=lambda endpoint: endpoint.outstanding) if others else None

    def _draw(self, excluding: Endpoint | None) -> Endpoint:
        count = len(self._in_use)
        first = int(random.random() * count)
        second = (first + 1 + int(random.random() * (count - 1))) % count
        a, b = self._in_use[first], self._in_use[second]
        if a is excluding:
            return b
        return b if b is not excluding and b.outstanding < a.outstanding else a
