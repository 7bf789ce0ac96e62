"""Checks the output files of a command before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_crnn.errors import OutputError
from edge_crnn.files import require_place


def check_places(read: Sequence[Path], written: Sequence[Path | None]) -> None:
    """Make sure that every output can be written, and that none overwrites another file of this run.

    Raises:
        OutputError: a file cannot be written, or is named twice.
    """
    taken = {path.resolve() for path in read}
    for place in filter(None, written):
        require_place(place)
        if place.resolve() in taken:
            raise OutputError(f"{place}: two files of this run have this name; choose another name for one of them")
        taken.add(place.resolve())
