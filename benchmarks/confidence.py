"""Whether confidences can be trusted: fitted on one labelled folder, judged on another.

    python -m benchmarks.confidence ARTIFACT FIT_DIR HELD_DIR [--target 0.999] [-o FILE]

The folders share no image. Printed and recorded are the expected calibration error, what a target precision gives, how
well the posterior tells right from wrong beside other measures, and how many pictures that are no plate are rejected.
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

from .nonplates import KINDS, pictures
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
    """What each of `TARGETS` gives; readings are made without a threshold."""
    right, confidences = _right(readings, truths), _confidences(readings)
    allowed = np.array([each.accepted for each in readings])
    found = []
    for target in TARGETS:
        limit = _threshold(spec, target)
        accepted = allowed & (confidences >= limit) if limit is not None else np.zeros(len(right), bool)
        counts = int((right & accepted).sum()), int(accepted.sum())
        found.append(TargetOutcome(target, limit, len(right), counts[1], counts[0], binomial_interval(*counts)))
    return found


def rankings(spec: ModelSpec, probabilities: Probabilities, truths: Sequence[str], temperature: float) -> list[Ranking]:
    """The posterior beside other measures, all of the same texts: a free beam's."""
    measures: dict[str, list[Floats]] = {}
    labels = [spec.alphabet.encode(truth) for truth in truths]
    right = []
    for part in chunked(range(len(labels)), 256):
        rows = probabilities[part[0] : part[-1] + 1]
        found = ctc.beam(rows, spec.blank, spec.skip_steps, n_best=2)
        best = [each[0] for each in found]
        right += [each.indices == labels[image] for image, each in zip(part, best, strict=True)]
        first = np.array([each.confidence for each in best])
        second = np.array([each[1].confidence if len(each) > 1 else 0.0 for each in found])
        tempered = temper(rows, spec.blank, temperature)
        kept = rows[:, spec.skip_steps :].astype(np.float64)
        for name, values in {
            "posterior": first,
            "posterior, tempered": ctc.posterior(tempered, [b.indices for b in best], spec.blank, spec.skip_steps),
            "margin to the second": first - second,
            "posterior times margin": first * (first - second),
            "share of the two best": first / np.maximum(first + second, _TINY),
            "least sure character": np.array([min(each.confidences, default=0.0) for each in best]),
            "product of characters": np.array([np.prod(each.confidences) for each in best]),
            "best path": kept.max(axis=-1).prod(axis=-1),
            "least sure step": kept.max(axis=-1).min(axis=-1),
            "entropy": (kept * np.log(np.maximum(kept, _TINY))).sum(axis=(1, 2)),
        }.items():
            measures.setdefault(name, []).append(values)
    flags = np.array(right)
    return [ranking(name, np.concatenate(values), flags) for name, values in measures.items()]


def ranking(measure: str, values: Floats, right: Flags) -> Ranking:
    """Of (N,) values, the higher the surer."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]  # ties share their mean rank
    good, bad = int(right.sum()), int((~right).sum())
    auroc = (float(ranks[right].sum()) - good * (good + 1) / 2) / (good * bad) if good and bad else 1.0
    wrong = np.cumsum(~right[np.argsort(-values, kind="stable")])
    accepted = np.arange(1, len(right) + 1)
    best = [float(np.max(accepted[wrong <= (1 - t) * accepted], initial=0)) / len(right) for t in TARGETS]
    return Ranking(measure, auroc, tuple(best))


def rejections(spec: ModelSpec, engine: Backend, nonplates: Mapping[str, Probabilities]) -> list[Rejection]:
    """What a reader with that spec, whose decoder has the threshold, does not accept."""
    found = []
    for kind, probabilities in nonplates.items():
        readings = decode(spec, engine, probabilities)
        rejected = sum(not each.accepted for each in readings)
        highest = max(each.confidence for each in readings)
        found.append(Rejection(kind, len(readings), rejected, binomial_interval(rejected, len(readings)), highest))
    return found


def study(
    spec: ModelSpec,
    engine: Backend,
    fit: tuple[Probabilities, Sequence[str], str],
    held: tuple[Probabilities, Sequence[str], str],
    nonplates: Mapping[str, Probabilities],
    target: float,
) -> ConfidenceStudy:
    """Calibrate, and judge.

    Args:
        spec: of the artifact, with the decoder that is judged.
        engine: open over it; not run.
        fit: probabilities, labels and hash of the images to calibrate with.
        held: probabilities, labels and hash of those to judge by.
        nonplates: kind → probabilities of pictures that are no plate.
        target: precision at which those are to be rejected.

    Raises:
        InputError: no threshold shows the target.
        DatasetError: the images to calibrate with will not do.
    """
    probabilities, truths, held_sha256 = held
    facts = spec.artifact
    plain = replace(spec, confidence=None, decoder=replace(spec.decoder, reject_below=0.0))
    tempered, isotonic = (calibrate(plain, engine, *fit, isotonic=wish) for wish in (False, True))
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
            judge(isotonic, decode(isotonic, engine, probabilities), truths),
        ),
        outcomes=tuple(outcomes(tempered, readings, truths)),
        targets=TARGETS,
        rankings=tuple(rankings(plain, probabilities, truths, tempered.confidence.temperature)),
        rejected_at=target,
        rejections=tuple(rejections(replace(tempered, decoder=strict), engine, nonplates)),
    )


def table(study: ConfidenceStudy) -> str:
    """The figures for a person."""
    lines = [f"{'fitted':<22} {'temperature':>11} {'points':>6} {'right':>8} {'calibration error':>18}"]
    for judged in study.judged:
        share = judged.right / judged.images
        what = f"{judged.fitted:<22} {judged.temperature:>11.3f} {judged.points:>6}"
        lines.append(f"{what} {share:>8.2%} {judged.calibration_error:>18.4f}")
    lines += ["", f"{'target':>7} {'threshold':>10} {'coverage':>9} {'precision':>10}"]
    for outcome in study.outcomes:
        if outcome.threshold is None or not outcome.accepted:
            lines.append(f"{outcome.target:>7g}       none")
            continue
        what = f"{outcome.target:>7g} {outcome.threshold:>10.6f} {outcome.accepted / outcome.images:>9.2%}"
        lines.append(f"{what} {outcome.right / outcome.accepted:>10.3%} {_span(outcome.precision_interval)}")
    lines += ["", f"{'measure':<22} {'AUROC':>8}  coverage at best at {', '.join(map(str, study.targets))}"]
    for ranked in study.rankings:
        shares = " ".join(f"{share:.2%}" for share in ranked.coverage)
        lines.append(f"{ranked.measure:<22} {ranked.auroc:>8.5f}  {shares}")
    lines += ["", f"{'no plate':<10} {'pictures':>8} {'rejected':>9} {'surest':>7}, at target {study.rejected_at:g}"]
    for kind in study.rejections:
        what = f"{kind.kind:<10} {kind.pictures:>8} {kind.rejected / kind.pictures:>9.2%} {kind.highest:>7.4f}"
        lines.append(f"{what} {_span(kind.interval)}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Print the tables, and write all numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("fit", type=Path, metavar="FIT_DIR", help="labelled images to calibrate with")
    parser.add_argument("held", type=Path, metavar="HELD_DIR", help="labelled images to judge by")
    parser.add_argument("--target", type=float, default=0.999, help="for pictures of no plate (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=500, metavar="N", help="of each kind that is no plate")
    parser.add_argument("--seed", type=int, default=1, help="of them")
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
    nonplates = {}
    for kind in KINDS:
        drawn = progress(pictures(kind, args.pictures, args.seed), args.pictures, kind)
        nonplates[kind] = np.concatenate([engine.infer(preprocess(c, spec.input)) for c in chunked(drawn, _CHUNK)])
    figures = study(
        spec,
        engine,
        (infer(artifact, engine, fit), [entry.label for entry in fit], fit.sha256),
        (infer(artifact, engine, held), [entry.label for entry in held], held.sha256),
        nonplates,
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
    except InputError:  # no threshold shows it, which is an outcome
        return None


def _right(readings: Sequence[Reading], truths: Sequence[str]) -> Flags:
    return np.array([each.label == truth for each, truth in zip(readings, truths, strict=True)])


def _confidences(readings: Sequence[Reading]) -> Floats:
    return np.array([each.confidence for each in readings])


if __name__ == "__main__":
    sys.exit(main())
