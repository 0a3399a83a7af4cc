"""Signing one request (RFC 9421), as a caller does: what to cover, the body's digest, a fresh nonce.

A plain function over (method, url, headers, body). The url is signed as it stands, so it must be what goes over the
wire: a client that rewrites it afterwards (dot segments, percent-encoding) breaks the signature, as it should. The
signature itself is made by the native core, by the code that also verifies.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, cast

from pyproxy import _native, keyring
from pyproxy.toml_reading import clipped

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

#: What every signature covers that is not told otherwise. Besides: `content-digest` where there is a body, and
#: `content-type` where it is given: a body that is read as another type says something else.
COMPONENTS: Final = ("@method", "@authority", "@path", "@query")

#: 144 bits, 24 characters: the proxy asks for 16 characters at least.
_NONCE_BYTES: Final = 18
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: RFC 3986 appendix B, for urls that name a host; userinfo would be a credential of another kind.
_URL: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#@]+)(?P<target>[^#]*)(?:#.*)?", re.IGNORECASE)


class SigningError(ValueError):
    """The request cannot be signed; says why, never what with."""


class SigningKey:
    """A private key. Its `repr` is its name, not its secret."""

    __slots__ = ("_jwk", "kid")

    def __init__(self, jwk: bytes, kid: str) -> None:
        self._jwk: Final = jwk
        self.kid: Final = kid

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], kid: str | None = None) -> SigningKey:
        """The key named `kid` of a JWK Set; without a `kid`, the only one that can sign.

        # Errors
        [`pyproxy.keyring.KeyFileError`]; among others if people other than its owner can read the file.
        """
        jwk, entry = keyring.load_signing(Path(path), kid)
        return cls(jwk, entry.kid)

    def __repr__(self) -> str:
        return f"SigningKey({self.kid!r})"

    def __reduce__(self) -> str:
        raise TypeError("a signing key is not pickled: its secret would lie where the pickle does")


class Target(NamedTuple):
    """Where a request goes: the parts of its url, as they go over the wire."""

    scheme: str
    #: Host and port as in `Host`.
    authority: str
    #: Path and query as in the request line (origin-form, RFC 9112 section 3.2.1).
    target: str

    @classmethod
    def of(cls, url: str) -> Target:
        """Takes a url apart without changing it. Raises [`SigningError`] if it could not be sent as it stands."""
        parts = _URL.fullmatch(url)
        if parts is None:
            before_query = url.partition("?")[0]
            # What stands before an `@` may be a password, and what comes after a `?` anything.
            got = "one with a user name in it" if "@" in before_query else f"`{clipped(before_query)}`"
            raise SigningError(f"expected a url like `http://host/path`, got {got}")
        target = parts["target"] or "/"
        if target.startswith("?"):
            target = f"/{target}"
        if re.search(r"[^!-~]", parts["authority"] + target):
            raise SigningError("the url holds characters that must be percent-encoded first")
        return cls(parts["scheme"].lower(), parts["authority"], target)


def sign_request(
    method: str,
    url: str,
    headers: Headers = (),
    body: bytes | None = None,
    *,
    key: SigningKey,
    components: Iterable[str] | None = None,
    expires_in_s: int | None = None,
    label: str = "sig1",
    created: int | None = None,
    nonce: str | None = None,
) -> dict[str, str]:
    """The header fields to add: `Signature-Input`, `Signature` and, where needed, `Content-Digest`.

    `headers` are those of the request so far: covered fields are taken from them, and a `Host` there goes before the
    url's. Each call makes a fresh nonce; a signed request passes once, so sign again to send again.

    `components` are the covered components, as in Signature-Input without quotes: `@method`, `@query-param;name="id"`;
    by default [`COMPONENTS`]. `content-digest` is added to them whenever there is a body.
    `created` (seconds since 1970) and `nonce` are for tests.

    # Errors
    [`SigningError`], for instance if a component is not in the request.
    """
    pairs = cast(Iterable[tuple[str, str]], headers.items() if isinstance(headers, Mapping) else headers)
    return sign_target(
        method,
        Target.of(url),
        [(name, value.encode()) for name, value in pairs],
        body,
        key=key,
        components=components,
        expires_in_s=expires_in_s,
        label=label,
        created=created,
        nonce=nonce,
    )


def sign_target(
    method: str,
    where: Target,
    fields: list[tuple[str, bytes]],
    body: bytes | None,
    *,
    key: SigningKey,
    components: Iterable[str] | None = None,
    expires_in_s: int | None = None,
    label: str = "sig1",
    created: int | None = None,
    nonce: str | None = None,
) -> dict[str, str]:
    """[`sign_request`] for a url that was taken apart already, and field values as they go over the wire."""
    if not _TOKEN.fullmatch(method):
        raise SigningError(f"`{clipped(method)}` is no method (RFC 9110 section 9.1)")
    named = {name.lower() for name, _ in fields}
    if taken := named & {"signature", "signature-input"}:
        raise SigningError(f"the request has `{min(taken)}` already")
    hosts = [value.decode("latin-1") for name, value in fields if name.lower() == "host"]
    if len(hosts) > 1:
        raise SigningError("the request has two `Host` fields")
    covered = [*COMPONENTS, *({"content-type"} & named)] if components is None else [*components]
    # A body is there if the framing says so, however short it is (RFC 9112 section 6).
    if (body or "transfer-encoding" in named) and "content-digest" not in covered:
        covered.append("content-digest")
    now = int(time.time()) if created is None else created
    try:
        added = _native.sign_request(
            key._jwk,  # pyright: ignore[reportPrivateUsage]
            method,
            f"{where.scheme}://{hosts[0] if hosts else where.authority}{where.target}",
            fields,
            body,
            covered,
            now,
            None if expires_in_s is None else now + expires_in_s,
            nonce or secrets.token_urlsafe(_NONCE_BYTES),
            label,
        )
    except ValueError as error:
        raise SigningError(str(error)) from None
    return dict(added)
