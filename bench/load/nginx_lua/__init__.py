"""Rival: nginx with a tuned Lua verifier of the same HMAC, time window and nonce."""

from __future__ import annotations

import getpass
from pathlib import Path

from bench.load.call import CLOCK_SKEW_S, MAX_AGE_S, read_keys
from bench.load.nginx import HINT
from bench.load.place import Place, Running, SetupError, first_line, free_port, program

NAME = "nginx-lua-hmac"
MODULES = ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules"]


def start(place: Place) -> Running:
    """Starts it with one worker on the core of `place`."""
    nginx = program("nginx", HINT)
    modules = next((Path(path) for path in MODULES if (Path(path) / "ngx_http_lua_module.so").exists()), None)
    if modules is None:
        raise SetupError(f"nginx has no ngx_http_lua_module.so in {', '.join(MODULES)}: {HINT}")
    port = free_port()
    directory = place.subdirectory(NAME)
    _write_settings(directory / "settings.lua", place.keys_file)
    conf = place.fill(
        Path(__file__).with_name("nginx.conf"),
        NAME,
        directory=directory,
        here=Path(__file__).parent,
        modules=modules,
        port=port,
        upstream_port=place.upstream_port,
        user=getpass.getuser(),
    )
    process = place.start(NAME, [nginx, "-c", conf, "-p", directory], port)
    return Running(NAME, first_line([nginx, "-v"]) + " + lua", port, process, verifies=True)


def _write_settings(file: Path, keys_file: Path) -> None:
    keys = read_keys(keys_file)
    escaped = {kid: "".join(f"\\{octet:03d}" for octet in secret) for kid, secret in keys.items()}
    entries = "".join(f'    ["{kid}"] = "{secret}",\n' for kid, secret in escaped.items())
    file.touch(mode=0o600)
    file.write_text(f"return {{ max_age_s = {MAX_AGE_S}, clock_skew_s = {CLOCK_SKEW_S}, keys = {{\n{entries}}} }}\n")
