"""Files of keys: JWK Sets (RFC 7517) on disk, for those who sign and those who verify.

Promises: a file that holds anything secret is refused if others can read it; a worker is only ever given what
verifying needs; an added key is either wholly in the file or not at all, whatever dies meanwhile and whoever else adds
one; nothing here prints a secret. Whether a key is fit to verify with is the native core's to say.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from pyproxy import jwk as jwks
from pyproxy._native import check_keys
from pyproxy.jwk import Jwk
from pyproxy.toml_reading import clipped

#: Tens of thousands of keys fit; a device or a log file given by mistake does not fill the memory.
MAX_FILE_BYTES: Final = 64 << 20


class KeyFileError(Exception):
    """The file cannot be used. One line for each problem; never a secret."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.path: Final = path
        self.problems: Final = tuple(problems)
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))


class VerifyingKeys(NamedTuple):
    """What a verifier is given."""

    #: JWK Set: public members of asymmetric keys, and shared secrets.
    jwk_set: bytes
    entries: list[Entry]
    #: What the operator should know of.
    warnings: list[str]


class Entry(NamedTuple):
    """What may be said about a key."""

    kid: str
    alg: str
    principal: str
    #: `secret` (whoever verifies can sign), `private` (the signer's) or `public`.
    holds: str


def load_verifying(path: Path) -> VerifyingKeys:
    """The keys that calls are verified with.

    # Errors
    [`KeyFileError`]: not readable, readable by others though it holds secrets, or unfit keys: every one at once.
    """
    document, mode = _read(path)
    keys = _keys(document)
    _refuse_if_exposed(path, keys, mode)
    for_verifiers = _for_verifiers(keys)
    warnings = _check(path, for_verifiers)
    entries = [_entry(key) for key in keys]
    if private := [entry.kid for entry in entries if entry.holds == "private"]:
        advice = "a verifier needs none; give it what `pyproxy keys public` prints"
        warnings.insert(0, f"{path}: holds the private keys of {_listed(private)}: {advice}")
    return VerifyingKeys(for_verifiers, entries, warnings)


def load_signing(path: Path, kid: str | None) -> tuple[bytes, Entry]:
    """The private JWK named `kid`, as JSON; without a `kid`, the only one in the file.

    # Errors
    [`KeyFileError`]: no such key, no private members in it, or others can read the file.
    """
    document, mode = _read(path)
    keys = _keys(document)
    _refuse_if_exposed(path, keys, mode)
    private = [key for key in keys if jwks.has_private_members(key)]
    listed = _listed([_text(key, "kid") for key in private])
    named = private if kid is None else [key for key in keys if key.get("kid") == kid]
    match named:
        case [key] if key in private:
            return _to_json(key), _entry(key)
        case [key]:
            problem = f"key {_listed([_text(key, 'kid')])} is public: it can verify, not sign"
        case []:
            problem = "no key to sign with" if kid is None else f"no key `{clipped(kid)}` to sign with, but {listed}"
        case _:
            problem = f"which key? name one of {listed}" if kid is None else f"several keys are `{clipped(kid)}`"
    raise KeyFileError(path, [problem])


def entries(path: Path) -> list[Entry]:
    """What may be said about every key of the file."""
    document, _mode = _read(path)
    return [_entry(key) for key in _keys(document)]


def public(path: Path, *, with_secrets: bool) -> tuple[bytes, list[str]]:
    """The verifier's set, as JSON for people, and the kids of shared secrets that were left out of it."""
    document, _mode = _read(path)
    keys = _keys(document)
    left_out = [] if with_secrets else [_text(key, "kid") for key in keys if jwks.is_symmetric(key)]
    shared = [key for key in keys if with_secrets or not jwks.is_symmetric(key)]
    return json.dumps(json.loads(_for_verifiers(shared)), indent=2).encode() + b"\n", left_out


def add(path: Path, key: Jwk) -> None:
    """Adds a private JWK to the file, which is made if need be; afterwards only its owner can read it.

    The new content replaces the old in one step (rename(2)), and one writer waits for another.

    # Errors
    [`KeyFileError`]: the kid is taken, the file cannot be written, or the set would not be fit to verify with.
    """
    # A symbolic link stays one: what it leads to is replaced.
    target = Path(os.path.realpath(path))
    try:
        with _locked(target.parent):
            document: Jwk = {"keys": []}
            owner: os.stat_result | None = None
            if target.exists():
                document, _mode = _read(target)
                owner = target.stat()
            keys = _keys(document)
            if any(other.get("kid") == key["kid"] for other in keys):
                raise KeyFileError(path, [f"there is a key `{clipped(str(key['kid']))}` already"])
            document["keys"] = [*keys, key]
            _check(path, _for_verifiers(document["keys"]))
            _replace(target, _to_json(document, indent=2) + b"\n", owner)
    except OSError as error:
        raise KeyFileError(path, [f"cannot be written: {(error.strerror or str(error)).lower()}"]) from None


@contextlib.contextmanager
def _locked(directory: Path) -> Generator[None]:
    # The directory is what stays: a lock on the file itself would be one on what rename(2) has replaced.
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(target: Path, content: bytes, owner: os.stat_result | None) -> None:
    # mkstemp: mode 0600, O_EXCL, a name that nobody can have prepared.
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            if owner is not None and (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                with contextlib.suppress(PermissionError):  # only root can give a file to another; then it is ours
                    os.fchown(stream.fileno(), owner.st_uid, owner.st_gid)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(name, target)  # noqa: PTH104
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108
        raise
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _read(path: Path) -> tuple[Jwk, int]:
    """The document and the file's mode, both of the same open file."""
    try:
        # O_NONBLOCK: to open a pipe that nobody writes to would wait for ever.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileError(path, ["not a regular file"])
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(path, [f"cannot be read: {(error.strerror or str(error)).lower()}"]) from None
    if len(content) > MAX_FILE_BYTES:
        raise KeyFileError(path, [f"larger than {MAX_FILE_BYTES} bytes"])
    return _document(path, content), status.st_mode


def _document(path: Path, content: bytes) -> Jwk:
    def members(pairs: list[tuple[str, Any]]) -> Jwk:
        # RFC 7517 section 4: member names are unique, or the set is refused: two readers could see two different keys.
        read = dict(pairs)
        if len(read) < len(pairs):
            twice = next(name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1)
            raise _Refused(f"member `{clipped(twice)}` is there twice")
        return read

    def constant(name: str) -> None:
        raise _Refused(f"`{name}` is not JSON")

    try:
        document = cast(object, json.loads(content, object_pairs_hook=members, parse_constant=constant))
    except _Refused as refused:
        raise KeyFileError(path, [str(refused)]) from None
    except json.JSONDecodeError as error:
        # Its message has the place but nothing of the content.
        raise KeyFileError(
            path, [f"not JSON: {error.msg.lower()} at line {error.lineno}, column {error.colno}"]
        ) from None
    except (ValueError, RecursionError):  # not UTF-8, a number of absurd size, nested without end
        raise KeyFileError(path, ["not JSON"]) from None
    table = cast(Jwk, document) if isinstance(document, dict) else {}
    keys = cast(list[object], table["keys"]) if isinstance(table.get("keys"), list) else None
    if keys is None or not all(isinstance(key, dict) for key in keys):
        cause = "; likely cause: a single key; put it into one" if "kty" in table else ""
        raise KeyFileError(path, [f'not a JWK Set: expected `{{"keys": [{{...}}, ...]}}` (RFC 7517 section 5){cause}'])
    return table


class _Refused(Exception):
    """The JSON is valid for Python, but not for us."""


def _keys(document: Jwk) -> list[Jwk]:
    return cast(list[Jwk], document["keys"])


def _for_verifiers(keys: list[Jwk]) -> bytes:
    return _to_json({"keys": [key if jwks.is_symmetric(key) else jwks.without_private_members(key) for key in keys]})


def _check(path: Path, jwk_set: bytes) -> list[str]:
    """The core's warnings about the set, or its errors raised."""
    _known, errors, warnings = check_keys(jwk_set)
    if errors:
        raise KeyFileError(path, errors)
    return [f"{path}: {warning}" for warning in warnings]


def _refuse_if_exposed(path: Path, keys: list[Jwk], mode: int) -> None:
    if mode & 0o077 and any(jwks.has_private_members(key) for key in keys):
        permissions = stat.S_IMODE(mode)
        raise KeyFileError(
            path, [f"holds secrets, but others can read it (mode {permissions:04o}): `chmod 600 {path}`"]
        )


def _entry(key: Jwk) -> Entry:
    holds = "secret" if jwks.is_symmetric(key) else "private" if jwks.has_private_members(key) else "public"
    return Entry(_text(key, "kid"), _text(key, "alg"), _text(key, "principal"), holds)


def _text(key: Jwk, member: str) -> str:
    # Only these three members are ever shown; whatever is in them instead of text is not.
    value = key.get(member)
    return clipped(value) if isinstance(value, str) else "?"


def _listed(kids: list[str]) -> str:
    shown = ", ".join(f"`{clipped(kid)}`" for kid in kids[:8])
    return (f"{shown} and {len(kids) - 8} more" if len(kids) > 8 else shown) or "none"


def _to_json(value: object, indent: int | None = None) -> bytes:
    return json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
