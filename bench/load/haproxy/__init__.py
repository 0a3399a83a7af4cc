"""Rival: HAProxy as a plain reverse proxy."""

from __future__ import annotations

from pathlib import Path

from bench.load.place import Place, Running, first_line, free_port, program

NAME = "haproxy"


def start(place: Place) -> Running:
    """Starts it with one thread on the core of `place`."""
    haproxy = program("haproxy", "apt-get install haproxy")
    port = free_port()
    conf = place.fill(Path(__file__).with_name("haproxy.cfg"), NAME, port=port, upstream_port=place.upstream_port)
    process = place.start(NAME, [haproxy, "-db", "-f", conf], port)
    return Running(NAME, first_line([haproxy, "-v"]), port, process)
