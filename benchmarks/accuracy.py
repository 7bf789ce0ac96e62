"""`python -m benchmarks.accuracy DIR… -o FILE`: compare what each artifact reads with what Keras reads.

A DIR holds labelled images, or one folder of them for each kind of image. To render fresh images, which
`--images-are 'rendered plates'` then names in the report:

    python -m benchmarks.models plates -n 5000 -o fresh
    python -m benchmarks.accuracy fresh/plates/mild fresh/plates/heavy --images-are 'rendered plates' -o FILE
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.pipeline import (
    Source,
    artifact_readings,
    check_same_network,
    open_source,
    reference_readings,
    refuse_calibration_images,
)
from converters.verify.detail import detail
from converters.verify.gate import Gate, Readings, compare
from converters.verify.statistics import binomial_interval
from edge_crnn.dataset import Dataset, load_labelled, refuse_repeats
from edge_crnn.files import require_place
from edge_crnn.model.artifact import Artifact
from edge_crnn.model.spec import Parity
from edge_crnn.records.accuracy import Accuracy
from edge_crnn.records.verification import Detail

from .artifacts import make_all, opened
from .models import MODELS, kinds_of
from .record import header, save, typed


@dataclass(frozen=True)
class Outcome:
    """The verdict and the details of an artifact on a group of images."""

    parity: Parity
    """It has a set for each kind of image."""
    detail: Detail


@dataclass(frozen=True)
class Trial:
    """Groups of images, each of one or more kinds, and what the trained model reads in them."""

    source: Source
    groups: Mapping[str, Sequence[Dataset]]
    reference: Mapping[str, Sequence[Readings]]

    def of(self, artifact: Artifact) -> tuple[dict[str, Outcome], Parity]:
        """Compare an artifact with the trained model, group by group and over all images.

        Raises:
            EdgeCrnnError: it belongs to another network, was calibrated with these images, does not run, or has a fault
                that no comparison of texts shows.
        """
        check_same_network(artifact, self.source)
        datasets = [dataset for group in self.groups.values() for dataset in group]
        refuse_calibration_images(artifact, datasets)
        readings = artifact_readings(artifact, datasets)
        grouped = _in_groups(self.groups, readings)
        outcomes = {}
        for name, group in self.groups.items():
            both = self.reference[name], grouped[name]
            outcomes[name] = Outcome(compare(group, *both, Gate()).parity, detail(artifact.spec, group, *both))
        reference = [readings_of_set for group in self.reference.values() for readings_of_set in group]
        return outcomes, compare(datasets, reference, readings, Gate()).parity


def load_groups(folders: Sequence[Path], source: Source) -> dict[str, list[Dataset]]:
    """Load labelled folders, or folders of labelled folders, by name.

    Raises:
        DatasetError: a folder has no image or a label outside the alphabet, or an image occurs twice.
    """
    groups = {
        str(folder): [load_labelled(kind, source.spec.alphabet) for kind in kinds_of(folder)] for folder in folders
    }
    refuse_repeats(path for group in groups.values() for dataset in group for path in dataset.paths)
    return groups


def trial(source: Source, groups: Mapping[str, Sequence[Dataset]]) -> Trial:
    """Return the groups with what the trained model reads in them."""
    readings = reference_readings(source, [dataset for group in groups.values() for dataset in group])
    return Trial(source, groups, _in_groups(groups, readings))


def _in_groups(groups: Mapping[str, Sequence[Dataset]], readings: Sequence[Readings]) -> dict[str, list[Readings]]:
    left = iter(readings)
    return {name: [next(left) for _ in group] for name, group in groups.items()}


def main(words: Sequence[str] | None = None) -> int:
    """Print a line for each artifact and folder, and write all numbers as JSON.

    Return 3 if an artifact misses the gate, else 0.
    """
    plates = MODELS["plates"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "images", nargs="+", type=Path, metavar="DIR", help="a labelled folder, or a folder of labelled folders"
    )
    parser.add_argument(
        "--images-are", default="", metavar="WORDS", help="words for the report, such as 'rendered plates'"
    )
    parser.add_argument("--model", type=Path, default=plates.path)
    parser.add_argument("--calibration", type=Path, default=plates.calibration)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args(words)
    require_place(args.output)

    groups = load_groups(args.images, open_source(args.model))
    datasets = [dataset for group in groups.values() for dataset in group]
    source, calibration = opened(args.model, args.calibration, datasets)
    images = trial(source, groups)
    outcomes: dict[str, dict[str, Outcome]] = {}
    failed = False
    print(f"{'artifact':<18} {'images':<20} {'n':>6} {'Keras':>7} {'correct':>7} same where Keras correct")
    with tempfile.TemporaryDirectory(prefix="edge-crnn-") as work:
        artifacts, absent = make_all(source, calibration, Path(work))
        for name, artifact in artifacts.items():
            outcomes[name], overall = images.of(artifact)
            failed |= overall.verdict == "fail"
            for group, outcome in outcomes[name].items():
                print(f"{name:<18} {_line(group, outcome)}", flush=True)
    for name, reason in absent.items():
        print(f"Absent: {name} ({reason}).")
    figures = Accuracy(
        recipes={name: {key: outcome.parity for key, outcome in groups.items()} for name, groups in outcomes.items()},
        details={name: {key: outcome.detail for key, outcome in groups.items()} for name, groups in outcomes.items()},
        absent=absent,
    )
    about = header(
        typed("accuracy", words), model=source.spec.name, source_sha256=source.sha256, images_are=args.images_are
    )
    save(args.output, about, figures)
    return 3 if failed else 0


def _line(group: str, outcome: Outcome) -> str:
    parity = outcome.parity
    images, reference, right, same = (
        sum(getattr(image_set, name) for image_set in parity.sets)
        for name in ("images", "reference_right", "artifact_right", "same_where_right")
    )
    low, high = binomial_interval(same, reference)
    shares = f"{reference / images:>7.2%} {right / images:>7.2%}"
    return f"{group[-20:]:<20} {images:>6} {shares} {same}/{reference} ({low:.2%} to {high:.2%}) {parity.verdict}"


if __name__ == "__main__":
    sys.exit(main())
