"""The commands `pyproxy keys new`, `keys public` and `keys list`. What they do to files is `keyring.py`'s."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from pyproxy import check, keyring
from pyproxy.cli_shape import command, shaped
from pyproxy.jwk import JOSE_NAMES

_KEYS: Final = """
    A caller keeps its private keys in a file of its own; the proxy is given their public half:
      pyproxy keys new --kid me --alg ed25519 --principal spiffe://example.org/me --keys mine.json
      pyproxy keys public --keys mine.json > keys.json

    An HMAC key is one secret that both sides hold: whoever can verify can sign.
"""

_NEW: Final = """
    algorithms (RFC 9421 section 3.3):
      ed25519            the one to choose if nothing speaks against it: fast, small, no secret at the verifier
      ecdsa-p256-sha256, ecdsa-p384-sha384, rsa-pss-sha512 (3072 bits)
      hmac-sha256        one shared secret; cheapest to verify, but whoever can verify can sign

    example:
      pyproxy keys new --kid me --alg ed25519 --principal spiffe://example.org/me --keys keys.json
"""


def add(commands: Any) -> None:
    """Adds `keys` and its actions to the command line."""
    description = "Makes and shows the keys that calls are signed and verified with: JWK Sets (RFC 7517)."
    keys = shaped(commands.add_parser("keys", help="make and show keys", description=description), _KEYS)
    actions = keys.add_subparsers(metavar="ACTION", required=True)
    _add_new(actions)
    public = command(
        actions,
        "public",
        _public,
        full_name="keys public",
        summary="print the verifier's set",
        description="""Prints the JWK Set that a verifier needs: public members only. HMAC keys have none, so they are
        left out, and named on standard error, unless --with-secrets says that the secrets themselves are to be
        printed.""",
    )
    keys_argument(public)
    public.add_argument("--with-secrets", action="store_true", help="HMAC keys too: keep the output as safe as them")
    listed = command(
        actions,
        "list",
        _list,
        full_name="keys list",
        summary="list keys, never secrets",
        description="""Lists every key: kid, algorithm, principal, and whether the file holds its secret, its private or
        its public part.""",
    )
    keys_argument(listed)
    listed.add_argument("--json", action="store_true", help="for programs")


def keys_argument(to: argparse.ArgumentParser) -> None:
    """Adds `--keys`."""
    to.add_argument("--keys", required=True, metavar="FILE", help="JWK Set (RFC 7517)")


def _add_new(actions: Any) -> None:
    new = command(
        actions,
        "new",
        _new,
        full_name="keys new",
        summary="make a key",
        description="""Makes a private key and adds it to a JWK Set, which is made if need be. The file is replaced in
        one step, what it held stays, and afterwards only its owner can read it (mode 0600).""",
        epilog=_NEW,
    )
    new.add_argument("--kid", required=True, help="its id, which signatures name: up to 256 printable ASCII characters")
    new.add_argument("--alg", required=True, choices=list(JOSE_NAMES), metavar="ALG", help=", ".join(JOSE_NAMES))
    new.add_argument("--principal", required=True, metavar="SPIFFE_ID", help="who signs with it: spiffe://domain/path")
    keys_argument(new)


def _new(arguments: argparse.Namespace) -> int:
    from pyproxy import keygen  # here: it loads a cryptographic library that no other command needs

    key = keygen.generate(arguments.kid, arguments.alg, arguments.principal)
    keyring.add(Path(arguments.keys), key)
    print(f"added {arguments.kid} ({key['alg']}, {arguments.principal}) to {arguments.keys}")
    return 0


def _public(arguments: argparse.Namespace) -> int:
    jwk_set, left_out = keyring.public(Path(arguments.keys), with_secrets=arguments.with_secrets)
    if left_out:
        names = ", ".join(left_out)
        print(f"pyproxy keys public: left out, because they are secrets: {names} (--with-secrets)", file=sys.stderr)
    sys.stdout.write(jwk_set.decode())
    return 0


def _list(arguments: argparse.Namespace) -> int:
    entries = keyring.entries(Path(arguments.keys))
    if arguments.json:
        print(json.dumps([entry._asdict() for entry in entries], indent=2))
    else:
        print("\n".join(check.table(entries)))
    return 0
