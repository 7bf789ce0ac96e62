"""Measure how many images of an unseen kind a calibrated threshold accepts: every kind is left out in turn.

    python -m benchmarks.rejection ARTIFACT FIT_DIR HELD_DIR NEGATIVES_DIR [--target 0.999]

FIT_DIR and HELD_DIR have labelled images and share none. NEGATIVES_DIR has a folder of images without a correct text
for every kind. The threshold comes from FIT_DIR and from the negatives of all kinds but one. The program prints how
many images of that kind it accepts, how many images of HELD_DIR, and how many of these are correct.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from converters.report.words import estimate
from edge_crnn.backends import open_backend
from edge_crnn.calibration import calibrate, coverage, decode
from edge_crnn.cli.calibrate import infer
from edge_crnn.confidence import threshold
from edge_crnn.dataset import content_hash, load_labelled, load_unlabelled, refuse_overlap
from edge_crnn.model.artifact import load
from edge_crnn.model.spec import ModelSpec
from edge_crnn.reading import Reading


@dataclass(frozen=True)
class Judged:
    """Readings as arrays (N,)."""

    confidences: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]
    allowed: npt.NDArray[np.bool_]
    """True for readings that have a text and match the grammar."""

    def __add__(self, other: Judged) -> Judged:
        parts = zip(vars(self).values(), vars(other).values(), strict=True)
        return Judged(*(np.concatenate(pair) for pair in parts))

    def accepted(self, limit: float) -> npt.NDArray[np.bool_]:
        """Return which readings a threshold accepts, (N,)."""
        return self.allowed & (self.confidences >= limit)


def judged(readings: Sequence[Reading], truths: Sequence[str]) -> Judged:
    """Compare readings, made without a threshold, with the labels; a negative has the label ""."""
    return Judged(
        np.array([reading.confidence for reading in readings]),
        np.array([reading.label == truth for reading, truth in zip(readings, truths, strict=True)]),
        np.array([reading.accepted for reading in readings]),
    )


def threshold_without(spec: ModelSpec, fit: Judged, negatives: Sequence[Judged], target: float) -> float:
    """Return the threshold that a calibration with `fit` and these kinds of negatives chooses for a precision."""
    everything = sum(negatives, fit)
    is_negative = np.arange(len(everything.right)) >= len(fit.right)
    curve = coverage(everything.confidences, everything.right, everything.allowed, is_negative=is_negative)
    assert spec.confidence is not None
    fitted = replace(spec.confidence, negatives=int(is_negative.sum()), coverage=curve)
    return threshold(replace(spec, confidence=fitted), target, spec.decoder)


def main() -> int:
    """Print a table with one line for each kind of negatives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("fit", type=Path)
    parser.add_argument("held", type=Path)
    parser.add_argument("negatives", type=Path)
    parser.add_argument("--target", type=float, default=0.999)
    args = parser.parse_args()

    artifact = load(args.artifact)
    raw = replace(artifact.spec, confidence=None, decoder=replace(artifact.spec.decoder, reject_below=0.0))
    fit, held = (load_labelled(folder, raw.alphabet) for folder in (args.fit, args.held))
    refuse_overlap(fit.paths, held.paths)
    kinds = {place.name: load_unlabelled(place) for place in sorted(args.negatives.iterdir()) if place.is_dir()}
    engine = open_backend(artifact, 1)
    probabilities = infer(artifact, engine, fit)
    truths = [entry.label for entry in fit]
    spec = calibrate(raw, engine, probabilities, truths, content_hash(fit.paths))
    fitted = judged(decode(spec, engine, probabilities), truths)
    others = judged(decode(spec, engine, infer(artifact, engine, held)), [entry.label for entry in held])
    negatives = {
        kind: judged(readings, [""] * len(readings))
        for kind, dataset in kinds.items()
        for readings in [decode(spec, engine, infer(artifact, engine, dataset))]
    }
    engine.close()

    print(f"| left out | threshold | accepted of it | accepted of {len(held):,} images | correct of these |")
    print("|---|---|---|---|---|")
    worst = np.zeros(2, int)
    for kind, left_out in [*negatives.items(), ("nothing", None)]:
        rest = [part for name, part in negatives.items() if name != kind]
        limit = threshold_without(spec, fitted, rest, args.target)
        accepted = others.accepted(limit)
        right = int(others.right[accepted].sum())
        cell = ""
        if left_out is not None:
            counts = np.array([left_out.accepted(limit).sum(), len(left_out.right)])
            worst += counts
            cell = estimate(*counts.tolist())
        print(
            f"| {kind} | {limit:.4f} | {cell} | {estimate(int(accepted.sum()), len(held))} |"
            f" {estimate(right, int(accepted.sum()))} |",
            flush=True,
        )
    print(f"accepted of kinds that the calibration did not see: {estimate(*worst.tolist())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
