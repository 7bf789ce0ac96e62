"""The command `edge-crnn verify`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from edge_crnn.cli.command import Command
from edge_crnn.dataset import Dataset, content_hash
from edge_crnn.errors import InputError, VerificationError
from edge_crnn.model.artifact import Artifact, load

from ..pipeline import (
    Source,
    artifact_readings,
    check_calibration,
    check_same_network,
    refuse_calibration_images,
)
from ..report.verification import Outcome
from ..verify.gate import compare
from ..verify.localise import localise, spread, worst, worst_table
from ..verify.sets import set_aside
from .arguments import add_gate_arguments, add_structure_arguments, check_places, gate_of, source_of
from .images import add_image_arguments, readings_of, sets_of
from .outcome import tell, write_results

_LOCALISED, _WORST = 32, 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `verify`."""
    parser.add_argument("reference", type=Path, help="the trained model, with its spec beside it")
    parser.add_argument("artifacts", type=Path, nargs="+", metavar="artifact", help="what was converted from it")
    add_image_arguments(parser)
    parser.add_argument(
        "--localise",
        action="store_true",
        help=f"show layer by layer how far each artifact is from the trained model, on {_LOCALISED} of the images, and"
        " on which images it is furthest; for an .engine, TensorRT builds a second one that gives all values, and"
        " fuses less for that",
    )
    parser.add_argument(
        "--calibration", type=Path, metavar="DIR", help="make sure that int8 was calibrated with the images of DIR"
    )
    add_structure_arguments(parser)
    add_gate_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Verify artifacts that exist; nothing is changed."""
    if not (arguments.labelled or arguments.images):
        raise InputError("no images to verify with; add --images DIR, or --labelled DIR where they have labels")
    artifacts = [load(path) for path in arguments.artifacts]
    check_places([arguments.reference, *arguments.artifacts], [arguments.page, arguments.results])
    source = source_of(arguments.reference, arguments)
    datasets = _not_set_aside(artifacts, sets_of(arguments, source.spec))
    for artifact in artifacts:
        check_same_network(artifact, source)
        refuse_calibration_images(artifact, datasets)
        if arguments.calibration is not None:
            check_calibration(artifact, source, arguments.calibration)
            print(f"{artifact.path.name}: its ranges are those of the images of {arguments.calibration}")
    reference = readings_of(arguments, source, datasets)
    outcomes = []
    for artifact in artifacts:
        if artifact.spec.artifact is not None and artifact.spec.artifact.source_sha256 != source.sha256:
            print(f"{artifact.path}: was converted from another file than {source.path}")
        if arguments.localise:
            _localise(artifact, source, datasets)
        readings = artifact_readings(artifact, datasets)
        outcomes.append(Outcome(artifact, compare(datasets, reference, readings, gate_of(arguments)), readings))
        tell(outcomes[-1], arguments)
        if arguments.localise:
            departures = worst(datasets, reference, readings, _WORST)
            print(*worst_table(departures, artifact.spec.alphabet), sep="\n")
    write_results(arguments, source, outcomes, reference)
    failed = [each.artifact.path.name for each in outcomes if not each.verification.passes(arguments.strict)]
    if failed:
        where = "" if arguments.localise else ", and with --localise which layer is to blame"
        raise VerificationError(f"{', '.join(failed)}: the gate is not met; see the images that changed{where}")
    return 0


def _not_set_aside(artifacts: Sequence[Artifact], datasets: list[Dataset]) -> list[Dataset]:
    """The datasets without the images that `convert` set aside of them to calibrate one of the artifacts."""
    if sum(map(len, datasets)) < 2:
        return datasets
    kept, aside = set_aside(datasets)
    calibrations = [each.spec.artifact.calibration for each in artifacts if each.spec.artifact is not None]
    if not any(each is not None and each.images == len(aside) for each in calibrations):
        return datasets
    digest = content_hash(aside)
    if not any(each is not None and each.sha256 == digest for each in calibrations):
        return datasets
    print(f"{len(aside)} of the images calibrated an artifact and are left out")
    return kept


def _localise(artifact: Artifact, source: Source, datasets: Sequence[Dataset]) -> None:
    """Before the artifact reads all images, which ends the run where it gives values that are not finite."""
    drift = localise(artifact, source.graph, source.spec.input, spread(datasets, _LOCALISED))
    print(f"{artifact.path.name}, layer by layer:", *drift.table, sep="\n")


VERIFY = Command("verify converted models against the trained one", add_arguments, run)
