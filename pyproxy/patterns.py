"""The small languages of the config file: node names, host and path patterns of routes, component identifiers.

A pattern is written the way a path looks when every reading of it agrees (no `%`, `//`, `/.`, `;`, `\\`): one that is
not could never be matched, because a call whose readings lead to different routes is refused.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pyproxy.addresses import is_host_name
from pyproxy.toml_reading import Expected, Reading, did_you_mean

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
#: A field name (RFC 9110 section 5.1: token), in lower case as RFC 9421 section 2.1 wants it.
_FIELD: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,256}", re.ASCII)
_PARAMETER: Final = re.compile(r';(?:(sf|bs)|(key|name)="((?:[^"\\]|\\["\\])*)"|([a-z*][a-z0-9_.*-]*)[^;]*)', re.ASCII)
_DERIVED: Final = (
    "@method",
    "@target-uri",
    "@authority",
    "@scheme",
    "@request-target",
    "@path",
    "@query",
    "@query-param",
)


def _name(value: object, _: Path) -> str:
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    raise Expected("a name of 1 to 64 letters, digits, `.`, `_`, `-`")


def _host(value: object, _: Path) -> str:
    expected = "a host like `orders.internal`, `*.internal` (one or more labels) or `*`"
    if not isinstance(value, str):
        raise Expected(expected)
    host = value.lower()
    if host == "*":
        return host
    suffix = host.removeprefix("*.")
    if "*" in suffix:
        raise Expected(expected, "`*` can only be the whole host or its first label")
    if re.fullmatch(r"\[[0-9a-f:.]+\]", suffix) and suffix == host:
        return host
    if suffix.endswith("."):
        raise Expected(expected, "leave out the final dot: it makes no difference to a match")
    if re.search(r":[0-9]*$", suffix):
        raise Expected(expected, "likely cause: a port; a route matches its host on every port")
    if not is_host_name(suffix) and not re.fullmatch(r"[0-9]+(\.[0-9]+){3}", suffix):
        raise Expected(expected, "likely cause: a URL; only the host goes here" if "/" in suffix else "")
    return host


def _path(value: object, _: Path) -> str:
    expected = "a path like `/v1` (itself only) or `/v1/*` (itself and everything below it)"
    if not isinstance(value, str) or not value.startswith("/"):
        raise Expected(expected, "it begins with `/`")
    if "*" in value.removesuffix("/*"):
        raise Expected(expected, "`*` can only be the last segment, whole")
    for sign, cause in (
        ("?", "a route does not look at the query"),
        ("#", "a fragment never reaches a server"),
        ("%", "write the decoded path"),
        (";", "path parameters read differently in different servers: such a call is refused as ambiguous"),
        ("\\", "a backslash reads as `/` in some servers: such a call is refused as ambiguous"),
        ("//", "some servers merge slashes: such a call is refused as ambiguous"),
    ):
        if sign in value:
            raise Expected(expected, f"`{sign}` in it could never match: {cause}")
    if re.search(r"/\.\.?(/|$)", value):
        raise Expected(expected, "dot segments are resolved before a match")
    if not re.fullmatch(r"[!-~]{1,1024}", value):
        raise Expected(expected, "at most 1024 visible ASCII characters: anything else arrives percent-encoded")
    return value


def _target(value: object, _: Path) -> str:
    if isinstance(value, str) and re.fullmatch(r"/[!-~]{0,1023}", value) and "#" not in value:
        return value
    raise Expected("a path like `/healthz`, visible ASCII")


def _host_header(value: object, _: Path) -> str:
    if isinstance(value, str):
        host, _colon, port = value.partition(":") if not value.startswith("[") else (value, "", "")
        if re.fullmatch(r"\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?", host) or (
            (is_host_name(host) or re.fullmatch(r"[0-9]+(\.[0-9]+){3}", host))
            and (not _colon or re.fullmatch(r"[0-9]{1,5}", port, re.ASCII))
        ):
            return value
    raise Expected("a host like `orders.internal` or `orders.internal:8080`")


def _component(value: object, _: Path) -> str:
    expected = 'a component identifier like `@method`, `content-type` or `@query-param;name="id"` (RFC 9421 section 2)'
    if not isinstance(value, str):
        raise Expected(expected)
    name, _semicolon, _rest = value.partition(";")
    parameters = value[len(name) :]
    if name.startswith("@") and name not in _DERIVED:
        cause = "it belongs to responses" if name == "@status" else did_you_mean(name, _DERIVED).removeprefix("; ")
        raise Expected(expected, cause)
    if name.startswith('"'):
        raise Expected(expected, "likely cause: quotes around the name; leave them out")
    if not name.startswith("@") and not _FIELD.fullmatch(name):
        raise Expected(expected, "field names are in lower case" if name.lower() != name else "")
    given = _parameters(parameters, expected)
    if name == "@query-param" and "name" not in given:
        raise Expected(expected, '`@query-param` needs `;name="..."` (RFC 9421 section 2.2.8)')
    allowed = {"name"} if name == "@query-param" else set[str]() if name.startswith("@") else {"sf", "bs", "key"}
    if not given <= allowed:
        raise Expected(expected, f"`{name}` does not take `;{min(given - allowed)}` in a request")
    if "bs" in given and len(given) > 1:
        raise Expected(expected, "`bs` excludes `sf` and `key` (RFC 9421 section 2.1)")
    return value


def _parameters(text: str, expected: str) -> set[str]:
    given: set[str] = set()
    at = 0
    while at < len(text):
        parameter = _PARAMETER.match(text, at)
        if parameter is None:
            raise Expected(expected, "its parameters are not well formed (RFC 9651 section 3.1.2)")
        name = parameter[1] or parameter[2] or parameter[4]
        if name in given:
            raise Expected(expected, f"`;{name}` stands there twice")
        given.add(name)
        at = parameter.end()
    return given


def _field_name(value: object, _: Path) -> str:
    if isinstance(value, str) and _FIELD.fullmatch(value):
        return value
    cause = "field names are in lower case" if isinstance(value, str) and value.lower() != value else ""
    raise Expected("a field name like `content-type`", cause)


#: A node's, listener's or upstream's name: what `Via`, `Forwarded`, metrics and logs can hold unquoted.
NAME: Final = Reading(_name)
#: The host of a route, in lower case.
HOST_PATTERN: Final = Reading(_host)
#: The path of a route.
PATH_PATTERN: Final = Reading(_path)
#: The target of a health check.
TARGET: Final = Reading(_target)
#: A `Host` that we send.
HOST: Final = Reading(_host_header)
#: What a signature must cover.
COMPONENT: Final = Reading(_component)
#: A field that must be covered when it is there.
FIELD_NAME: Final = Reading(_field_name)
