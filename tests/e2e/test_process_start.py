"""The start: who may run, on which sockets, what is said and what is never said."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from configs import OPEN_LISTENER
from proxy_process import Proxy, eventually, free_port
from test_process_reload import SIGNED_LISTENER, new_key, signed, write_keys
from upstream_server import UpstreamServer

Start = Callable[..., Proxy]


def test_a_second_instance_on_the_state_directory_is_refused(start_proxy: Start, upstream: UpstreamServer) -> None:
    first = start_proxy(upstream)
    second = start_proxy(upstream, ready=False)
    assert second.wait_end() == 1
    assert f"in use by process {first.pid}" in second.events("cannot start")[0]["problem"]
    assert first.get("/")[0] == 200


def test_a_port_of_another_instance_is_refused_and_not_shared(
    start_proxy: Start, upstream: UpstreamServer, tmp_path: Path
) -> None:
    first = start_proxy(upstream)
    other = tmp_path / "other"
    other.mkdir()
    second = start_proxy(upstream, directory=other, port=first.port, ready=False)
    assert second.wait_end() == 1
    assert "listener `ingress`" in second.events("cannot start")[0]["problem"]


def test_every_mistake_in_the_files_stops_the_start(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream, listener=OPEN_LISTENER.replace('authorize = "allow_all"', "typo = 1"), ready=False)
    assert proxy.wait_end() == 1
    problems = " ".join(line["problem"] for line in proxy.events("cannot start"))
    assert "typo" in problems
    assert "authorize" in problems


def test_it_says_what_it_does_not_protect(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream)
    said = [line["event"] for line in proxy.lines if line.get("level") == "warning"]
    assert any("nothing is verified" in warning and "ingress" in warning for warning in said)
    assert any("allow_all" in warning for warning in said)
    assert any("audit is off" in warning for warning in said)
    assert proxy.events("listener")[0]["authenticate"] == []


def test_secrets_are_in_no_argument_no_environment_and_no_log(
    start_proxy: Start, upstream: UpstreamServer, tmp_path: Path
) -> None:
    key = new_key("k")
    write_keys(tmp_path, key)
    proxy = start_proxy(upstream, listener=SIGNED_LISTENER)
    eventually(lambda: proxy.get("/", signed(key))[0] == 200)
    [worker] = proxy.worker_pids()
    for pid in (proxy.pid, worker):
        for kind in ("cmdline", "environ"):
            assert key["k"].encode() not in Path(f"/proc/{pid}/{kind}").read_bytes()
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["0", "0"]
    proxy.stop()
    assert key["k"] not in json.dumps(proxy.lines)


def test_sockets_of_the_service_manager_are_taken_over_by_name(start_proxy: Start, upstream: UpstreamServer) -> None:
    with socket.socket() as handed_over:
        handed_over.bind(("127.0.0.1", 0))
        handed_over.listen(64)
        port = handed_over.getsockname()[1]
        # As sd_listen_fds(3) has it: descriptor 3, and the pid of the process itself.
        before = (
            f"import os; os.dup2({handed_over.fileno()}, 3); os.environ.update("
            "LISTEN_FDS='1', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='ingress')\n"
        )
        proxy = start_proxy(upstream, workers=2, before=before, pass_fds=(handed_over.fileno(),), port=port)
        for _ in range(10):
            assert proxy.get("/")[0] == 200
        assert proxy.stop() == 0
        # It stays open there: who comes next is queued, not refused.
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_a_socket_that_no_listener_wants_stops_the_start(start_proxy: Start, upstream: UpstreamServer) -> None:
    with socket.socket() as handed_over:
        handed_over.bind(("127.0.0.1", 0))
        handed_over.listen(64)
        before = (
            f"import os; os.dup2({handed_over.fileno()}, 3); os.environ.update("
            "LISTEN_FDS='1', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='egress')\n"
        )
        proxy = start_proxy(upstream, before=before, pass_fds=(handed_over.fileno(),), ready=False)
        assert proxy.wait_end() == 1
        assert "`egress`" in proxy.events("cannot start")[0]["problem"]


def test_the_service_manager_is_told(start_proxy: Start, upstream: UpstreamServer, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = tmp_path / "notify"
        manager.bind(str(path))
        manager.settimeout(10)
        proxy = start_proxy(upstream, environment={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"})
        messages: list[str] = []

        def told(what: str) -> str:
            while not messages or what not in messages[-1]:
                messages.append(manager.recv(4096).decode())
            return messages[-1]

        told("READY=1")
        told("WATCHDOG=1")
        proxy.signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in told("RELOADING=1")
        told("READY=1")
        proxy.signal(signal.SIGTERM)
        told("STOPPING=1")
        assert proxy.wait_end() == 0


def test_beyond_max_connections_a_connection_is_closed_and_counted(
    start_proxy: Start, upstream: UpstreamServer
) -> None:
    proxy = start_proxy(upstream, listener=OPEN_LISTENER + "max_connections = 5\n")
    held = [socket.create_connection(("127.0.0.1", proxy.port), timeout=5) for _ in range(8)]
    closed = 0
    for sock in held:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            closed += sock.recv(1) == b""
        except ConnectionError:
            closed += 1
    assert closed == 3
    eventually(lambda: proxy.metric("pyproxy_connections_refused_total") == 3)
    assert proxy.metric("pyproxy_connections") == 5
    for sock in held:
        sock.close()
    eventually(lambda: proxy.metric("pyproxy_connections") == 0)
    assert proxy.get("/")[0] == 200


def test_access_log_lines_are_written_and_its_file_can_be_rotated(
    start_proxy: Start, upstream: UpstreamServer, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    proxy = start_proxy(upstream, workers=2, extra='\n[access_log]\npath = "access.log"\n')
    for number in range(20):
        proxy.get(f"/v1/{number}?token=secret")
    eventually(lambda: path.exists() and path.read_bytes().count(b"\n") == 20)
    assert path.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["path"] for line in lines} == {f"/v1/{number}" for number in range(20)}
    assert {(line["status"], line["route"], line["listener"]) for line in lines} == {(200, "all", "ingress")}
    assert "secret" not in path.read_text()
    path.rename(tmp_path / "access.log.1")
    proxy.signal(signal.SIGUSR1)
    eventually(path.exists, what="opened anew")
    proxy.get("/after")
    proxy.stop()
    assert json.loads(path.read_text())["path"] == "/after", "the last line is written before the end"


def test_a_port_that_nobody_has_is_free_again_at_once(start_proxy: Start, upstream: UpstreamServer) -> None:
    port = free_port()
    first = start_proxy(upstream, port=port)
    first.get("/")
    assert first.stop() == 0
    second = start_proxy(upstream, port=port)
    assert second.get("/")[0] == 200
