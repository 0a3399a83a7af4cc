"""The sockets that callers connect to: opened once, by the supervisor, and held for as long as it lives.

A TCP listener has one SO_REUSEPORT socket per worker slot, so that the kernel spreads connections and none is woken in
vain; a Unix listener has one that all workers share, and so has one that a service manager handed over (`LISTEN_FDS`).
Because the supervisor holds them, a worker that dies takes no queued connection with it: its successor accepts them.

What a listener's socket does not do is rotate: changing an address needs a restart, which loses no connection if the
service manager owns the sockets.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import stat
import struct
from collections.abc import MutableMapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from pyproxy.addresses import Address, TcpAddress, UnixAddress
from pyproxy.config_sections import Listener

SO_ATTACH_FILTER = 26
#: Who may connect to a listener's Unix socket: its owner and group. The directory's own rights come before that.
UNIX_MODE = 0o660


FileIdentity = tuple[int, int]
"""Device and inode: a file that has taken our socket's place is not ours to remove."""


class ListenError(Exception):
    """A socket cannot be had; says which, where and why."""


class Inherited(NamedTuple):
    """A socket that the service manager opened for us."""

    name: str
    socket: socket.socket


class Sockets:
    """All listening sockets of this node."""

    def __init__(self, slots: int) -> None:
        self._by_slot: list[list[socket.socket]] = [[] for _ in range(slots)]
        self._own: list[socket.socket] = []
        self._files: list[tuple[Address, FileIdentity | None]] = []

    @classmethod
    def open(cls, listeners: Sequence[Listener], slots: int, inherited: Sequence[Inherited] = ()) -> Sockets:
        """Opens every listener's sockets.

        # Errors
        [`ListenError`] for the first that cannot be had; nothing stays open then.
        """
        sockets = cls(slots)
        left = list(inherited)
        try:
            for listener in listeners:
                per_slot = sockets._open_listener(listener, slots, left)
                for slot, sock in enumerate(per_slot):
                    sockets._by_slot[slot].append(sock)
            if left:
                names = ", ".join(f"`{one.name or one.socket.getsockname()}`" for one in left)
                raise ListenError(f"the service manager handed over sockets that no listener has a use for: {names}")
        except BaseException:
            sockets.close()
            raise
        return sockets

    def of_slot(self, slot: int) -> list[socket.socket]:
        """One for each listener, in the order of the file."""
        return self._by_slot[slot]

    def refuse_new(self) -> None:
        """From now on no new connection is begun, while those that were begun can still be accepted.

        Closing a socket resets what is queued on it, and the queue cannot be shut otherwise; so a packet filter drops
        every first packet (SYN), whose sender will repeat it and then be told that nobody listens. Sockets of the
        service manager stay as they are: what is queued there waits for whoever comes after us.
        """
        for address, identity in self._files:
            remove_file(address, identity)
        for sock in self._own:
            if sock.family != socket.AF_UNIX:
                with contextlib.suppress(OSError):
                    _drop_first_packets(sock)

    def close(self) -> None:
        """Gives all of them up."""
        for address, identity in self._files:
            remove_file(address, identity)
        for sock in {id(sock): sock for sock in chain(self._own, *self._by_slot)}.values():
            sock.close()

    def _open_listener(self, listener: Listener, slots: int, left: list[Inherited]) -> list[socket.socket]:
        handed_over = _handed_over(listener, left)
        if handed_over is not None:
            return [handed_over] * slots
        try:
            if isinstance(listener.bind, UnixAddress):
                sock, identity = _unix(listener.bind.path, listener.backlog, UNIX_MODE)
                self._own.append(sock)
                self._files.append((listener.bind, identity))
                return [sock] * slots
            _refuse_if_taken(listener.bind)
            for _ in range(slots):
                self._own.append(_tcp(listener.bind, reuse_port=True))
                self._own[-1].listen(listener.backlog)
        except OSError as error:
            raise ListenError(f"listener `{listener.name}`: cannot listen on {listener.bind}: {cause(error)}") from None
        return self._own[-slots:]


def inherited_sockets(environment: MutableMapping[str, str] = os.environ, first: int = 3) -> list[Inherited]:
    """The sockets of `LISTEN_FDS` (sd_listen_fds(3)), if they are meant for this process. The variables are taken out.

    # Errors
    [`ListenError`]: something other than a listening stream socket was handed over.
    """
    count = environment.pop("LISTEN_FDS", "")
    pid = environment.pop("LISTEN_PID", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    found: list[Inherited] = []
    for index in range(int(count)):
        descriptor = first + index
        try:
            os.set_inheritable(descriptor, False)
            sock = socket.socket(fileno=descriptor)
            accepts = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError as error:
            raise ListenError(f"LISTEN_FDS: descriptor {descriptor} is no socket: {error.strerror}") from None
        if sock.type != socket.SOCK_STREAM or not accepts:
            raise ListenError(f"LISTEN_FDS: descriptor {descriptor} is not a listening stream socket")
        sock.setblocking(False)
        name = names[index] if index < len(names) else ""
        found.append(Inherited("" if name == "unknown" else name, sock))
    return found


def open_one(address: Address, backlog: int, *, unix_mode: int = 0o600) -> tuple[socket.socket, FileIdentity | None]:
    """A listening socket that nobody shares, and the identity of its file if it has one: the admin listener's."""
    if isinstance(address, UnixAddress):
        return _unix(address.path, backlog, unix_mode)
    sock = _tcp(address, reuse_port=False)
    sock.listen(backlog)
    return sock, None


def remove_file(address: Address, identity: FileIdentity | None) -> None:
    """Removes the file of a Unix socket that [`open_one`] made, if it is still that one."""
    if isinstance(address, UnixAddress) and identity is not None:
        _unlink(address.path, identity)


def _handed_over(listener: Listener, left: list[Inherited]) -> socket.socket | None:
    """By name; an unnamed one by its address."""
    for one in left:
        if one.name == listener.name or (one.name == "" and _same_address(one.socket, listener.bind)):
            left.remove(one)
            return one.socket
    # systemd names sockets after their unit unless told otherwise: `pyproxy.socket` fits the listener of its address.
    for one in left:
        if one.name.endswith(".socket") and _same_address(one.socket, listener.bind):
            left.remove(one)
            return one.socket
    return None


def _same_address(sock: socket.socket, address: Address) -> bool:
    bound = sock.getsockname()
    if isinstance(address, UnixAddress):
        return bound == str(address.path)
    return isinstance(bound, tuple) and bound[:2] == (address.host, address.port)


def _tcp(address: TcpAddress, *, reuse_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # `[::]` means IPv6 only: two listeners, one for each family, never depend on a sysctl.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, address.port))
    except BaseException:
        sock.close()
        raise
    return sock


def _refuse_if_taken(address: TcpAddress) -> None:
    """SO_REUSEPORT would let two instances share a port without a word, each with keys and policy of its own."""
    _tcp(address, reuse_port=False).close()


def _unix(path: Path, backlog: int, mode: int) -> tuple[socket.socket, FileIdentity]:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        before = os.umask(0o777)  # nobody can connect between bind and chmod
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        path.chmod(mode)
        sock.listen(backlog)
        status = path.lstat()
    except BaseException:
        sock.close()
        raise
    return sock, (status.st_dev, status.st_ino)


def _remove_stale(path: Path) -> None:
    """A socket file outlives its process. It is removed only if nobody listens there any more."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError(errno.EEXIST, "the path exists and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _unlink(path: Path, identity: FileIdentity) -> None:
    with contextlib.suppress(OSError):
        status = path.lstat()
        if (status.st_dev, status.st_ino) == identity:
            path.unlink()


def _drop_first_packets(sock: socket.socket) -> None:
    """A classic BPF program (socket(7), SO_ATTACH_FILTER) over the TCP header: SYN set and ACK not set is dropped."""
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (0x30, 0, 0, 13),  # ldb [13]: the flags
            (0x54, 0, 0, 0x12),  # and #(SYN|ACK)
            (0x15, 0, 1, 0x02),  # jeq #SYN, next, skip
            (0x06, 0, 0, 0),  # ret 0: drop
            (0x06, 0, 0, 0xFFFF_FFFF),  # ret all: take
        )
    )
    code = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(code)))


def cause(error: OSError) -> str:
    """Why a socket cannot be had, with the likely reason."""
    text = (error.strerror or str(error)).lower()
    if error.errno == errno.EADDRINUSE:
        return f"{text}; likely cause: another instance, or another program, listens there"
    if error.errno == errno.EACCES:
        return f"{text}; likely cause: ports below 1024 and other people's directories need rights"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{text}; likely cause: this machine does not have that address"
    return text
