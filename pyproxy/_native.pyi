"""The extension module, as Python sees it."""

from collections.abc import Sequence

class SignatureRefused(ValueError):
    """A signature was refused; `args` are the reason's label and the detail."""

def check_keys(jwks: bytes) -> tuple[list[tuple[str, str, str, str]], list[str], list[str]]:
    """Read a JWK Set as `serve` would.

    Returns keys as (kid, algorithm as in RFC 9421, principal, "secret" or "public"), errors, warnings.
    """

def sign_request(
    jwk: bytes,
    method: str,
    url: str,
    headers: Sequence[tuple[str | bytes, str | bytes]],
    body: bytes | None,
    components: list[str] | None,
    created: int,
    expires: int | None,
    nonce: str,
    label: str = "sig1",
) -> list[tuple[str, str]]:
    """Sign a request with one private JWK; returns the fields to add.

    These are Content-Digest (if there is a body and no such field), Signature-Input and Signature. `components` are
    identifiers such as `@method` or `@query-param;name="id"`; None means `@method @authority @path @query`.
    content-digest is added if there is a body. Times are seconds since 1970. Raises ValueError.
    """

def verify_request(
    jwks: bytes,
    method: str,
    url: str,
    headers: Sequence[tuple[str | bytes, str | bytes]],
    body: bytes | None,
    now: int,
    *,
    require: list[str] | None = None,
    require_if_present: list[str] | None = None,
    max_age: int = 30,
    clock_skew: int = 5,
    allow_rsa_v1_5: bool = False,
) -> tuple[str, str, bytes, int]:
    """Verify a request as a gate would, without the replay filter: (key id, principal, nonce, created).

    Raises SignatureRefused, or ValueError for keys and rules that cannot be used.
    """
