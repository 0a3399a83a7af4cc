"""sd_notify(3), as a service manager hears it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pyproxy.notify import Notifier


def test_without_a_service_manager_nothing_is_said() -> None:
    notifier = Notifier({})
    notifier.ready("well")
    assert notifier.watchdog_interval_s is None


def test_the_variables_are_taken_so_that_no_worker_speaks_for_us() -> None:
    environment = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid()), "A": "b"}
    notifier = Notifier(environment)
    assert environment == {"A": "b"}
    assert notifier.watchdog_interval_s == 0.5
    notifier.alive()  # nobody listens there, and that is no error


def test_a_watchdog_meant_for_another_process_is_not_ours() -> None:
    assert Notifier({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}).watchdog_interval_s is None


@pytest.mark.parametrize("abstract", [False, True])
def test_states_are_told(tmp_path: Path, abstract: bool) -> None:
    name = f"@pyproxy-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0"))
        notifier = Notifier({"NOTIFY_SOCKET": name})
        notifier.ready("2 workers")
        assert manager.recv(1000) == b"READY=1\nSTATUS=2 workers"
        notifier.reloading()
        assert manager.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
