"""What Cython is told of the compiled modules fits them: an attribute that no pxd names fails only when it is set."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pyproxy"
COMPILED = sorted(path.stem for path in PACKAGE.glob("*.pxd"))


def attributes_set(module: str) -> dict[str, set[str]]:
    """Names that each class assigns on `self`."""
    classes: dict[str, set[str]] = {}
    for node in ast.parse((PACKAGE / f"{module}.py").read_text()).body:
        if isinstance(node, ast.ClassDef):
            stores = {
                each.attr
                for each in ast.walk(node)
                if isinstance(each, ast.Attribute)
                and isinstance(each.ctx, ast.Store)
                and isinstance(each.value, ast.Name)
                and each.value.id == "self"
            }
            classes[node.name] = stores
    return classes


def attributes_declared(module: str) -> dict[str, set[str]]:
    """Names that the pxd declares, by class."""
    classes: dict[str, set[str]] = {}
    name = ""
    for line in (PACKAGE / f"{module}.pxd").read_text().splitlines():
        if found := re.match(r"cdef class (\w+):", line):
            name = found[1]
            classes[name] = set()
        elif found := re.match(r"    cdef (?:public )?(?:object|long|bint|double) ([\w, ]+)$", line):
            classes[name] |= set(found[1].split(", "))
    return classes


def test_every_module_that_the_build_compiles_has_its_types() -> None:
    build = (PACKAGE.parent / "native" / "build.rs").read_text()
    modules = re.search(r"const MODULES: \[&str; \d+\] = \[(.*?)\];", build, re.DOTALL)
    assert modules is not None
    assert sorted(re.findall(r'"(\w+)"', modules[1])) == COMPILED


@pytest.mark.parametrize("module", COMPILED)
def test_every_attribute_is_declared_and_no_other(module: str) -> None:
    declared = attributes_declared(module)
    assert declared
    for name, attributes in declared.items():
        assert attributes == attributes_set(module)[name], f"{module}.{name}"
