"""Processes: what the supervisor promises of its workers, over real sockets."""

from __future__ import annotations

from collections.abc import Callable

from proxy_process import Proxy
from upstream_server import UpstreamServer

Start = Callable[..., Proxy]


def test_calls_pass_and_the_end_is_clean(start_proxy: Start, upstream: UpstreamServer) -> None:
    proxy = start_proxy(upstream, workers=2)
    assert proxy.get("/v1/a?b=c") == (200, b"upstream GET /v1/a?b=c 0")
    assert proxy.stop() == 0
