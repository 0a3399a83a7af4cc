"""What the long runs share: memory of a process over time, a key that signs, and a file that keeps what came out."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import statistics
import threading
import time
from pathlib import Path

from pyproxy._native import sign_request

KEYS = [
    {
        "kty": "oct",
        "kid": f"k{number}",
        "alg": "HS256",
        "k": base64.urlsafe_b64encode(bytes([number]) * 32).decode().rstrip("="),
        "principal": f"spiffe://example.org/caller-{number}",
    }
    for number in range(8)
]

SIGNED_LISTENER = """
[keys]
file = "keys.json"

[signature]
require = ["@method", "@authority", "@path", "@query"]
max_age = "120s"
clock_skew = "0s"

[replay]
capacity = 4_000_000
path = "replay"

[[listener]]
name = "ingress"
bind = "127.0.0.1:{port}"
authenticate = ["signature"]
authorize = "allow_all"
"""


def write_keys(directory: Path) -> None:
    """The key file that `SIGNED_LISTENER` names."""
    path = directory / "keys.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"keys": KEYS}))


def signed(method: str, target: str, fields: list[tuple[str, str]], key: int = 0, length: int | None = None) -> bytes:
    """A head that a key of ours has signed, `fields` with it; `length` announces a body whose digest is among them."""
    headers = [("Host", "orders.internal"), *fields]
    components = ["@method", "@authority", "@path", "@query"]
    if length is not None:
        headers.append(("Content-Length", str(length)))
        components.append("content-digest")
    added = sign_request(
        json.dumps(KEYS[key % len(KEYS)]).encode(),
        method,
        f"http://orders.internal{target}",
        headers,
        None,
        components,
        int(time.time()),
        None,
        secrets.token_urlsafe(16),
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in [*headers, *added])
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode()


def sha256_field(block: bytes, times: int) -> tuple[str, str]:
    """Content-Digest of a block repeated so many times (RFC 9530)."""
    digest = hashlib.sha256()
    for _ in range(times):
        digest.update(block)
    return "Content-Digest", f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"


def private_bytes(pid: int) -> int:
    """Memory that is this process' own: what it shares, the replay filter above all, is not counted."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon")


class MemoryWatch:
    """Looks at the private memory of processes a few times a second."""

    def __init__(self, pids: list[int], every_s: float = 0.2) -> None:
        self._pids = pids
        self._every_s = every_s
        self._ended = threading.Event()
        self.samples: list[int] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(self._every_s):
            self.samples.append(sum(private_bytes(pid) for pid in self._pids))

    def thirds(self) -> tuple[float, float]:
        """Medians of the second third and of the last: the first is warming up."""
        third = len(self.samples) // 3
        return statistics.median(self.samples[third : 2 * third]), statistics.median(self.samples[2 * third :])


def record(name: str, **outcome: object) -> None:
    """Prints what came out, and keeps it in the file that PYPROXY_LONG_RESULTS names."""
    print(f"\n{name}: {json.dumps(outcome)}")
    if path := os.environ.get("PYPROXY_LONG_RESULTS"):
        file = Path(path)
        content = json.loads(file.read_text()) if file.exists() else {}
        content[name] = outcome
        file.write_text(json.dumps(content, indent=2) + "\n")
