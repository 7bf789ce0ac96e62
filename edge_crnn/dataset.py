"""Folders of images, with or without labels.

The module `labels.texts` finds the labels. Images are decoded only when they are used.
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
from .labels.steps import require_steps
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
    "shared_images",
]


@dataclass(frozen=True)
class Entry:
    """An image and its label."""

    path: Path
    label: str
    """Symbols of the alphabet; empty in a folder without labels."""

    def load(self) -> Pixels:
        """Return the image as (H, W, 3) uint8 BGR.

        Raises:
            ImageError: the file cannot be read as an image.
            BackendUnavailable: OpenCV is not installed, or does not start.
        """
        return load_image(self.path)


@dataclass(frozen=True)
class Dataset:
    """A folder of images."""

    folder: Path
    entries: tuple[Entry, ...]
    labelled: bool = True
    """False if the images have no labels; then every label is empty."""

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    @property
    def paths(self) -> list[Path]:
        """The files, in the order of the entries."""
        return [entry.path for entry in self.entries]

    @cached_property
    def sha256(self) -> str:
        """The `content_hash` of the files at the first use of this property."""
        return content_hash(self.paths)


def load_labelled(
    folder: Path,
    alphabet: Alphabet,
    rules: LabelRules = DEFAULT_RULES,
    note: Callable[[str], None] = to_stderr,
    steps: int | None = None,
) -> Dataset:
    """Load the labelled images that `load_texts` finds in `folder`.

    Args:
        folder: a folder of images.
        alphabet: the alphabet that spells their labels.
        rules: rules for finding labels, and for characters that the alphabet does not have.
        note: writes a line about images that were left out or characters that were dropped.
        steps: time steps of the network, which must suffice for the labels. None: no check.

    Raises:
        DatasetError: see `load_texts`; or the labels have characters that the alphabet does not have, or need more
            time steps than there are.
    """
    texts = load_texts(folder, rules, note)
    labels = spelled(texts, alphabet, folder, rules.drop_unknown, note)
    if steps is not None:
        require_steps(labels, alphabet, steps, folder)
    return Dataset(folder, tuple(Entry(path, label) for path, label in labels))


def load_unlabelled(folder: Path, recursive: bool = False) -> Dataset:
    """Load the images of `folder`, with `recursive` also those of its subfolders, without labels.

    Raises:
        DatasetError: there are no images.
    """
    return Dataset(folder, tuple(Entry(path, "") for path in find_images(folder, recursive)), labelled=False)


def content_hashes(paths: Iterable[Path]) -> dict[str, Path]:
    """Return, by the SHA-256 of its content, the first file with that content.

    Raises:
        DatasetError: a file cannot be read.
    """
    hashes: dict[str, Path] = {}
    for path in paths:
        hashes.setdefault(_file_sha256(path), path)
    return hashes


def content_hash(paths: Iterable[Path]) -> str:
    """Return a SHA-256 for the contents of a set of files: the hash of their sorted hashes in hexadecimal.

    Raises:
        DatasetError: a file cannot be read.
    """
    return sha256("".join(sorted(map(_file_sha256, paths))).encode())


def refuse_repeats(paths: Iterable[Path]) -> None:
    """Check that no image occurs twice, because counting it twice would make a result look too certain.

    Raises:
        DatasetError: two files have the same content.
    """
    first: dict[str, Path] = {}
    repeats = [(path, other) for path in paths if (other := first.setdefault(_file_sha256(path), path)) is not path]
    if repeats:
        raise DatasetError(
            f"{len(repeats)} images occur more than once, such as {repeats[0][0]} (also {repeats[0][1]});"
            " keep one of each"
        )


def refuse_overlap(calibration: Iterable[Path], verification: Iterable[Path]) -> None:
    """Check that no image is in both sets, because an artifact does better on images that it was calibrated with.

    Raises:
        DatasetError: some files have the same content.
    """
    if shared := shared_images(verification, calibration):
        path, other = shared[0]
        raise DatasetError(
            f"{len(shared):,} images are in both sets, such as {path} (for calibration: {other}); calibrate with other"
            " images than those that verify"
        )


def shared_images(paths: Iterable[Path], others: Iterable[Path]) -> list[tuple[Path, Path]]:
    """Return the files of `paths` that have the content of a file of `others`, with that file; no content twice.

    Raises:
        DatasetError: a file cannot be read.
    """
    other = content_hashes(others)
    return [(path, other[content]) for content, path in content_hashes(paths).items() if content in other]


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
