"""The upstream that every set-up forwards to: nginx with a static answer."""

from __future__ import annotations

import getpass
from pathlib import Path

from bench.load.nginx import HINT
from bench.load.place import Place, Running, first_line, free_port, program

NAME = "upstream"


def start(place: Place) -> Running:
    """Starts it on the core of `place`."""
    nginx = program("nginx", HINT)
    port = free_port()
    directory = place.subdirectory(NAME)
    template = Path(__file__).with_name("nginx.conf")
    conf = place.fill(template, NAME, directory=directory, port=port, user=getpass.getuser())
    process = place.start(NAME, [nginx, "-c", conf, "-p", directory], port)
    return Running(NAME, first_line([nginx, "-v"]), port, process)
