"""The sockets that callers connect to."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import msgspec
import pytest

from pyproxy.addresses import Address, TcpAddress, UnixAddress
from pyproxy.config_sections import Authenticate, Listener
from pyproxy.listening import Inherited, ListenError, Sockets, inherited_sockets


def listener(bind: Address, name: str = "ingress") -> Listener:
    return Listener(name=name, bind=bind, authenticate=Authenticate(), authorize="allow_all", backlog=16)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_each_slot_has_a_tcp_socket_of_its_own_on_the_same_port() -> None:
    address = TcpAddress("127.0.0.1", free_port())
    sockets = Sockets.open([listener(address)], slots=3)
    names = {sockets.of_slot(slot)[0].getsockname() for slot in range(3)}
    descriptors = {sockets.of_slot(slot)[0].fileno() for slot in range(3)}
    assert (names, len(descriptors)) == ({("127.0.0.1", address.port)}, 3)
    assert not any(os.get_inheritable(descriptor) for descriptor in descriptors)
    sockets.close()


def test_a_port_that_somebody_listens_on_is_refused_even_if_it_could_be_shared() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ListenError, match=r"listener `ingress`: cannot listen on 127.0.0.1:.*another instance"):
            Sockets.open([listener(TcpAddress("127.0.0.1", other.getsockname()[1]))], slots=2)


def test_ipv6_is_ipv6_alone() -> None:
    address = TcpAddress("::1", free_port())
    sockets = Sockets.open([listener(address)], slots=1)
    assert sockets.of_slot(0)[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    sockets.close()


def test_a_unix_socket_is_shared_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "s"
    sockets = Sockets.open([listener(UnixAddress(path))], slots=2)
    assert sockets.of_slot(0)[0] is sockets.of_slot(1)[0]
    assert path.stat().st_mode & 0o777 == 0o660
    sockets.close()
    assert not path.exists()


def test_a_stale_unix_socket_is_replaced_a_live_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(ListenError, match="in use"):
            Sockets.open([listener(UnixAddress(path))], slots=1)
    Sockets.open([listener(UnixAddress(path))], slots=1).close()


def test_a_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("kept")
    with pytest.raises(ListenError, match="is no socket"):
        Sockets.open([listener(UnixAddress(path))], slots=1)
    assert path.read_text() == "kept"


def test_a_file_that_took_our_sockets_place_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    sockets = Sockets.open([listener(UnixAddress(path))], slots=1)
    path.unlink()
    path.write_text("somebody else's")
    sockets.close()
    assert path.exists()


def test_sockets_are_taken_over_by_name_then_by_address() -> None:
    with socket.socket() as named, socket.socket() as unnamed:
        for sock in (named, unnamed):
            sock.bind(("127.0.0.1", 0))
            sock.listen()
        here = TcpAddress("127.0.0.1", unnamed.getsockname()[1])
        elsewhere = TcpAddress("127.0.0.1", free_port())
        sockets = Sockets.open(
            [listener(here, "a"), listener(elsewhere, "b")],
            slots=2,
            inherited=[Inherited("b", named), Inherited("", unnamed)],
        )
        assert [sockets.of_slot(1)[0], sockets.of_slot(1)[1]] == [unnamed, named]


def test_sockets_for_another_process_are_not_ours() -> None:
    environment = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x"}
    assert inherited_sockets(environment) == []
    assert environment == {}


def test_a_descriptor_that_is_no_listening_socket_is_refused() -> None:
    with socket.socket() as not_listening:
        copy = os.dup(not_listening.fileno())
        environment = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
        with pytest.raises(ListenError, match="not a listening stream socket"):
            inherited_sockets(environment, first=copy)


def test_the_listener_struct_is_what_the_config_makes() -> None:
    assert msgspec.structs.asdict(listener(UnixAddress(Path("/s"))))["max_connections"] == 10_000
