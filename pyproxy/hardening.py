"""What a process gives up before it reads a key: being traced and dumped by others of its user, leaving a core file,
and files that anybody else can read. Nothing here is a gate; it makes a stolen account of a neighbour worth less.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_SET_NO_NEW_PRIVS = 38


def harden() -> list[str]:
    """Hardens this process and those that it will start. Returns what could not be done, one sentence each."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    missing: list[str] = []
    # A process that is not dumpable cannot be attached to, nor its /proc/PID/mem or environ read, by its own user
    # (prctl(2)). The flag is set anew by execve, so every process does this for itself.
    if not _prctl(PR_SET_DUMPABLE, 0):
        missing.append("other processes of this user can read our memory: PR_SET_DUMPABLE was refused")
    if not _prctl(PR_SET_NO_NEW_PRIVS, 1):
        missing.append("programs that we start could gain privileges: PR_SET_NO_NEW_PRIVS was refused")
    return missing


def raise_descriptor_limit(needed: int) -> int:
    """Raises the limit on open files to `needed`, or as far as allowed. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def name_process(name: str) -> None:
    """The name that `ps` and `top` show for this process, 15 bytes of it."""
    _prctl(PR_SET_NAME, ctypes.create_string_buffer(name.encode()[:15]))


def _prctl(option: int, value: int | ctypes.Array[ctypes.c_char]) -> bool:
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        return False
    argument = ctypes.c_ulong(value) if isinstance(value, int) else value
    return prctl(ctypes.c_int(option), argument, ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) == 0
