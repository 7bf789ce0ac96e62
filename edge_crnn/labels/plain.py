"""Lists without a header: `path<TAB>label` of PaddleOCR and deep-text-recognition-benchmark, and IAM's words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import DatasetError
from .row import Row

_LINE_END = re.compile(r"\r\n|\r|\n")  # str.splitlines also splits at characters that labels may have
_IAM = re.compile(
    r"(?P<id>(?P<folder>[^\s/-]+)-(?P<page>[^\s/-]+)-\S+) (?P<status>ok|err)(?: -?\d+){5} \S+ (?P<label>.+)"
)


def rows(text: str, origin: str) -> Iterator[Row]:
    """Read the path and the label in every line, separated by a tab, or in a list without any tab by the first space.

    Raises:
        DatasetError: a line has several tabs, or nothing that separates path and label.
    """
    tabs = "\t" in text
    for number, line in _lines(text):
        if tabs:
            fields = line.split("\t")
            if len(fields) != 2:
                raise DatasetError(
                    f"{origin}, line {number}: {len(fields) - 1} tabs; expected the path of an image, a tab, its label"
                )
            image, label = fields
        else:
            image, space, label = line.strip().partition(" ")
            if not space:
                raise DatasetError(
                    f"{origin}, line {number}: {line[:60]!r} has no tab and no space; expected the path of an image, a"
                    " tab, its label"
                )
        yield Row(f"line {number}", image.strip(), label.strip())


def is_iam(text: str) -> bool:
    """Return whether the first line after comments describes a word of IAM."""
    first = next((line for _, line in _lines(text) if not line.startswith("#")), "")
    return _IAM.fullmatch(first.strip()) is not None


def iam_rows(text: str, origin: str) -> tuple[list[Row], int]:
    """Read IAM's `words.txt`: the words whose segmentation is marked ok, and the number of words marked err.

    A line is `a01-000u-00-00 ok 154 408 768 27 51 AT A`: identity, status, grey level, box, part of speech, text. The
    image is `a01/a01-000u/a01-000u-00-00.png` (IAM Handwriting Database 3.0, Marti and Bunke 2002).

    Raises:
        DatasetError: a line has another form.
    """
    words = []
    erroneous = 0
    for number, line in _lines(text):
        if line.startswith("#"):
            continue
        word = _IAM.fullmatch(line.strip())
        if word is None:
            raise DatasetError(
                f"{origin}, line {number}: {line[:60]!r} is no word of IAM, expected such as 'a01-000u-00-00 ok 154 408"
                " 768 27 51 AT A'"
            )
        if word["status"] == "err":
            erroneous += 1
            continue
        folder = word["folder"]
        page = word["page"]
        words.append(Row(f"line {number}", f"{folder}/{folder}-{page}/{word['id']}.png", word["label"]))
    return words, erroneous


def _lines(text: str) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in enumerate(_LINE_END.split(text), 1) if line.strip())
