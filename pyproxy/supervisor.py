"""The process that `pyproxy serve` is: opens what callers connect to, starts workers and keeps them, carries no call.

Promises: a config or key file with a mistake stops the start, and at a reload changes nothing; a worker that ends is
replaced on the same sockets while the others go on; on SIGTERM or SIGINT what is queued is accepted, what runs is
finished, and a second signal ends it at once; SIGHUP reloads keys, routes and upstreams in every worker, each in one
step between two calls; SIGUSR1 reopens the access log.

Leaves to others: slots and their workers (`slots.py`, `worker.py`), sockets (`listening.py`), what is in force
(`configuration.py`), what the admin listener says (`status.py`, `metrics.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import signal
import sys
from importlib import metadata
from pathlib import Path

from pyproxy import events
from pyproxy.addresses import TcpAddress
from pyproxy.admin import Admin
from pyproxy.configuration import Configuration, Refused
from pyproxy.control import ListeningSocket, Reload, Start
from pyproxy.events import log
from pyproxy.hardening import harden, raise_descriptor_limit
from pyproxy.listening import ListenError, Sockets, inherited_sockets
from pyproxy.metrics import NodeNumbers, Scrape, SlotMemory
from pyproxy.notify import Notifier
from pyproxy.replayfile import StateDirectoryInUse, StateLock
from pyproxy.slots import Slot, State, Timing
from pyproxy.status import pages

#: Python versions that the test suite runs on.
TESTED_PYTHONS = ((3, 11), (3, 12), (3, 13))

#: Descriptors that a process needs besides its connections.
SPARE_DESCRIPTORS = 256

#: How often a slice of the replay filter is cleared, if that falls to us: as often as a worker's tick.
CLEARING_INTERVAL_S = 0.05


def run(config_path: str | os.PathLike[str], *, timing: Timing = Timing()) -> int:  # noqa: B008 - immutable
    """Serves until a signal ends it. The exit status: 0 after a drain, 1 if it could not start or not go on."""
    events.configure()
    for missing in harden():
        log.warning(missing)
    try:
        configuration = Configuration(Path(config_path))
        with contextlib.ExitStack() as held:
            lock = StateLock(configuration.config.node.state_dir)
            held.callback(lock.close)
            configuration.open_replay()
            sockets = Sockets.open(
                configuration.config.listeners, configuration.config.node.workers, inherited_sockets()
            )
            held.callback(sockets.close)
            return asyncio.run(Supervisor(configuration, sockets, lock, timing).serve())
    except Refused as refused:
        problems = refused.problems
    except (StateDirectoryInUse, ListenError, OSError, ValueError) as error:
        problems = (str(error),)
    for problem in problems:
        log.error("cannot start", problem=problem)
    return 1


class Supervisor:
    """One node, running."""

    def __init__(self, configuration: Configuration, sockets: Sockets, lock: StateLock, timing: Timing) -> None:
        self.configuration = configuration
        self._sockets = sockets
        self._lock = lock
        self._timing = timing
        self._notifier = Notifier()
        workers = configuration.config.node.workers
        self._memories = [SlotMemory(slot) for slot in range(workers)]
        self.slots: list[Slot] = []
        self.draining = False
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()
        self._reload_asked = asyncio.Event()
        self._scrape = Scrape(self._memories, self._numbers)

    async def serve(self) -> int:
        """Starts everything, and ends it when it is told to."""
        self._say_what_it_does()
        self._listen_to_signals()
        self.slots = [self._slot(index) for index in range(len(self._memories))]
        admin = await self._start_admin()
        running = [asyncio.create_task(slot.run()) for slot in self.slots]
        helpers = [
            asyncio.create_task(each)
            for each in (self._reload_when_asked(), self._tell_watchdog(), self._keep_replay_ready())
        ]
        try:
            if not await self._all_ready():
                return 0 if self.draining else 1
            log.info("ready", workers=len(self.slots))
            self._notifier.ready(self._status())
            await self._stop.wait()
            await self._drain(running)
        finally:
            for task in (*helpers, *running):
                task.cancel()
            await asyncio.gather(*helpers, *running, return_exceptions=True)
            if admin is not None:
                admin.close()
        log.info("ended")
        return 0

    # ---- start -----------------------------------------------------------------------------------------------------

    def _slot(self, index: int) -> Slot:
        sockets = self._sockets.of_slot(index)
        memory = self._memories[index]
        descriptors = [sock.fileno() for sock in sockets]

        def start() -> Start:
            config = self.configuration.config
            return Start(
                slot=index,
                listeners=tuple(
                    ListeningSocket(descriptor, listener.name, listener.max_connections, listener.backlog)
                    for descriptor, listener in zip(descriptors, config.listeners, strict=True)
                ),
                metrics=memory.descriptor,
                replay=self.configuration.replay_file(),
                access_log=config.access_log.path if config.access_log is not None else None,
                drain_timeout_s=config.limits.drain_timeout_s,
                reloadable=self.configuration.reloadable,
            )

        # The lock too: while one worker serves, even without us, no other instance makes a filter of its own.
        inherit = [*dict.fromkeys(descriptors), memory.descriptor, self._lock.fileno()]
        return Slot(index, self._timing, start, inherit)

    async def _start_admin(self) -> Admin | None:
        section = self.configuration.config.admin
        if section is None:
            return None
        admin = Admin(section.bind, pages(self, self._scrape))
        await admin.start()
        return admin

    async def _all_ready(self) -> bool:
        """Waits until every worker serves. False: a first worker failed, or a signal came before."""
        everyone = asyncio.gather(*(slot.ready.wait() for slot in self.slots))
        failures = [slot.first_end for slot in self.slots]
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait([everyone, stopped, *failures], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if everyone.done():
            return True
        everyone.cancel()
        for slot, failure in zip(self.slots, failures, strict=True):
            if failure.done():
                log.error("cannot start", problem=f"worker {slot.index} ended before it was ready: {failure.result()}")
        return False

    def _say_what_it_does(self) -> None:
        config = self.configuration.config
        workers = config.node.workers
        version = sys.version_info[:2]
        log.info("starting", node=config.node.name, workers=workers, version=version_of_this(), pid=os.getpid())
        for listener in config.listeners:
            log.info(
                "listener",
                listener=listener.name,
                bind=str(listener.bind),
                authenticate=listener.authenticate.credentials,
                freshness=listener.freshness,
                authorize=listener.authorize,
            )
        for warning in self.configuration.warnings():
            log.warning(warning)
        if version not in TESTED_PYTHONS:
            tested = ", ".join(".".join(map(str, each)) for each in TESTED_PYTHONS)
            log.warning(f"Python {platform.python_version()} is untested; tested: {tested}")
        # One from the caller and one to the upstream for each call that is under way.
        wanted = 2 * sum(listener.max_connections for listener in config.listeners) + SPARE_DESCRIPTORS
        allowed = raise_descriptor_limit(wanted)
        if allowed < wanted:
            log.warning(f"open files are limited to {allowed}; max_connections ask for {wanted}: raise LimitNOFILE")
        for listener in config.listeners:
            somaxconn = _somaxconn()
            if isinstance(listener.bind, TcpAddress) and listener.backlog > somaxconn:
                log.warning(
                    f"listener `{listener.name}`: backlog {listener.backlog} is capped at {somaxconn} by "
                    "net.core.somaxconn"
                )

    # ---- signals ---------------------------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop, signal.Signals(number).name)
        loop.add_signal_handler(signal.SIGHUP, self._reload_asked.set)
        loop.add_signal_handler(signal.SIGUSR1, self._reopen_logs)

    def _told_to_stop(self, name: str) -> None:
        if self.draining:
            log.warning("ending at once", signal=name)
            self._at_once.set()
            return
        log.info("draining", signal=name, drain_timeout_s=self.configuration.config.limits.drain_timeout_s)
        self.draining = True
        self._notifier.stopping()
        self._stop.set()

    def _reopen_logs(self) -> None:
        log.info("access log is opened anew")
        for slot in self.slots:
            slot.reopen_log()

    async def _drain(self, running: list[asyncio.Task[None]]) -> None:
        """What is queued is accepted, what runs is finished; whoever takes longer than allowed is killed."""
        self._sockets.refuse_new()
        for slot in self.slots:
            slot.drain()
        allowed_s = self.configuration.config.limits.drain_timeout_s + self._timing.drain_margin_s
        at_once = asyncio.create_task(self._at_once.wait())
        ended = asyncio.ensure_future(asyncio.gather(*running))
        await asyncio.wait([ended, at_once], timeout=allowed_s, return_when=asyncio.FIRST_COMPLETED)
        at_once.cancel()
        if not ended.done():
            left = [slot for slot in self.slots if slot.state is not State.ENDED]
            log.warning("workers are killed", workers=[slot.index for slot in left])
            for slot in left:
                slot.kill()
            ended.cancel()

    # ---- reload ----------------------------------------------------------------------------------------------------

    async def _reload_when_asked(self) -> None:
        while True:
            await self._reload_asked.wait()
            self._reload_asked.clear()
            if not self.draining:
                self._notifier.reloading()
                await self._reload()
                self._notifier.ready(self._status())

    async def _reload(self) -> None:
        log.info("reloading", config=str(self.configuration.path))
        try:
            # Off the loop: a key set of ten thousand keys takes longer to compile than a watchdog should wait.
            reloadable = await asyncio.to_thread(self.configuration.reload)
        except Refused as refused:
            for problem in refused.problems:
                log.error("reload refused: the configuration in force stays", problem=problem)
            return
        errors = await asyncio.gather(*(slot.reload(Reload(reloadable)) for slot in self.slots))
        for warning in self.configuration.warnings():
            log.warning(warning)
        replaced = [slot.index for slot, error in zip(self.slots, errors, strict=True) if error is not None]
        log.info("reloaded", generation=reloadable.generation, workers_replaced=replaced)

    # ---- what it tells ---------------------------------------------------------------------------------------------

    async def _tell_watchdog(self) -> None:
        interval_s = self._notifier.watchdog_interval_s
        while interval_s is not None:
            # A node without a single worker is not alive, whatever this loop does.
            if any(slot.state in (State.READY, State.STARTING, State.DRAINING) for slot in self.slots):
                self._notifier.alive()
            await asyncio.sleep(interval_s)

    async def _keep_replay_ready(self) -> None:
        """Clears beside the workers: while they die faster than their leases end, nobody else would get anywhere."""
        clearing = self.configuration.clearing(CLEARING_INTERVAL_S)
        while clearing is not None:
            clearing.step()
            await asyncio.sleep(CLEARING_INTERVAL_S)

    def _status(self) -> str:
        return f"{len(self.slots)} workers, generation {self.configuration.reloadable.generation}"

    def _numbers(self) -> NodeNumbers:
        configuration = self.configuration
        return NodeNumbers(
            version=version_of_this(),
            workers=len(self.slots),
            workers_ready=sum(slot.state is State.READY for slot in self.slots),
            restarts=[slot.restarts for slot in self.slots],
            hung=sum(slot.hung for slot in self.slots),
            generation=configuration.reloadable.generation,
            reloads=configuration.reloads,
            reloads_refused=configuration.reloads_refused,
            last_reload_ok=not configuration.last_problems,
            draining=self.draining,
            replay=configuration.replay_state(),
        )


def version_of_this() -> str:
    """The version of the installed package; `unknown` in a source tree that was never installed."""
    try:
        return metadata.version("pyproxy")
    except metadata.PackageNotFoundError:
        return "unknown"


def _somaxconn() -> int:
    try:
        return int(Path("/proc/sys/net/core/somaxconn").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return sys.maxsize
