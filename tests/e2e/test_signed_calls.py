"""Signed calls, from the client's side, through a real proxy to a real upstream: what passes, what is refused, why."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from proxy_process import Proxy, eventually
from upstream_server import UpstreamServer

from pyproxy import cli, keygen, keyring
from pyproxy.client import SignatureAuth, SigningKey, sign_request
from pyproxy.jwk import JOSE_NAMES

SIGNED_LISTENER = """
[keys]
file = "keys.json"

[signature]
clock_skew = "0s"

[replay]
capacity = 10_000
path = "replay"

[[listener]]
name = "ingress"
bind = "127.0.0.1:{port}"
authenticate = ["signature"]
authorize = "allow_all"
"""


class Caller:
    """Someone with keys, and a proxy that knows their public half (and the shared secrets)."""

    def __init__(
        self, directory: Path, start_proxy: Callable[..., Proxy], upstream: UpstreamServer, listener: str
    ) -> None:
        self.private = directory / "mine.json"
        self.verifier = directory / "keys.json"
        self.add("ed25519")
        self.publish()
        self.proxy = start_proxy(upstream, listener=listener, workers=2)
        self.url = f"http://127.0.0.1:{self.proxy.port}"
        self.upstream = upstream
        # What was signed before the filter was made is refused, up to the end of that second.
        eventually(lambda: httpx.get(self.url, auth=self.auth()).status_code == 200, what="a signed call passes")

    def add(self, algorithm: str, kid: str | None = None) -> None:
        keyring.add(self.private, keygen.generate(kid or algorithm, algorithm, f"spiffe://example.org/{algorithm}"))

    def publish(self) -> None:
        jwk_set, _left_out = keyring.public(self.private, with_secrets=True)
        self.verifier.touch(0o600)
        self.verifier.write_bytes(jwk_set)

    def key(self, algorithm: str = "ed25519") -> SigningKey:
        return SigningKey.from_file(self.private, algorithm)

    def auth(self, algorithm: str = "ed25519") -> SignatureAuth:
        return SignatureAuth(self.key(algorithm))


@pytest.fixture
def caller(tmp_path: Path, start_proxy: Callable[..., Proxy], upstream: UpstreamServer) -> Caller:
    return Caller(tmp_path, start_proxy, upstream, SIGNED_LISTENER)


def reason(answer: httpx.Response) -> str:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return str(answer.json()["reason"])


def test_signed_calls_pass_with_every_algorithm_and_every_kind_of_body(caller: Caller):
    assert not any("private keys" in line["event"] for line in caller.proxy.lines)
    for algorithm in JOSE_NAMES.keys() - {"ed25519"}:
        caller.add(algorithm)
    caller.publish()
    caller.proxy.signal(signal.SIGHUP)
    eventually(lambda: httpx.get(caller.url, auth=caller.auth("hmac-sha256")).status_code == 200)
    for algorithm in JOSE_NAMES:
        with httpx.Client(auth=caller.auth(algorithm), base_url=caller.url) as client:
            for method, target, body in (
                ("GET", "/v1/orders?id=%201&x", None),
                ("POST", "/a%20b/ä", b"{}"),
                ("PUT", "/", b"x" * 3_000_000),  # beyond what is held: it streams
                ("PATCH", "/", iter([b"one", b"two"])),
                ("DELETE", "/x", None),
                ("HEAD", "/x", None),
            ):
                answer = client.request(method, target, content=body)
                assert answer.status_code == 200, (algorithm, method, answer.text)
                seen = caller.upstream.seen[-1]
                assert seen.header("X-Pyproxy-Principal") == f"spiffe://example.org/{algorithm}"
            assert caller.upstream.seen[-3].body == b"onetwo"
            assert len(caller.upstream.seen[-4].body) == 3_000_000


def test_many_async_calls_at_once_pass_each_with_its_own_nonce(caller: Caller):
    async def calls() -> list[int]:
        async with httpx.AsyncClient(auth=caller.auth(), base_url=caller.url) as client:
            answers = await asyncio.gather(*(client.post(f"/{number}", content=b"x") for number in range(100)))
            return [answer.status_code for answer in answers]

    assert asyncio.run(calls()) == [200] * 100


def test_the_same_signature_passes_once_whichever_worker_sees_it(caller: Caller):
    added = sign_request("GET", f"{caller.url}/once", key=caller.key())
    answers = [httpx.get(f"{caller.url}/once", headers=added) for _ in range(20)]
    assert [answer.status_code for answer in answers] == [200] + [401] * 19
    assert {reason(answer) for answer in answers[1:]} == {"replayed"}
    assert [seen.target for seen in caller.upstream.seen].count("/once") == 1


def test_every_change_to_a_signed_call_is_refused_for_its_reason(caller: Caller):
    url, key = f"{caller.url}/x?a=b", caller.key()

    def refused(method: str, url: str, body: bytes, headers: dict[str, str]) -> str:
        answer = httpx.request(method, url, content=body, headers=headers)
        assert answer.status_code == 401
        assert "Accept-Signature" in answer.headers
        return reason(answer)

    def fresh() -> dict[str, str]:
        return sign_request("POST", url, body=b"body", key=key)

    old = sign_request("POST", url, body=b"body", key=key, created=int(time.time()) - 60)
    early = sign_request("POST", url, body=b"body", key=key, created=int(time.time()) + 60)
    weak = sign_request("POST", url, body=b"body", key=key, components=["@method", "@path"])
    before = len(caller.upstream.seen)
    assert refused("POST", url, b"body", {}) == "signature-missing"
    assert refused("PUT", url, b"body", fresh()) == "signature-invalid"
    assert refused("POST", url + "c", b"body", fresh()) == "signature-invalid"
    assert refused("POST", url, b"body", {**fresh(), "Host": "other"}) == "signature-invalid"
    assert refused("POST", url, b"Body", fresh()) == "digest-mismatch"
    assert refused("POST", url, b"body", old) == "signature-expired"
    assert refused("POST", url, b"body", early) == "signature-future"
    assert refused("POST", url, b"body", weak) == "coverage-insufficient"
    assert len(caller.upstream.seen) == before


def test_a_new_key_is_known_after_a_reload_and_a_removed_one_is_not(caller: Caller, tmp_path: Path):
    caller.add("ed25519", "new")
    assert reason(httpx.get(caller.url, auth=caller.auth("new"))) == "key-unknown"
    caller.publish()
    caller.proxy.signal(signal.SIGHUP)
    eventually(lambda: httpx.get(caller.url, auth=caller.auth("new")).status_code == 200)
    caller.verifier.write_text(json.dumps({"keys": [json.loads(caller.verifier.read_text())["keys"][-1]]}))
    caller.proxy.signal(signal.SIGHUP)
    eventually(lambda: httpx.get(caller.url, auth=caller.auth()).status_code == 401)
    assert httpx.get(caller.url, auth=caller.auth("new")).status_code == 200


def test_keys_that_others_can_read_are_refused_and_the_old_ones_stay(caller: Caller):
    caller.verifier.write_bytes(caller.private.read_bytes())
    caller.verifier.chmod(0o644)
    caller.proxy.signal(signal.SIGHUP)
    eventually(lambda: any("others can read it" in str(line) for line in caller.proxy.lines))
    assert httpx.get(caller.url, auth=caller.auth()).status_code == 200


def test_call_and_the_line_for_curl_pass(caller: Caller, capfd: pytest.CaptureFixture[str]):
    command = ["--keys", str(caller.private), "--kid", "ed25519"]
    request = ["POST", f"{caller.url}/v1/orders?id=1", "-H", "Host: orders.internal", "--data", "it's"]
    assert cli.main(["call", *command, *request]) == 0
    assert capfd.readouterr().out == "upstream POST /v1/orders?id=1 4"
    assert caller.upstream.seen[-1].header("Host") == "orders.internal"
    assert cli.main(["sign", "--curl", *command, *request]) == 0
    words = shlex.split(capfd.readouterr().out)
    for expected in ("upstream POST /v1/orders?id=1 4", "replayed"):
        said = subprocess.run([*words, "--silent"], check=True, stdout=subprocess.PIPE).stdout
        assert expected in said.decode()
    assert cli.main(["call", *command, "GET", f"{caller.url}/?status=404"]) == 22


def test_replays_pass_where_config_says_so(tmp_path: Path, start_proxy: Callable[..., Proxy], upstream: UpstreamServer):
    listener = SIGNED_LISTENER + 'freshness = "none"\n'
    caller = Caller(tmp_path, start_proxy, upstream, listener)
    assert any("replays are accepted" in line["event"] for line in caller.proxy.lines)
    added = sign_request("GET", caller.url, key=caller.key())
    assert [httpx.get(caller.url, headers=added).status_code for _ in range(3)] == [200] * 3
    assert httpx.get(caller.url).status_code == 401
