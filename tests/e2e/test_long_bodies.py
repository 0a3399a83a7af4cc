"""Ten gigabytes each way, in flat memory: signed and digested, up and down."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from long_runs import SIGNED_LISTENER, MemoryWatch, record, sha256_field, signed, write_keys
from proxy_process import Proxy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

BLOCK = bytes(range(256)) * 4096
GIB = 1 << 30
SIZE = int(float(os.environ.get("PYPROXY_LONG_GIB", "10")) * GIB)
BLOCKS = SIZE // len(BLOCK)
MOST_GROWTH = 16 << 20
"""A worker's buffers of both directions, and what the allocator rounds up to."""


def serve(listening: socket.socket) -> None:
    """Swallows a PUT and counts it; answers a GET with as much."""
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            received = b""
            while b"\r\n\r\n" not in received:
                received += connection.recv(65536)
            head, _, body = received.partition(b"\r\n\r\n")
            if head.startswith(b"PUT"):
                count, buffer = len(body), bytearray(1 << 20)
                while count < BLOCKS * len(BLOCK):
                    count += connection.recv_into(buffer)
                said = str(count).encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
            else:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (BLOCKS * len(BLOCK)))
                for _ in range(BLOCKS):
                    connection.sendall(BLOCK)
            connection.recv(1)


@pytest.fixture
def sink() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def proxy(start_proxy: Callable[..., Proxy], sink: str, tmp_path: Path) -> Proxy:
    write_keys(tmp_path)
    started = start_proxy(sink, listener=SIGNED_LISTENER, extra="\n[limits]\nmax_body_bytes = 0\n")
    time.sleep(1.1)  # the fence of a new filter
    return started


def answer_of(caller: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        part = caller.recv(65536)
        assert part, received
        received += part
    return received


def test_an_upload_passes_in_flat_memory(proxy: Proxy) -> None:
    digest = sha256_field(BLOCK, BLOCKS)
    [worker] = proxy.worker_pids()
    with socket.create_connection(("127.0.0.1", proxy.port)) as caller, MemoryWatch([worker]) as memory:
        began_s = time.monotonic()
        caller.sendall(signed("PUT", "/upload", [digest], length=BLOCKS * len(BLOCK)))
        for _ in range(BLOCKS):
            caller.sendall(BLOCK)
        answer = answer_of(caller)
        took_s = time.monotonic() - began_s
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert answer.endswith(str(BLOCKS * len(BLOCK)).encode()), answer[-40:]
    growth = max(memory.samples) - memory.samples[0]
    record("upload", bytes=BLOCKS * len(BLOCK), seconds=round(took_s, 1), worker_growth_bytes=growth)
    assert growth < MOST_GROWTH


def test_a_download_passes_in_flat_memory(proxy: Proxy) -> None:
    [worker] = proxy.worker_pids()
    with socket.create_connection(("127.0.0.1", proxy.port)) as caller, MemoryWatch([worker]) as memory:
        began_s = time.monotonic()
        caller.sendall(signed("GET", "/download", []))
        head, _, body = answer_of(caller).partition(b"\r\n\r\n")
        count, buffer = len(body), bytearray(1 << 20)
        while count < BLOCKS * len(BLOCK):
            part = caller.recv_into(buffer)
            assert part, f"cut off after {count} bytes"
            count += part
        took_s = time.monotonic() - began_s
    assert head.startswith(b"HTTP/1.1 200 "), head
    growth = max(memory.samples) - memory.samples[0]
    record("download", bytes=count, seconds=round(took_s, 1), worker_growth_bytes=growth)
    assert growth < MOST_GROWTH
