"""Addresses in the config file: where we listen (`bind`) and whom we call (`endpoints`).

`127.0.0.1:8080`, `[::1]:8080`, `unix:/run/pyproxy.sock`; an endpoint may also be `name:port`, and is resolved and
re-resolved while running. A path is relative to the config file's directory.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Final

import msgspec

from pyproxy.toml_reading import Expected, Reading

#: `sun_path` of `sockaddr_un` holds 108 bytes on Linux, the last of which is NUL (unix(7)).
_UNIX_PATH_BYTES: Final = 107
_LABEL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)


class TcpAddress(msgspec.Struct, frozen=True):
    """Host (an IP address without brackets, or in an endpoint a name) and port."""

    host: str
    port: int

    @property
    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The host as an address; None if it is a name."""
        return _ip(self.host)

    @property
    def is_loopback(self) -> bool:
        """Only this machine can reach it."""
        return self.ip is not None and self.ip.is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UnixAddress(msgspec.Struct, frozen=True):
    """A Unix stream socket."""

    path: Path

    @property
    def is_loopback(self) -> bool:
        """Only this machine can reach it."""
        return True

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress


def _bind(value: object, base: Path) -> Address:
    expected = "`address:port`, `[v6 address]:port` or `unix:/path.sock`"
    address = _address(value, base, expected)
    if isinstance(address, UnixAddress) or address.ip is not None:
        return address
    raise Expected(expected, "likely cause: a host name; a listener needs an IP address, `127.0.0.1` or `0.0.0.0` say")


def _local_bind(value: object, base: Path) -> Address:
    address = _bind(value, base)
    if not address.is_loopback:
        raise Expected(
            "a loopback address or `unix:/path.sock`",
            "the admin listener asks nobody who they are; expose it through something that does",
        )
    return address


def _endpoint(value: object, base: Path) -> Address:
    return _address(value, base, "`host:port`, `[v6 address]:port` or `unix:/path.sock`")


#: Where a listener listens.
BIND: Final = Reading(_bind)
#: Where a listener listens that only this machine may reach.
LOCAL_BIND: Final = Reading(_local_bind)
#: Where an upstream is called.
ENDPOINT: Final = Reading(_endpoint)


def _address(value: object, base: Path, expected: str) -> Address:
    if not isinstance(value, str):
        raise Expected(expected, "likely cause: a port alone" if isinstance(value, int) else "")
    if value.startswith("unix:"):
        return UnixAddress(_socket_path(value.removeprefix("unix:"), base, expected))
    if "://" in value:
        raise Expected(expected, "likely cause: a URL; leave out the scheme and the path")
    if value.startswith("/"):
        raise Expected(expected, f"likely cause: `unix:` is missing before `{value[:32]}`")
    host, colon, port = value.rpartition(":")
    if not colon:
        raise Expected(expected, "likely cause: the port is missing")
    if not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or not 1 <= int(port) <= 65535:
        raise Expected(expected, "the port is a number from 1 to 65535")
    if not host or host == "*":
        raise Expected(expected, f"for every address of this machine write `0.0.0.0:{port}` or `[::]:{port}`")
    return TcpAddress(_host(host, expected), int(port))


def _host(host: str, expected: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        inner = host[1:-1]
        if isinstance(_ip(inner), ipaddress.IPv6Address):
            return inner
        raise Expected(expected, "what stands in the brackets is no IPv6 address")
    if ":" in host:
        raise Expected(expected, "likely cause: an IPv6 address without brackets")
    if _ip(host) is not None or is_host_name(host):
        return host
    raise Expected(expected, "the host is neither an IP address nor a host name")


def is_host_name(name: str) -> bool:
    """Labels of letters, digits, `-` and `_` with dots between (RFC 1123, and `_` as service names have it)."""
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        return False
    # A name whose last label is a number would be read as an odd IPv4 address by some resolvers (RFC 3696 section 2).
    return not name.rsplit(".", 1)[-1].isdigit()


def _socket_path(text: str, base: Path, expected: str) -> Path:
    if not text or "\0" in text:
        raise Expected(expected, "the path after `unix:` is empty or has a NUL in it")
    if text.startswith("@"):
        raise Expected(expected, "abstract sockets have no permissions that could guard them; use a path")
    path = base / text
    if len(str(path).encode("utf-8", "surrogateescape")) > _UNIX_PATH_BYTES:
        raise Expected(expected, f"a Unix socket's whole path is at most {_UNIX_PATH_BYTES} bytes (unix(7))")
    return path


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
