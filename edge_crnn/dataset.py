"""Folders of images, with or without labels, and which images are in them.

Where labels come from is told in `labels.texts`. Images are decoded only when they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .alphabet import Alphabet
from .chunks import chunked
from .errors import DatasetError
from .files import sha256
from .images import Pixels, load_image
from .labels.places import find_images
from .labels.rules import DEFAULT_RULES, LabelRules
from .labels.spelling import spelled
from .labels.tables import LABELS
from .labels.texts import load_texts
from .progress import note as to_stderr

__all__ = [
    "DEFAULT_RULES",
    "LABELS",
    "Dataset",
    "Entry",
    "LabelRules",
    "chunked",
    "content_hash",
    "content_hashes",
    "find_images",
    "load_labelled",
    "load_texts",
    "load_unlabelled",
    "refuse_overlap",
    "refuse_repeats",
]


@dataclass(frozen=True)
class Entry:
    """One image."""

    path: Path
    label: str
    """Symbols of the alphabet; empty in a folder without labels."""

    def load(self) -> Pixels:
        """The image as (H, W, 3) uint8 BGR; see `edge_crnn.images.load_image` for what it raises."""
        return load_image(self.path)


@dataclass(frozen=True)
class Dataset:
    """A folder of images."""

    folder: Path
    entries: tuple[Entry, ...]
    labelled: bool = True
    """Whether the images have labels; without them, every label is empty."""

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


def load_labelled(
    folder: Path,
    alphabet: Alphabet,
    rules: LabelRules = DEFAULT_RULES,
    note: Callable[[str], None] = to_stderr,
) -> Dataset:
    """The labelled images of `folder`, as `load_texts` finds them.

    Args:
        folder: of images.
        alphabet: that spells their labels.
        rules: where the labels are, and what is done with characters that the alphabet does not have.
        note: takes what was left out or dropped, a line at a time.

    Raises:
        DatasetError: as `load_texts`, or the labels have characters that the alphabet does not have.
    """
    texts = load_texts(folder, rules, note)
    labels = spelled(texts, alphabet, folder, rules.drop_unknown, note)
    return Dataset(folder, tuple(Entry(path, label) for path, label in labels))


def load_unlabelled(folder: Path) -> Dataset:
    """The images of `folder` without labels.

    Raises:
        DatasetError: no images.
    """
    return Dataset(folder, tuple(Entry(path, "") for path in find_images(folder)), labelled=False)


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
