"""The definition of a command of `edge-crnn`; entry points of the group `edge_crnn.commands` name such objects."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .parser import CommandParser


@dataclass(frozen=True)
class Command:
    """A command of `edge-crnn`."""

    help: str
    """Line that begins with a verb and has no full stop."""
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    """Returns the exit status; raises EdgeCrnnError for an expected failure."""
    details: str = ""
    """Paragraph with further information, shown before the options."""
    examples: Sequence[str] = ()
    """Examples, without the leading `edge-crnn`."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Former name of an option → its name now. The former name still works, with a warning."""

    def parser(self, name: str) -> CommandParser:
        """Create the parser of this command, to be run as `edge-crnn NAME`."""
        parser = CommandParser(
            f"edge-crnn {name}",
            summary=f"{self.help[:1].upper()}{self.help[1:]}.",
            details=self.details,
            examples=[f"edge-crnn {example}" for example in self.examples],
            renamed=self.renamed,
        )
        self.add_arguments(parser)
        return parser


def between(least: float, most: float) -> Callable[[str], float]:
    """Return the `type` of an argument that is a number from `least` to `most`."""

    def number(text: str) -> float:
        value = float(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not between {least:g} and {most:g}")
        return value

    return number


share = between(0, 1)
"""The `type` of an argument from 0 to 1."""


def at_least(least: int, most: int = sys.maxsize) -> Callable[[str], int]:
    """Return the `type` of an argument that is a whole number from `least` to `most`."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        if value > most:
            raise argparse.ArgumentTypeError(f"{value} is more than {most}")
        return value

    return number


def length(text: str) -> tuple[int, int]:
    """Parse an argument such as `4` or `1-10` into the least and the greatest length."""
    least, _, most = text.partition("-")
    bounds = int(least), int(most or least)
    if not 1 <= bounds[0] <= bounds[1]:
        raise argparse.ArgumentTypeError(f"{text} is not a length such as 4 or 1-10")
    return bounds


def lambda_declaration(text: str) -> tuple[str, str]:
    """Parse an argument such as `lambda_1=squeeze 1` into a Lambda's name and its meaning."""
    name, separator, words = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected LAYER=WORDS such as 'lambda_1=squeeze 1'")
    return name, words
