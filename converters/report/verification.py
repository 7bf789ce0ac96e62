"""What `convert` and `verify` found → a record, with the images behind it."""

from __future__ import annotations

import base64
import dataclasses
import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from edge_crnn import __version__
from edge_crnn.alphabet import Alphabet
from edge_crnn.board.board import board
from edge_crnn.dataset import Dataset, Entry
from edge_crnn.model.artifact import Artifact
from edge_crnn.model.spec import ModelSpec

from ..verify.detail import detail
from ..verify.gate import Readings, Verification
from .records import SUITES, VERIFY_SUITE

_MOST_CHANGES, _SAMPLE = 200, 40
_MIME = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".bmp": "bmp", ".webp": "webp"}
_MOST_BYTES, _WIDTH, _HEIGHT = 32_768, 360, 180
_PACKAGES = ("numpy", "tensorflow", "keras", "ai-edge-litert", "onnxruntime", "opencv-python-headless")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """An artifact, how it was judged, and what it reads, per dataset."""

    artifact: Artifact
    verification: Verification
    readings: Sequence[Readings]


def to_json(
    spec: ModelSpec, source_sha256: str, outcomes: Sequence[Outcome], reference: Sequence[Readings], images_are: str
) -> str:
    """The JSON form, which `edge-crnn report` reads.

    Args:
        spec: of the trained model.
        source_sha256: of its file.
        outcomes: at least one, all of the same datasets.
        reference: what the trained model reads, per dataset.
        images_are: what the images are, such as rendered plates; empty if nobody said.
    """
    names = _names([each.artifact.path for each in outcomes])
    changes, rest = _split(outcomes)
    pictures = _Pictures(outcomes, names, reference, spec.alphabet)
    record = {
        "suite": VERIFY_SUITE,
        "version": SUITES[VERIFY_SUITE][1],
        "command": shlex.join(["edge-crnn", *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "board": dataclasses.asdict(board()),
        "versions": dict(_versions()),
        "model": spec.name,
        "source_sha256": source_sha256,
        "images_are": images_are,
        "artifacts": [_artifact(each, name, reference) for each, name in zip(outcomes, names, strict=True)],
        "changed": len(changes),
        "changes": [pictures.of(*place) for place in changes[:_MOST_CHANGES]],
        "sample": [pictures.of(*place) for place in rest],
    }
    return json.dumps(record, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _artifact(outcome: Outcome, name: str, reference: Sequence[Readings]) -> dict[str, Any]:
    artifact = outcome.artifact
    read = zip(outcome.verification.datasets, reference, outcome.readings, strict=True)
    labelled = [each for each in read if each[0].labelled]
    found = detail(artifact.spec, *zip(*labelled, strict=True)) if labelled else None
    facts = artifact.spec.artifact
    return {
        "name": name,
        "recipe": facts.headline if facts else "",
        "format": facts.format if facts else artifact.path.suffix.removeprefix("."),
        "bytes": len(artifact.payload),
        "payload_sha256": facts.payload_sha256 if facts else "",
        "parity": dataclasses.asdict(outcome.verification.parity),
        **({} if found is None else {"detail": dataclasses.asdict(found)}),
    }


def _names(paths: Sequence[Path]) -> list[str]:
    """The files' names; their paths where two share one."""
    names = [path.name for path in paths]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]


def _split(outcomes: Sequence[Outcome]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Places (dataset, index) of the images that change, and of some of the others from all over each dataset."""
    datasets = outcomes[0].verification.datasets
    numbers = {id(dataset): number for number, dataset in enumerate(datasets)}
    changed = {(numbers[id(change.dataset)], change.index) for each in outcomes for change in each.verification.changes}
    some = []
    for number, dataset in enumerate(datasets):
        same = [(number, index) for index in range(len(dataset)) if (number, index) not in changed]
        wanted = max(1, _SAMPLE // len(datasets))
        some += same[:: max(1, len(same) // wanted)][:wanted]
    return sorted(changed), some


@dataclasses.dataclass(frozen=True)
class _Pictures:
    outcomes: Sequence[Outcome]
    names: Sequence[str]
    reference: Sequence[Readings]
    alphabet: Alphabet

    def of(self, number: int, index: int) -> dict[str, Any]:
        """An image, what it is, and what those read in it that read otherwise than the reference."""
        dataset: Dataset = self.outcomes[0].verification.datasets[number]
        entry, theirs = dataset.entries[index], self.reference[number].labels[index]
        truth = entry.label if dataset.labelled else theirs
        found = {
            name: each.readings[number].labels[index] for name, each in zip(self.names, self.outcomes, strict=True)
        }
        differ = {name: label for name, label in found.items() if label != theirs}
        text = self._texts({truth, theirs, *differ.values()})
        return {
            "image": entry.path.name,
            "set": "/".join(dataset.folder.parts[-2:]),
            "truth": text[truth] if dataset.labelled else None,
            "reference": {"text": text[theirs], "right": theirs == truth},
            "artifacts": {name: {"text": text[label], "right": label == truth} for name, label in differ.items()},
            "picture": _picture(entry),
        }

    def _texts(self, labels: set[str]) -> Mapping[str, str]:
        """Label → what a person reads, or the labels themselves where two of them read alike."""
        texts = {label: self.alphabet.read(label) for label in labels}
        return texts if len(set(texts.values())) == len(labels) else {label: label for label in labels}


def _picture(entry: Entry) -> str:
    """A data URI that any browser shows: the file itself, or a smaller picture of it."""
    mime = _MIME.get(entry.path.suffix.lower())
    data = entry.path.read_bytes()
    if mime is None or len(data) > _MOST_BYTES:
        mime, data = "jpeg", _smaller(entry)
    return f"data:image/{mime};base64,{base64.b64encode(data).decode()}"


def _smaller(entry: Entry) -> bytes:
    import cv2

    pixels = entry.load()
    height, width = pixels.shape[:2]
    share = min(1.0, _WIDTH / width, _HEIGHT / height)
    size = max(1, round(width * share)), max(1, round(height * share))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def _versions() -> Iterator[tuple[str, str]]:
    yield "edge-crnn", __version__  # of the code that runs, whatever was once installed
    for package in _PACKAGES:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
