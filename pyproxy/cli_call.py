"""How `pyproxy sign` and `pyproxy call` are spelled. What they do is `call.py`'s."""

from __future__ import annotations

import argparse
from typing import Any, Final

from pyproxy.cli_keys import keys_argument
from pyproxy.cli_shape import Run, command
from pyproxy.signing import COMPONENTS

_SIGN: Final = """
    exit status:
      0  signed
      1  it could not be signed; standard error says why
      2  a mistake in the command line

    examples:
      pyproxy sign --keys keys.json --kid me --curl GET http://127.0.0.1:8080/v1/orders -H 'Host: orders.internal'
      pyproxy sign --keys keys.json --kid me POST http://orders.internal/v1/orders --data @order.json
"""

_CALL: Final = """
    exit status:
      0   answered with a status below 400
      1   it could not be signed; standard error says why
      2   a mistake in the command line
      7   no answer
      22  answered with 400 or above; the body, which says why, is printed all the same

    examples:
      pyproxy call --keys keys.json --kid me GET http://127.0.0.1:8080/v1/orders -H 'Host: orders.internal'
      pyproxy call --keys keys.json --kid me -i POST http://orders.internal/v1/orders --data @order.json
"""


def add(commands: Any, run_sign: Run, run_call: Run) -> None:
    """Adds `sign` and `call` to the command line."""
    sign = command(
        commands,
        "sign",
        run_sign,
        summary="sign a request and print what to add",
        description="""Signs one request (RFC 9421) and prints the header fields to add, or with --curl a complete
        command line. A signature passes once, and only while it is young: sign again to send again.""",
        epilog=_SIGN,
    )
    _request_arguments(sign)
    sign.add_argument("--curl", action="store_true", help="print a curl command line that sends the request")
    called = command(
        commands,
        "call",
        run_call,
        summary="sign a request and send it: curl for signed services",
        description="""Signs one request (RFC 9421), sends it and prints the body of the answer. It goes straight to the
        host of the URL: proxies in the environment are not used, redirects not followed, nothing is sent twice.""",
        epilog=_CALL,
    )
    _request_arguments(called)
    called.add_argument("-i", "--include", action="store_true", help="print status line and header fields too")
    called.add_argument("--timeout", type=_seconds, default=30.0, metavar="SECONDS", help="without progress (30)")
    called.add_argument("--cacert", metavar="FILE", help="certificates (PEM) to trust instead of the usual ones")


def _request_arguments(to: argparse.ArgumentParser) -> None:
    to.add_argument("method", metavar="METHOD", help="GET, POST, ...")
    to.add_argument("url", metavar="URL", help="http://... or https://..., signed and sent as it stands")
    keys_argument(to)
    to.add_argument("--kid", help="which key; not needed if the file has only one that can sign")
    to.add_argument(
        "-H",
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a further field; a Host goes before the URL's",
    )
    to.add_argument("--data", metavar="TEXT|@FILE", help="the body: this text, or what is in FILE (@-: standard input)")
    to.add_argument(
        "--component",
        action="append",
        metavar="NAME",
        help=f"a covered component, instead of {', '.join(COMPONENTS)} and content-type; repeat it for more. "
        "content-digest is added whenever there is a body",
    )
    to.add_argument("--expires-in", type=_whole_seconds, metavar="SECONDS", help="say when it becomes void")
    to.add_argument("--unix-socket", metavar="PATH", help="connect there instead of to the URL's host")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 1e6:
        raise ValueError
    return seconds


def _whole_seconds(text: str) -> int:
    seconds = int(text)
    if not 0 < seconds < 1_000_000:
        raise ValueError
    return seconds


_seconds.__name__ = "number of seconds"  # argparse says: invalid ... value
_whole_seconds.__name__ = "whole number of seconds"
