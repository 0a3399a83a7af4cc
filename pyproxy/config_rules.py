"""What must hold between the sections of a config file, and what is allowed but worth a warning.

The rules look at whatever could be read, so that a mistake in one place does not hide one in another; a rule that would
have to guess (does this upstream exist, when one of them could not be read?) stays silent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from pyproxy.addresses import Address
from pyproxy.config_sections import Admin, Document, Listener, Route, Upstream
from pyproxy.quantities import shown_duration
from pyproxy.toml_lines import Key
from pyproxy.toml_reading import UNREAD, Partial, clipped, did_you_mean

Refuse = Callable[[tuple[Key, ...], str], None]


def problems_between(values: Mapping[str, object], refuse: Refuse) -> None:
    """Calls `refuse` for every rule that is broken. `values` are the sections by attribute name, as far as read."""
    listeners: list[tuple[int, Listener]] = list(_items(values["listeners"]))
    upstreams: list[tuple[int, Upstream]] = list(_items(values["upstreams"]))
    routes: list[tuple[int, Route]] = list(_items(values["routes"]))

    for section, items in (("listener", listeners), ("upstream", upstreams), ("route", routes)):
        _unique(section, "name", ((index, item.name) for index, item in items), refuse)
    _addresses(listeners, values["admin"], refuse)
    _routes(routes, refuse)
    if not isinstance(values["upstreams"], Partial) and values["upstreams"] is not UNREAD:
        names = [upstream.name for _, upstream in upstreams]
        for index, route in routes:
            if route.upstream not in names:
                near = did_you_mean(route.upstream, names) if names else "; there is no `[[upstream]]`"
                refuse(("route", index, "upstream"), f"no upstream is named `{clipped(route.upstream)}`{near}")
    if values["listeners"] == ():
        refuse(("listener",), "at least one `[[listener]]` is required")
    if values["keys"] is None:
        for index, listener in listeners:
            if listener.asks_for_signatures:
                refuse(
                    ("listener", index, "authenticate"),
                    'asks for signatures, but nobody may sign: section `[keys]` with `file = "keys.json"` is missing',
                )


def warnings(config: Document) -> list[str]:
    """What the file allows that somebody should know of, one sentence each, the gravest first."""
    said: list[str] = []
    for listener in config.listeners:
        if not listener.authenticate.credentials:
            said.append(f"listener `{listener.name}`: nothing is verified: every call is forwarded, whoever makes it")
            if not (listener.bind.is_loopback):
                said.append(f"listener `{listener.name}`: and other machines can reach it at {listener.bind}")
        elif listener.freshness == "none":
            said.append(
                f"listener `{listener.name}`: replays are accepted: a signed call that was overheard can be repeated"
            )
    if config.asks_for_signatures:
        said += _coverage_warnings(config.signature.require)
    for upstream in config.upstreams:
        for endpoint in upstream.endpoints:
            if any(endpoint == listener.bind for listener in config.listeners):
                said.append(f"upstream `{upstream.name}`: endpoint {endpoint} is this proxy itself: calls may circle")
        if not any(route.upstream == upstream.name for route in config.routes):
            said.append(f"upstream `{upstream.name}`: no route leads to it")
    if not config.routes:
        said.append("there is no `[[route]]`: every authenticated call is answered 404")
    window_s = config.signature.max_age_s + 2 * config.signature.clock_skew_s
    if config.claims_nonces and window_s > 3600:
        said.append(
            f"signature: a window of {shown_duration(window_s)} keeps every nonce that long: "
            "replay.capacity must hold all calls of it"
        )
    said.append("authorize = allow_all: whoever is authenticated may call everything that has a route")
    said.append("audit is off: what happened is not written to a log that others could verify")
    return said


def _coverage_warnings(require: tuple[str, ...]) -> Iterator[str]:
    covered = {component.partition(";")[0] for component in require}
    for component, instead, lets in (
        ("@method", set[str](), "turn a signed GET into a DELETE"),
        ("@authority", {"@target-uri"}, "send a signed call to another host"),
        ("@path", {"@target-uri", "@request-target"}, "send a signed call to another path"),
        ("@query", {"@target-uri", "@request-target"}, "change a signed call's query"),
    ):
        if component not in covered and not covered & instead:
            yield f"signature.require does not cover `{component}`: who overhears a call first can {lets}"


def _addresses(listeners: list[tuple[int, Listener]], admin: object, refuse: Refuse) -> None:
    # With SO_REUSEPORT a second bind succeeds, and the kernel would share the calls out between two different gates.
    seen: dict[Address, str] = {}
    for index, listener in listeners:
        if listener.bind in seen:
            refuse(("listener", index, "bind"), f"`{listener.bind}` is bound by {seen[listener.bind]} already")
        seen.setdefault(listener.bind, f"listener[{index}]")
    if isinstance(admin, Admin) and admin.bind in seen:
        refuse(("admin", "bind"), f"`{admin.bind}` is bound by {seen[admin.bind]} already")


def _routes(routes: list[tuple[int, Route]], refuse: Refuse) -> None:
    seen: dict[tuple[str, str], int] = {}
    for index, route in routes:
        first = seen.setdefault((route.host, route.path), index)
        if first != index:
            refuse(("route", index), f"host `{route.host}` and path `{route.path}` are those of route[{first}] already")


def _unique(section: str, key: str, names: Iterator[tuple[int, str]], refuse: Refuse) -> None:
    seen: dict[str, int] = {}
    for index, name in names:
        first = seen.setdefault(name, index)
        # Routes without a name are named by host and path: that these are equal is said by the rule about routes.
        if first != index and not (section == "route" and "/" in name):
            refuse((section, index, key), f"`{clipped(name)}` is the name of {section}[{first}] already")


def _items(section: object) -> Iterator[tuple[int, Any]]:
    """The items that could be read, with their index in the file."""
    items: tuple[object, ...] = ()
    if isinstance(section, Partial):
        items = section.items
    elif isinstance(section, tuple):
        items = cast(tuple[object, ...], section)
    return ((index, item) for index, item in enumerate(items) if item is not UNREAD and not isinstance(item, Partial))
