"""Rival: nginx as a plain reverse proxy."""

from __future__ import annotations

import getpass
from pathlib import Path

from bench.load.place import Place, Running, first_line, free_port, program

NAME = "nginx"
HINT = "apt-get install nginx libnginx-mod-http-lua"


def start(place: Place) -> Running:
    """Starts it with one worker on the core of `place`."""
    nginx = program("nginx", HINT)
    port = free_port()
    directory = place.subdirectory(NAME)
    conf = place.fill(
        Path(__file__).with_name("nginx.conf"),
        NAME,
        directory=directory,
        port=port,
        upstream_port=place.upstream_port,
        user=getpass.getuser(),
    )
    process = place.start(NAME, [nginx, "-c", conf, "-p", directory], port)
    return Running(NAME, first_line([nginx, "-v"]), port, process)
