"""The commands `pyproxy sign` and `pyproxy call`: one signed request, shown or sent.

Both make the same [`Call`] out of the command line. `sign` prints the header fields, or a curl line that sends the very
same bytes; `call` sends it, straight to the host of the url: no proxy from the environment, no redirect, one attempt.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pyproxy.signing import SigningKey, Target, sign_target
from pyproxy.toml_reading import clipped

if TYPE_CHECKING:
    import httpx

#: Exit status of `call` when the answer is 400 or above, and when there is none; both as curl has them.
HTTP_ERROR: Final = 22
NO_ANSWER: Final = 7


class CallError(Exception):
    """The command line does not describe a request that can be sent."""


class Call(NamedTuple):
    """A signed request, complete: nothing is added on its way but Content-Length, Host and what it names itself."""

    method: str
    url: str
    where: Target
    #: All fields in their order, the signature's last.
    fields: list[tuple[str, str]]
    #: The last of them, made here.
    added: dict[str, str]
    body: bytes | None
    #: The file that the body came from.
    body_file: str | None


def signed(arguments: argparse.Namespace) -> Call:
    """The request that the command line describes.

    # Errors
    [`CallError`], `SigningError`, `KeyFileError`.
    """
    body, body_file = _body(arguments.data)
    fields = [_field(line) for line in arguments.header]
    where = Target.of(arguments.url)
    added = sign_target(
        arguments.method,
        where,
        [(name, value.encode()) for name, value in fields],
        body,
        key=SigningKey.from_file(arguments.keys, arguments.kid),
        components=arguments.component or None,
        expires_in_s=arguments.expires_in,
    )
    return Call(arguments.method, arguments.url, where, [*fields, *added.items()], added, body, body_file)


def run_sign(arguments: argparse.Namespace) -> int:
    """`pyproxy sign`."""
    call = signed(arguments)
    if not arguments.curl:
        for name, value in call.added.items():
            print(f"{name}: {value}")
        return 0
    if call.body_file == "-":
        raise CallError("--curl cannot repeat what came from standard input; put it into a file")
    # Arguments of a command line are bytes to the shell; what Python could not decode goes out as it came in.
    sys.stdout.buffer.write(os.fsencode(curl_line(call, arguments.unix_socket)) + b"\n")
    return 0


def curl_line(call: Call, unix_socket: str | None = None) -> str:
    """A shell command that sends this call with curl, changing nothing: its signature passes once."""
    words = ["curl", "--path-as-is", "--globoff"]
    # With --request HEAD curl would wait for a body; without --request it would follow its own mind about --data.
    words += ["--head"] if call.method == "HEAD" else ["--request", call.method]
    if unix_socket:
        words += ["--unix-socket", unix_socket]
    for name, value in call.fields:
        # curl drops `Name:`; `Name;` is its way to send an empty one.
        words += ["--header", f"{name}: {value}" if value else f"{name};"]
    if call.body is not None:
        if "content-type" not in {name.lower() for name, _ in call.fields}:
            words += ["--header", "Content-Type:"]  # or it would claim that this is a form
        words += _curl_data(call)
    words.append(call.url.partition("#")[0])
    return shlex.join(words)


def _curl_data(call: Call) -> list[str]:
    if call.body_file is not None:
        return ["--data-binary", f"@{call.body_file}"]
    return ["--data-raw", os.fsdecode(call.body or b"")]


def run_call(arguments: argparse.Namespace) -> int:
    """`pyproxy call`."""
    import httpx  # here: it is slow to import, and no other command needs it

    call = signed(arguments)
    request = httpx.Request(
        call.method,
        _reached(call.where),
        headers=_with_defaults(call.fields),
        content=call.body,
        # The target as it was signed: httpx would tidy it up.
        extensions={"target": call.where.target.encode(), "timeout": httpx.Timeout(arguments.timeout).as_dict()},
    )
    try:
        transport = httpx.HTTPTransport(uds=arguments.unix_socket, verify=_trusted(arguments.cacert), trust_env=False)
        with httpx.Client(transport=transport, trust_env=False) as client:
            answer = client.send(request, stream=True)
            _print_answer(answer, arguments.include)
    except httpx.HTTPError as error:
        detail = str(error) or type(error).__name__
        print(f"pyproxy call: no answer from {call.where.authority}: {clipped(detail)}", file=sys.stderr)
        return NO_ANSWER
    if answer.status_code >= 400:
        print(f"pyproxy call: answered {answer.status_code} {answer.reason_phrase}", file=sys.stderr)
        return HTTP_ERROR
    return 0


def _reached(where: Target) -> str:
    # Only scheme and host are taken from it: the target goes its own way. A host that httpx cannot read is a mistake.
    return f"{where.scheme}://{where.authority}/"


def _with_defaults(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    named = {name.lower() for name, _ in fields}
    defaults = [("Accept", "*/*"), ("User-Agent", "pyproxy")]
    return [*(default for default in defaults if default[0].lower() not in named), *fields]


def _trusted(cacert: str | None) -> ssl.SSLContext | bool:
    if cacert is None:
        return True
    try:
        return ssl.create_default_context(cafile=cacert)
    except OSError as error:
        raise CallError(f"--cacert {cacert}: {error.strerror or 'not certificates in PEM'}") from None


def _print_answer(answer: httpx.Response, include: bool) -> None:
    out = sys.stdout.buffer
    if include:
        out.write(f"{answer.http_version} {answer.status_code} {answer.reason_phrase}\r\n".encode())
        for name, value in answer.headers.raw:
            out.write(name + b": " + value + b"\r\n")
        out.write(b"\r\n")
    for part in answer.iter_raw():
        out.write(part)
        out.flush()
    out.flush()


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise CallError(f"--header: expected `Name: value`, got `{clipped(line)}`")
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
        raise CallError(f"--header {name}: its value holds a control character")
    if name.lower() in ("content-length", "transfer-encoding", "connection"):
        raise CallError(f"--header {name}: how the message is framed is not yours to say here")
    return name, value.strip(" \t")


def _body(data: str | None) -> tuple[bytes | None, str | None]:
    """The body, and the file that it came from."""
    if data is None or not data.startswith("@"):
        return (None, None) if data is None else (os.fsencode(data), None)
    name = data[1:]
    if name == "-":
        return sys.stdin.buffer.read(), name
    try:
        return Path(name).read_bytes(), name
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CallError(f"--data @{clipped(name)}: cannot be read: {reason.lower()}") from None
