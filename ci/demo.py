"""The calls of `ci/demo`: an upstream, the proxy in front of it, and four requests of which one may pass.

Everything is done as a person would: keys by `pyproxy keys`, signatures by `pyproxy sign`, the proxy by `pyproxy
serve`. The requests then go over a plain socket, so that "the same bytes again" are the same bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import http.server
import json
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PYPROXY = Path(sys.executable).parent / "pyproxy"
START_TIMEOUT_S = 30.0

CONFIG = """\
[node]
name = "demo"
state_dir = "state"
workers = 2

[keys]
file = "public.json"             # the verifier has no secret: made by `pyproxy keys public`

[signature]
require = ["@method", "@authority", "@path", "@query"]
max_age = "5m"                   # long, so that there is time to paste the curl line
clock_skew = "1s"                # short, as caller and proxy have one clock

[replay]
capacity = 10_000
path = "replay"

[[listener]]
name = "ingress"
bind = "127.0.0.1:{port}"
authenticate = ["signature"]
authorize = "allow_all"

[[upstream]]
name = "orders"
endpoints = ["127.0.0.1:{upstream_port}"]

[[route]]
host = "*"
path = "/v1/*"
upstream = "orders"
"""


class Answer(NamedTuple):
    """What came back for one request."""

    status: int
    reason: str
    """Of a refusal, as the problem details name it; else empty."""
    body: dict[str, object]
    retry_after_s: int


class Upstream(http.server.BaseHTTPRequestHandler):
    """The service that is protected: it answers everything, so whatever is refused was refused before it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Says which call came, and from whom the proxy says that it came."""
        body = json.dumps({"orders": [], "called by": self.headers.get("X-Pyproxy-Principal")}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the calls are told of by who makes them."""


def main() -> int:
    """0 if every answer was the expected one."""
    parser = argparse.ArgumentParser(prog="ci/demo", description="Four calls through pyproxy, of which one may pass.")
    parser.add_argument("--once", action="store_true", help="end after the calls")
    once = parser.parse_args().once
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyproxy-demo-")))
        upstream = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream))
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        stack.callback(upstream.shutdown)

        keys = directory / "keys.json"
        run("keys", "new", "--kid", "me", "--alg", "ed25519", "--principal", "spiffe://example.org/me", "--keys", keys)
        (directory / "public.json").write_text(run("keys", "public", "--keys", keys))
        port = free_port()
        config = directory / "pyproxy.toml"
        config.write_text(CONFIG.format(port=port, upstream_port=upstream.server_address[1]))
        stack.enter_context(serving(config, port))

        url = f"http://127.0.0.1:{port}/v1/orders?open=true"
        sign = ("sign", "--keys", keys, "--kid", "me")
        print(
            f"pyproxy listens on 127.0.0.1:{port}, in front of an upstream on 127.0.0.1:{upstream.server_address[1]}\n"
        )
        expected = make_calls(port, url, lambda: run(*sign, "GET", url))
        if not expected:
            print("an answer was not the expected one; the proxy said:", file=sys.stderr)
            print((directory / "proxy.log").read_text(), file=sys.stderr)
        elif not once:
            serve_until_interrupted(sign, url, config)
        return 0 if expected else 1


def make_calls(port: int, url: str, sign: Callable[[], str]) -> bool:
    """Makes the four calls and tells each; whether all were answered as expected."""
    target = url.partition(f":{port}")[2]
    signed = past_the_fence(port, target, sign)
    calls = [
        ("a signed call", signed, 200, "", "proven, fresh, and the upstream is told who called"),
        ("the same bytes again", signed, 401, "replayed", "its nonce is taken: a copied call is worthless"),
        (
            "a forged call",
            request(port, "/v1/refunds", sign()),
            401,
            "signature-invalid",
            "signed for another path than the one that it asks for",
        ),
        ("an unsigned call", request(port, target, ""), 401, "signature-missing", "nobody answers for it"),
    ]
    all_expected = True
    for what, sent, status, reason, why in calls:
        answer = exchange(port, sent)
        expected = (answer.status, answer.reason) == (status, reason)
        all_expected &= expected
        mark = green("ok") if expected else red(f"NOT OK, expected {status} {reason}")
        print(f"{what + ' ':.<24} {answer.status} {answer.reason or 'forwarded':<18} {mark}   ({why})")
        if answer.status == 200:
            print(f"    {json.dumps(answer.body)}")
    return all_expected


def past_the_fence(port: int, target: str, sign: Callable[[], str]) -> bytes:
    """A signed call that is young enough for a replay filter which has just begun.

    A filter without a past cannot know what was seen before it, so it refuses what may have been signed by then: 503
    with Retry-After. A client waits as told and signs anew, which is done here with a call of its own.
    """
    for _ in range(3):
        answer = exchange(port, request(port, target, sign()))
        if answer.reason != "replay-fenced":
            break
        print(f"the replay filter is new: it refuses what may be older than itself, for {answer.retry_after_s} s\n")
        time.sleep(answer.retry_after_s)
    return request(port, target, sign())


def request(port: int, target: str, signature: str) -> bytes:
    """The bytes of a GET with these header fields, as `pyproxy sign` prints them."""
    fields = "".join(f"{line}\r\n" for line in signature.splitlines())
    return f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{fields}Connection: close\r\n\r\n".encode()


def exchange(port: int, sent: bytes) -> Answer:
    """Sends these bytes on a connection of their own."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(sent)
        response = http.client.HTTPResponse(sock)
        response.begin()
        body = json.loads(response.read())
    reason = str(body.get("reason", "")) if response.status >= 400 else ""
    return Answer(response.status, reason, body, int(response.getheader("Retry-After", "0")))


def serve_until_interrupted(sign: tuple[str | Path, ...], url: str, config: Path) -> None:
    """Shows how to call it by hand, and waits for Ctrl-C."""
    again = shlex.join([str(PYPROXY), *map(str, sign), "--curl", "GET", url])
    print(f"\nconfig: {config}")
    print("\ntry it, within five minutes; the second time it is a replay:\n")
    print(f"  {bold(run(*sign, '--curl', 'GET', url).strip())}\n")
    print(f"a fresh line is made by\n\n  {again}\n")
    print("Ctrl-C ends the demo", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
    print()


@contextlib.contextmanager
def serving(config: Path, port: int) -> Iterator[None]:
    """`pyproxy serve` with this config, from when it takes connections until the end, when it drains."""
    log = config.parent / "proxy.log"
    with log.open("wb") as output:
        # Its own group: Ctrl-C is for the demo, which then ends the proxy in its own time.
        proxy = subprocess.Popen(
            [PYPROXY, "serve", "-c", config], stdout=output, stderr=output, process_group=0, cwd=config.parent
        )
    try:
        end_s = time.monotonic() + START_TIMEOUT_S
        while not listens(port):
            if proxy.poll() is not None or time.monotonic() > end_s:
                sys.exit(f"demo: the proxy did not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough
        proxy.terminate()
        try:
            proxy.wait(15)
        except subprocess.TimeoutExpired:
            proxy.kill()


def listens(port: int) -> bool:
    """Whether something takes connections there."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def run(*arguments: str | Path) -> str:
    """What a `pyproxy` command prints."""
    done = subprocess.run([PYPROXY, *arguments], capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        sys.exit(f"demo: pyproxy {' '.join(map(str, arguments))} failed:\n{done.stderr}")
    return done.stdout


def green(text: str) -> str:
    """For a terminal."""
    return f"\x1b[32m{text}\x1b[0m" if sys.stdout.isatty() else text


def red(text: str) -> str:
    """For a terminal."""
    return f"\x1b[31m{text}\x1b[0m" if sys.stdout.isatty() else text


def bold(text: str) -> str:
    """For a terminal."""
    return f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() else text


if __name__ == "__main__":
    sys.exit(main())
