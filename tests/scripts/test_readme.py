"""What README.md shows is what happens: its config is accepted, its commands run, its output comes.

A `console` block is run line by line, all of them in one directory, with the two ports exchanged for free ones. Below a
`$ command`, each line must come in that order; `...` stands for anything, at the end of a line and as a line.
"""

from __future__ import annotations

import http.server
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent


def blocks(language: str, text: str = README) -> list[str]:
    """The fenced blocks of this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


class Step(NamedTuple):
    """A command, and what it is shown to print."""

    command: str
    output: list[str]


def steps() -> list[Step]:
    """The commands of all console blocks."""
    found: list[Step] = []
    for line in "".join(blocks("console")).splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:], []))
        else:
            found[-1].output.append(line)
    return found


class Service(http.server.BaseHTTPRequestHandler):
    """The upstream that the reader is assumed to have."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def upstream_port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def missing_line(shown: list[str], printed: list[str]) -> str | None:
    """The first shown line that does not come, in order."""
    at = 0
    for line in shown:
        if line == "...":
            continue
        matching = [
            index
            for index in range(at, len(printed))
            if printed[index].startswith(line[:-3] if line.endswith("...") else line)
            and (line.endswith("...") or printed[index] == line)
        ]
        if not matching:
            return line
        at = matching[0] + 1
    return None


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README uses curl")
def test_the_walk_through_works_as_shown(tmp_path: Path, upstream_port: int) -> None:
    port = free_port()

    def local(text: str) -> str:
        return text.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace(
            "127.0.0.1:9000", f"127.0.0.1:{upstream_port}"
        )

    # A filter of this test's own, and a fence that is soon over: neither changes what is shown.
    (config,) = blocks("toml")
    config = config.replace("[replay]\n", '[replay]\npath = "replay"\n')
    (tmp_path / "pyproxy.toml").write_text(local(config))
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    # The command is there where an environment has it; where not, the module is the same.
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "pyproxy"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m pyproxy "$@"\n')
    command.chmod(0o755)
    environment["PATH"] = f"{tmp_path / 'bin'}:{environment['PATH']}"

    served: subprocess.Popen[bytes] | None = None
    try:
        for step in steps():
            if step.command.endswith(" &"):
                words = ["exec", *step.command[:-2].split()]
                with (tmp_path / "serve.log").open("wb") as log:
                    served = subprocess.Popen(
                        ["/bin/sh", "-c", " ".join(words)], cwd=tmp_path, env=environment, stdout=log, stderr=log
                    )
                wait_until_open(port)
                # "In the first seconds after the very first start ...": clock_skew and one more.
                time.sleep(6)
                continue
            done = subprocess.run(
                ["/bin/bash", "-c", local(step.command)],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=30,
            )
            printed = [line.rstrip("\r") for line in done.stdout.splitlines()]
            missing = missing_line(step.output, printed)
            assert missing is None, f"{step.command}\nshould print `{missing}`, printed:\n{done.stdout}\n{done.stderr}"
    finally:
        if served is not None:
            served.send_signal(signal.SIGTERM)
            assert served.wait(20) == 0, (tmp_path / "serve.log").read_text()


def wait_until_open(port: int) -> None:
    end_s = time.monotonic() + 20
    while True:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_what_the_demo_prints_is_what_the_readme_shows() -> None:
    demo = (ROOT / "ci" / "demo.py").read_text()
    (shown,) = blocks("text")
    for line in shown.splitlines():
        if not (row := re.match(r"(.+?) \.+ \d{3} (\S+) +ok   \((.*)\)$", line)):
            continue
        what, outcome, why = row.groups()
        assert f'"{what}"' in demo
        assert f'"{outcome}"' in demo or outcome == "forwarded"
        assert f'"{why}"' in demo


def test_the_python_example_runs(tmp_path: Path) -> None:
    (config,) = blocks("toml")
    (tmp_path / "pyproxy.toml").write_text(config.replace("[replay]\n", '[replay]\npath = "replay"\n'))
    (tmp_path / "keys.json").write_text('{"keys": []}')
    (example,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "401 signature-missing\n", done.stderr


@pytest.mark.parametrize("script", re.findall(r"^(ci/\w+)", "".join(blocks("sh")), re.MULTILINE))
def test_the_commands_are_there(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)


DOCS = sorted(path.name for path in ROOT.glob("*.md"))


@pytest.mark.parametrize("name", DOCS)
def test_files_that_the_docs_name_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    linked = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    named = re.findall(r"`((?:native|pyproxy|tests|bench|ci|examples)/[\w./-]+)`", text)
    made_by_scripts = {"bench/results/"}
    assert [path for path in {*linked, *named} - made_by_scripts if not (ROOT / path).exists()] == []
