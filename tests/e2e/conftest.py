"""Upstreams and proxies as fixtures: started on free ports, ended with the test whatever it did."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from configs import NODE, OPEN_LISTENER, ROUTES
from proxy_process import Proxy, free_port
from upstream_server import UpstreamServer


@pytest.fixture
def upstream() -> Iterator[UpstreamServer]:
    """One upstream."""
    with UpstreamServer() as server:
        yield server


@pytest.fixture
def start_proxy(tmp_path: Path) -> Iterator[Callable[..., Proxy]]:
    """Starts proxies whose config is NODE, `listener` (OPEN_LISTENER by default), ROUTES and `extra`."""
    proxies: list[Proxy] = []

    def start(
        *upstreams: UpstreamServer | str,
        workers: int = 1,
        extra: str = "",
        listener: str = OPEN_LISTENER,
        routes: str = ROUTES,
        ready: bool = True,
        directory: Path = tmp_path,
        **more: Any,
    ) -> Proxy:
        port, admin_port = more.pop("port", None) or free_port(), free_port()
        endpoints = ", ".join(f'"{each if isinstance(each, str) else f"127.0.0.1:{each.port}"}"' for each in upstreams)
        config = (NODE + listener + routes + extra).format(
            port=port, admin_port=admin_port, workers=workers, endpoints=endpoints
        )
        proxy = Proxy(directory, config, port=port, admin_port=admin_port, **more)
        proxies.append(proxy)
        return proxy.wait_ready() if ready else proxy

    yield start
    for proxy in proxies:
        proxy.kill()
