"""A worker slot: the place that one worker after another fills, on the same sockets and the same memory.

A worker is a fresh process (`python -P -c ...`, no fork of this one's state). The slot starts it, hands it everything
over a socket that only the two hold, listens for its heartbeats, kills it when they stop, and starts the next when it
has ended, whatever the reason, at growing intervals if it keeps ending. Meanwhile its sockets stay open here, and
callers wait in their queues instead of being refused. Other slots notice nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import pyproxy
from pyproxy.control import (
    Channel,
    ChannelError,
    Drain,
    Ready,
    Reload,
    Reloaded,
    ReopenLog,
    Start,
    ToSupervisor,
    supervisor_end,
)
from pyproxy.events import log

#: `-P` keeps the current directory, which others may be able to write, off the module path; the directory that this
#: very package was imported from is given instead.
_BOOT = "import sys; sys.path[:0] = [sys.argv[1]]; from pyproxy.worker import main; main(int(sys.argv[2]))"


class Timing(NamedTuple):
    """How patient the supervisor is."""

    #: A worker reports at this interval.
    heartbeat_s: float = 1.0
    #: Intervals without a report after which it is taken to hang. Counted in intervals that the supervisor saw pass, so
    #: that a machine that slept kills nobody.
    hung_after: int = 10
    #: Intervals that a worker may take to start.
    start_within: int = 30
    #: Between the end of a worker and the start of the next: first, doubled each time, at most.
    backoff_first_s: float = 0.05
    backoff_most_s: float = 5.0
    #: A worker that lived so long has not ended because of how it started.
    settled_after_s: float = 10.0
    #: For applying a reload.
    reload_within_s: float = 10.0
    #: Beyond the drain's own time.
    drain_margin_s: float = 3.0


class State(Enum):
    """What a slot is doing."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting to start again"
    DRAINING = "draining"
    ENDED = "ended"


class Slot:
    """One worker slot. `run` is its life."""

    def __init__(self, index: int, timing: Timing, start: Callable[[], Start], inherit: Sequence[int]) -> None:
        self.index = index
        self.state = State.STARTING
        self.restarts = 0
        self.hung = 0
        self.pid: int | None = None
        self.first_end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Why the slot's very first worker ended before it was ready, if it did: then the node does not start."""
        self.ready = asyncio.Event()
        self.ready_once = False
        self._timing = timing
        self._start = start
        self._inherit = list(inherit)
        self._channel: Channel[ToSupervisor] | None = None
        self._silent_intervals = 0
        self._reloaded: dict[int, asyncio.Future[str | None]] = {}
        self._stop_asked = asyncio.Event()

    async def run(self) -> None:
        """Until the slot is drained: a worker, and another after it."""
        loop = asyncio.get_running_loop()
        backoff_s = self._timing.backoff_first_s
        while not self._stop_asked.is_set():
            started_s = loop.time()
            self.state = State.STARTING
            cause = await self._one_worker()
            if self._stop_asked.is_set():
                break
            if not self.ready_once and not self.first_end.done():
                self.first_end.set_result(cause)
            self.ready.clear()
            self.restarts += 1
            lived_s = loop.time() - started_s
            if lived_s >= self._timing.settled_after_s:
                backoff_s = self._timing.backoff_first_s
            log.error("worker ended", worker=self.index, cause=cause, lived_s=round(lived_s, 3), next_in_s=backoff_s)
            self.state = State.WAITING
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff_s):
                    await self._stop_asked.wait()
                # Callers wait in the queue of a slot that has no worker: one more, which drains, serves them.
                await self._one_worker()
            backoff_s = min(2 * backoff_s, self._timing.backoff_most_s)
        self.state = State.ENDED
        self.pid = None

    async def reload(self, message: Reload) -> str | None:
        """Gives the worker other keys, routes and upstreams. What went wrong, or None.

        A worker that does not take over what every other one has is replaced: its successor starts with it.
        """
        generation = message.reloadable.generation
        if self._channel is None:
            return None  # the next worker starts with it
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._reloaded[generation] = answer
        self._channel.send(message)
        try:
            async with asyncio.timeout(self._timing.reload_within_s):
                error = await answer
        except TimeoutError:
            error = f"no answer within {self._timing.reload_within_s:g} s"
        finally:
            self._reloaded.pop(generation, None)
        if error is not None:
            log.error("worker cannot take over the reload and is replaced", worker=self.index, error=error)
            self.kill()
        return error

    def reopen_log(self) -> None:
        """Its access log was moved away."""
        if self._channel is not None:
            self._channel.send(ReopenLog())

    def drain(self) -> None:
        """No worker follows this one, which finishes what it has."""
        self._stop_asked.set()
        if self._channel is not None:
            self.state = State.DRAINING
            self._channel.send(Drain())

    def kill(self) -> None:
        """At once."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)

    async def _one_worker(self) -> str:
        """Starts a worker and waits for its end. Why it ended."""
        try:
            process, ours = self._spawn()
        except OSError as error:
            return f"cannot be started: {(error.strerror or str(error)).lower()}"
        self.pid = process.pid
        channel = await supervisor_end(ours)
        channel.send(self._start())
        self._channel = channel
        if self._stop_asked.is_set():
            channel.send(Drain())
        self._silent_intervals = 0
        listening = asyncio.create_task(self._listen(channel))
        watching = asyncio.create_task(self._watch())
        try:
            await _ended(process.pid)
        except asyncio.CancelledError:
            self.kill()
            raise
        finally:
            self._channel = None
            watching.cancel()
            listening.cancel()
            channel.close()
            code = process.wait()
            self.pid = None
            for answer in self._reloaded.values():
                if not answer.done():
                    answer.set_result(None)  # its successor starts with it
        return _described(code)

    def _spawn(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """A fresh process, and our end of the socket that it is told everything over."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with its:
            root = str(Path(pyproxy.__file__).parent.parent)
            command = [sys.executable, "-P", "-c", _BOOT, root, str(its.fileno())]
            inherit = (its.fileno(), *self._inherit)
            try:
                # A group of its own: Ctrl-C reaches the supervisor alone, which then drains its workers.
                return subprocess.Popen(command, pass_fds=inherit, stdin=subprocess.DEVNULL, process_group=0), ours
            except BaseException:
                ours.close()
                raise

    async def _listen(self, channel: Channel[ToSupervisor]) -> None:
        while True:
            try:
                message = await channel.receive()
            except ChannelError as error:
                log.error("worker sent what is no message and is replaced", worker=self.index, error=str(error))
                self.kill()
                return
            self._silent_intervals = 0
            match message:
                case None:
                    return
                case Ready():
                    if not self._stop_asked.is_set():
                        self.state = State.READY
                    self.ready_once = True
                    self.ready.set()
                case Reloaded(generation, error):
                    answer = self._reloaded.get(generation)
                    if answer is not None and not answer.done():
                        answer.set_result(error)
                case _:
                    pass

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._timing.heartbeat_s)
            self._silent_intervals += 1
            allowed = self._timing.hung_after if self.ready.is_set() else self._timing.start_within
            if self._silent_intervals > allowed:
                self.hung += 1
                log.error("worker hangs and is killed", worker=self.index, pid=self.pid, silent_intervals=allowed)
                self.kill()
                return


async def _ended(pid: int) -> None:
    """Returns when the process has ended; it still has to be waited for."""
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(pid)
    ended: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        loop.remove_reader(descriptor)
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(descriptor, readable)
    try:
        await ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _described(code: int) -> str:
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit status {code}"
