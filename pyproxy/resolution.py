"""Endpoint names become addresses, again and again: a name that moves is followed without a reload.

getaddrinfo gives no time to live, so names are asked at a fixed interval, in the background, never for a call. While a
name cannot be resolved its last good addresses stay: a resolver that is down must not take the upstream down with it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence

from pyproxy.endpoints import Address, Endpoints
from pyproxy.events import log

#: After a failure the name is asked again this soon, or after the interval if that is shorter.
RETRY_S = 1.0
#: A resolver may take so long; the next attempt follows.
TIMEOUT_S = 5.0


Name = tuple[str, int]
"""A host name and a port."""
Found = dict[Name, list[Address]]
"""Addresses by name."""


async def first_answers(names: Iterable[Name], timeout_s: float) -> Found:
    """Asks for all names at once; those that do not answer in time are left out, and logged."""
    wanted = list(names)
    answers = await asyncio.gather(*(_resolve(name, timeout_s) for name in wanted), return_exceptions=True)
    found: Found = {}
    for name, answer in zip(wanted, answers, strict=True):
        if isinstance(answer, list):
            found[name] = answer
        else:
            log.warning("endpoint name cannot be resolved", host=name[0], error=str(answer) or "timed out")
    return found


class Resolution:
    """Keeps the endpoints of one upstream up to date."""

    def __init__(
        self,
        upstream: str,
        tcp: Sequence[tuple[str, int]],
        unix: Sequence[str],
        endpoints: Endpoints,
        *,
        interval_s: float,
        found: Found | None = None,
    ) -> None:
        self._upstream = upstream
        self._fixed: list[Address] = [(host, port) for host, port in tcp if is_address(host)]
        self._fixed += unix
        self._names = [(host, port) for host, port in tcp if not is_address(host)]
        self._endpoints = endpoints
        self._interval_s = interval_s
        self.found: Found = {name: found[name] for name in self._names if name in found} if found else {}
        """The last good answer for each name."""
        self._failing: set[Name] = {name for name in self._names if name not in self.found}
        self._apply()

    async def resolve(self) -> bool:
        """Asks for every name once. False: one of them failed, and keeps its last good addresses."""
        if not self._names:
            return True
        answers = await asyncio.gather(*(self._ask(name) for name in self._names))
        self._apply()
        return all(answers)

    async def keep_resolving(self) -> None:
        """Runs until it is cancelled; at once over if there are no names."""
        well = not self._failing
        while self._names:
            await asyncio.sleep(self._interval_s if well else min(RETRY_S, self._interval_s))
            well = await self.resolve()

    async def _ask(self, name: Name) -> bool:
        host, _ = name
        try:
            addresses = await _resolve(name, TIMEOUT_S)
        except (OSError, UnicodeError, TimeoutError) as error:
            if name not in self._failing:
                self._failing.add(name)
                log.warning(
                    "endpoint name cannot be resolved",
                    upstream=self._upstream,
                    host=host,
                    error=str(error) or "timed out",
                    addresses_kept=len(self.found.get(name, ())),
                )
            return False
        if name in self._failing:
            self._failing.discard(name)
            log.info("endpoint name is resolved again", upstream=self._upstream, host=host)
        self.found[name] = addresses
        return True

    def _apply(self) -> None:
        found = [address for name in self._names for address in self.found.get(name, ())]
        before = {endpoint.address for endpoint in self._endpoints.all()}
        # Sorted, or a resolver that shuffles its answers would look like a change.
        after = list(dict.fromkeys([*self._fixed, *sorted(found, key=str)]))
        if before != set(after):
            self._endpoints.replace(after)


async def _resolve(name: Name, timeout_s: float) -> list[Address]:
    host, port = name
    async with asyncio.timeout(timeout_s):
        answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(str(answer[4][0]), port) for answer in answers]


def is_address(host: str) -> bool:
    """An address, and no name that would have to be resolved."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
