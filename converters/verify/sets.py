"""What a verification reads: some images set aside for calibration, and signs that others prove nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from edge_crnn.dataset import DEFAULT_RULES, Dataset, load_labelled
from edge_crnn.errors import DatasetError, EdgeCrnnError
from edge_crnn.model.spec import ModelSpec

from .gate import Readings

_LEAST_STEP, _MOST_ASIDE = 4, 100
_TELLING = 4
"""Fewest images of which it is odd that all have one text."""


def set_aside(datasets: Sequence[Dataset]) -> tuple[list[Dataset], list[Path]]:
    """The datasets without every k-th image, and these images, which can calibrate: a quarter, at most 100.

    Raises:
        DatasetError: there are too few images for both.
    """
    count = sum(map(len, datasets))
    if count < 2:
        raise DatasetError(
            "1 image cannot both calibrate and verify; add images, or name others to calibrate with: --calibration DIR"
        )
    step = max(_LEAST_STEP, -(-count // _MOST_ASIDE))
    aside: list[Path] = []
    kept: list[Dataset] = []
    place = 0
    for dataset in datasets:
        chosen = [(place + index) % step == 0 for index in range(len(dataset))]
        place += len(dataset)
        aside += [entry.path for entry, taken in zip(dataset, chosen, strict=True) if taken]
        rest = tuple(entry for entry, taken in zip(dataset, chosen, strict=True) if not taken)
        if rest:
            kept.append(replace(dataset, entries=rest))
    return kept, aside


def suspicions(datasets: Sequence[Dataset], reference: Sequence[Readings]) -> Iterator[str]:
    """Lines about images without labels of which the trained model reads nothing, or always the same.

    An artifact reads the same there even if the spec shows both the images in the wrong way.
    """
    for dataset, readings in zip(datasets, reference, strict=True):
        ((text, times),) = Counter(readings.labels).most_common(1)
        empty, count = readings.labels.count(""), len(dataset)
        if dataset.labelled or count < _TELLING:
            continue
        if 2 * empty > count:
            oddity = f"reads nothing in {empty} of {count} images"
        elif times == count:
            oddity = f"reads {text!r} in all {count} images"
        else:
            continue
        yield (
            f"warning: {dataset.folder}: the trained model {oddity}; the spec may be wrong, which agreement cannot"
            " show: verify with labelled images, --labelled DIR"
        )


def seems_labelled(dataset: Dataset, spec: ModelSpec) -> bool:
    """Whether labels of the alphabet are where labels usually are, for images that were given without any.

    Names that count the images are no labels.
    """
    try:
        found = load_labelled(dataset.folder, spec.alphabet, DEFAULT_RULES, lambda _: None)
    except EdgeCrnnError:
        return False
    names = [entry.path.stem for entry in found]
    if [entry.label for entry in found] != names or not all(map(str.isdecimal, names)):
        return True
    numbers = sorted(map(int, names))
    return numbers != list(range(numbers[0], numbers[0] + len(numbers)))
