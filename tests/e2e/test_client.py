"""`pyproxy.client` and `pyproxy call` over real connections: what arrives there verifies.

The server is one that only writes down what came, byte for byte, and judges it by the core's verifier: what a signature
covers must be what a client library really sends, not what it was asked to send.
"""

import asyncio
import http.server
import json
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from http_message_signatures.algorithms import ED25519  # pyright: ignore[reportPrivateImportUsage]
from http_message_signatures.resolvers import HTTPSignatureKeyResolver
from http_message_signatures.signatures import HTTPMessageVerifier
from http_message_signatures.structures import CaseInsensitiveDict

from pyproxy import cli, keygen, keyring
from pyproxy._native import SignatureRefused, verify_request
from pyproxy.client import SignatureAuth, SigningError, SigningKey, sign_request

ME = "spiffe://example.org/me"


class Arrived(NamedTuple):
    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes


class Server(NamedTuple):
    url: str
    arrived: list[Arrived]
    jwk_set: bytes

    def verified(self, index: int = -1) -> str:
        """The key id of the signature of what arrived; raises what a gate would refuse it for."""
        call = self.arrived[index]
        host = next(value for name, value in call.fields if name.lower() == "host")
        url = f"http://{host}{call.target}"
        return verify_request(self.jwk_set, call.method, url, call.fields, call.body, int(time.time()))[0]


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        # Not `self.path`: it reads `//x` as `/x`.
        call = Arrived(self.command, self.requestline.split(" ")[1], self.headers.items(), body)
        self.server.arrived.append(call)  # type: ignore[attr-defined]
        status = int(self.headers.get("X-Status", 200))
        self.send_response(status)
        if location := self.headers.get("X-Location"):
            self.send_header("Location", location)
        content = b"" if self.command == "HEAD" else b"seen\n"
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _answer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys.json"
    keyring.add(file, keygen.generate("me", "ed25519", ME))
    return file


@pytest.fixture
def server(keys: Path) -> Iterator[Server]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as listening:
        listening.arrived = []  # type: ignore[attr-defined]
        threading.Thread(target=listening.serve_forever, daemon=True, kwargs={"poll_interval": 0.01}).start()
        arrived: list[Arrived] = listening.arrived  # type: ignore[attr-defined]
        yield Server(f"http://127.0.0.1:{listening.server_port}", arrived, keyring.load_verifying(keys).jwk_set)
        listening.shutdown()


@pytest.fixture
def auth(keys: Path) -> SignatureAuth:
    return SignatureAuth(SigningKey.from_file(keys))


# --- the Auth for httpx ---

TARGETS = ["", "/", "/a/../b", "/a%2Fb?x=%20&y=ä", "/ö?", "//x", "/a;b=c?d=e&d=f", "/a b"]


@pytest.mark.parametrize("target", TARGETS)
def test_what_httpx_sends_verifies(server: Server, auth: SignatureAuth, target: str):
    with httpx.Client(auth=auth) as client:
        for method in ("GET", "HEAD", "DELETE"):
            assert client.request(method, server.url + target).status_code == 200
            assert server.verified() == "me"


@pytest.mark.parametrize("target", TARGETS)
def test_what_the_async_client_sends_verifies(server: Server, auth: SignatureAuth, target: str):
    async def calls() -> None:
        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            yield b"two"

        async with httpx.AsyncClient(auth=auth) as client:
            answers = await asyncio.gather(*(client.get(server.url + target) for _ in range(4)))
            assert [answer.status_code for answer in answers] == [200] * 4
            assert (await client.post(server.url + target, content=parts())).status_code == 200

    asyncio.run(calls())
    assert [server.verified(index) for index in range(5)] == ["me"] * 5
    assert server.arrived[-1].body == b"onetwo"


@pytest.mark.parametrize(
    "body",
    [
        {"content": b"x" * 100_000},
        {"content": b""},
        {"json": {"a": "ä"}},
        {"data": {"a": "b c"}},
        {"files": {"a": b"b"}},
        {"content": [b"one", b"two"]},
        {"content": [b""]},
    ],
)
def test_every_kind_of_body_is_covered(server: Server, auth: SignatureAuth, body: dict[str, Any]):
    assert httpx.post(server.url, auth=auth, **body).status_code == 200
    assert server.verified() == "me"
    call = server.arrived[-1]
    fields = {name.lower(): value for name, value in call.fields}
    assert ("content-digest" in fields) == (bool(call.body) or "transfer-encoding" in fields)
    altered = call._replace(body=call.body + b"x")
    server.arrived.append(altered)
    with pytest.raises(SignatureRefused):
        server.verified()


def test_a_host_given_by_hand_is_the_one_that_is_signed(server: Server, auth: SignatureAuth):
    httpx.get(server.url, auth=auth, headers={"Host": "orders.internal"})
    assert ("Host", "orders.internal") in server.arrived[-1].fields
    assert server.verified() == "me"


def test_a_request_sent_twice_is_signed_twice(server: Server, auth: SignatureAuth):
    with httpx.Client(auth=auth) as client:
        request = client.build_request("POST", server.url, content=b"x")
        client.send(request)
        client.send(request)
    assert server.verified(0) == server.verified(1) == "me"
    inputs = [dict(call.fields)["Signature-Input"] for call in server.arrived]
    assert inputs[0] != inputs[1]


def test_a_target_given_by_extension_is_the_one_that_is_signed(server: Server, auth: SignatureAuth):
    httpx.Client(auth=auth).get(server.url, extensions={"target": b"/as/../it?is"})
    assert server.arrived[-1].target == "/as/../it?is"
    assert server.verified() == "me"


def test_a_component_that_is_not_there_is_an_error_before_anything_is_sent(server: Server, keys: Path):
    auth = SignatureAuth(SigningKey.from_file(keys), components=["@method", "x-absent"])
    with pytest.raises(SigningError, match="x-absent"):
        httpx.get(server.url, auth=auth)
    assert server.arrived == []


# --- the plain function ---


def test_the_plain_function_signs_for_any_client(server: Server, keys: Path):
    import http.client

    key = SigningKey.from_file(keys)
    headers = {"Content-Type": "text/plain"}
    added = sign_request("PUT", f"{server.url}/x?y", headers, b"body", key=key)
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    connection.request("PUT", "/x?y", b"body", headers | added)
    assert connection.getresponse().status == 200
    connection.close()
    assert server.verified() == "me"
    assert '"content-type"' in added["Signature-Input"]


def test_another_implementation_verifies_what_the_plain_function_signs(keys: Path):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from pyproxy.keyring import load_verifying

    jwk = json.loads(load_verifying(keys).jwk_set)["keys"][0]

    class Keys(HTTPSignatureKeyResolver):
        def resolve_public_key(self, key_id: str) -> Any:
            import base64

            assert key_id == "me"
            return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(jwk["x"] + "=="))

    added = sign_request("POST", "https://a.example/x?y=z", {}, b"{}", key=SigningKey.from_file(keys))

    class Message:
        method = "POST"
        url = "https://a.example/x?y=z"
        headers = CaseInsensitiveDict(added)

    verifier = HTTPMessageVerifier(signature_algorithm=ED25519, key_resolver=Keys())
    results = verifier.verify(Message())
    assert [result.parameters["keyid"] for result in results] == ["me"]
    assert '"content-digest"' in str([*results[0].covered_components])


# --- pyproxy call, and the line for curl ---


def call(keys: Path, *words: str) -> int:
    return cli.main(["call", "--keys", str(keys), *words])


def test_call_signs_sends_and_prints_the_body(server: Server, keys: Path, capfd: pytest.CaptureFixture[str]):
    assert call(keys, "POST", f"{server.url}/a/../b?c", "--data", "x", "-H", "Host: orders.internal", "-H", "X: y") == 0
    assert capfd.readouterr().out == "seen\n"
    assert server.verified() == "me"
    arrived = server.arrived[-1]
    assert (arrived.target, arrived.body) == ("/a/../b?c", b"x")
    assert ("X", "y") in arrived.fields


def test_call_includes_the_head_if_asked(server: Server, keys: Path, capfd: pytest.CaptureFixture[str]):
    assert call(keys, "-i", "GET", server.url) == 0
    said = capfd.readouterr().out
    assert said.startswith("HTTP/1.1 200 OK\r\n")
    assert said.endswith("\r\n\r\nseen\n")


def test_call_ends_as_curl_does(server: Server, keys: Path, capfd: pytest.CaptureFixture[str]):
    assert call(keys, "GET", server.url, "-H", "X-Status: 403") == 22
    said = capfd.readouterr()
    assert said.out == "seen\n"
    assert "answered 403" in said.err
    assert call(keys, "GET", server.url, "-H", "X-Status: 302", "-H", f"X-Location: {server.url}/x") == 0
    assert len(server.arrived) == 2
    assert call(keys, "GET", "http://127.0.0.1:1/") == 7
    assert "no answer from 127.0.0.1:1" in capfd.readouterr().err


def test_call_ignores_proxies_of_the_environment(server: Server, keys: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert call(keys, "GET", server.url) == 0


def test_call_reaches_a_unix_socket(keys: Path, tmp_path: Path):
    class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True
        arrived: list[Arrived] = []  # noqa: RUF012

    socket = str(tmp_path / "s")
    with UnixServer(socket, Recorder) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True, kwargs={"poll_interval": 0.01}).start()
        assert call(keys, "GET", "http://orders.internal/x", "--unix-socket", socket) == 0
        listening.shutdown()
    assert ("Host", "orders.internal") in UnixServer.arrived[-1].fields


@pytest.mark.parametrize(
    "words",
    [
        ["GET", "/a/../b?x[1]=%20"],
        ["HEAD", "/"],
        ["POST", "/", "--data", "it's @not a file"],
        ["PUT", "/", "--data", "@FILE"],
        ["POST", "/", "--data", "", "-H", "X-Empty:"],
        ["DELETE", "/x", "-H", "Host: orders.internal", "-H", "Content-Type: a/b", "--data", "x"],
    ],
)
def test_the_line_for_curl_sends_what_was_signed(
    server: Server, keys: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], words: list[str]
):
    content = bytes(range(256)) + b"\r\n"
    (tmp_path / "body file").write_bytes(content)
    method, target, *rest = [word.replace("@FILE", f"@{tmp_path}/body file") for word in words]
    assert cli.main(["sign", "--curl", "--keys", str(keys), method, server.url + target, *rest]) == 0
    line = capfd.readouterr().out
    subprocess.run(["/bin/sh", "-c", line.replace("curl ", "curl -sS ", 1)], check=True, stdout=subprocess.DEVNULL)
    assert server.verified() == "me"
    assert (server.arrived[-1].method, server.arrived[-1].target) == (method, target)
    if "@FILE" in words:
        assert server.arrived[-1].body == content


def test_a_signed_body_can_come_from_standard_input(server: Server, keys: Path):
    command = [sys.executable, "-m", "pyproxy.cli", "call", "--keys", str(keys), "POST", server.url, "--data", "@-"]
    assert subprocess.run(command, input=b"\0\xff", check=True, stdout=subprocess.PIPE).stdout == b"seen\n"
    assert server.arrived[-1].body == b"\0\xff"
    assert server.verified() == "me"
