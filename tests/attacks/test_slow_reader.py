"""Attack: a caller asks and asks and never reads, so that the answers fill our memory."""

from __future__ import annotations

from typing import Any, cast

from wire import OK, Node

from pyproxy.downstream import Downstream
from pyproxy.upstream import Upstream

GET = b"GET /v1/x HTTP/1.1\r\nHost: orders.internal\r\n\r\n"
NOWHERE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HIGH_WATER = 64 * 1024


class Socket:
    """A transport whose peer reads only when told, with asyncio's buffer limits."""

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self.buffer = bytearray()
        self.reading = True
        self.gone = False
        self._full = False
        protocol.connection_made(self)

    def write(self, data: bytes) -> None:
        self.buffer += data
        if len(self.buffer) > HIGH_WATER and not self._full:
            self._full = True
            self.protocol.pause_writing()

    def peer_reads(self) -> bytes:
        taken, self.buffer = bytes(self.buffer), bytearray()
        if self._full:
            self._full = False
            self.protocol.resume_writing()
        return taken

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.gone = True

    abort = close

    def is_closing(self) -> bool:
        return self.gone

    def get_extra_info(self, _: str) -> tuple[str, int]:
        return ("192.0.2.1", 5000)

    def get_write_buffer_size(self) -> int:
        return len(self.buffer)


class Pool:
    """Hands out one upstream connection, again and again."""

    def __init__(self) -> None:
        self.upstream = Upstream(cast("Any", self), cast("Any", None))
        self.idle = True
        self.socket = Socket(self.upstream)

    def made(self) -> None: ...

    def take(self) -> Upstream | None:
        assert self.idle, "one call at a time"
        self.idle = False
        return self.upstream

    def put(self, _: Upstream) -> None:
        self.idle = True


class Service:
    """One listener with one upstream."""

    def __init__(self) -> None:
        self.node = Node.open()
        self.pools = [Pool()]

    def connected(self, _downstream: Downstream, _transport: object) -> object:
        return self.node.gate.connect(0, "192.0.2.1:5000")


def caller(service: Service) -> Socket:
    return Socket(Downstream(cast("Any", service)))


def test_refusals_that_nobody_reads_are_bounded() -> None:
    socket = caller(Service())
    sent = 0
    while socket.reading and sent < 3:
        socket.protocol.data_received(NOWHERE * 8000)
        sent += 1
    assert sent == 1, "no more is read"
    assert len(socket.buffer) < 2 * HIGH_WATER, "and no more is answered"


def test_once_they_are_read_the_rest_is_answered() -> None:
    socket = caller(Service())
    socket.protocol.data_received(NOWHERE * 1000)
    answers = b""
    while socket.buffer:
        answers += socket.peer_reads()
    assert answers.count(b"HTTP/1.1 404 ") == 1000
    assert socket.reading


def test_an_upstream_connection_that_was_held_up_for_one_caller_is_not_so_for_the_next() -> None:
    service = Service()
    socket, pool = caller(service), service.pools[0]
    socket.protocol.data_received(GET)
    length = 2 * HIGH_WATER
    pool.upstream.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + b"x" * length)
    assert pool.idle and len(socket.buffer) > HIGH_WATER
    assert pool.socket.reading, "the pool holds connections that hear their upstream"
    other = caller(service)
    other.protocol.data_received(GET)
    pool.upstream.data_received(OK)
    assert other.buffer.endswith(b"hi")


def test_a_slow_caller_holds_up_its_upstream() -> None:
    service = Service()
    socket, pool = caller(service), service.pools[0]
    socket.protocol.data_received(GET)
    pool.upstream.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"x" * HIGH_WATER)
    assert not pool.socket.reading
    socket.peer_reads()
    assert pool.socket.reading


def test_the_next_call_of_a_slow_caller_waits_until_it_reads() -> None:
    service = Service()
    socket, pool = caller(service), service.pools[0]
    socket.protocol.data_received(GET + GET)
    length = 2 * HIGH_WATER
    pool.upstream.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + b"x" * length)
    assert pool.idle, "the second call has not begun"
    socket.peer_reads()
    assert not pool.idle
