"""The command line: `pyproxy serve`, `check`, `keys`, `sign`, `call`.

Parses arguments and hands over; what a command does is its own module's. A mistake of the user is a line on standard
error that says what to change, never a traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from pyproxy import call, check, cli_call, cli_keys
from pyproxy.call import CallError
from pyproxy.cli_shape import Run, command, shaped
from pyproxy.configuration import Refused
from pyproxy.keyring import KeyFileError
from pyproxy.signing import SigningError

#: Status of a command that a mistake in its input stopped; argparse ends with 2 for a mistake in the command line.
FAILED: Final = 1
#: 128 + SIGINT, as a shell says it.
INTERRUPTED: Final = 130

_FIRST_STEPS: Final = """
    first steps:
      pyproxy keys new --kid me --alg ed25519 --principal spiffe://example.org/me --keys keys.json
      pyproxy check -c pyproxy.toml
      pyproxy serve -c pyproxy.toml
      pyproxy call --keys keys.json --kid me GET http://127.0.0.1:8080/v1/orders -H 'Host: orders.internal'

    `pyproxy COMMAND --help` says more about each.
"""

_SERVE: Final = """
    signals (to the supervisor):
      SIGHUP           read the config file and the keys again. Keys, routes and upstreams change at once, no call is
                       lost. A file with a mistake, or with a change that needs a restart (listeners, workers, replay,
                       signature times, limits, ...), is refused by name, and the old one stays in force
      SIGTERM, SIGINT  drain: accept what is queued, finish running calls for at most limits.drain_timeout, end

    exit status:
      0  drained and ended
      1  the config file, the keys or an address could not be used; standard error says what to change
      2  a mistake in the command line

    files:
      CONFIG           TOML; every key with its default is in examples/pyproxy.toml
      keys.file        JWK Set of those who may call. Refused if it holds secrets and others can read it. Give it the
                       output of `pyproxy keys public`: private keys have no place here
      node.state_dir   lock against a second instance, and the replay filter unless replay.path or a memory file
                       system holds it

    example:
      pyproxy serve -c /etc/pyproxy/pyproxy.toml
"""

_CHECK: Final = """
    exit status:
      0  `serve` could use this file
      1  it could not; every mistake is on standard error, with its place, what was expected and what came
      2  a mistake in the command line

    example:
      pyproxy check -c pyproxy.toml && kill -HUP "$(cat pyproxy.pid)"
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    arguments = parser().parse_args(argv)
    run: Run = arguments.command
    try:
        status = run(arguments)
        sys.stdout.flush()
        return status
    except (Refused, KeyFileError, SigningError, CallError) as error:
        for line in str(error).splitlines():
            print(f"pyproxy {arguments.name}: {line}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def parser() -> argparse.ArgumentParser:
    """The whole grammar of the command line."""
    description = "A zero-trust access proxy: every call proven, fresh, permitted and on record."
    top = shaped(argparse.ArgumentParser(prog="pyproxy", description=description), _FIRST_STEPS)
    top.add_argument("--version", action="version", version=f"pyproxy {_version()}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_check(commands)
    cli_keys.add(commands)
    cli_call.add(commands, call.run_sign, call.run_call)
    return top


def _add_serve(commands: Any) -> None:
    serve = command(
        commands,
        "serve",
        _serve,
        summary="run the proxy",
        description="""Runs the proxy in the foreground: a supervisor and its workers. What it does is in the config
        file alone; `pyproxy check` tells it beforehand.""",
        epilog=_SERVE,
    )
    _config_argument(serve)


def _serve(arguments: argparse.Namespace) -> int:
    from pyproxy import supervisor  # here: no other command needs the event loop

    return supervisor.run(Path(arguments.config))


def _add_check(commands: Any) -> None:
    checked = command(
        commands,
        "check",
        check.run,
        summary="say what `serve` would do",
        description="""Reads the config file and the keys, and says what `serve` would do with them: listeners and what
        they ask for, routes in order of precedence, upstreams, keys, memory, and everything that deserves a warning.
        Nothing is bound, resolved or created.""",
        epilog=_CHECK,
    )
    _config_argument(checked)
    checked.add_argument("--json", action="store_true", help="for programs; times in seconds, sizes in bytes")


def _config_argument(to: argparse.ArgumentParser) -> None:
    to.add_argument("-c", "--config", required=True, metavar="CONFIG", help="the config file (TOML)")


def _version() -> str:
    try:
        return metadata.version("pyproxy")
    except metadata.PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
