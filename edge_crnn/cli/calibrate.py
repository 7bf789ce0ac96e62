"""`edge-crnn calibrate`: makes confidences match the share of correct readings, and finds thresholds."""

from __future__ import annotations

import argparse
import importlib.util
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..backends import Backend, Probabilities, open_backend
from ..calibration import calibrate
from ..confidence import threshold
from ..dataset import Dataset, chunked, content_hash, load_labelled, load_unlabelled, refuse_repeats
from ..errors import BackendUnavailable, OutputError
from ..files import require_place, write_atomically
from ..model.artifact import Artifact, load, save
from ..model.spec import Confidence, CoveragePoint
from ..preprocess import preprocess
from ..preprocess.function import load_function, use
from ..progress import progress
from ..reader import MOST
from .command import Command, at_least, share
from .decoding import add_decoder_arguments, decoder_of
from .labels import add_label_arguments, label_rules_of
from .reader import add_preprocess_argument

_CHUNK = 32
_COVERAGES = (0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.96, 0.98, 0.99, 1.0)
"""Rows of the table."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `calibrate`."""
    parser.add_argument("artifact", type=Path, metavar="MODEL", help="a converted model; its network does not change")
    parser.add_argument(
        "--images",
        "--labelled",  # as convert and verify call it
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of labelled images like those that the model will read, ideally thousands; judge the result on"
        " others",
    )
    parser.add_argument(
        "--negatives",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder of images that have no correct text, in the proportion in which the camera sees them; may be"
        " repeated",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write the calibrated model here (default: overwrite MODEL)"
    )
    parser.add_argument(
        "--target-precision",
        type=share,
        metavar="P",
        help="store a threshold that rejects low-confidence readings, so that at least this share of the accepted ones"
        " is correct, such as 0.999",
    )
    parser.add_argument(
        "--isotonic", action="store_true", help="add isotonic regression, which needs thousands of images"
    )
    parser.add_argument(
        "--curve", type=Path, metavar="PNG", help="plot the reliability diagram to this file (needs matplotlib)"
    )
    parser.add_argument(
        "--threads", type=at_least(1, MOST), default=1, metavar="N", help="threads of the engine (default: %(default)s)"
    )
    add_preprocess_argument(parser)
    add_label_arguments(parser)
    add_decoder_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Calibrate the model and write it."""
    artifact = load(arguments.artifact)
    if arguments.preprocess is not None:
        use(load_function(arguments.preprocess))
    target: Path = arguments.output or arguments.artifact
    _check_places(artifact, target, arguments.curve)
    spec = replace(artifact.spec, decoder=decoder_of(arguments, artifact.spec))
    steps = spec.output.steps - spec.skip_steps
    dataset = load_labelled(arguments.images, spec.alphabet, label_rules_of(arguments), steps=steps)
    negatives = [load_unlabelled(folder, recursive=True) for folder in arguments.negatives]
    paths = [path for part in (dataset, *negatives) for path in part.paths]
    refuse_repeats(paths)
    engine = open_backend(artifact, arguments.threads)
    try:
        probabilities = infer(artifact, engine, dataset)
        spec = calibrate(
            spec,
            engine,
            probabilities,
            [entry.label for entry in dataset],
            content_hash(paths),
            negatives=np.concatenate([infer(artifact, engine, part) for part in negatives]) if negatives else None,
            isotonic=arguments.isotonic,
        )
    finally:
        engine.close()
    confidence = spec.confidence
    assert confidence is not None  # `calibrate` sets it
    if arguments.target_precision is not None:
        limit = threshold(spec, arguments.target_precision, spec.decoder)
        spec = replace(spec, decoder=replace(spec.decoder, reject_below=limit))
    print(f"{target.name}: {confidence.headline}; {spec.decoder.headline}")
    print(table(confidence))
    if arguments.target_precision is not None:
        print(f"precision {arguments.target_precision:g}: rejects confidences below {spec.decoder.reject_below:.6f}")
    if arguments.curve is not None:
        write_atomically(arguments.curve, curve(confidence))
        print(f"wrote {arguments.curve}: the reliability curve")
    save(target, artifact.payload, spec)
    print(f"wrote {target}: {target.stat().st_size:,} bytes")
    return 0


def infer(artifact: Artifact, engine: Backend, dataset: Dataset) -> Probabilities:
    """Return the probabilities of a folder's images, (N, T, C) float32.

    Raises:
        ImageError: a file is not an image.
        BackendError: the engine failed.
    """
    images = progress((entry.load() for entry in dataset), len(dataset), "reading")
    return np.concatenate([engine.infer(preprocess(chunk, artifact.spec.input)) for chunk in chunked(images, _CHUNK)])


def table(confidence: Confidence) -> str:
    """Return a table of the accuracy-coverage curve at selected coverages, for people."""
    head = f"{'coverage':>9} {'threshold':>10} {'precision':>10} {'shown':>8}"
    head += f" {'negatives':>9}" if confidence.negatives else ""
    lines = [f"{head}   ({confidence.right:,} correct)"]
    lines += [
        f"{confidence.coverage_of(point):>9.2%} {point.threshold:>10.6f} {point.right / point.accepted:>10.3%}"
        f" {point.shown:>8.3%}" + (f" {point.negatives:>9,}" if confidence.negatives else "")
        for point in _rows(confidence)
    ]
    return "\n".join(lines)


def _rows(confidence: Confidence) -> Sequence[CoveragePoint]:
    rows: dict[CoveragePoint, None] = {}  # a set that keeps its order
    for share_ in _COVERAGES:
        rows.update(dict.fromkeys([p for p in confidence.coverage if confidence.coverage_of(p) <= share_][-1:]))
    return list(rows)


def curve(confidence: Confidence) -> bytes:
    """Draw the reliability curve and the accuracy-coverage curve; return the PNG.

    Both show errors on logarithmic axes, since the confidences of a good network all lie close to 1.
    """
    # Unlike pyplot, these classes open no window and have no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    least = 0.5 / confidence.images  # stands for 0 errors, because 0 has no logarithm
    expected = [max(1 - point.confidence, least) for point in confidence.reliability]
    actual = [max(1 - point.right, least) for point in confidence.reliability]
    left.plot([least, 1], [least, 1], color="tab:grey", linewidth=1)
    left.plot(expected, actual, marker="o", color="tab:blue")
    left.set(xscale="log", yscale="log", xlabel="expected to be wrong", ylabel=f"wrong ({least:.1e}: none)")
    left.set_title(f"expected calibration error {confidence.error:.4f} ({confidence.error_before:.4f} before)")
    covered = [confidence.coverage_of(point) for point in confidence.coverage]
    right.plot(
        covered,
        [max(1 - point.right / point.accepted, least) for point in confidence.coverage],
        color="tab:blue",
        label="wrong among accepted",
    )
    right.plot(
        covered,
        [max(1 - point.shown, least) for point in confidence.coverage],
        color="tab:red",
        label="the most that 95 % confidence allows",
    )
    right.set(yscale="log", xlabel="coverage")
    right.legend()
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _check_places(artifact: Artifact, target: Path, curve: Path | None) -> None:
    if target.suffix != artifact.path.suffix:
        raise OutputError(f"{target}: the output must end in {artifact.path.suffix}, like the model")
    require_place(target)
    if curve is None:
        return
    if curve.suffix.lower() != ".png":
        raise OutputError(f"{curve}: the curve must end in .png")
    if importlib.util.find_spec("matplotlib") is None:
        raise BackendUnavailable("--curve needs matplotlib, which is not installed: pip install 'edge-crnn[train]'")
    require_place(curve)


COMMAND = Command(
    "make confidences match the share of correct readings",
    add_arguments,
    run,
    details="Fits a temperature to the confidences of a converted model and stores it in the model, with the precision"
    " at every threshold. edge-crnn read --target-precision then knows what to reject.",
    examples=("calibrate model.tflite --images labelled --target-precision 0.999",),
)
