"""A worker: one process, one event loop, a share of the connections. Workers carry every call, the supervisor none.

It is told everything over one inherited socket, and says there that it lives. It takes no signals: they are the
supervisor's, who tells it what they mean. When that socket ends, the supervisor is gone, and so the worker goes too.

Its timers are three: ticks (20 a second) look at a slice of the connections for timeouts and clear a slice of the
replay filter, a second's work reports numbers, and the access log has a thread of its own.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import uvloop

from pyproxy import accesslog, events
from pyproxy._native import AccessLog, Gate, Metrics
from pyproxy.control import (
    Channel,
    Drain,
    Heartbeat,
    Ready,
    Reload,
    Reloadable,
    Reloaded,
    ReopenLog,
    Start,
    ToWorker,
    worker_end,
)
from pyproxy.drain import drain
from pyproxy.events import log
from pyproxy.hardening import harden, name_process
from pyproxy.metrics import NUMBERS
from pyproxy.replay_state import Clearing
from pyproxy.server import Listener
from pyproxy.upstreams import Upstreams

if TYPE_CHECKING:
    from pyproxy.downstream import Downstream

TICK_S = 0.05
#: Every connection is looked at once in so many ticks: timeouts are kept to half a second.
TICKS_PER_ROUND = 10
REPORT_S = 1.0


def main(descriptor: int) -> None:
    """The worker's process. `descriptor` is its end of the socket to the supervisor."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    events.configure()
    harden()
    sys.exit(uvloop.run(_work(descriptor)))


async def _work(descriptor: int) -> int:
    channel = await worker_end(socket.socket(fileno=descriptor))
    start = await channel.receive()
    if not isinstance(start, Start):
        return 1  # the supervisor ended before it had said anything
    events.configure(worker=start.slot)
    name_process(f"pyproxy:w{start.slot}")
    asyncio.get_running_loop().set_exception_handler(_say_what_was_not_caught)
    try:
        worker = Worker(start, channel)
        await worker.start()
    except Exception as error:
        # Settings and keys are in reach of the traceback, so only the message is said.
        log.error("worker cannot start", error=f"{type(error).__name__}: {error}")
        return 1
    _settle_collector()
    channel.send(Ready())
    try:
        await worker.obey()
    finally:
        worker.close()
    return 0


def _say_what_was_not_caught(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A bug of ours: the loop has closed the connection that it happened on, and goes on."""
    log.error("not caught", what=context.get("message"), exc_info=context.get("exception"))


def _settle_collector() -> None:
    """What is there now stays; what calls make is freed by reference counts, and cycles are few.

    Connections that come and go do leave cycles, so the collector stays on, with thresholds that one busy second of
    new connections reaches, not every few calls.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


class Worker:
    """Everything of one worker."""

    def __init__(self, start: Start, channel: Channel[ToWorker]) -> None:
        self._start = start
        self._channel = channel
        names = [listener.name for listener in start.listeners]
        self._metrics = Metrics(start.metrics, names)
        self._log_lines: AccessLog | None = None
        self._log_writer: accesslog.Writer | None = None
        if start.access_log is not None:
            self._log_lines = AccessLog(names, accesslog.MAX_BUFFER_BYTES)
            self._log_writer = accesslog.Writer(self._log_lines, start.access_log)
        replay = None if start.replay is None else start.replay.open()
        self._clearing = None if replay is None else Clearing(replay, TICK_S)
        reloadable = start.reloadable
        self._gate = Gate(
            reloadable.settings,
            reloadable.keys,
            seed=secrets.token_bytes(16),
            replay=replay,
            metrics=self._metrics,
            access_log=self._log_lines,
        )
        self._upstreams = Upstreams()
        self._listeners: list[Listener] = []
        self._ticks = Ticks(self._listeners, self._clearing)
        self._reporter: asyncio.TimerHandle | None = None
        self._reported: dict[str, int] = {}

    async def start(self) -> None:
        """Accepts calls from now on."""
        upstreams = self._start.reloadable.upstreams
        pools = self._upstreams.exchange(upstreams, await self._upstreams.find(upstreams))
        for index, settings in enumerate(self._start.listeners):
            self._listeners.append(Listener(self._gate, index, settings, pools))
        if self._clearing is not None:
            self._clearing.step()
        for listener in self._listeners:
            await listener.start()
        self._ticks.start()
        self._report()

    async def obey(self) -> None:
        """Does what the supervisor says, until it says to end, or is gone."""
        while True:
            match await self._channel.receive():
                case Reload(reloadable):
                    await self._reload(reloadable)
                case ReopenLog():
                    if self._log_writer is not None:
                        self._log_writer.reopen()
                case Drain():
                    await drain(self._gate, self._listeners, self._start.drain_timeout_s)
                    return
                case None:
                    log.error("the supervisor is gone: draining")
                    # Whoever is started in its place has sockets of its own; what ours still gets would be lost.
                    await drain(self._gate, self._listeners, self._start.drain_timeout_s, accept_s=0)
                    return
                case Start():
                    pass

    def close(self) -> None:
        """Last numbers and lines."""
        self._ticks.stop()
        self._report(again=False)
        if self._log_writer is not None:
            self._log_writer.close()
        self._channel.close()

    async def _reload(self, reloadable: Reloadable) -> None:
        """Names are resolved first; then settings, keys and pools are exchanged in one step, between two events."""
        found = await self._upstreams.find(reloadable.upstreams)
        try:
            self._gate.reload(reloadable.settings, reloadable.keys)
        except ValueError as error:
            self._channel.send(Reloaded(reloadable.generation, str(error)))
            return
        pools = self._upstreams.exchange(reloadable.upstreams, found)
        for listener in self._listeners:
            listener.pools = pools
        self._channel.send(Reloaded(reloadable.generation))

    def _report(self, *, again: bool = True) -> None:
        """Says that the loop turns, and puts the numbers that Python counts with those that are counted natively."""
        self._channel.send(Heartbeat())
        counts = self._upstreams.counts()
        gauges = {
            "connections_open": sum(len(listener.connections) for listener in self._listeners),
            "held_body_bytes": self._gate.held_bytes,
            "upstream_waiting": counts.waiting,
            "upstream_connections_open": counts.connections,
            "loop_lag_us": self._ticks.take_lag_us(),
        }
        totals = {
            "connections_accepted": sum(listener.accepted for listener in self._listeners),
            "connections_refused": sum(listener.refused for listener in self._listeners),
            "upstream_failures": counts.failures,
            "endpoints_ejected": counts.ejections,
        }
        if self._log_writer is not None:
            totals["access_log_dropped"] = self._log_writer.dropped
            totals["access_log_write_errors"] = self._log_writer.errors
        for name, value in gauges.items():
            self._metrics.set(NUMBERS[name], value)
        for name, total in totals.items():
            # Added and not set: what earlier workers of this slot counted stays counted.
            self._metrics.add(NUMBERS[name], total - self._reported.get(name, 0))
        self._reported = totals
        if again:
            self._reporter = asyncio.get_running_loop().call_later(REPORT_S, self._report)
        elif self._reporter is not None:
            self._reporter.cancel()


class Ticks:
    """What is done little by little, so that ten thousand connections never hold up the loop."""

    def __init__(self, listeners: list[Listener], clearing: Clearing | None) -> None:
        self._listeners = listeners
        self._clearing = clearing
        self._round: list[tuple[Downstream, set[Downstream]]] = []
        self._slice = 0
        self._due_s = 0.0
        self._lag_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Ticks from now on."""
        loop = asyncio.get_running_loop()
        self._due_s = loop.time() + TICK_S
        self._timer = loop.call_at(self._due_s, self._tick)

    def stop(self) -> None:
        """Ticks no more."""
        if self._timer is not None:
            self._timer.cancel()

    def take_lag_us(self) -> int:
        """The latest that a tick was since the last time."""
        lag_s, self._lag_s = self._lag_s, 0.0
        return int(lag_s * 1e6)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        self._lag_s = max(self._lag_s, now_s - self._due_s)
        self._due_s = now_s + TICK_S
        self._timer = loop.call_at(self._due_s, self._tick)
        self._check_timeouts()
        if self._clearing is not None:
            self._clearing.step()

    def _check_timeouts(self) -> None:
        if not self._round:
            self._round = [
                (each, listener.connections) for listener in self._listeners for each in listener.connections
            ]
            self._slice = -(-len(self._round) // TICKS_PER_ROUND)
        for _ in range(min(self._slice, len(self._round))):
            downstream, still_there = self._round.pop()
            try:
                if downstream in still_there:
                    downstream.check_timeout()
            except Exception:
                log.exception("a connection's timeout could not be checked")
