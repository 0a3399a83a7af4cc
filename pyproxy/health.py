"""Active health checks: a GET to every endpoint at an interval; 2xx or 3xx in time is well.

Each worker asks on its own, so that none depends on another to know where its calls can go. An endpoint changes sides
only after several answers in a row agree, and starts as well: at start every endpoint takes calls.
"""

from __future__ import annotations

import asyncio
import random

import h11

from pyproxy.control import ProbeSettings
from pyproxy.endpoints import Address, Endpoint, Endpoints
from pyproxy.events import log

#: A response head may be so long; its body is not read.
MAX_HEAD_BYTES = 64 * 1024


class Probes:
    """Asks the endpoints of one upstream."""

    def __init__(self, upstream: str, endpoints: Endpoints, settings: ProbeSettings) -> None:
        self._upstream = upstream
        self._endpoints = endpoints
        self._settings = settings
        #: Answers in a row that disagree with what the endpoint is taken for.
        self._against: dict[Endpoint, int] = {}

    async def keep_asking(self) -> None:
        """Runs until it is cancelled."""
        # Workers start together; their questions need not arrive together.
        await asyncio.sleep(random.uniform(0, self._settings.interval_s))
        while True:
            await self.ask_all()
            await asyncio.sleep(self._settings.interval_s)

    async def ask_all(self) -> None:
        """Asks every endpoint once, all at the same time."""
        endpoints = self._endpoints.all()
        self._against = {endpoint: self._against.get(endpoint, 0) for endpoint in endpoints}
        answers = await asyncio.gather(*(self._ask(endpoint) for endpoint in endpoints))
        for endpoint, error in zip(endpoints, answers, strict=True):
            self._learn(endpoint, error)

    def _learn(self, endpoint: Endpoint, error: str | None) -> None:
        well = error is None
        if well == endpoint.healthy:
            self._against[endpoint] = 0
            return
        against = self._against.get(endpoint, 0) + 1
        self._against[endpoint] = against
        if against >= (self._settings.healthy_after if well else self._settings.unhealthy_after):
            self._against[endpoint] = 0
            self._endpoints.set_healthy(endpoint, well)
            said = log.info if well else log.warning
            said(
                "endpoint is well again" if well else "endpoint is not well",
                upstream=self._upstream,
                endpoint=shown(endpoint.address),
                error=error,
            )

    async def _ask(self, endpoint: Endpoint) -> str | None:
        """None, or what was wrong."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                status = await self._get(endpoint.address)
        except TimeoutError:
            return "timed out"
        except (OSError, h11.RemoteProtocolError) as error:
            return str(error) or type(error).__name__
        return None if 200 <= status < 400 else f"status {status}"

    async def _get(self, address: Address) -> int:
        if isinstance(address, str):
            reader, writer = await asyncio.open_unix_connection(address)
        else:
            reader, writer = await asyncio.open_connection(*address)
        try:
            http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
            request = h11.Request(
                method="GET",
                target=self._settings.path,
                headers=[
                    ("Host", self._settings.host or shown(address)),
                    ("User-Agent", "pyproxy-health"),
                    ("Connection", "close"),
                ],
            )
            writer.write(http.send(request) or b"")
            while True:
                event = http.next_event()
                if event is h11.NEED_DATA:
                    http.receive_data(await reader.read(16 * 1024))
                elif isinstance(event, h11.Response):
                    return event.status_code
                elif not isinstance(event, h11.InformationalResponse):
                    raise h11.RemoteProtocolError("closed without an answer")
        finally:
            writer.transport.abort()


def shown(address: Address) -> str:
    """`host:port` with brackets where they belong; `localhost` for a Unix socket, which has no name."""
    if isinstance(address, str):
        return "localhost"
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
