"""One connection from a caller: events of its socket go to the core, the core's actions are carried out.

Nothing is decided here. The core says what is written where, which connections live on and which end; this class knows
transports and their back-pressure. Runs as plain Python, and compiles with Cython (`downstream.pxd` gives the types).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyproxy.flags import (
    ABORT,
    AGAIN,
    BY_DOWNSTREAM,
    BY_NOBODY,
    BY_POOL,
    BY_UPSTREAM,
    CLOSE,
    CONNECT,
    END_DOWNSTREAM,
    END_UPSTREAM,
    INDEX_SHIFT,
    LINGER,
    PAUSE,
    RELEASE,
    RESEND,
    RESET,
    RESUME,
)

if TYPE_CHECKING:
    import asyncio

    from pyproxy._native import Connection
    from pyproxy.flags import Action
    from pyproxy.pool import Pool
    from pyproxy.service import Service
    from pyproxy.upstream import Upstream

MAX_RESENT_BYTES = 64 << 10
"""The core does not ask to send more than this a second time (native/core/src/connection/body.rs)."""

RARE = CLOSE | LINGER | RESET | PAUSE | RESUME | END_UPSTREAM | END_DOWNSTREAM


class Downstream:
    """The protocol (in asyncio's sense) of one accepted connection."""

    __slots__ = (
        "_again",
        "_caller_slow",
        "_core",
        "_core_paused",
        "_last_pending",
        "_pending",
        "_pool",
        "_receive",
        "_sent",
        "_service",
        "_transport",
        "_upstream",
        "_upstream_slow",
        "_write",
        "_written",
    )

    def __init__(self, service: Service) -> None:
        self._service = service
        self._upstream: Upstream | None = None
        self._pool: Pool | None = None
        """The pool that this call's connection comes from, while one is being made."""
        self._pending: list[bytes] | None = None
        """What has to be written upstream once the connection is there."""
        self._sent: bytes | None = None
        """The first write of the call, in case it has to be sent again."""
        self._written = False
        """Whether `write` was called on an upstream connection for this call."""
        self._core_paused = False
        self._upstream_slow = False
        self._caller_slow = False
        """The caller does not read its answers as fast as they come."""
        self._again = False
        """More requests wait in the core's buffer, for the caller to read its answers."""
        self._last_pending = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._write = transport.write
        self._core: Connection = self._service.connected(self, transport)
        self._receive = self._core.receive_data

    def data_received(self, data: bytes) -> None:
        action = self._receive(data)
        if action is not None:
            self.carry_out(action)

    def response_received(self, data: bytes) -> None:
        """The upstream connection of the call under way sent this."""
        action = self._core.receive_response(data)
        if action is not None:
            self.carry_out(action)

    def carry_out(self, action: Action | None) -> None:
        """Does what the core says, in the order that `flags.py` gives."""
        while action is not None:
            flags, to_downstream, to_upstream = action
            if to_downstream is not None:
                self._write(to_downstream)
            if flags & (RELEASE | ABORT):
                self._let_go(flags)
            if flags & CONNECT:
                self._connect(flags, to_upstream)
            elif to_upstream is not None:
                self._write_upstream(to_upstream)
            if flags & RARE:
                self._end_or_pause(flags)
            action = None
            if flags & AGAIN:
                if self._caller_slow:
                    self._again = True
                else:
                    action = self._receive(b"")

    def _connect(self, flags: int, first: bytes | None) -> None:
        if flags & RESEND:
            # The same bytes, on a connection that nobody has used: only such a one is known to be alive.
            first = self._sent
            pool = self._drop_upstream()
            if pool is None or first is None:
                return
            upstream = None
        else:
            pool = self._service.pools[flags >> INDEX_SHIFT]
            self._sent = first if first is not None and len(first) <= MAX_RESENT_BYTES else None
            self._written = False
            upstream = pool.take()
        if upstream is not None and first is not None:
            self._upstream = upstream
            self._written = True
            upstream.begin(self, first)
            return
        self._pool = pool
        self._pending = [] if first is None else [first]
        self._apply_reading()
        pool.connect(self)

    def upstream_ready(self, upstream: Upstream) -> None:
        """The pool has made, or freed, a connection for the call that waits."""
        pending = self._pending
        self._pool = None
        self._pending = None
        if pending is None:
            upstream.release()
            return
        self._upstream = upstream
        self._written = True
        if self._caller_slow:
            upstream.pause_reading()
        upstream.begin(self, b"".join(pending))
        self._apply_reading()

    def upstream_unavailable(self, failure: int) -> None:
        """The pool cannot give the call that waits a connection."""
        self._pool = None
        self._pending = None
        self.carry_out(self._core.upstream_failed(failure, self._written, False))
        self._apply_reading()

    def upstream_lost(self, failure: int, reused: bool) -> None:
        """The connection that carries the call is gone, or sent its FIN."""
        self.carry_out(self._core.upstream_failed(failure, self._written, reused))

    def _write_upstream(self, data: bytes) -> None:
        if self._upstream is not None:
            self._upstream.write(data)
        elif self._pending is not None:
            self._pending.append(data)

    def _let_go(self, flags: int) -> None:
        self._sent = None
        upstream = self._upstream
        if upstream is not None:
            self._upstream = None
            if flags & RELEASE:
                upstream.release()
            else:
                upstream.abort()
        elif self._pool is not None:
            self._pool.forget(self)
            self._pool = None
            self._pending = None
            self._apply_reading()
        if self._upstream_slow or self._caller_slow:
            self._upstream_slow = False
            self._apply_reading()

    def _drop_upstream(self) -> Pool | None:
        upstream = self._upstream
        if upstream is None:
            return None
        self._upstream = None
        pool = upstream.pool
        upstream.abort()
        return pool

    def _end_or_pause(self, flags: int) -> None:
        transport = self._transport
        if flags & END_UPSTREAM and self._upstream is not None:
            self._upstream.end()
        if flags & END_DOWNSTREAM and transport.can_write_eof():
            transport.write_eof()
        if flags & PAUSE:
            self._core_paused = True
        if flags & RESUME:
            self._core_paused = False
        if flags & (PAUSE | RESUME):
            self._apply_reading()
        if flags & RESET:
            transport.abort()
        elif flags & LINGER and transport.can_write_eof() and not transport.is_closing():
            transport.write_eof()
        elif flags & CLOSE:
            transport.close()

    def _apply_reading(self) -> None:
        """Reads only while what is read can be passed on, or answered: between calls, whoever does not read the answers
        that it has asked for cannot ask for more. During a call the request may have to go on for its answer to end.
        """
        if self._transport.is_closing():
            return
        unread = self._caller_slow and self._upstream is None
        if self._core_paused or self._upstream_slow or self._pending is not None or unread:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def upstream_blocked(self, blocked: bool) -> None:
        """The upstream's write buffer has filled up, or has drained."""
        self._upstream_slow = blocked
        self._apply_reading()

    def pause_writing(self) -> None:
        self._caller_slow = True
        if self._upstream is not None:
            self._upstream.pause_reading()
        self._apply_reading()

    def resume_writing(self) -> None:
        self._caller_slow = False
        if self._upstream is not None:
            self._upstream.resume_reading()
        self._apply_reading()
        if self._again:
            self._again = False
            self.carry_out(self._receive(b""))

    def eof_received(self) -> bool:
        self.carry_out(self._core.receive_eof())
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.carry_out(self._core.lost())
        self._service.disconnected(self)

    def check_timeout(self) -> None:
        """Called now and then for every connection: ends what has lasted too long."""
        pending = self._transport.get_write_buffer_size()
        upstream = self._upstream
        blocked = BY_NOBODY
        if pending:
            blocked = BY_DOWNSTREAM
        elif upstream is not None and (pending := upstream.pending()):
            blocked = BY_UPSTREAM
        elif self._pending is not None and not self._written:
            blocked = BY_POOL
        if pending != self._last_pending:
            if self._last_pending:
                self._core.progressed()
            self._last_pending = pending
        action = self._core.check_timeout(blocked)
        if action is not None:
            if action[0] & ABORT and upstream is not None and blocked != BY_DOWNSTREAM:
                upstream.silent()
            self.carry_out(action)

    def drain(self) -> None:
        """Closes the connection if no call is under way; one that is ends it with its answer."""
        if self._core.is_idle():
            self._transport.close()

    def end_drain(self) -> None:
        """The drain's time is up."""
        self.carry_out(self._core.end_drain(self._written))
        self._transport.close()
