"""What a subcommand is; entry points of the group `edge_crnn.commands` name objects of this kind."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A subcommand of `edge-crnn`."""

    help: str
    """One line."""
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    """Gives the exit status; raises EdgeCrnnError for an expected failure."""


def between(least: float, most: float) -> Callable[[str], float]:
    """The `type` of an argument that is a number from `least` to `most`."""

    def number(text: str) -> float:
        value = float(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not between {least:g} and {most:g}")
        return value

    return number


share = between(0, 1)
"""The `type` of an argument from 0 to 1."""


def at_least(least: int, most: int = sys.maxsize) -> Callable[[str], int]:
    """The `type` of an argument that is a whole number from `least` to `most`."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        if value > most:
            raise argparse.ArgumentTypeError(f"{value} is more than {most}")
        return value

    return number


def length(text: str) -> tuple[int, int]:
    """The `type` of an argument such as `4` or `1-10`: fewest and most."""
    least, _, most = text.partition("-")
    bounds = int(least), int(most or least)
    if not 1 <= bounds[0] <= bounds[1]:
        raise argparse.ArgumentTypeError(f"{text} is no length such as 4 or 1-10")
    return bounds
