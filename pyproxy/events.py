"""What the processes say about themselves, on standard error: JSON lines, or readable ones on a terminal.

Process events only: calls go to the access log, which is native. Never a secret: what is logged are names, paths,
numbers and the messages of errors that were written for people.
"""

from __future__ import annotations

import sys

import structlog

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("pyproxy")


def configure(**bound: object) -> None:
    """Sets up the one logger of this process; `bound` goes into every line, such as the worker's slot."""
    terminal = sys.stderr.isatty()
    render: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    )

    def bind(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {**bound, **event}

    processors: list[structlog.typing.Processor] = [
        bind,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not terminal:
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, render],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
