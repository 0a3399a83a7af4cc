"""Every rule of ci/layers.py fires on a tree that breaks it, and the checkout breaks none."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]

Judge = Callable[[str, Mapping[str, str]], list[str]]


def load_layers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("layers", ROOT / "ci" / "layers.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["layers"] = module  # NamedTuple looks its module up
    spec.loader.exec_module(module)
    return module


layers = load_layers()


@pytest.fixture
def breaches(tmp_path: Path) -> Judge:
    """What a rule says about a tree that holds these files and a core with nothing in it."""

    def judged(rule: str, tree: Mapping[str, str]) -> list[str]:
        empty = {
            "native/core/src/lib.rs": "#![forbid(unsafe_code)]\npub mod time;\n",
            "native/core/Cargo.toml": "",
            "native/Cargo.toml": "",
        }
        for name, text in {**empty, **tree}.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return [str(breach) for breach in getattr(layers, rule)(tmp_path)]

    return judged


def test_the_checkout_breaks_no_rule() -> None:
    assert [str(breach) for rule in layers.RULES for breach in rule(ROOT)] == []


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("time.rs", "use crate::admission::Permit;", "`time` uses `admission`, which is a layer above"),
        ("replay/table.rs", "use crate::{limits::Limits, httpsig};", "the domain `replay` uses the domain `httpsig`"),
        ("http1/mod.rs", "fn f() { crate::connection::x() }", "`http1` uses `connection`, which is a layer above"),
        ("route.rs", "use crate::{time::{Now, x},\n worker};", "`route` uses `worker`, which is a layer above"),
        ("gateway.rs", "", "module `gateway` has no place"),
    ],
)
def test_a_core_module_that_reaches_up_or_across_is_named(breaches: Judge, file: str, text: str, says: str) -> None:
    (breach,) = breaches("core_modules_keep_their_layers", {f"native/core/src/{file}": text})
    assert says in breach


def test_a_circle_within_a_layer_is_named(breaches: Judge) -> None:
    (breach,) = breaches(
        "core_modules_keep_their_layers",
        {
            "native/core/src/action.rs": "use crate::worker::Worker;",
            "native/core/src/worker.rs": "use crate::upstream::Upstream;",
            "native/core/src/upstream.rs": "use crate::action::Action;",
        },
    )
    assert "action -> worker -> upstream -> action" in breach


def test_what_comments_and_literals_name_is_not_used(breaches: Judge) -> None:
    text = """
// crate::admission
/// [`crate::connection`] std::thread
const A: &str = "crate::worker std::fs";
const B: &[u8] = br#"crate::route "std::env"#;
fn f<'a>(c: &'a char) -> bool { *c == '"' }
"""
    tree = {"native/core/src/time.rs": text}
    assert breaches("core_modules_keep_their_layers", tree) == []
    assert breaches("core_does_no_io", tree) == []


@pytest.mark.parametrize(
    "text",
    [
        "use std::fs;",
        "use std::{fmt, thread};",
        "let home = std::env::var(name);",
        "use std::net::TcpStream;",
        "use std::time::{Duration, Instant};",
        "std::time::SystemTime::now()",
        "std::process::exit(1)",
    ],
)
def test_a_core_that_does_io_is_named(breaches: Judge, text: str) -> None:
    (breach,) = breaches("core_does_no_io", {"native/core/src/time.rs": f"//! Time.\n{text}\n"})
    assert breach.startswith("native/core/src/time.rs:2: the core is sans-IO")


def test_addresses_are_values_and_tests_may_have_threads(breaches: Judge) -> None:
    tree = {
        "native/core/src/time.rs": "use std::net::{IpAddr, SocketAddr};\nuse std::net::Ipv6Addr;\n"
        "#[cfg(test)]\nmod tests {\n    fn f() { std::thread::scope(|_| ()) }\n}\n#[cfg(test)]\nmod races;\n",
        "native/core/src/time/races.rs": "use std::thread;",
    }
    assert breaches("core_does_no_io", tree) == []


def test_a_crate_that_nobody_listed_is_named(breaches: Judge) -> None:
    tree = {
        "native/core/Cargo.toml": '[dependencies]\nsmallvec = "1"\npyo3 = "0.30"\n[dev-dependencies]\nproptest = "1"\n',
        "native/Cargo.toml": '[dependencies]\npyo3 = "0.30"\n[target."cfg(unix)".dependencies]\ntokio = "1"\n',
    }
    core, binding = breaches("crates_are_the_listed_ones", tree)
    assert "native/core/Cargo.toml:3: crate `pyo3`" in core
    assert "crate `tokio`" in binding


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("native/src/gate.rs", "// SAFETY: no.\nunsafe { f() }\n", "`unsafe` outside native/src/"),
        ("native/src/shm.rs", "let a = 1;\nlet b = unsafe { f() };\n", "without a `SAFETY:` comment"),
        ("native/core/src/lib.rs", "pub mod time;\n", "`#![forbid(unsafe_code)]` is missing"),
    ],
)
def test_unsafe_code_out_of_place_or_without_argument_is_named(
    breaches: Judge, file: str, text: str, says: str
) -> None:
    (breach,) = breaches("unsafe_is_confined_and_argued", {file: text})
    assert says in breach


def test_unsafe_code_with_its_argument_passes(breaches: Judge) -> None:
    text = "// SAFETY: the mapping lives as long as self,\n// and is aligned.\nlet b =\n    unsafe { f() };\n"
    assert breaches("unsafe_is_confined_and_argued", {"native/src/shm.rs": text}) == []


@pytest.mark.parametrize(
    ("module", "text", "says"),
    [
        ("cli", "import tests.e2e", "the product imports `tests`"),
        ("worker", "from bench.load import run", "the product imports `bench`"),
        ("downstream", "import h11", "`downstream` is passed by every read"),
        ("pool", "def f():\n    import json", "`pool` is passed by every read"),
        ("server", "import ssl", "`ssl` is imported outside call.py"),
        ("worker", "from cryptography.hazmat import primitives", "`cryptography` is imported outside keygen.py"),
        ("signing", "import hmac", "`hmac` is imported outside the core"),
    ],
)
def test_python_that_reaches_out_of_its_layer_is_named(breaches: Judge, module: str, text: str, says: str) -> None:
    (breach,) = breaches("python_keeps_its_layer", {f"pyproxy/{module}.py": text})
    assert says in breach


@pytest.mark.parametrize(
    "text",
    ["see /home/me/pyproxy", "/work/main", "/tmp/clone/x", "as DESIGN.md says", "issue #3", "https://pypi.org/simple"],
)
def test_words_from_elsewhere_are_named(breaches: Judge, text: str) -> None:
    (breach,) = breaches("project_speaks_of_itself_alone", {"README.md": f"# pyproxy\n\n{text}\n"})
    assert breach.startswith("README.md:3: speaks of")


def test_urls_and_relative_paths_are_no_words_from_elsewhere(breaches: Judge) -> None:
    text = "http://orders.internal/work/items src/work/x ./tmp/y /dev/shm/pyproxy\n"
    assert breaches("project_speaks_of_itself_alone", {"README.md": text}) == []
