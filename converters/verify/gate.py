"""Judges an artifact: it and the trained model read the same images, through the same code.

On images without labels, the trained model's reading counts as correct, so they show agreement but not accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_crnn import ctc
from edge_crnn.alphabet import Alphabet
from edge_crnn.backends import Backend, Probabilities
from edge_crnn.dataset import Dataset, chunked
from edge_crnn.errors import VerificationError
from edge_crnn.model.artifact import Artifact
from edge_crnn.model.spec import ModelSpec, Parity, ParitySet, Verdict
from edge_crnn.preprocess import preprocess
from edge_crnn.progress import progress

from ..recipe import Recipe
from . import statistics

_CHUNK = 32
_SUM_TOLERANCE = 0.05


@dataclass(frozen=True)
class Gate:
    """The limits that an artifact must meet."""

    agreement: float = 0.995
    """Smallest share of the reference's correct readings that the artifact must repeat."""
    accuracy: float = 0.3
    """Largest change of the accuracy, up or down, in percentage points."""


@dataclass(frozen=True)
class Readings:
    """The readings of one model on one dataset."""

    labels: tuple[str, ...]
    confidences: tuple[float, ...]
    """Posterior probabilities of the labels, in [0, 1]; no calibration is applied."""
    probabilities: Probabilities
    """(N, T, C)."""

    @classmethod
    def of(cls, probabilities: Probabilities, spec: ModelSpec) -> Readings:
        """Decode (N, T, C) probabilities greedily."""
        decoded = ctc.greedy(probabilities, spec.blank, spec.skip_steps)
        labels = tuple(spec.alphabet.spell(reading.indices) for reading in decoded)
        return cls(labels, tuple(reading.confidence for reading in decoded), probabilities)


@dataclass(frozen=True)
class Change:
    """An image on which artifact and reference differ."""

    dataset: Dataset
    index: int
    reference: str
    artifact: str

    def texts(self, alphabet: Alphabet) -> tuple[str, str]:
        """Return both texts as a person reads them, or both labels if the texts look alike."""
        reference, artifact = alphabet.read(self.reference), alphabet.read(self.artifact)
        return (self.reference, self.artifact) if reference == artifact else (reference, artifact)


@dataclass(frozen=True)
class Verification:
    """The outcome of a comparison: numbers, and the images behind them."""

    parity: Parity
    changes: tuple[Change, ...]
    datasets: tuple[Dataset, ...]

    @property
    def summary(self) -> str:
        """The verdict in one line."""
        parity = self.parity
        if parity.verdict == "unverified":
            return f"{parity.headline}; {parity.accuracy_headline}"
        gate = "" if parity.accuracy_change is None else f", gate ±{parity.gate_accuracy:.2f}"
        return (
            f"{parity.headline}, gate {parity.gate_agreement:.2%}; {parity.accuracy_headline}{gate};"
            f" {parity.images:,} images, {len(self.changes)} changed"
        )

    def passes(self, strict: bool) -> bool:
        """Return whether the gate is met; unless `strict`, too few images to tell, or none, also count as met."""
        return self.parity.verdict == "pass" or (self.parity.verdict in ("underpowered", "unverified") and not strict)


@dataclass(frozen=True)
class Candidate:
    """An artifact and what it reads on the verification sets."""

    artifact: Artifact
    readings: tuple[Readings, ...]
    verification: Verification
    recipe: Recipe

    @property
    def verified(self) -> Artifact:
        """The artifact with the verdict in its spec."""
        return replace(self.artifact, spec=replace(self.artifact.spec, parity=self.verification.parity))


def read_all(backend: Backend, spec: ModelSpec, dataset: Dataset, label: str) -> Readings:
    """Read a dataset with one model.

    Raises:
        ImageError: a file is no image.
        VerificationError: the model gives values that are not finite, or no probabilities of classes.
        BackendError: the engine failed.
    """
    parts = []
    images = progress((entry.load() for entry in dataset), len(dataset), label)
    for chunk in chunked(images, _CHUNK):
        parts.append(backend.infer(preprocess(chunk, spec.input)))
        if not np.isfinite(parts[-1]).all():
            raise VerificationError(f"{label}: {np.sum(~np.isfinite(parts[-1]))} probabilities are not finite")
        _check_sums(parts[-1], label)
    return Readings.of(np.concatenate(parts), spec)


def _check_sums(probabilities: Probabilities, label: str) -> None:
    """Check that probabilities sum to 1 over the classes, which alone shows swapped axes if both are equally long."""

    def are_off(axis: int) -> bool:
        return bool(np.abs(probabilities.sum(axis=axis) - 1).max() > _SUM_TOLERANCE)

    if are_off(2):
        sums = probabilities.sum(axis=2)
        cause = "it does not end in a softmax" if are_off(1) else "its steps and classes are swapped"
        raise VerificationError(
            f"{label}: found steps whose probabilities sum to {sums.min():.3g} up to {sums.max():.3g}, expected 1;"
            f" {cause}; correct the model and convert it again"
        )


def compare(
    datasets: Sequence[Dataset], reference: Sequence[Readings], artifact: Sequence[Readings], gate: Gate
) -> Verification:
    """Judge an artifact by its readings and the reference's on the same datasets.

    Accuracy is judged on labelled datasets only. `pass`: all limits are met with 95 % confidence; `fail`: an estimate
    misses a limit, or one dataset alone is shown to miss it; `underpowered`: there are too few images for either.

    Raises:
        VerificationError: there are labelled images, and the reference reads none of them correctly.
    """
    sets = []
    changes = []
    only_reference = 0
    only_artifact = 0
    largest = 0.0
    for dataset, ours, theirs in zip(datasets, artifact, reference, strict=True):
        first = np.array(theirs.labels)
        second = np.array(ours.labels)
        truth = np.array([entry.label for entry in dataset]) if dataset.labelled else first
        reference_right = first == truth
        artifact_right = second == truth
        same = first == second
        if dataset.labelled:
            only_reference += int(np.sum(reference_right & ~artifact_right))
            only_artifact += int(np.sum(artifact_right & ~reference_right))
        largest = max(largest, float(np.abs(ours.probabilities - theirs.probabilities).max()))
        sets.append(
            ParitySet(
                name="/".join(dataset.folder.parts[-2:]),  # without the folders of this machine
                sha256=dataset.sha256,
                images=len(dataset),
                reference_right=int(reference_right.sum()),
                artifact_right=int(artifact_right.sum()),
                same_text=int(same.sum()),
                same_where_right=int(np.sum(reference_right & same)),
                labelled=dataset.labelled,
            )
        )
        changes += [Change(dataset, int(i), str(first[i]), str(second[i])) for i in np.flatnonzero(~same)]
    return Verification(
        _parity(tuple(sets), only_reference, only_artifact, largest, gate), tuple(changes), tuple(datasets)
    )


def _parity(sets: tuple[ParitySet, ...], only_reference: int, only_artifact: int, largest: float, gate: Gate) -> Parity:
    right = sum(counts.reference_right for counts in sets)
    same = sum(counts.same_where_right for counts in sets)
    labelled = [counts for counts in sets if counts.labelled]
    images = sum(counts.images for counts in labelled)
    if labelled and not any(counts.reference_right for counts in labelled):
        raise VerificationError(
            f"the trained model reads none of the {images} images correctly; check the labels, the spec's alphabet,"
            " blank, skip_steps, width, height, axes, scale and offset"
        )
    change = low = high = 0.0
    if labelled:
        low, high = (100 * end for end in statistics.paired_change_interval(only_reference, only_artifact, images))
        change = 100 * (only_artifact - only_reference) / images
    shown = statistics.lower_bound(same, right)
    verdict: Verdict
    set_misses = any(_is_shown_to_miss(counts, gate) for counts in sets)
    if set_misses or same / right < gate.agreement or abs(change) > gate.accuracy:
        verdict = "fail"
    elif shown >= gate.agreement and -gate.accuracy <= low and high <= gate.accuracy:
        verdict = "pass"
    else:
        verdict = "underpowered"
    return Parity(
        verdict=verdict,
        gate_agreement=gate.agreement,
        gate_accuracy=gate.accuracy,
        agreement=same / right,
        agreement_interval=statistics.binomial_interval(same, right),
        agreement_shown=shown,
        accuracy_change=change if labelled else None,
        accuracy_change_interval=(low, high) if labelled else None,
        mcnemar_p=statistics.mcnemar(only_reference, only_artifact) if labelled else None,
        max_probability_change=largest,
        sets=sets,
    )


def _is_shown_to_miss(counts: ParitySet, gate: Gate) -> bool:
    return statistics.binomial_interval(counts.same_where_right, counts.reference_right)[1] < gate.agreement
