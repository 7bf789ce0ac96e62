"""Tables whose first line names their columns: fields separated by commas, semicolons or tabs (RFC 4180).

White space around a field is stripped unless the field is quoted; the standard library's csv does not report quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from ..errors import DatasetError
from .row import Row, columns

_DELIMITERS = (",", ";", "\t")
_LINE_END = re.compile(r"\r\n|\r|\n")


def delimiter_of(text: str) -> str | None:
    """Return the delimiter with which the first line names an image and a label, or None if there is none."""
    for delimiter in _DELIMITERS:
        try:
            header = next(records(text, delimiter, ""), None)
        except DatasetError:
            continue
        if header is not None and columns(header[1]) is not None:
            return delimiter
    return None


def rows(text: str, delimiter: str, origin: str) -> Iterator[Row]:
    """Read the rows below the first line, which must name an image and a label; empty lines are skipped.

    Raises:
        DatasetError: a quote is not closed, or a row has more fields than the first line has names.
    """
    lines = records(text, delimiter, origin)
    (_, names) = next(lines)
    places = columns(names)
    assert places is not None  # `delimiter_of` has checked it
    image, label = places
    named = max(place for place, name in enumerate(names) if name) + 1  # spreadsheets end lines with empty fields
    for line, fields in lines:
        if len(fields) > len(names) or any(fields[named:]):
            raise DatasetError(
                f"{origin}, line {line}: {len(fields)} fields, but the first line has {named}; put a label that"
                f" contains {delimiter!r} in double quotes"
            )
        padded = [*fields, *[""] * (len(names) - len(fields))]
        yield Row(f"line {line}", padded[image], padded[label])


def records(text: str, delimiter: str, origin: str) -> Iterator[tuple[int, list[str]]]:
    """Yield every record: the number of the line in which it begins, counted from 1, and its fields.

    Raises:
        DatasetError: a quote is not closed, or is followed by text; the message begins with `origin`.
    """
    space = rf"[^\S\r\n{delimiter}]*"
    end = rf"(?={delimiter}|\r|\n|\Z)"
    field = re.compile(rf'{space}"(?P<quoted>[^"]*(?:""[^"]*)*)"{space}{end}|(?P<plain>[^{delimiter}\r\n]*)')
    place = 0
    start = line = 1
    fields: list[str] = []
    while True:
        match = field.match(text, place)
        assert match is not None  # the plain field may be empty
        if match["quoted"] is not None:
            fields.append(match["quoted"].replace('""', '"'))
        elif match["plain"].lstrip().startswith('"'):
            raise DatasetError(
                f"{origin}, line {line}: a quote is not closed, or has text after it; write a quote inside a quoted"
                ' field twice ("")'
            )
        else:
            fields.append(match["plain"].strip())
        line += sum(1 for _ in _LINE_END.finditer(match[0]))
        place = match.end()
        if text.startswith(delimiter, place):
            place += 1
            continue
        if fields != [""]:
            yield start, fields
        ending = _LINE_END.match(text, place)
        if ending is None:
            return
        place = ending.end()
        line += 1
        start = line
        fields = []


def first_line(text: str) -> str:
    """Return the first line that is not empty, for a message."""
    return next(islice((line for line in _LINE_END.split(text) if line.strip()), 1), "")
