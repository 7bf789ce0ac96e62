"""Finds the table of labels in a folder and reads it, in any format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import DatasetError
from . import delimited, json_table, plain
from .row import EXPECTED, Row

LABELS = "labels.csv"
"""The table that edge-crnn writes."""

NAMES = (LABELS, "labels.tsv", "labels.txt", "labels.json", "labels.jsonl", "gt.txt", "rec_gt*.txt", "words.txt")
"""Names of tables to look for if the user names none."""


@dataclass(frozen=True)
class Table:
    """The content of a table."""

    path: Path
    rows: tuple[Row, ...]
    excerpt: bool = False
    """True if the folder may have only a part of the images that the table names."""
    notes: tuple[str, ...] = ()
    """Lines for the user about rows that were left out."""


def find_tables(folder: Path) -> list[Path]:
    """Return the files of a folder that have one of the usual names of a table."""
    return [path for name in NAMES for path in sorted(folder.glob(name)) if path.is_file()]


def choose_table(folder: Path, named: Path | None) -> Path | None:
    """Return the table that the user names, or else the only one in the folder, or None if there is none.

    Raises:
        DatasetError: there is no such file, or the folder has several tables.
    """
    if named is not None:
        for path in (folder / named, named):
            if path.is_file():
                return path
        raise DatasetError(f"{named}: no such table of labels, neither in {folder} nor from the working directory")
    tables = find_tables(folder)
    if len(tables) > 1:
        raise DatasetError(
            f"{folder}: found {len(tables)} tables of labels, {' and '.join(path.name for path in tables)}; name one of"
            " them (--labels FILE)"
        )
    return tables[0] if tables else None


def read_table(path: Path) -> Table:
    """Read a table. The suffix selects JSON; otherwise the first line decides the format.

    Raises:
        DatasetError: the file cannot be read, or is not a table of labels.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); save it in UTF-8") from error
    origin = str(path)
    suffix = path.suffix.lower()
    if suffix == ".json":
        return Table(path, tuple(json_table.rows(text, origin)))
    if suffix == ".jsonl":
        return Table(path, tuple(json_table.line_rows(text, origin)))
    delimiter = delimited.delimiter_of(text)
    if delimiter is not None:
        return Table(path, tuple(delimited.rows(text, delimiter, origin)))
    if suffix == ".csv":
        raise DatasetError(
            f"{path}: the first line is {delimited.first_line(text)[:60]!r}, expected the names of columns, {EXPECTED},"
            " separated by commas, semicolons or tabs"
        )
    if path.name == "words.txt" or plain.is_iam(text):
        rows, erroneous = plain.iam_rows(text, origin)
        note = f"{path.name}: {erroneous:,} lines with the status err are left out"
        return Table(path, tuple(rows), excerpt=True, notes=(note,) if erroneous else ())
    return Table(path, tuple(plain.rows(text, origin)))
