"""Folders of images, with or without labels.

A label is the file's name without suffix (`A18sk6897.jpg`), or stands in `labels.csv` in the folder: UTF-8,
with the header `image,label`. Either is a label of the alphabet, or the text that a person writes. Images are
decoded only when they are used.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeVar

from .alphabet import Alphabet
from .errors import AlphabetError, DatasetError
from .files import sha256
from .images import SUFFIXES, Pixels, load_image

LABELS = "labels.csv"


@dataclass(frozen=True)
class Entry:
    """One labelled image."""

    path: Path
    label: str
    """Symbols of the alphabet."""

    def load(self) -> Pixels:
        """The image as (H, W, 3) uint8 BGR; see `edge_crnn.images.load_image` for what it raises."""
        return load_image(self.path)


@dataclass(frozen=True)
class Dataset:
    """A labelled folder."""

    folder: Path
    entries: tuple[Entry, ...]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    @property
    def paths(self) -> list[Path]:
        """The files, in the order of the entries."""
        return [each.path for each in self.entries]

    @cached_property
    def sha256(self) -> str:
        """`content_hash` of the files as they were when it was first asked for."""
        return content_hash(self.paths)


_T = TypeVar("_T")


def chunked(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """The items in lists of `size`, the last one shorter."""
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk


def find_images(folder: Path) -> list[Path]:
    """The image files directly in `folder`, hidden ones left out, in the order of their names in NFC.

    Raises:
        DatasetError: there is no such folder, it cannot be read, or holds no image.
    """
    try:
        files = [each for each in folder.iterdir() if each.is_file()]
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be read ({error.strerror}); name a folder of images") from error
    images = [each for each in files if each.suffix.lower() in SUFFIXES and not each.name.startswith(".")]
    if not images:
        raise DatasetError(
            f"{folder}: no image among {len(files)} files, expected {', '.join(sorted(SUFFIXES))}; name another folder"
        )
    return sorted(images, key=lambda path: (_nfc(path.name), path.name))


def load_labelled(folder: Path, alphabet: Alphabet) -> Dataset:
    """The labelled images of `folder`; where there is a `labels.csv`, those that it names.

    Raises:
        DatasetError: no images, a label that the alphabet cannot spell, or a `labels.csv` that is no such
            table, is empty, names a file that is missing, or names one twice.
    """
    images = find_images(folder)
    table = folder / LABELS
    named = _from_table(table, images) if table.exists() else [(path, _nfc(path.stem)) for path in images]
    return Dataset(folder, tuple(Entry(path, _label(path, text, alphabet)) for path, text in named))


def content_hashes(paths: Iterable[Path]) -> dict[str, Path]:
    """SHA-256 of each file's content → the first file that has it.

    Raises:
        DatasetError: a file cannot be read.
    """
    found: dict[str, Path] = {}
    for path in paths:
        found.setdefault(_file_sha256(path), path)
    return found


def content_hash(paths: Iterable[Path]) -> str:
    """One SHA-256 for a set of files, whatever their names and order: over their sorted hexadecimal SHA-256.

    Raises:
        DatasetError: a file cannot be read.
    """
    return sha256("".join(sorted(map(_file_sha256, paths))).encode())


def refuse_repeats(paths: Iterable[Path]) -> None:
    """Make sure that no image is there twice: counted twice, it would seem to show more than it does.

    Raises:
        DatasetError: two files have the same content.
    """
    first: dict[str, Path] = {}
    repeats = [(path, other) for path in paths if (other := first.setdefault(_file_sha256(path), path)) is not path]
    if repeats:
        raise DatasetError(
            f"{len(repeats)} images are there more than once, such as {repeats[0][0]} (also {repeats[0][1]});"
            " keep one of each"
        )


def refuse_overlap(calibration: Iterable[Path], verification: Iterable[Path]) -> None:
    """Make sure that no image has a part in both sets: verifying with it would flatter.

    Raises:
        DatasetError: some contents are in both.
    """
    seen = content_hashes(calibration)
    shared = [(path, seen[key]) for key, path in content_hashes(verification).items() if key in seen]
    if shared:
        raise DatasetError(
            f"{len(shared)} images are in both sets, such as {shared[0][0]} (for calibration:"
            f" {shared[0][1]}); calibrate with other images than those that verify"
        )


def _label(path: Path, text: str, alphabet: Alphabet) -> str:
    try:
        return alphabet.label(text)
    except AlphabetError as error:
        raise DatasetError(f"{path}: {error}") from error


def _from_table(table: Path, images: list[Path]) -> list[tuple[Path, str]]:
    by_name = {_nfc(path.name): path for path in images}
    named: dict[Path, str] = {}
    for line, name, label in _rows(table):
        path = by_name.get(_nfc(name))  # macOS stores names in NFD, tables are written in NFC
        if path is None:
            raise DatasetError(f"{table}, line {line}: image {name!r} is not in the folder; add it or drop the line")
        if path in named:
            raise DatasetError(f"{table}, line {line}: image {name!r} a second time; keep one of the lines")
        if not label:
            raise DatasetError(f"{table}, line {line}: image {name!r} has no label; write it or drop the line")
        named[path] = _nfc(label)
    if not named:
        raise DatasetError(f"{table}: names no image; add a line for each, such as A18sk6897.jpg,A18sk6897")
    return list(named.items())


def _rows(table: Path) -> Iterator[tuple[int, str, str]]:
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{table}: cannot be read ({error}); save it as CSV in UTF-8") from error
    rows = csv.DictReader(io.StringIO(text, newline=""), restval="", strict=True)
    try:
        if not {"image", "label"} <= set(rows.fieldnames or ()):
            raise DatasetError(
                f"{table}: found the columns {rows.fieldnames or 'of an empty file'}, expected image,label"
                " in the first line, separated by a comma"
            )
        for row in rows:
            yield rows.line_num, row["image"].strip(), row["label"].strip()
    except csv.Error as error:
        raise DatasetError(f"{table}, line {rows.line_num}: no CSV ({error}); save it as CSV in UTF-8") from error


def _file_sha256(path: Path) -> str:
    import hashlib

    try:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
            return digest.hexdigest()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); name an image file") from error


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
