"""A zero-trust access proxy for microservices: every call proven, fresh, permitted and on record.

The modules on the path of every call come in two forms: plain Python, and the same files compiled by Cython into the
extension of a release build. The compiled form, where there is one, takes the place of the plain one here, before
anything imports it; `PYPROXY_PURE_PYTHON=1` keeps the plain form, which can be debugged.
"""

from __future__ import annotations

import os
import sys

from pyproxy import _native

COMPILED = bool(_native.compiled) and os.environ.get("PYPROXY_PURE_PYTHON", "0") in {"", "0"}
"""Whether the compiled form runs."""

if COMPILED:
    sys.modules.update({f"pyproxy.{name}": module for name, module in _native.compiled.items()})

from pyproxy.embed import Admission, Gate, Rejection  # noqa: E402 (after the forms are chosen)

__all__ = ["COMPILED", "Admission", "Gate", "Rejection"]
