"""What the native core is told (`native/core/src/settings.rs`), and which changes a running proxy cannot take over.

Two sides of one question: everything here is compiled into a worker's gates at start; of it, only keys, routes and
upstreams can be exchanged while calls are running.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from pyproxy.addresses import TcpAddress, UnixAddress
from pyproxy.config_sections import Authenticate, Document, Limits

#: Sections that a reload takes over. Whatever is not named here needs a restart: what is added later is safe.
_RELOADABLE = frozenset({"keys", "routes", "upstreams"})

#: Structs that stand for one value of the file, and so change as a whole.
_VALUES = (TcpAddress, UnixAddress, Authenticate)


def encode(config: Document) -> bytes:
    """The settings as JSON; upstreams are known to routes by index."""
    index = {upstream.name: number for number, upstream in enumerate(config.upstreams)}
    return msgspec.json.encode(
        {
            "node": config.node.name,
            "signature": {
                "require": config.signature.require,
                "require_if_present": config.signature.require_if_present,
                "max_age_s": config.signature.max_age_s,
                "clock_skew_s": config.signature.clock_skew_s,
                "uncovered": config.signature.uncovered,
                "allow_rsa_v1_5": config.signature.allow_rsa_v1_5,
            },
            "limits": _limits(config.limits),
            "listeners": [
                {
                    "name": listener.name,
                    "authenticate": {listener.authenticate.mode: listener.authenticate.credentials},
                    "freshness": listener.freshness,
                    "authorize": listener.authorize,
                    "external_scheme": listener.external_scheme,
                }
                for listener in config.listeners
            ],
            "upstreams": [{"name": upstream.name} for upstream in config.upstreams],
            "routes": [
                {
                    "name": route.name,
                    "host": route.host,
                    "path": route.path,
                    "upstream": index[route.upstream],
                    "upstream_host": route.upstream_host,
                    "retry": route.retry,
                }
                for route in config.routes
            ],
        }
    )


def _limits(limits: Limits) -> dict[str, Any]:
    bounds = msgspec.structs.asdict(limits)
    del bounds["drain_timeout_s"]  # the driver's
    return bounds


def restart_needed(old: Document, new: Document) -> list[str]:
    """Where the two differ in something that a reload cannot change, as paths in the file: `listener[0].bind`."""
    changed: list[str] = []
    for field in msgspec.structs.fields(Document):
        if field.name not in _RELOADABLE:
            changed += _differences(getattr(old, field.name), getattr(new, field.name), field.encode_name)
    return changed


def _differences(old: object, new: object, path: str) -> list[str]:
    if old == new:
        return []
    if isinstance(old, msgspec.Struct) and type(old) is type(new) and not isinstance(old, _VALUES):
        return [
            difference
            for field in msgspec.structs.fields(type(old))
            for difference in _differences(
                getattr(old, field.name), getattr(new, field.name), f"{path}.{field.encode_name}"
            )
        ]
    if isinstance(old, tuple) and isinstance(new, tuple):
        before, after = cast(tuple[object, ...], old), cast(tuple[object, ...], new)
        if len(before) == len(after) and before and isinstance(before[0], msgspec.Struct):
            return [
                difference
                for index, (one, other) in enumerate(zip(before, after, strict=True))
                for difference in _differences(one, other, f"{path}[{index}]")
            ]
    return [path]
