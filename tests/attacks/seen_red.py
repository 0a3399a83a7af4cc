"""Removes one defence after the other and sees the tests of its attack fail: `python tests/attacks/seen_red.py [NAME]`.

A test that nobody has seen fail proves nothing. The product is copied, all mutations of `mutations.toml` are put into
the copy, each behind a switch, and it is built once; then the tests that a mutation names run with its switch on, and
every one of them must fail. With no switch on, all must pass. Takes minutes; `ci/full` runs it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
SWITCH = "PYPROXY_MUTANT"
RUST_SWITCH = f"""
/// Whether the mutation of this number is switched on.
#[doc(hidden)]
pub fn mutant(number: u32) -> bool {{
    static ON: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    number == *ON.get_or_init(|| std::env::var("{SWITCH}").ok().and_then(|on| on.parse().ok()).unwrap_or(0))
}}
"""


def copy_product(to: Path) -> None:
    """What is under version control, as it stands in the working tree."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True)
    for name in listed.stdout.decode().splitlines():
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def mutate(product: Path, mutations: list[dict[str, Any]]) -> None:
    """Puts every mutation in, behind the switch of its number."""
    for number, mutation in enumerate(mutations, 1):
        for edit in mutation["edits"]:
            file = product / edit["file"]
            text = file.read_text()
            found = text.count(edit["old"])
            if found != 1:
                raise SystemExit(f"`{mutation['name']}`: {edit['file']} has its text {found} times, not once")
            if file.suffix == ".py":
                switch = f'(__import__("os").environ.get("{SWITCH}") == "{number}")'
            else:
                crate = "crate" if "core" in Path(edit["file"]).parts else "pyproxy_core"
                switch = f"{crate}::mutant({number})"
            file.write_text(text.replace(edit["old"], edit["new"].replace("MUTANT", switch)))
    with (product / "native/core/src/lib.rs").open("a") as library:
        library.write(RUST_SWITCH)


def build(product: Path) -> None:
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "seen-red"
    environment = os.environ | {"CARGO_TARGET_DIR": str(target), "PYO3_PYTHON": sys.executable}
    subprocess.run(
        ["cargo", "build", "--quiet", "--package", "pyproxy-native"], cwd=product, check=True, env=environment
    )
    extension = f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"
    shutil.copy2(target / "debug/lib_native.so", product / "pyproxy" / extension)


def failed(product: Path, tests: list[str], number: int) -> set[str]:
    """The tests that fail with this mutation switched on, without their parameters."""
    command = [sys.executable, "-m", "pytest", "-rfE", "--tb=no", *(f"tests/attacks/{test}" for test in tests)]
    run = subprocess.run(
        command, cwd=product, env=os.environ | {SWITCH: str(number)}, capture_output=True, text=True, check=False
    )
    if run.returncode not in (0, 1):
        raise SystemExit(run.stdout + run.stderr)
    return set(re.findall(r"^(?:FAILED|ERROR) tests/attacks/(\S+?::\w+)", run.stdout, re.MULTILINE))


def main() -> int:
    mutations = tomllib.loads((ROOT / "tests/attacks/mutations.toml").read_text())["mutation"]
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="pyproxy-seen-red-") as directory:
        product = Path(directory)
        copy_product(product)
        mutate(product, mutations)
        build(product)
        everything = sorted({test for mutation in mutations for test in mutation["red"]})
        if not wanted and (red := failed(product, everything, 0)):
            print("red with every defence in place:", *sorted(red), sep="\n  ")
            return 1
        missed = 0
        for number, mutation in enumerate(mutations, 1):
            if wanted and mutation["name"] not in wanted:
                continue
            green = set(mutation["red"]) - failed(product, mutation["red"], number)
            missed += len(green)
            print("green" if green else "red  ", mutation["name"], *sorted(green), sep="  ", flush=True)
    print(f"{len(mutations)} mutations, {missed} tests that did not see theirs")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
