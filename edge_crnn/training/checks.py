"""Checks of the images before the first step, so that training that cannot succeed does not begin."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from ..dataset import Dataset, content_hashes
from ..errors import DatasetError, ImageError
from ..progress import progress

_SHOWN = 3
"""Largest number of damaged images that a message names."""


def require_readable(datasets: Sequence[Dataset]) -> None:
    """Decode every image once, so that a damaged one does not end a run after hours.

    Raises:
        ImageError: some images cannot be decoded; the message counts them and names the first ones.
    """
    entries = [entry for dataset in datasets for entry in dataset]
    problems = []
    for entry in progress(entries, len(entries), "checking images"):
        try:
            entry.load()
        except ImageError as error:
            problems.append(str(error))
    if problems:
        more = "; …" if len(problems) > _SHOWN else ""
        raise ImageError(
            f"{len(problems):,} of {len(entries):,} images cannot be read: {'; '.join(islice(problems, _SHOWN))}{more}."
            " Replace or remove them"
        )


def require_apart(training: Sequence[Dataset], validation: Sequence[Dataset]) -> None:
    """Check that no image is in both training and validation, under any name: the model would seem too good.

    Raises:
        DatasetError: some files have the same content.
    """
    trained_on = content_hashes(path for dataset in training for path in dataset.paths)
    judged_by = content_hashes(path for dataset in validation for path in dataset.paths)
    shared = [(path, trained_on[content]) for content, path in judged_by.items() if content in trained_on]
    if shared:
        path, other = shared[0]
        raise DatasetError(
            f"{len(shared):,} of {len(judged_by):,} validation images are also training images, such as {path}"
            f" ({other} has the same content); validate with other images"
        )
