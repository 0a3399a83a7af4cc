"""Which form of the protocol classes runs: compiled by Cython where they were built in, else plain Python.

`PYPROXY_PURE_PYTHON=1` chooses the plain form, which can be debugged; both pass the same tests.
"""

from __future__ import annotations

import os

from pyproxy import _native, downstream, upstream

COMPILED = bool(_native.compiled) and os.environ.get("PYPROXY_PURE_PYTHON", "0") in {"", "0"}
"""Whether the compiled form runs."""

if COMPILED:
    downstream = _native.compiled["downstream"]
    upstream = _native.compiled["upstream"]

Downstream = downstream.Downstream
Upstream = upstream.Upstream
