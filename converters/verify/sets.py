"""Chooses the images of a verification: sets some aside for calibration, and warns of images that prove nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from edge_crnn.dataset import DEFAULT_RULES, Dataset, content_hash, load_labelled
from edge_crnn.errors import DatasetError, EdgeCrnnError
from edge_crnn.model.artifact import Artifact
from edge_crnn.model.spec import ModelSpec

from .gate import Readings
from .seeded import ImagesInMemory

_LEAST_STEP = 4
_MOST_ASIDE = 100
_EXPECTED = 0.9
"""Share of labelled images that a trained model is expected to read."""
_SHOWN = 3
_FEWEST_TO_JUDGE = 4
"""Fewest images that are suspicious if all have the same text."""


def set_aside(datasets: Sequence[Dataset]) -> tuple[list[Dataset], list[Path]]:
    """Set aside every k-th image to calibrate with: a quarter of all images, at most 100.

    Returns:
        The datasets without these images; the images' paths.

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


def not_set_aside(artifacts: Sequence[Artifact], datasets: list[Dataset]) -> tuple[list[Dataset], int]:
    """Leave out the images that a conversion set aside to calibrate one of the artifacts.

    Returns:
        The datasets to verify with, and the number of images that are left out.
    """
    if sum(map(len, datasets)) < 2:
        return datasets, 0
    kept, aside = set_aside(datasets)
    calibrations = [artifact.spec.artifact.calibration for artifact in artifacts if artifact.spec.artifact is not None]
    hashes = {images.sha256 for images in calibrations if images is not None and images.images == len(aside)}
    return (kept, len(aside)) if hashes and content_hash(aside) in hashes else (datasets, 0)


def suspicions(datasets: Sequence[Dataset], reference: Sequence[Readings]) -> Iterator[str]:
    """Warn of images that the trained model reads badly, or that only labels could prove correct.

    If the spec prepares images wrongly, it does so for both models, so that their agreement does not show it.
    """
    for dataset, readings in zip(datasets, reference, strict=True):
        if isinstance(dataset, ImagesInMemory):
            continue
        lines = _badly_read(dataset, readings) if dataset.labelled else _unproven(dataset, readings)
        yield from lines


def _badly_read(dataset: Dataset, readings: Readings) -> Iterator[str]:
    right = sum(entry.label == label for entry, label in zip(dataset, readings.labels, strict=True))
    if 0 < right < _EXPECTED * len(dataset):
        yield (
            f"warning: {dataset.folder}: the trained model itself reads {right / len(dataset):.2%} as labelled; if you"
            " expected more, the spec may be wrong: edge-crnn spec MODEL --labelled DIR --anew measures it"
        )


def _unproven(dataset: Dataset, readings: Readings) -> Iterator[str]:
    ((text, times),) = Counter(readings.labels).most_common(1)
    empty = readings.labels.count("")
    count = len(dataset)
    oddity = None
    if count >= _FEWEST_TO_JUDGE and 2 * empty > count:
        oddity = f"reads nothing in {empty} of {count} images"
    elif count >= _FEWEST_TO_JUDGE and times == count:
        oddity = f"reads {text!r} in all {count} images"
    if oddity is not None:
        yield (
            f"warning: {dataset.folder}: the trained model {oddity}; the spec may be wrong, which agreement cannot"
            " show: verify with labelled images, --labelled DIR"
        )
        return
    shown = zip(dataset.paths[:_SHOWN], readings.labels[:_SHOWN], strict=True)
    texts = ", ".join(f"{path.name} {label!r}" for path, label in shown)
    yield (
        f"{dataset.folder}: without labels nothing shows that the trained model's texts are correct, such as {texts};"
        " compare them with the images"
    )


def seems_labelled(dataset: Dataset, spec: ModelSpec) -> bool:
    """Return whether images without declared labels seem to have some in the usual places.

    Names that merely number the images are not labels.
    """
    try:
        labelled = load_labelled(dataset.folder, spec.alphabet, DEFAULT_RULES, lambda _: None)
    except EdgeCrnnError:
        return False
    names = [entry.path.stem for entry in labelled]
    if [entry.label for entry in labelled] != names or not all(map(str.isdecimal, names)):
        return True
    numbers = sorted(map(int, names))
    return numbers != list(range(numbers[0], numbers[0] + len(numbers)))
