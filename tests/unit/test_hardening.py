"""What a process gives up before it reads a key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_CHECK = """
import ctypes, os, resource
from pyproxy.hardening import harden
PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS = 3, 39
assert harden() == []
libc = ctypes.CDLL(None)
print(libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), libc.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0))
print(resource.getrlimit(resource.RLIMIT_CORE), oct(os.umask(0)))
"""


def test_a_hardened_process_cannot_be_traced_dumped_or_gain_privileges() -> None:
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", _CHECK], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["0 1", "(0, 0) 0o77"]
