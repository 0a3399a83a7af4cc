"""What is in force: the config and key files as last accepted, compiled once here before any worker sees them.

A reload either yields a whole new [`Reloadable`] or raises [`Refused`] with every problem, and then nothing changes.
The supervisor compiles settings and keys natively itself, so that no worker is asked to take over what cannot be taken
over. What only a restart can change is refused by name.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from pyproxy import config as configs
from pyproxy import keyring, replayfile
from pyproxy._native import Gate, ReplayFilter
from pyproxy.addresses import TcpAddress, UnixAddress
from pyproxy.config import Config, ConfigError
from pyproxy.config_sections import Upstream
from pyproxy.control import ProbeSettings, Reloadable, UpstreamSettings
from pyproxy.events import log
from pyproxy.replay_state import Clearing, ReplayState
from pyproxy.replayfile import FilterFile, Prepared


class Refused(Exception):
    """The files cannot be used. `problems`: one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Configuration:
    """The configuration in force."""

    def __init__(self, path: Path) -> None:
        """Reads the files.

        # Errors
        [`Refused`].
        """
        self.path = path
        self.config = _load(path)
        self._key_warnings: list[str] = []
        self.reloads = 0
        self.reloads_refused = 0
        self.last_problems: tuple[str, ...] = ()
        """Why the last reload was refused; empty if it was not."""
        self._replay: Prepared | None = None
        self.reloadable = self._compile(self.config, generation=1)

    def reload(self) -> Reloadable:
        """Reads the files again, and puts them in force here if nothing is wrong with them.

        # Errors
        [`Refused`]; then everything is as before.
        """
        try:
            config = _load(self.path)
            fixed = configs.restart_needed(self.config, config)
            if fixed:
                raise Refused([f"`{path}` has changed, which only a restart can put in force" for path in fixed])
            reloadable = self._compile(config, self.reloadable.generation + 1)
        except Refused as refused:
            self.reloads_refused += 1
            self.last_problems = refused.problems
            raise
        self.config, self.reloadable = config, reloadable
        self.reloads += 1
        self.last_problems = ()
        return reloadable

    def open_replay(self) -> None:
        """Opens the replay filter, if a listener claims nonces, or makes it. The state directory must be ours.

        # Errors
        `OSError`, `ValueError`: no room, or somebody else's file.
        """
        config = self.config
        if not config.claims_nonces:
            return
        self._replay = replayfile.prepare(
            config.node.state_dir,
            config.replay.path,
            capacity=config.replay.capacity,
            max_age_s=config.signature.max_age_s,
            clock_skew_s=config.signature.clock_skew_s,
        )
        because = self._replay.filter.fresh_because
        log.info("replay filter", path=self._replay.file.path, made_anew_because=because)

    def replay_file(self) -> FilterFile | None:
        """What a worker opens the filter by."""
        return None if self._replay is None else self._replay.file

    def clearing(self, interval_s: float) -> Clearing | None:
        """Our own part in keeping the filter ready."""
        return None if self._replay is None else Clearing(self._replay.filter, interval_s)

    def replay_state(self) -> ReplayState | None:
        """How the filter stands now."""
        return None if self._replay is None else ReplayState.of(self._replay.filter)

    def warnings(self) -> list[str]:
        """What the operator should know of."""
        return [*self.config.warnings(), *self._key_warnings]

    def _compile(self, config: Config, generation: int) -> Reloadable:
        keys: bytes | None = None
        warnings: list[str] = []
        if config.asks_for_signatures and config.keys is not None:
            try:
                verifying = keyring.load_verifying(config.keys.file)
            except keyring.KeyFileError as error:
                raise Refused(str(error).splitlines()) from None
            keys, warnings = verifying.jwk_set, verifying.warnings
        settings = config.settings_json()
        try:
            _compile_natively(settings, keys, config)
        except ValueError as error:
            raise Refused([f"{self.path}: {line}" for line in str(error).splitlines()]) from None
        self._key_warnings = warnings
        return Reloadable(generation, settings, keys, tuple(_upstream(upstream) for upstream in config.upstreams))


def _compile_natively(settings: bytes, keys: bytes | None, config: Config) -> None:
    """As a worker will. Raises `ValueError`."""
    # Any filter will do to compile with; the real one may not be opened before the state directory is ours.
    filter_ = ReplayFilter.in_memory(
        capacity=1,
        max_age_s=config.signature.max_age_s,
        clock_skew_s=config.signature.clock_skew_s,
        tag_key=secrets.token_bytes(32),
    )
    Gate(settings, keys, seed=secrets.token_bytes(16), replay=filter_)


def _load(path: Path) -> Config:
    try:
        return configs.load(path)
    except ConfigError as error:
        raise Refused(str(error).splitlines()) from None


def _upstream(upstream: Upstream) -> UpstreamSettings:
    health = upstream.health
    return UpstreamSettings(
        name=upstream.name,
        tcp=tuple((each.host, each.port) for each in upstream.endpoints if isinstance(each, TcpAddress)),
        unix=tuple(str(each.path) for each in upstream.endpoints if isinstance(each, UnixAddress)),
        connect_timeout_s=upstream.connect_timeout_s,
        max_waiting=upstream.max_waiting,
        max_connections=upstream.max_connections,
        max_idle=upstream.max_idle,
        idle_timeout_s=upstream.idle_timeout_s,
        eject_after=upstream.eject_after,
        eject_for_s=upstream.eject_for_s,
        max_ejected_percent=upstream.max_ejected_percent,
        resolve_interval_s=upstream.resolve_interval_s,
        health=None
        if health is None
        else ProbeSettings(
            path=health.path,
            host=health.host,
            interval_s=health.interval_s,
            timeout_s=health.timeout_s,
            unhealthy_after=health.unhealthy_after,
            healthy_after=health.healthy_after,
        ),
    )
