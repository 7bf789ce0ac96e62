"""Checks of the images before the first step, so that training that cannot succeed does not begin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..dataset import Dataset, shared_images
from ..errors import DatasetError, ImageError
from ..images import read_image
from ..progress import note as to_stderr
from ..progress import progress

_SHOWN = 3
"""Largest number of images that a message names."""


def require_readable(datasets: Sequence[Dataset], note: Callable[[str], None] = to_stderr) -> None:
    """Decode every image once, so that none ends a run after hours.

    Args:
        datasets: the images.
        note: writes a line about images whose files are damaged but can be decoded.

    Raises:
        ImageError: some images cannot be decoded; the message counts them and names the first ones.
    """
    entries = [entry for dataset in datasets for entry in dataset]
    rejected: list[str] = []
    damaged: list[str] = []
    for entry in progress(entries, len(entries), "checking images"):
        try:
            damage = read_image(entry.path).damage
        except ImageError as error:
            rejected.append(str(error))
        else:
            if damage:
                damaged.append(f"{entry.path} ({damage})")
    if rejected:
        raise ImageError(
            f"{len(rejected):,} of {len(entries):,} images cannot be decoded: {_first(rejected)}. Replace or remove"
            " them"
        )
    if damaged:
        note(
            f"{len(damaged):,} of {len(entries):,} images are damaged and used as they are: {_first(damaged)}. Look at"
            " them, and replace or remove those that show another text than their label"
        )


def _first(messages: Sequence[str]) -> str:
    return "; ".join(messages[:_SHOWN]) + ("; …" if len(messages) > _SHOWN else "")


def require_apart(training: Sequence[Dataset], validation: Sequence[Dataset]) -> None:
    """Check that no image is in both training and validation, under any name: the model would seem too good.

    Raises:
        DatasetError: some files have the same content.
    """
    shared = shared_images(_paths(validation), _paths(training))
    if shared:
        path, other = shared[0]
        raise DatasetError(
            f"{len(shared):,} validation images are also training images, such as {path} ({other} has the same"
            " content); validate with other images"
        )


def _paths(datasets: Sequence[Dataset]) -> list[Path]:
    return [path for dataset in datasets for path in dataset.paths]
