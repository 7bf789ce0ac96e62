"""The command `edge-crnn verify`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from edge_crnn.cli.command import Command
from edge_crnn.dataset import Dataset
from edge_crnn.errors import InputError, VerificationError
from edge_crnn.model.artifact import Artifact, load

from ..pipeline import (
    Source,
    artifact_readings,
    check_calibration,
    check_same_network,
    is_from,
    refuse_calibration_images,
)
from ..report.verification import Outcome
from ..verify.gate import compare
from ..verify.localise import NOTABLE_DB, localise, spread, worst, worst_table
from ..verify.sets import not_set_aside
from .arguments import add_gate_arguments, add_structure_arguments, gate_of, source_of, teacher_of
from .images import add_image_arguments, readings_of, sets_of
from .outcome import tell, write_results
from .places import check_places

_LOCALISED, _WORST = 32, 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `verify`."""
    parser.add_argument("reference", type=Path, metavar="MODEL", help="the trained model")
    parser.add_argument(
        "artifacts", type=Path, nargs="+", metavar="CONVERTED", help="models that were converted from it"
    )
    parser.add_argument(
        "--localise",
        action="store_true",
        help=f"find the layer that changes texts: show the signal-to-noise ratio of every layer on {_LOCALISED} images,"
        f" in dB; look at layers below {NOTABLE_DB:g} dB in the column end; for an .engine, TensorRT builds a second"
        " engine that outputs all values",
    )
    add_image_arguments(parser, "check that int8 was calibrated with these images")
    add_structure_arguments(parser)
    add_gate_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Verify converted models without changing them."""
    if not (arguments.labelled or arguments.images):
        raise InputError("no images to verify with; add --labelled DIR, or --images DIR for images without labels")
    artifacts = [load(path) for path in arguments.artifacts]
    check_places([arguments.reference, *arguments.artifacts], [arguments.page, arguments.results])
    source = teacher_of(source_of(arguments.reference, arguments), arguments)
    datasets = _not_set_aside(artifacts, sets_of(arguments, source.spec))
    for artifact in artifacts:
        check_same_network(artifact, source)
        if arguments.localise or arguments.calibration is not None:
            _require_its_network(artifact, source)
        refuse_calibration_images(artifact, datasets)
        if arguments.calibration is not None:
            check_calibration(artifact, source, arguments.calibration, arguments.recursive)
            print(f"{artifact.path.name}: was calibrated with the images of {arguments.calibration}")
    reference = readings_of(arguments, source, datasets)
    outcomes = []
    for artifact in artifacts:
        if not is_from(artifact, source):
            print(f"{artifact.path}: was not converted from {source.path}")
        if arguments.localise:
            _localise(artifact, source, datasets)
        readings = artifact_readings(artifact, datasets)
        outcomes.append(Outcome(artifact, compare(datasets, reference, readings, gate_of(arguments)), readings))
        tell(outcomes[-1], arguments)
        if arguments.localise:
            departures = worst(datasets, reference, readings, _WORST)
            print(*worst_table(departures, artifact.spec.alphabet), sep="\n")
    write_results(arguments, source, outcomes, reference)
    failed = [outcome.artifact.path.name for outcome in outcomes if not outcome.verification.passes(arguments.strict)]
    if failed:
        advice = "" if arguments.localise else "; --localise shows which layer is to blame"
        raise VerificationError(f"{', '.join(failed)}: does not meet the gate{advice}")
    return 0


def _require_its_network(artifact: Artifact, source: Source) -> None:
    """Check that a slimmed artifact is not looked into by the network of its teacher, whose layers are wider.

    Raises:
        InputError: the model is the teacher.
    """
    teacher = artifact.spec.teacher
    if teacher is not None and teacher.sha256 == source.sha256:
        raise InputError(
            f"{source.path} is the model that {artifact.path.name} was slimmed from; --localise and --calibration look"
            " into the layers: name the slimmed model"
        )


def _not_set_aside(artifacts: Sequence[Artifact], datasets: list[Dataset]) -> list[Dataset]:
    """Leave out the images that `convert` set aside to calibrate one of the artifacts, and say so."""
    kept, aside = not_set_aside(artifacts, datasets)
    if aside:
        print(f"{aside} of the images calibrated an artifact and are left out")
    return kept


def _localise(artifact: Artifact, source: Source, datasets: Sequence[Dataset]) -> None:
    """Print a comparison of all layers, before reading all images, which stops at values that are not finite."""
    drift = localise(artifact, source.graph, source.spec.input, spread(datasets, _LOCALISED))
    print(f"{artifact.path.name}, layer by layer:", *drift.table, sep="\n")


VERIFY = Command(
    "compare converted models with the trained model",
    add_arguments,
    run,
    details="Reads the same images with all of them. Exits with 3 if a converted model does not meet the gate.",
    examples=(
        "verify model.keras model.tflite --labelled images",
        "verify model.keras model.tflite --images images --localise",
    ),
)
