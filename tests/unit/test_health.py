"""Active health checks and names, against a real upstream."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from pyproxy.control import ProbeSettings
from pyproxy.endpoints import Endpoints
from pyproxy.health import Probes
from pyproxy.resolution import Resolution, first_answers


def probing(**changed: Any) -> ProbeSettings:
    settings: dict[str, Any] = {
        "path": "/health", "host": None, "interval_s": 60.0, "timeout_s": 0.3, "unhealthy_after": 2, "healthy_after": 2,
        **changed,
    }  # fmt: skip
    return ProbeSettings(**settings)


@pytest.mark.parametrize(
    "bad",
    [
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000,
        None,
    ],
    ids=["500", "404", "nonsense", "closed", "endless head", "silent"],
)
def test_an_endpoint_changes_sides_after_several_answers_agree(bad: bytes | None) -> None:
    async def run() -> None:
        good = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 OK\r\n\r\n"
        answer: list[bytes | None] = [good]

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"GET /health HTTP/1.1\r\n")
            assert b"host: 127.0.0.1:%d\r\n" % port in head.lower()
            if answer[0] is None:
                await reader.read()
            else:
                writer.write(answer[0])
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        endpoints = Endpoints([("127.0.0.1", port), ("127.0.0.2", 9)])
        endpoint = endpoints.all()[0]
        probes = Probes("orders", endpoints, probing())
        await probes.ask_all()
        assert endpoint.healthy
        answer[0] = bad
        await probes.ask_all()
        assert endpoint.healthy, "one bad answer is not enough"
        await probes.ask_all()
        assert not endpoint.healthy
        answer[0] = good
        await probes.ask_all()
        assert not endpoint.healthy, "one good answer is not enough"
        await probes.ask_all()
        assert endpoint.healthy
        server.close()

    asyncio.run(run())


def test_a_name_is_resolved_and_keeps_its_addresses_while_it_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [["10.0.0.1", "10.0.0.2"], OSError("no resolver"), ["10.0.0.2", "10.0.0.3"]]

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        assert (host, port) == ("orders.internal", 80)
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in answer]

    async def run() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        endpoints = Endpoints()
        names = Resolution("orders", [("orders.internal", 80), ("10.9.9.9", 1)], ["/s"], endpoints, interval_s=30)
        assert [each.address for each in endpoints.all()] == [("10.9.9.9", 1), "/s"]
        assert await names.resolve()
        assert {each.address for each in endpoints.all()} == {("10.0.0.1", 80), ("10.0.0.2", 80), ("10.9.9.9", 1), "/s"}
        assert not await names.resolve()
        assert len(endpoints.all()) == 4
        assert await names.resolve()
        assert {each.address for each in endpoints.all()} == {("10.0.0.2", 80), ("10.0.0.3", 80), ("10.9.9.9", 1), "/s"}

    asyncio.run(run())


def test_a_resolver_that_does_not_answer_delays_no_longer_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        await asyncio.sleep(60)
        return []

    async def run() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        assert await first_answers([("orders.internal", 80)], timeout_s=0.01) == {}

    asyncio.run(run())
