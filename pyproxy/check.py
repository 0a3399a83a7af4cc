"""The command `pyproxy check`: what `serve` would do with this file, without doing it.

Everything that can be known before start is looked at: the file itself, the keys, how much memory would be taken; the
gates are compiled as a worker compiles them. Nothing is bound, resolved, created or locked.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyproxy import keyring
from pyproxy._native import ReplayFilter
from pyproxy.config import Config, Listener, Route, Upstream
from pyproxy.configuration import Configuration
from pyproxy.quantities import shown_duration, shown_size


def run(arguments: argparse.Namespace) -> int:
    """`pyproxy check`. Raises what would stop `serve`: `configuration.Refused`."""
    configuration = Configuration(Path(arguments.config))
    config, said = configuration.config, configuration.warnings()
    # Without a listener that asks for signatures the file of keys is not read, by `serve` either.
    keys = keyring.entries(config.keys.file) if config.keys and config.asks_for_signatures else []
    if arguments.json:
        print(json.dumps(describe(config, keys, said), indent=2))
    else:
        print("\n".join(text(config, keys, said)))
    return 0


def memory(config: Config) -> dict[str, int]:
    """Bytes at most: what is allocated at start, and what calls can make us hold besides."""
    replay = ReplayFilter.memory_bytes(config.replay.capacity) if config.claims_nonces else 0
    held = config.limits.max_held_worker_bytes * config.node.workers
    return {"replay_filter": replay, "held_bodies_at_most": held}


def in_order(routes: tuple[Route, ...]) -> list[Route]:
    """Routes, the more specific first: of those that match a call, the first in this order takes it."""

    def rank(route: Route) -> tuple[object, ...]:
        kind = 2 if route.host == "*" else 1 if route.host.startswith("*.") else 0
        labels = route.host.count(".")
        prefix = route.path.endswith("/*")
        depth = len(route.path.removesuffix("/*"))
        # Between hosts of one kind, longest suffix; within a host, exact path, then longest prefix; then by name.
        return (kind, -labels if kind == 1 else 0, route.host, prefix, -depth if prefix else 0, route.path)

    return sorted(routes, key=rank)


def describe(config: Config, keys: list[keyring.Entry], said: list[str]) -> dict[str, Any]:
    """For programs. Names are those of the file; times in seconds, sizes in bytes."""
    return {
        "node": {"name": config.node.name, "state_dir": str(config.node.state_dir), "workers": config.node.workers},
        "listeners": [
            {
                "name": listener.name,
                "bind": str(listener.bind),
                "authenticate": {listener.authenticate.mode: [*listener.authenticate.credentials]},
                "freshness": listener.freshness,
                "authorize": listener.authorize,
                "external_scheme": listener.external_scheme,
            }
            for listener in config.listeners
        ],
        "upstreams": [
            {"name": upstream.name, "endpoints": [str(endpoint) for endpoint in upstream.endpoints]}
            for upstream in config.upstreams
        ],
        "routes": [
            {
                "name": route.name,
                "host": route.host,
                "path": route.path,
                "upstream": route.upstream,
                "retry": route.retry,
            }
            for route in in_order(config.routes)
        ],
        "keys": [entry._asdict() for entry in keys],
        "signature": {
            "require": [*config.signature.require],
            "max_age_s": config.signature.max_age_s,
            "clock_skew_s": config.signature.clock_skew_s,
            "window_s": _window_s(config),
        },
        "memory_bytes": memory(config),
        "admin": str(config.admin.bind) if config.admin else None,
        "access_log": config.access_log.path if config.access_log else None,
        "audit": config.audit.durability,
        "warnings": said,
    }


def text(config: Config, keys: list[keyring.Entry], said: list[str]) -> Iterator[str]:
    """For people, line by line."""
    yield f"node {config.node.name}: {_count(config.node.workers, 'worker')}, state in {config.node.state_dir}"
    yield ""
    yield "listeners"
    yield from (f"  {line}" for listener in config.listeners for line in _listener(config, listener))
    yield ""
    yield "routes, the first that matches takes the call"
    width = max((len(route.host + route.path) for route in config.routes), default=0)
    for route in in_order(config.routes):
        host = f", as host {route.upstream_host}" if route.upstream_host else ""
        name = f" ({route.name_asked})" if route.name_asked else ""
        yield f"  {route.host + route.path:<{width}}  -> {route.upstream}{host}; retry {route.retry}{name}"
    yield ""
    yield "upstreams"
    yield from (f"  {line}" for upstream in config.upstreams for line in _upstream(upstream))
    yield ""
    if config.asks_for_signatures:
        yield f"keys{f' of {config.keys.file}' if config.keys else ''}"
        yield from (f"  {line}" for line in table(keys))
        yield ""
    yield "memory"
    sizes = memory(config)
    if config.claims_nonces:
        calls = f"{config.replay.capacity:,} calls in {shown_duration(_window_s(config))}"
        yield f"  replay filter  {shown_size(sizes['replay_filter']):>9}  {calls}, shared by all workers; at start"
    per_worker = shown_size(config.limits.max_held_worker_bytes)
    yield f"  held bodies    {shown_size(sizes['held_bodies_at_most']):>9}  at most: {per_worker} per worker"
    yield ""
    yield f"admin       {config.admin.bind if config.admin else 'off'}"
    yield f"access log  {_access_log(config)}"
    yield f"audit       {config.audit.durability}"
    yield ""
    yield "to know" if said else "nothing to warn of"
    yield from (f"  - {sentence}" for sentence in said)


def table(entries: list[keyring.Entry]) -> list[str]:
    """Keys in columns; never a secret."""
    rows = [("KID", "ALG", "HOLDS", "PRINCIPAL"), *((key.kid, key.alg, key.holds, key.principal) for key in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row[:3], widths, strict=True)), row[3]]) for row in rows
    ]


def _listener(config: Config, listener: Listener) -> Iterator[str]:
    yield f"{listener.name} on {listener.bind}"
    yield from (f"  {line}" for line in _gate(config, listener))
    yield (
        f"  up to {listener.max_connections:,} connections per worker, {listener.backlog:,} more queued; "
        f"callers use {listener.external_scheme}"
    )


def _gate(config: Config, listener: Listener) -> list[str]:
    permits = "permits everything that has a route (allow_all)"
    if not listener.authenticate.credentials:
        return ["verifies NOTHING", permits]
    rules = config.signature
    covered = ", ".join((*rules.require, *(f"{name} if there" for name in rules.require_if_present)))
    clocks = f"clocks may differ by {shown_duration(rules.clock_skew_s)}"
    return [
        f"asks for a signature over {covered}, and content-digest if there is a body",
        f"at most {shown_duration(rules.max_age_s)} old; {clocks}",
        "lets each nonce pass once" if listener.freshness == "claimed" else "lets REPLAYS pass",
        permits,
    ]


def _upstream(upstream: Upstream) -> Iterator[str]:
    yield f"{upstream.name}: {', '.join(map(str, upstream.endpoints))}"
    health = "no health checks"
    if upstream.health:
        health = f"GET {upstream.health.path} every {shown_duration(upstream.health.interval_s)}"
    ejection = "never ejected"
    if upstream.eject_after:
        ejection = f"ejected for {shown_duration(upstream.eject_for_s)} after {upstream.eject_after} failures in a row"
    connect = f"connect within {shown_duration(upstream.connect_timeout_s)}"
    yield f"  {connect}; {upstream.max_waiting:,} calls may wait per worker; {ejection}; {health}"


def _access_log(config: Config) -> str:
    if config.access_log is None:
        return "off"
    return "standard output" if config.access_log.path == "-" else str(Path(config.access_log.path))


def _window_s(config: Config) -> int:
    return config.signature.max_age_s + 2 * config.signature.clock_skew_s


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
