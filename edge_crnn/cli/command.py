"""The definition of a command of `edge-crnn`; entry points of the group `edge_crnn.commands` name such objects."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ..errors import InputError
from .parser import CommandParser

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}

_Value = TypeVar("_Value")


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

    def arguments(self, name: str, words: Sequence[str]) -> argparse.Namespace:
        """Parse the words, and the configuration file that a word may name; the words win.

        Raises:
            SystemExit: the words are wrong, or ask for help.
            UsageError: the configuration file is wrong.
            InputError: it cannot be read.
        """
        parsed = self.parser(name).parse_args(words)
        if getattr(parsed, "config", None) is not None:
            from .configuration import add_configuration

            add_configuration(parsed, words, lambda: self.parser(name))
        return parsed


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


def duration(text: str) -> float:
    """Parse an argument such as `24h` into seconds."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text, re.ASCII)
    if match is None or not int(match[1]):
        raise argparse.ArgumentTypeError(f"{text} is not a duration such as 90s, 15m, 24h or 7d")
    return float(int(match[1]) * _UNITS[match[2]])


def size(text: str) -> int:
    """Parse an argument such as `500M` into bytes."""
    match = re.fullmatch(r"(\d{1,6})([KMG])", text, re.ASCII)
    if match is None or not int(match[1]):
        raise argparse.ArgumentTypeError(f"{text} is not a size such as 500M or 2G")
    return int(match[1]) * _SIZES[match[2]]


def parsed_by(parse: Callable[[str], _Value]) -> Callable[[str], _Value]:
    """Return the `type` of an argument that `parse` reads, which raises InputError if it cannot."""

    def value(text: str) -> _Value:
        try:
            return parse(text)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return value


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
