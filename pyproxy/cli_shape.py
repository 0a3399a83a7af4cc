"""How every command of the command line is declared, and how its help looks: like a manual page."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from typing import Any

#: Runs a command; returns its exit status.
Run = Callable[[argparse.Namespace], int]


def command(
    commands: Any, name: str, run: Run, *, full_name: str = "", summary: str, description: str, epilog: str = ""
) -> argparse.ArgumentParser:
    """Adds a command. `full_name` is what its messages begin with, if that is more than `name`."""
    made = shaped(commands.add_parser(name, help=summary, description=" ".join(description.split())), epilog)
    made.set_defaults(command=run, name=full_name or name)
    return made


def shaped(made: argparse.ArgumentParser, epilog: str) -> argparse.ArgumentParser:
    """Gives a parser what follows its options: sections as they are written."""
    made.epilog = textwrap.dedent(epilog).strip() or None
    made.formatter_class = Help
    return made


class Help(argparse.RawDescriptionHelpFormatter):
    """The description is filled, what follows the options is left as it is written."""

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, max_help_position=28, **settings)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)
