"""SIGHUP: keys, routes and upstreams change in every worker without a call lost; what is wrong changes nothing."""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from configs import NODE, OPEN_LISTENER, ROUTES
from proxy_process import Load, Proxy, eventually
from test_process_drain import in_background
from upstream_server import UpstreamServer

from pyproxy._native import sign_request

Start = Callable[..., Proxy]

SIGNED_LISTENER = """
[[listener]]
name = "ingress"
bind = "127.0.0.1:{port}"
authenticate = ["signature"]
authorize = "allow_all"

[keys]
file = "keys.json"

[replay]
capacity = 10_000

[signature]
clock_skew = "0s"  # what was signed before the filter was made, and this, is refused
"""


def new_key(kid: str) -> dict[str, Any]:
    secret = urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    return {"kty": "oct", "kid": kid, "alg": "HS256", "k": secret, "principal": f"spiffe://example.org/{kid}"}


def write_keys(directory: Path, *keys: dict[str, Any]) -> None:
    path = directory / "keys.new"
    path.write_text(json.dumps({"keys": keys}))
    path.chmod(0o600)
    path.rename(directory / "keys.json")


def signed(key: dict[str, Any], path: str = "/") -> dict[str, str]:
    fields = sign_request(
        json.dumps(key).encode(), "GET", f"http://orders.internal{path}", [], None, None,
        int(time.time()), None, secrets.token_urlsafe(16),
    )  # fmt: skip
    return {"Host": "orders.internal", **dict(fields)}


def rewrite(proxy: Proxy, *upstreams: UpstreamServer, listener: str, routes: str = ROUTES, workers: int) -> None:
    endpoints = ", ".join(f'"127.0.0.1:{each.port}"' for each in upstreams)
    proxy.config_path.write_text(
        (NODE + listener + routes).format(
            port=proxy.port, admin_port=proxy.admin_port, workers=workers, endpoints=endpoints
        )
    )


def test_another_upstream_takes_over_without_a_call_lost(start_proxy: Start) -> None:
    with UpstreamServer("first") as first, UpstreamServer("second") as second:
        proxy = start_proxy(first, workers=2)
        with Load(proxy, connections=8) as load:
            for generation in range(2, 8):
                calls = len(load.statuses)
                eventually(lambda calls=calls: len(load.statuses) > calls + 100)
                target = second if generation % 2 == 0 else first
                rewrite(proxy, target, listener=OPEN_LISTENER, workers=2)
                proxy.signal(signal.SIGHUP)
                proxy.wait_event("reloaded", generation=generation, workers_replaced=[])
                before = len(target.seen)
                assert proxy.get("/")[1].startswith(target.name.encode())
                eventually(lambda before=before, target=target: len(target.seen) > before + 20)
        assert load.errors == []
        assert set(load.statuses) == {200}
        assert proxy.metric("pyproxy_generation") == 7
        assert proxy.metric("pyproxy_reloads_total", result="ok") == 6


def test_a_call_under_way_is_finished_by_the_upstream_that_has_it(start_proxy: Start) -> None:
    with UpstreamServer("first") as first, UpstreamServer("second") as second:
        proxy = start_proxy(first)
        call, results = in_background(lambda: proxy.get("/?wait=1"))
        eventually(lambda: first.seen)
        rewrite(proxy, second, listener=OPEN_LISTENER, workers=1)
        proxy.signal(signal.SIGHUP)
        proxy.wait_event("reloaded")
        assert proxy.get("/")[1].startswith(b"second")
        call.join(10)
        assert results == [(200, b"first GET /?wait=1 0")]


def test_keys_are_exchanged_under_load_without_a_call_lost(
    start_proxy: Start, upstream: UpstreamServer, tmp_path: Path
) -> None:
    old, lasting, new = new_key("old"), new_key("lasting"), new_key("new")
    write_keys(tmp_path, old, lasting)
    proxy = start_proxy(upstream, workers=2, listener=SIGNED_LISTENER)
    eventually(lambda: proxy.get("/", signed(lasting))[0] == 200, what="the fence is behind us")
    assert proxy.get("/", signed(old))[0] == 200
    assert proxy.get("/", signed(new))[0] == 401
    with Load(proxy, headers=lambda: signed(lasting)) as load:
        eventually(lambda: len(load.statuses) > 50)
        write_keys(tmp_path, lasting, new)
        proxy.signal(signal.SIGHUP)
        proxy.wait_event("reloaded", generation=2)
        calls = len(load.statuses)
        eventually(lambda: len(load.statuses) > calls + 50)
    assert load.errors == []
    assert set(load.statuses) == {200}
    assert proxy.get("/", signed(old))[0] == 401
    assert proxy.get("/", signed(new))[0] == 200


def test_a_nonce_stays_taken_across_a_reload_and_a_restart_of_the_worker(
    start_proxy: Start, upstream: UpstreamServer, tmp_path: Path
) -> None:
    key = new_key("k")
    write_keys(tmp_path, key)
    proxy = start_proxy(upstream, listener=SIGNED_LISTENER)
    eventually(lambda: proxy.get("/", signed(key))[0] == 200, what="the fence is behind us")
    headers = signed(key)
    assert proxy.get("/", headers)[0] == 200
    proxy.signal(signal.SIGHUP)
    proxy.wait_event("reloaded")
    status, body = proxy.get("/", headers)
    assert (status, b"replayed" in body) == (401, True)
    os.kill(proxy.worker_pids()[0], signal.SIGKILL)
    status, body = proxy.get("/", headers)
    assert (status, b"replayed" in body) == (401, True)


def test_a_bad_file_is_refused_with_every_mistake_and_the_old_stays(
    start_proxy: Start, upstream: UpstreamServer
) -> None:
    proxy = start_proxy(upstream)
    good = proxy.config_path.read_text()
    proxy.config_path.write_text(good.replace('path = "/*"', 'path = "no"').replace('host = "*"', 'host = "a..b"'))
    proxy.signal(signal.SIGHUP)
    eventually(lambda: len(proxy.events("reload refused: the configuration in force stays")) >= 2)
    assert proxy.get("/")[0] == 200
    assert proxy.metric("pyproxy_reloads_total", result="refused") == 1
    assert proxy.metric("pyproxy_last_reload_ok") == 0
    status, body = proxy.admin("/readyz")
    detail = json.loads(body)
    assert status == 200, "the old configuration serves"
    assert detail["configuration"]["last_reload"] == "refused"
    assert any("route[0].path" in problem for problem in detail["configuration"]["problems"])
    proxy.config_path.write_text(good)
    proxy.signal(signal.SIGHUP)
    proxy.wait_event("reloaded", generation=2)
    assert json.loads(proxy.admin("/readyz")[1])["configuration"]["last_reload"] == "ok"


def test_what_only_a_restart_can_change_is_refused_by_name(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream)
    good = proxy.config_path.read_text()
    for old, new, named in (
        ("workers = 1", "workers = 2", "node.workers"),
        (f"127.0.0.1:{proxy.port}", f"127.0.0.1:{proxy.port + 1}", "listener[0].bind"),
        ("[node]", '[signature]\nmax_age = "31s"\n[node]', "signature.max_age"),
        ("[node]", "[replay]\ncapacity = 5\n[node]", "replay.capacity"),
    ):
        refused = len(proxy.events("reload refused: the configuration in force stays"))
        proxy.config_path.write_text(good.replace(old, new))
        proxy.signal(signal.SIGHUP)
        eventually(
            lambda refused=refused: len(proxy.events("reload refused: the configuration in force stays")) > refused
        )
        assert named in proxy.events("reload refused: the configuration in force stays")[-1]["problem"]
        assert proxy.get("/")[0] == 200


def test_a_worker_that_starts_after_a_reload_has_what_the_others_have(start_proxy: Start) -> None:
    with UpstreamServer("first") as first, UpstreamServer("second") as second:
        proxy = start_proxy(first)
        rewrite(proxy, second, listener=OPEN_LISTENER, workers=1)
        proxy.signal(signal.SIGHUP)
        proxy.wait_event("reloaded")
        os.kill(proxy.worker_pids()[0], signal.SIGKILL)
        assert proxy.get("/")[1].startswith(b"second")


def test_a_key_file_that_others_can_read_is_refused(
    start_proxy: Start, upstream: UpstreamServer, tmp_path: Path
) -> None:
    write_keys(tmp_path, new_key("k"))
    proxy = start_proxy(upstream, listener=SIGNED_LISTENER)
    (tmp_path / "keys.json").chmod(0o644)
    proxy.signal(signal.SIGHUP)
    assert "others can read" in proxy.wait_event("reload refused: the configuration in force stays")["problem"]


def test_upstreams_that_change_places_never_get_each_others_calls(start_proxy: Start) -> None:
    def routes(*named: UpstreamServer) -> str:
        upstreams = "".join(
            f'\n[[upstream]]\nname = "{each.name}"\nendpoints = ["127.0.0.1:{each.port}"]\n'
            f'[[route]]\nname = "{each.name}"\nhost = "*"\npath = "/{each.name}"\nupstream = "{each.name}"\n'
            for each in named
        )
        return upstreams.replace("{", "{{").replace("}", "}}")

    with UpstreamServer("a") as a, UpstreamServer("b") as b, UpstreamServer("c") as c:
        proxy = start_proxy(routes=routes(a, b))
        with Load(proxy, path="/a") as load_a, Load(proxy, path="/b") as load_b:
            for generation, order in enumerate([(b, a), (c, a, b), (b, c, a), (a, b)], start=2):
                calls = len(load_a.statuses), len(load_b.statuses)
                rewrite(proxy, listener=OPEN_LISTENER, routes=routes(*order), workers=1)
                proxy.signal(signal.SIGHUP)
                proxy.wait_event("reloaded", generation=generation)
                eventually(
                    lambda calls=calls: len(load_a.statuses) > calls[0] + 10 and len(load_b.statuses) > calls[1] + 10
                )
        assert load_a.errors + load_b.errors == []
        assert set(load_a.statuses) | set(load_b.statuses) == {200}
        assert {each.target for each in a.seen} == {"/a"}
        assert {each.target for each in b.seen} == {"/b"}
        assert c.seen == []
