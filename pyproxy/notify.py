"""sd_notify(3): telling whoever started us what state we are in, and that we are alive.

The protocol is one datagram to the socket that `NOTIFY_SOCKET` names. Without that variable everything here does
nothing. The variables are taken out of the environment, so that no worker speaks for the supervisor.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping


class Notifier:
    """Speaks to the service manager, if there is one."""

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        address = environment.pop("NOTIFY_SOCKET", "")
        watchdog_us = environment.pop("WATCHDOG_USEC", "")
        watchdog_pid = environment.pop("WATCHDOG_PID", str(os.getpid()))
        self._socket: socket.socket | None = None
        self._address = "\0" + address[1:] if address.startswith("@") else address
        if self._address.startswith(("/", "\0")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        self.watchdog_interval_s: float | None = None
        """How often `alive` has to be called: half of what the manager waits, as sd_watchdog_enabled(3) advises."""
        if watchdog_us.isdigit() and int(watchdog_us) > 0 and watchdog_pid == str(os.getpid()):
            self.watchdog_interval_s = int(watchdog_us) / 2e6

    def ready(self, status: str) -> None:
        """Started, or reloaded."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it. The time is what `Type=notify-reload` asks for."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Shutting down."""
        self._send("STOPPING=1", "STATUS=draining")

    def alive(self) -> None:
        """For the manager's watchdog."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if self._socket is not None:
            # A manager that does not listen is no reason to stop serving.
            with contextlib.suppress(OSError):
                self._socket.sendto("\n".join(lines).encode(), self._address)
