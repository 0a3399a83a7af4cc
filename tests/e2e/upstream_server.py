"""A small upstream for tests: HTTP/1.1 by h11, on a thread of its own, and it remembers what it was asked."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

import h11


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name.lower()), None)


@dataclass
class UpstreamServer:
    """Answers 200 with `name` and the target. `?wait=SECONDS` waits first, `?status=N` answers with N."""

    name: str = "upstream"
    unix_path: Path | None = None
    fixed_port: int = 0
    port: int = 0
    connections: int = 0
    seen: list[Seen] = field(default_factory=list[Seen])
    _server: asyncio.Server | None = None

    def __enter__(self) -> UpstreamServer:
        self._loop = asyncio.new_event_loop()
        started = threading.Event()

        async def serve() -> None:
            if self.unix_path is not None:
                self._server = await asyncio.start_unix_server(self._connected, self.unix_path)
            else:
                self._server = await asyncio.start_server(
                    self._connected, "127.0.0.1", self.fixed_port, backlog=1024, reuse_address=True
                )
                self.port = self._server.sockets[0].getsockname()[1]
            started.set()

        def run() -> None:
            self._loop.run_until_complete(serve())
            self._loop.run_forever()
            self._loop.close()

        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert started.wait(5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Closes everything, connections included."""

        async def close() -> None:
            assert self._server is not None
            self._server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(close(), self._loop).result(5)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._serve(reader, writer)
        except (h11.RemoteProtocolError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        while True:
            request: h11.Request | None = None
            body = bytearray()
            while True:
                event = http.next_event()
                if event is h11.NEED_DATA:
                    data = await reader.read(1 << 16)
                    if not data and http.their_state is h11.IDLE:
                        return
                    http.receive_data(data)
                elif isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:
                    return
            assert request is not None
            target = request.target.decode("latin-1")
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
            self.seen.append(Seen(request.method.decode("ascii"), target, headers, bytes(body)))
            query = parse_qs(urlsplit(target).query)
            if "wait" in query:
                await asyncio.sleep(float(query["wait"][0]))
            status = int(query.get("status", ["200"])[0])
            content = f"{self.name} {request.method.decode()} {target} {len(body)}".encode()
            fields = [("Content-Length", str(len(content))), ("Content-Type", "text/plain")]
            out = http.send(h11.Response(status_code=status, headers=fields)) or b""
            if request.method != b"HEAD":
                out += http.send(h11.Data(data=content)) or b""
            out += http.send(h11.EndOfMessage()) or b""
            writer.write(out)
            await writer.drain()
            if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                return
            http.start_next_cycle()
