"""Calling signed services from Python: an `Auth` for httpx, and a plain function for everything else.

    from pyproxy.client import SignatureAuth, SigningKey

    auth = SignatureAuth(SigningKey.from_file("keys.json", "me"))
    httpx.get("http://orders.internal/v1/orders", auth=auth)

What goes over the wire is what is signed: the target as httpx sends it, the `Host` that it sends. Every request gets a
nonce of its own, so a retry through the same `Auth` is a new call. A redirect is not signed anew: httpx follows
redirects below its `Auth`, so the answer to one is 401; call the new address yourself.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Final, cast

import httpx

from pyproxy.signing import COMPONENTS, SigningError, SigningKey, Target, sign_request, sign_target

__all__ = ["COMPONENTS", "SignatureAuth", "SigningError", "SigningKey", "sign_request"]


class SignatureAuth(httpx.Auth):
    """Signs every request of a client (RFC 9421), sync and async alike.

    The body is read first, because its digest is covered: a streamed body ends up in memory. `components` and
    `expires_in_s` are those of [`sign_request`].
    """

    requires_request_body = True

    def __init__(
        self,
        key: SigningKey,
        *,
        components: Iterable[str] | None = None,
        expires_in_s: int | None = None,
    ) -> None:
        self._key: Final = key
        self._components: Final = None if components is None else tuple(components)
        self._expires_in_s: Final = expires_in_s

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Adds the signature; httpx calls this once for each request."""
        for name in ("Signature", "Signature-Input", "Content-Digest"):
            # Of an earlier attempt with this same request: it was used up.
            request.headers.pop(name, None)
        sent = request.extensions.get("target", request.url.raw_path)
        added = sign_target(
            request.method,
            Target(request.url.scheme, request.headers["Host"], cast(bytes, sent).decode("ascii")),
            [(name.decode("ascii"), value) for name, value in request.headers.raw],
            request.content,
            key=self._key,
            components=self._components,
            expires_in_s=self._expires_in_s,
        )
        request.headers.update(added)
        yield request
