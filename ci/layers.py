"""The dependency rules of ARCHITECTURE.md, held by reading the source; `ci/check` runs it and fails with every breach.

The compiler sees to much of it: the core cannot name the binding, `forbid(unsafe_code)` stands in its root, clippy
knows the disallowed types. This holds what no compiler asks: which module may know which, which crate may come in,
where `unsafe` and cryptography may be, and that the project speaks of itself alone.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent

CORE_LAYERS = (
    # From below: a module may use its own layer (the domains: only themselves) and the ones before it.
    {"limits", "path", "record", "rejection", "settings", "sfv", "time"},
    {"http1", "httpsig", "replay"},
    {"admission", "route"},
    {"action", "connection", "embed", "exchange", "upstream", "worker"},
)
DOMAINS = CORE_LAYERS[1]

# Sans-IO: what of std the core may not name. Addresses are values, not sockets.
CORE_STD_FORBIDDEN = re.compile(
    r"\bstd::(?:fs|thread|env|process|os)\b"
    r"|\bstd::net::(?!(?:Ip|Ipv4|Ipv6|Socket)\w*Addr\w*|AddrParseError|\{)\w+"
    r"|\b(?:SystemTime|Instant|TcpStream|TcpListener|UdpSocket|UnixStream)\b"
)
CORE_STD_GROUP_FORBIDDEN = re.compile(r"\bstd::\{.*?\b(?:fs|thread|env|process|os)\b")

CRATES = {
    "native/core/Cargo.toml": {
        "aws-lc-rs", "blake3", "data-encoding", "foldhash", "httparse", "memchr", "serde", "serde_json", "sfv",
        "smallvec", "zeroize",
    },
    "native/Cargo.toml": {"arc-swap", "cc", "humantime", "pyo3", "pyproxy-core", "rustix", "serde", "serde_json"},
}  # fmt: skip

# The files of native/ that may contain `unsafe`: shared memory, and the call that initialises what Cython compiled.
UNSAFE_FILES = {"native/src/compiled.rs", "native/src/shm.rs"}

# Every read passes through these: they move bytes and ask the core, so they need next to nothing.
HOT_MODULES = {
    "downstream": {"__future__", "asyncio", "collections", "pyproxy", "typing"},
    "upstream": {"__future__", "asyncio", "collections", "pyproxy", "typing"},
    "pool": {"__future__", "asyncio", "collections", "pyproxy", "typing"},
}

# HTTP, TLS and cryptography are the core's; where Python may touch them, and for what.
PYTHON_ONLY_IN: dict[str, dict[str, str]] = {
    "cryptography": {"keygen": "makes keys"},
    "hashlib": {"replayfile": "says which settings a filter was made for"},
    "h11": {"admin": "serves operators, not callers", "health": "asks an upstream how it is"},
    "http": {},
    "httpx": {"client": "signs what httpx sends", "call": "sends one call from the command line"},
    "hmac": {},
    "blake3": {},
    "jwt": {},
    "ssl": {"call": "calls https services from the command line"},
}

# A reader elsewhere has none of these: paths of one machine, hosts behind a package client, papers that are not here.
FOREIGN = re.compile(
    r"(?<![\w./-])/(?:home|root|opt|work|Users|tmp)/\w[\w.-]*"
    r"|\b(?:DESIGN|PEERS)\.md"
    r"|\bissue #\d+"
    r"|\b(?:pypi\.org|pythonhosted\.org|crates\.io|npmjs\.(?:org|com)|proxy\.golang\.org|repo1?\.maven)\b",
    re.IGNORECASE,
)
# Written by tools in their own format, carried over with their source, or this rule and its test.
FOREIGN_EXEMPT = re.compile(
    r"(?:^|/)Cargo\.lock$|^tests/vectors/|(?:^|/)corpus/|^ci/layers\.py$|^tests/scripts/test_layers\.py$"
)


class Breach(NamedTuple):
    """One place that breaks a rule."""

    path: str
    line: int
    says: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.says}"


def core_modules_keep_their_layers(root: Path) -> Iterator[Breach]:
    """In the core: base <- domains (none knows another) <- admission, route <- what carries calls; and no circle."""
    source = root / "native/core/src"
    rank = {module: index for index, layer in enumerate(CORE_LAYERS) for module in layer}
    uses: dict[str, set[str]] = {}
    for file in sorted(source.rglob("*.rs")):
        module = file.relative_to(source).parts[0].removesuffix(".rs")
        if module == "lib":
            continue
        path = file.relative_to(root).as_posix()
        if module not in rank:
            yield Breach(path, 1, f"module `{module}` has no place in CORE_LAYERS of ci/layers.py")
            continue
        for line, used in _crate_paths(_bare_rust(file.read_text())):
            if used not in rank or used == module:
                continue
            uses.setdefault(module, set()).add(used)
            if rank[used] > rank[module]:
                yield Breach(path, line, f"`{module}` uses `{used}`, which is a layer above it")
            elif module in DOMAINS and used in DOMAINS:
                yield Breach(path, line, f"the domain `{module}` uses the domain `{used}`: each stands alone")
    for circle in _circles(uses):
        yield Breach("native/core/src", 1, "modules use each other in a circle: " + " -> ".join(circle))


def core_does_no_io(root: Path) -> Iterator[Breach]:
    """The core names no clock, socket, file, thread, process or environment (its tests may have threads)."""
    source = root / "native/core/src"
    tests = _test_only_files(source)
    for file in sorted(source.rglob("*.rs")):
        if file in tests:
            continue
        path = file.relative_to(root).as_posix()
        for line, text in enumerate(_without_tests(_bare_rust(file.read_text())).splitlines(), 1):
            if found := CORE_STD_FORBIDDEN.search(text) or CORE_STD_GROUP_FORBIDDEN.search(text):
                yield Breach(path, line, f"the core is sans-IO and may not use `{found[0]}`")


def crates_are_the_listed_ones(root: Path) -> Iterator[Breach]:
    """A crate comes in by being listed here with thought, not by a line in a manifest."""
    for manifest, listed in CRATES.items():
        text = (root / manifest).read_text()
        for used in _dependencies(tomllib.loads(text)):
            if used not in listed:
                line = next((n for n, t in enumerate(text.splitlines(), 1) if t.startswith(used)), 1)
                yield Breach(manifest, line, f"crate `{used}` is not among the listed ones in CRATES of ci/layers.py")


def unsafe_is_confined_and_argued(root: Path) -> Iterator[Breach]:
    """`unsafe` only in the named files of the binding, each use with its SAFETY argument; the core forbids it."""
    if "#![forbid(unsafe_code)]" not in (root / "native/core/src/lib.rs").read_text():
        yield Breach("native/core/src/lib.rs", 1, "`#![forbid(unsafe_code)]` is missing")
    for file in sorted((root / "native").rglob("*.rs")):
        path = file.relative_to(root).as_posix()
        text = file.read_text()
        lines = text.splitlines()
        for line, bare in enumerate(_bare_rust(text).splitlines(), 1):
            if not re.search(r"\bunsafe\b", bare):
                continue
            if path not in UNSAFE_FILES:
                yield Breach(path, line, "`unsafe` outside " + ", ".join(sorted(UNSAFE_FILES)))
            elif re.search(r"\bunsafe\s*(?:\{|impl\b)", bare) and not _argued(lines, line - 1):
                yield Breach(path, line, "`unsafe` without a `SAFETY:` comment right above it")


def python_keeps_its_layer(root: Path) -> Iterator[Breach]:
    """The driver never imports tests, bench or ci; protocol classes import next to nothing; crypto is named by file."""
    for file in sorted((root / "pyproxy").rglob("*.py")):
        module = file.stem
        for line, imported in _imports(file):
            top = imported.partition(".")[0]
            path = file.relative_to(root).as_posix()
            if top in {"tests", "bench", "ci"}:
                yield Breach(path, line, f"the product imports `{top}`")
            elif module in HOT_MODULES and top not in HOT_MODULES[module]:
                yield Breach(path, line, f"`{module}` is passed by every read and may not import `{top}`")
            elif top in PYTHON_ONLY_IN and module not in PYTHON_ONLY_IN[top]:
                where = ", ".join(f"{name}.py" for name in PYTHON_ONLY_IN[top]) or "the core"
                yield Breach(path, line, f"`{top}` is imported outside {where}")


def project_speaks_of_itself_alone(root: Path) -> Iterator[Breach]:
    """No path of somebody's machine, no registry's host, no paper that is not here."""
    for file in _tracked(root):
        path = file.relative_to(root).as_posix()
        if FOREIGN_EXEMPT.search(path):
            continue
        try:
            text = file.read_text()
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        for line, content in enumerate(text.splitlines(), 1):
            if found := FOREIGN.search(content):
                yield Breach(path, line, f"speaks of `{found[0]}`, which is no part of the project")


RULES: tuple[Callable[[Path], Iterator[Breach]], ...] = (
    core_modules_keep_their_layers,
    core_does_no_io,
    crates_are_the_listed_ones,
    unsafe_is_confined_and_argued,
    python_keeps_its_layer,
    project_speaks_of_itself_alone,
)


def main() -> int:
    """Prints every breach; 1 if there was any."""
    breaches = [breach for rule in RULES for breach in rule(ROOT)]
    for breach in breaches:
        print(breach)
    print(f"layers: {len(RULES)} rules, {len(breaches)} breaches")
    return 1 if breaches else 0


# Reading Rust, as far as these rules need it -----------------------------------------------------------------------

_RUST_NOISE = re.compile(
    r"//[^\n]*"
    r"|/\*.*?\*/"
    r'|b?r(?P<hashes>#*)".*?"(?P=hashes)'
    r'|b?"(?:\\.|[^"\\])*"'
    r"|b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\])'",
    re.DOTALL,
)


def _bare_rust(text: str) -> str:
    """The code without comments and literals; every line keeps its number."""
    return _RUST_NOISE.sub(lambda noise: "\n" * noise[0].count("\n") or " ", text)


def _crate_paths(text: str) -> Iterator[tuple[int, str]]:
    """The top-level modules that `crate::...` names, groups included."""
    for found in re.finditer(r"\bcrate::(?:(\w+)|\{)", text):
        line = text.count("\n", 0, found.start()) + 1
        if found[1]:
            yield line, found[1]
            continue
        depth, word = 1, ""
        for char in text[found.end() :]:
            if depth == 1 and (char.isalnum() or char == "_"):
                word += char
                continue
            # A word at depth one counts once it is over; what follows its `::` belongs to that module.
            if word and depth == 1:
                yield line, word
                word = ""
            depth += {"{": 1, "}": -1}.get(char, 0)
            if depth == 0:
                break


def _without_tests(text: str) -> str:
    """The code without inline `#[cfg(test)] mod ... { }`, as empty lines."""
    while found := re.search(r"#\[cfg\(test\)\]\s*(?:pub(?:\(crate\))? )?mod \w+ \{", text):
        depth, end = 1, found.end()
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        text = text[: found.start()] + "\n" * text.count("\n", found.start(), end) + text[end:]
    return text


def _test_only_files(source: Path) -> set[Path]:
    """The files that `#[cfg(test)] mod name;` brings in, and all below them."""
    found: set[Path] = set()
    for file in source.rglob("*.rs"):
        inside = file.parent if file.stem in {"lib", "mod"} else file.with_suffix("")
        for name in re.findall(r"#\[cfg\(test\)\]\s*(?:pub(?:\(crate\))? )?mod (\w+);", _bare_rust(file.read_text())):
            found.add(inside / f"{name}.rs")
            found.update((inside / name).rglob("*.rs"))
    return found


def _argued(lines: list[str], index: int) -> bool:
    """Whether a SAFETY comment stands in the comment right above the statement of this line."""
    for above in range(index - 1, max(index - 12, -1), -1):
        text = lines[above].strip()
        if "SAFETY:" in text:
            return True
        # A comment, an attribute or the start of the same statement; anything that ends a statement ends the search.
        if not text.startswith(("//", "#[")) and text.endswith((";", "}")):
            return False
    return False


def _dependencies(manifest: dict[str, Any]) -> Iterator[str]:
    """What a crate is built from and with; what only its tests and benchmarks use is their affair."""
    for table in ("dependencies", "build-dependencies"):
        yield from manifest.get(table, {})
        for target in manifest.get("target", {}).values():
            yield from target.get(table, {})


def _circles(uses: dict[str, set[str]]) -> Iterator[list[str]]:
    """One circle for each module that can reach itself by way of modules not yet reported."""
    reported: set[str] = set()
    for start in sorted(uses):
        trails = [[start]]
        seen: set[str] = set()
        while trails and start not in reported:
            trail = trails.pop()
            for used in sorted(uses.get(trail[-1], ())):
                if used == start:
                    reported.update(trail)
                    yield [*trail, start]
                    break
                if used not in seen:
                    seen.add(used)
                    trails.append([*trail, used])


# Reading Python ------------------------------------------------------------------------------------------------------


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.lineno, node.module


def _tracked(root: Path) -> list[Path]:
    """What git holds; where it is not a checkout, every file."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        return [root / name for name in sorted(set(listed.stdout.split("\0"))) if name]
    return sorted(file for file in root.rglob("*") if file.is_file())


if __name__ == "__main__":
    sys.exit(main())
