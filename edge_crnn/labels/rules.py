"""The rules for finding labels and changing them before the alphabet spells them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ..errors import InputError
from .names import NamePattern

FoldCase: TypeAlias = Literal["upper", "lower"]


@dataclass(frozen=True)
class LabelRules:
    """The rules for reading the labels of a folder of images.

    Raises:
        InputError: the pattern is invalid, or there is a table as well.
    """

    pattern: str | None = None
    """The place of the label in the name of a file; see `NamePattern.compile`. None: the label is in the table
    of the folder, or is the whole name if there is no table."""
    fold_case: FoldCase | None = None
    """The case that labels are turned into."""
    drop_unknown: bool = False
    """True if characters outside the alphabet are dropped from labels, instead of rejected."""
    table: Path | None = None
    """A table of labels; its path is relative to the folder of images or to the working directory. None: the only table
    in the folder that has a usual name."""
    recursive: bool = False
    """True if images in subfolders are read too, unless a table names the images."""

    def __post_init__(self) -> None:
        if self.pattern is not None:
            NamePattern.compile(self.pattern)
            if self.table is not None:
                raise InputError(
                    f"labels from the table {self.table}, and from file names by {self.pattern!r}: give one of the two"
                )


DEFAULT_RULES = LabelRules()
"""A table in the folder, or the file names; no character is changed."""
