"""Writes the record of `convert` and `verify`: the verdicts, and the images behind them."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_crnn.alphabet import Alphabet
from edge_crnn.dataset import Dataset, Entry
from edge_crnn.model.artifact import Artifact
from edge_crnn.model.spec import ModelSpec
from edge_crnn.records.record import Record, header_here
from edge_crnn.records.verification import ReadImage, ReadText, Verification, Verified

from ..verify.detail import detail
from ..verify.gate import Readings
from ..verify.gate import Verification as Judgement

_MOST_CHANGES = 200
"""Largest number of changed images that are recorded."""
_SAMPLE = 40
"""Approximate number of other images that are recorded."""
_MIME = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".bmp": "bmp", ".webp": "webp"}
_MOST_BYTES = 32_768
_MAX_WIDTH = 360
_MAX_HEIGHT = 180
"""An image file with more bytes is replaced by a smaller image, of at most this size in pixels."""
_PACKAGES = ("numpy", "tensorflow", "keras", "ai-edge-litert", "onnxruntime", "opencv-python-headless")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """An artifact, its verdict, and its readings of each dataset."""

    artifact: Artifact
    verification: Judgement
    readings: Sequence[Readings]


def to_json(
    spec: ModelSpec, source_sha256: str, outcomes: Sequence[Outcome], reference: Sequence[Readings], images_are: str
) -> str:
    """Return the JSON record, which `edge-crnn report` reads.

    Args:
        spec: the spec of the trained model.
        source_sha256: SHA-256 of the trained model's file.
        outcomes: at least one outcome, all of the same datasets.
        reference: the trained model's readings of each dataset.
        images_are: the kind of the images, such as "rendered plates"; empty if unknown.
    """
    names = _names([outcome.artifact.path for outcome in outcomes])
    changes, rest = _split(outcomes)
    images = _ReadImages(outcomes, names, reference, spec.alphabet)
    figures = Verification(
        artifacts=tuple(_verified(outcome, name, reference) for outcome, name in zip(outcomes, names, strict=True)),
        changed=len(changes),
        changes=tuple(images.at(*place) for place in changes[:_MOST_CHANGES]),
        sample=tuple(images.at(*place) for place in rest),
    )
    header = header_here(_PACKAGES, model=spec.name, source_sha256=source_sha256, images_are=images_are)
    return Record(header, figures).to_json()


def _verified(outcome: Outcome, name: str, reference: Sequence[Readings]) -> Verified:
    artifact = outcome.artifact
    read = zip(outcome.verification.datasets, reference, outcome.readings, strict=True)
    labelled = [folder for folder in read if folder[0].labelled]
    facts = artifact.spec.artifact
    return Verified(
        name=name,
        recipe=facts.headline if facts else "",
        format=facts.format if facts else artifact.path.suffix.removeprefix("."),
        bytes=len(artifact.payload),
        payload_sha256=facts.payload_sha256 if facts else "",
        parity=outcome.verification.parity,
        detail=detail(artifact.spec, *zip(*labelled, strict=True)) if labelled else None,
        teacher=artifact.spec.teacher,
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the files' names; a name that several files share becomes a path."""
    names = [path.name for path in paths]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]


def _split(outcomes: Sequence[Outcome]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return places (dataset, index) of the changed images, and of some others, evenly spread over each dataset."""
    datasets = outcomes[0].verification.datasets
    numbers = {id(dataset): number for number, dataset in enumerate(datasets)}
    changed = {
        (numbers[id(change.dataset)], change.index) for outcome in outcomes for change in outcome.verification.changes
    }
    per_dataset = max(1, _SAMPLE // len(datasets))
    sample = []
    for number, dataset in enumerate(datasets):
        same = [(number, index) for index in range(len(dataset)) if (number, index) not in changed]
        sample += same[:: max(1, len(same) // per_dataset)][:per_dataset]
    return sorted(changed), sample


@dataclasses.dataclass(frozen=True)
class _ReadImages:
    outcomes: Sequence[Outcome]
    names: Sequence[str]
    reference: Sequence[Readings]
    alphabet: Alphabet

    def at(self, number: int, index: int) -> ReadImage:
        """Return an image by its dataset and place, and the texts that were read in it."""
        dataset: Dataset = self.outcomes[0].verification.datasets[number]
        entry = dataset.entries[index]
        reference = self.reference[number].labels[index]
        truth = entry.label if dataset.labelled else reference
        labels = [outcome.readings[number].labels[index] for outcome in self.outcomes]
        different = {name: label for name, label in zip(self.names, labels, strict=True) if label != reference}
        texts = self._texts({truth, reference, *different.values()})
        return ReadImage(
            image=entry.path.name,
            set="/".join(dataset.folder.parts[-2:]),
            truth=texts[truth] if dataset.labelled else None,
            reference=ReadText(texts[reference], right=reference == truth),
            artifacts={name: ReadText(texts[label], right=label == truth) for name, label in different.items()},
            picture=_data_uri(entry),
        )

    def _texts(self, labels: set[str]) -> Mapping[str, str]:
        """Map labels to texts as a person reads them, or to themselves if two of them read alike."""
        texts = {label: self.alphabet.read(label) for label in labels}
        return texts if len(set(texts.values())) == len(labels) else {label: label for label in labels}


def _data_uri(entry: Entry) -> str:
    """Return a data URI that any browser shows: the file itself, or a smaller copy of it."""
    mime = _MIME.get(entry.path.suffix.lower())
    data = entry.path.read_bytes()
    if mime is None or len(data) > _MOST_BYTES:
        mime = "jpeg"
        data = _smaller(entry)
    return f"data:image/{mime};base64,{base64.b64encode(data).decode()}"


def _smaller(entry: Entry) -> bytes:
    import cv2

    pixels = entry.load()
    height, width = pixels.shape[:2]
    share = min(1.0, _MAX_WIDTH / width, _MAX_HEIGHT / height)
    size = max(1, round(width * share)), max(1, round(height * share))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
