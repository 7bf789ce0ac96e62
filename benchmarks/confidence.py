"""Measure whether confidences can be trusted: fit them on one labelled folder, and judge them on another.

    python -m benchmarks.confidence ARTIFACT FIT_DIR HELD_DIR [--target 0.999] [-o FILE]

The folders share no image. The program prints and records the expected calibration error, the coverage at each target
precision, how well the posterior and other measures tell correct from wrong readings, and how many negatives are
rejected.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_crnn import ctc
from edge_crnn.backends import Backend, Probabilities, open_backend
from edge_crnn.binomial import binomial_interval
from edge_crnn.calibration import calibrate, calibration_error, decode, reliability
from edge_crnn.cli.calibrate import infer
from edge_crnn.cli.decoding import add_decoder_arguments, decoder_of
from edge_crnn.confidence import temper, threshold
from edge_crnn.dataset import chunked, load_labelled, refuse_overlap, refuse_repeats
from edge_crnn.errors import InputError
from edge_crnn.files import require_place
from edge_crnn.model.artifact import load
from edge_crnn.model.spec import ModelSpec
from edge_crnn.preprocess import preprocess
from edge_crnn.progress import progress
from edge_crnn.reading import Reading
from edge_crnn.records.confidence import (
    Calibrated,
    ConfidenceStudy,
    Ranking,
    Rejection,
    StudiedArtifact,
    TargetOutcome,
)
from edge_crnn.training.negatives import KINDS, NegativeRenderer, generate_negatives

from .record import header, save, typed

TARGETS = (0.99, 0.995, 0.998, 0.999)

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Interval = tuple[float, float]

_CHUNK = 64
_TINY = 1e-300


def judge(spec: ModelSpec, readings: Sequence[Reading], truths: Sequence[str]) -> Calibrated:
    """Readings of held-out images against their labels."""
    right = _right(readings, truths)
    confidences = _confidences(readings)
    fitted, confidence = "nothing", spec.confidence
    if confidence is not None:
        fitted = "temperature, isotonic" if confidence.isotonic else "temperature"
    return Calibrated(
        fitted=fitted,
        temperature=1.0 if confidence is None else confidence.temperature,
        points=0 if confidence is None else len(confidence.isotonic),
        images=len(right),
        right=int(right.sum()),
        calibration_error=calibration_error(confidences, right),
        reliability=reliability(confidences, right),
    )


def outcomes(spec: ModelSpec, readings: Sequence[Reading], truths: Sequence[str]) -> list[TargetOutcome]:
    """Return the outcome of each of `TARGETS`, for readings made without a threshold."""
    right, confidences = _right(readings, truths), _confidences(readings)
    allowed = np.array([reading.accepted for reading in readings])
    targets = []
    for target in TARGETS:
        limit = _threshold(spec, target)
        accepted = allowed & (confidences >= limit) if limit is not None else np.zeros(len(right), bool)
        counts = int((right & accepted).sum()), int(accepted.sum())
        targets.append(TargetOutcome(target, limit, len(right), counts[1], counts[0], binomial_interval(*counts)))
    return targets


def rankings(spec: ModelSpec, probabilities: Probabilities, truths: Sequence[str], temperature: float) -> list[Ranking]:
    """Rank the posterior and other measures, all for the texts that a beam without a grammar reads."""
    measures: dict[str, list[Floats]] = {}
    labels = [spec.alphabet.encode(truth) for truth in truths]
    right = []
    for part in chunked(range(len(labels)), 256):
        rows = probabilities[part[0] : part[-1] + 1]
        beams = ctc.beam(rows, spec.blank, spec.skip_steps, n_best=2)
        best = [beam[0] for beam in beams]
        right += [text.indices == labels[image] for image, text in zip(part, best, strict=True)]
        first = np.array([text.confidence for text in best])
        second = np.array([beam[1].confidence if len(beam) > 1 else 0.0 for beam in beams])
        tempered = temper(rows, spec.blank, temperature)
        steps = rows[:, spec.skip_steps :].astype(np.float64)
        for name, values in {
            "posterior": first,
            "posterior, tempered": ctc.posterior(
                tempered, [text.indices for text in best], spec.blank, spec.skip_steps
            ),
            "margin to the second": first - second,
            "posterior times margin": first * (first - second),
            "share of the two best": first / np.maximum(first + second, _TINY),
            "least sure character": np.array([min(text.confidences, default=0.0) for text in best]),
            "product of characters": np.array([np.prod(text.confidences) for text in best]),
            "best path": steps.max(axis=-1).prod(axis=-1),
            "least sure step": steps.max(axis=-1).min(axis=-1),
            "entropy": (steps * np.log(np.maximum(steps, _TINY))).sum(axis=(1, 2)),
        }.items():
            measures.setdefault(name, []).append(values)
    flags = np.array(right)
    return [ranking(name, np.concatenate(values), flags) for name, values in measures.items()]


def ranking(measure: str, values: Floats, right: Flags) -> Ranking:
    """Rank a measure by its (N,) values, of which a higher one means more certain."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]  # ties share their mean rank
    good, bad = int(right.sum()), int((~right).sum())
    auroc = (float(ranks[right].sum()) - good * (good + 1) / 2) / (good * bad) if good and bad else 1.0
    wrong = np.cumsum(~right[np.argsort(-values, kind="stable")])
    accepted = np.arange(1, len(right) + 1)
    best = [float(np.max(accepted[wrong <= (1 - t) * accepted], initial=0)) / len(right) for t in TARGETS]
    return Ranking(measure, auroc, tuple(best))


def rejections(spec: ModelSpec, engine: Backend, negatives: Mapping[str, Probabilities]) -> list[Rejection]:
    """Count the images that a reader with this spec, whose decoder has the threshold, rejects or reads as empty."""
    counts = []
    for kind, probabilities in negatives.items():
        readings = decode(spec, engine, probabilities)
        rejected = sum(not (reading.accepted and reading.label) for reading in readings)
        highest = max((reading.confidence for reading in readings if reading.label), default=0.0)
        counts.append(Rejection(kind, len(readings), rejected, binomial_interval(rejected, len(readings)), highest))
    return counts


def study(
    spec: ModelSpec,
    engine: Backend,
    fit: tuple[Probabilities, Sequence[str], str],
    held: tuple[Probabilities, Sequence[str], str],
    negatives: Mapping[str, Probabilities],
    target: float,
) -> ConfidenceStudy:
    """Calibrate an artifact on some images, and judge its confidences on others.

    Args:
        spec: the spec of the artifact, with the decoder to judge.
        engine: the open engine of the artifact; it is not run.
        fit: probabilities, labels and hash of the images to calibrate with.
        held: probabilities, labels and hash of the images to judge by.
        negatives: the probabilities of negatives, by kind.
        target: the precision whose threshold rejects them.

    Raises:
        InputError: no threshold reaches the target.
        DatasetError: the images to calibrate with are unsuitable.
    """
    probabilities, truths, held_sha256 = held
    facts = spec.artifact
    plain = replace(spec, confidence=None, decoder=replace(spec.decoder, reject_below=0.0))
    tempered, isotonic_too = (calibrate(plain, engine, *fit, isotonic=isotonic) for isotonic in (False, True))
    assert tempered.confidence is not None  # `calibrate` has set it
    strict = replace(tempered.decoder, reject_below=threshold(tempered, target, tempered.decoder))
    readings = decode(tempered, engine, probabilities)
    return ConfidenceStudy(
        artifact=StudiedArtifact(facts.recipe, facts.payload_sha256) if facts else StudiedArtifact("", ""),
        held_sha256=held_sha256,
        decoder=plain.decoder,
        fit=tempered.confidence,
        judged=(
            judge(plain, decode(plain, engine, probabilities), truths),
            judge(tempered, readings, truths),
            judge(isotonic_too, decode(isotonic_too, engine, probabilities), truths),
        ),
        outcomes=tuple(outcomes(tempered, readings, truths)),
        targets=TARGETS,
        rankings=tuple(rankings(plain, probabilities, truths, tempered.confidence.temperature)),
        rejected_at=target,
        rejections=tuple(rejections(replace(tempered, decoder=strict), engine, negatives)),
    )


def table(study: ConfidenceStudy) -> str:
    """Return the figures as tables of text."""
    lines = [f"{'fitted':<22} {'temperature':>11} {'points':>6} {'right':>8} {'calibration error':>18}"]
    for judged in study.judged:
        share = judged.right / judged.images
        cells = f"{judged.fitted:<22} {judged.temperature:>11.3f} {judged.points:>6}"
        lines.append(f"{cells} {share:>8.2%} {judged.calibration_error:>18.4f}")
    lines += ["", f"{'target':>7} {'threshold':>10} {'coverage':>9} {'precision':>10}"]
    for outcome in study.outcomes:
        if outcome.threshold is None or not outcome.accepted:
            lines.append(f"{outcome.target:>7g}       none")
            continue
        cells = f"{outcome.target:>7g} {outcome.threshold:>10.6f} {outcome.accepted / outcome.images:>9.2%}"
        lines.append(f"{cells} {outcome.right / outcome.accepted:>10.3%} {_span(outcome.precision_interval)}")
    lines += ["", f"{'measure':<22} {'AUROC':>8}  coverage at best at {', '.join(map(str, study.targets))}"]
    for ranked in study.rankings:
        shares = " ".join(f"{share:.2%}" for share in ranked.coverage)
        lines.append(f"{ranked.measure:<22} {ranked.auroc:>8.5f}  {shares}")
    lines += ["", f"{'negative':<17} {'pictures':>8} {'rejected':>9} {'surest':>7}, at target {study.rejected_at:g}"]
    for kind in study.rejections:
        cells = f"{kind.kind:<17} {kind.pictures:>8} {kind.rejected / kind.pictures:>9.2%} {kind.highest:>7.4f}"
        lines.append(f"{cells} {_span(kind.interval)}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Print the tables, and write all numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("fit", type=Path, metavar="FIT_DIR", help="labelled images to calibrate with")
    parser.add_argument("held", type=Path, metavar="HELD_DIR", help="labelled images to judge by")
    parser.add_argument(
        "--target",
        type=float,
        default=0.999,
        help="precision whose threshold rejects negatives (default: %(default)s)",
    )
    parser.add_argument(
        "--pictures",
        type=int,
        default=500,
        metavar="N",
        help="images of each kind of negative (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the negatives (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results/confidence.json"))
    add_decoder_arguments(parser)
    args = parser.parse_args(words)

    require_place(args.output)
    artifact = load(args.artifact)
    spec = replace(artifact.spec, decoder=decoder_of(args, artifact.spec))
    fit, held = (load_labelled(folder, spec.alphabet) for folder in (args.fit, args.held))
    for dataset in (fit, held):
        refuse_repeats(dataset.paths)
    refuse_overlap(fit.paths, held.paths)
    engine = open_backend(artifact)
    negatives = {}
    renderer = NegativeRenderer(kinds=KINDS)
    for kind in KINDS:
        plates = generate_negatives(args.pictures, args.seed, kind=kind, renderer=renderer)
        drawn = progress((plate.image for plate in plates), args.pictures, kind)
        negatives[kind] = np.concatenate([engine.infer(preprocess(c, spec.input)) for c in chunked(drawn, _CHUNK)])
    figures = study(
        spec,
        engine,
        (infer(artifact, engine, fit), [entry.label for entry in fit], fit.sha256),
        (infer(artifact, engine, held), [entry.label for entry in held], held.sha256),
        negatives,
        args.target,
    )
    engine.close()
    print(table(figures))
    save(args.output, header(typed("confidence", words), model=spec.name), figures)
    return 0


def _span(interval: Interval) -> str:
    return f"({interval[0]:.3%} to {interval[1]:.3%})"


def _threshold(spec: ModelSpec, target: float) -> float | None:
    try:
        return threshold(spec, target, spec.decoder)
    except InputError:  # no threshold reaches it, which is an outcome, too
        return None


def _right(readings: Sequence[Reading], truths: Sequence[str]) -> Flags:
    return np.array([reading.label == truth for reading, truth in zip(readings, truths, strict=True)])


def _confidences(readings: Sequence[Reading]) -> Floats:
    return np.array([reading.confidence for reading in readings])


if __name__ == "__main__":
    sys.exit(main())
