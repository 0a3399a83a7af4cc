"""One connection to an endpoint of an upstream: carries one call at a time, and waits in its pool between calls.

What it receives goes to the core through the call that it carries; what it receives between calls ends it, for no
request asked for it. Runs as plain Python, and compiles with Cython (`upstream.pxd`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyproxy.flags import BROKEN, CLOSED

if TYPE_CHECKING:
    import asyncio

    from pyproxy.downstream import Downstream
    from pyproxy.endpoints import Endpoint
    from pyproxy.pool import Pool


class Upstream:
    """The protocol (in asyncio's sense) of one connection to an endpoint."""

    __slots__ = (
        "_downstream",
        "_reading_paused",
        "_transport",
        "_write",
        "endpoint",
        "idle_since",
        "in_call",
        "pool",
        "reused",
    )

    def __init__(self, pool: Pool, endpoint: Endpoint) -> None:
        self.pool = pool
        self.endpoint = endpoint
        self.reused = False
        """Whether it has completed a call before."""
        self.in_call = False
        """Whether it counts among its endpoint's outstanding calls."""
        self.idle_since = 0
        """The pool's tick at which it was last released."""
        self._downstream: Downstream | None = None
        self._reading_paused = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._write = transport.write
        self.pool.made()

    def begin(self, downstream: Downstream, first: bytes) -> None:
        """Carries the call of `downstream` from here on, and sends its first bytes."""
        self._downstream = downstream
        self._write(first)

    def write(self, data: bytes) -> None:
        self._write(data)

    def data_received(self, data: bytes) -> None:
        if self._downstream is None:
            self.abort()
        else:
            self._downstream.response_received(data)

    def release(self) -> None:
        """The call is complete, and the connection as good as new."""
        self._downstream = None
        self.reused = True
        # The last bytes of the answer may have filled the caller's buffer; the next caller's is another.
        if self._reading_paused:
            self.resume_reading()
        self.pool.put(self)

    def abort(self) -> None:
        """The connection can carry no other call."""
        self._downstream = None
        if self._transport is not None:
            self._transport.abort()

    def end(self) -> None:
        """Sends FIN: that half of a tunnel has ended."""
        if self._transport is not None and self._transport.can_write_eof():
            self._transport.write_eof()

    def is_carrying(self) -> bool:
        """Whether a call is under way on it."""
        return self._downstream is not None

    def is_usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def pending(self) -> int:
        """Bytes that the endpoint has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def silent(self) -> None:
        """The endpoint let a call's time run out."""
        self.pool.failed(self.endpoint)

    def pause_reading(self) -> None:
        self._reading_paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._reading_paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        if self._downstream is not None:
            self._downstream.upstream_blocked(True)

    def resume_writing(self) -> None:
        if self._downstream is not None:
            self._downstream.upstream_blocked(False)

    def eof_received(self) -> bool:
        downstream = self._downstream
        if downstream is None:
            return False
        downstream.upstream_lost(CLOSED, self.reused)
        # A tunnel may go on in the other direction; every other call has let go by now.
        return self.is_carrying()

    def connection_lost(self, exc: Exception | None) -> None:
        downstream = self._downstream
        self._downstream = None
        self.pool.lost(self)
        if downstream is not None:
            if not self.reused:
                self.pool.failed(self.endpoint)
            downstream.upstream_lost(CLOSED if exc is None else BROKEN, self.reused)
