"""What a subcommand is; entry points of the group `edge_crnn.commands` name objects of this kind."""

from __future__ import annotations

import argparse
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


def at_least(least: int) -> Callable[[str], int]:
    """The `type` of an argument that is a whole number from `least` on."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    return number
