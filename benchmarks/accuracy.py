"""`python -m benchmarks.accuracy DIR… -o FILE`: does the text hold? Each artifact against Keras on labelled folders.

A DIR holds labelled images, or a folder of them for each kind of image. Fresh ones, which are then to be called so by
`--images-are 'rendered plates'`, and the model and the calibration images that go with them:

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
    """What an artifact makes of a group of images."""

    parity: Parity
    """A set for each kind."""
    detail: Detail


@dataclass(frozen=True)
class Trial:
    """Images in groups, each of one kind or several, and what the trained model reads in them."""

    source: Source
    groups: Mapping[str, Sequence[Dataset]]
    reference: Mapping[str, Sequence[Readings]]

    def of(self, artifact: Artifact) -> tuple[dict[str, Outcome], Parity]:
        """Hold an artifact to the trained model: group by group, and over all images.

        Raises:
            EdgeCrnnError: it is another network's, was calibrated with these images, does not run, or what it gives
                shows a fault that no comparison of texts would.
        """
        check_same_network(artifact, self.source)
        datasets = [each for group in self.groups.values() for each in group]
        refuse_calibration_images(artifact, datasets)
        readings = artifact_readings(artifact, datasets)
        grouped = _in_groups(self.groups, readings)
        found = {}
        for name, group in self.groups.items():
            both = self.reference[name], grouped[name]
            found[name] = Outcome(compare(group, *both, Gate()).parity, detail(artifact.spec, group, *both))
        reference = [each for group in self.reference.values() for each in group]
        return found, compare(datasets, reference, readings, Gate()).parity


def load_groups(folders: Sequence[Path], source: Source) -> dict[str, list[Dataset]]:
    """Labelled folders, or folders of such, by name.

    Raises:
        DatasetError: one has no image, a label outside the alphabet, or an image is in them twice.
    """
    groups = {str(each): [load_labelled(kind, source.spec.alphabet) for kind in kinds_of(each)] for each in folders}
    refuse_repeats(path for group in groups.values() for dataset in group for path in dataset.paths)
    return groups


def trial(source: Source, groups: Mapping[str, Sequence[Dataset]]) -> Trial:
    """Have the trained model read them all."""
    readings = reference_readings(source, [each for group in groups.values() for each in group])
    return Trial(source, groups, _in_groups(groups, readings))


def _in_groups(groups: Mapping[str, Sequence[Dataset]], readings: Sequence[Readings]) -> dict[str, list[Readings]]:
    left = iter(readings)
    return {name: [next(left) for _ in group] for name, group in groups.items()}


def main(words: Sequence[str] | None = None) -> int:
    """Print a line for each artifact and folder, and write all numbers as JSON; 3 if one misses the gate."""
    plates = MODELS["plates"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path, metavar="DIR", help="labelled folders, or folders of such")
    parser.add_argument("--images-are", default="", metavar="WORDS", help="such as 'rendered plates', for the report")
    parser.add_argument("--model", type=Path, default=plates.path)
    parser.add_argument("--calibration", type=Path, default=plates.calibration)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args(words)
    require_place(args.output)

    groups = load_groups(args.images, open_source(args.model))
    datasets = [each for group in groups.values() for each in group]
    source, calibration = opened(args.model, args.calibration, datasets)
    held = trial(source, groups)
    found: dict[str, dict[str, Outcome]] = {}
    failed = False
    print(f"{'artifact':<18} {'images':<20} {'n':>6} {'Keras':>7} {'right':>7} same where Keras right")
    with tempfile.TemporaryDirectory(prefix="edge-crnn-") as work:
        made, absent = make_all(source, calibration, Path(work))
        for name, artifact in made.items():
            found[name], overall = held.of(artifact)
            failed |= overall.verdict == "fail"
            for each in found[name].items():
                print(f"{name:<18} {_line(*each)}", flush=True)
    for name, reason in absent.items():
        print(f"Absent: {name} ({reason}).")
    figures = Accuracy(
        recipes={name: {group: each.parity for group, each in groups.items()} for name, groups in found.items()},
        details={name: {group: each.detail for group, each in groups.items()} for name, groups in found.items()},
        absent=absent,
    )
    about = header(
        typed("accuracy", words), model=source.spec.name, source_sha256=source.sha256, images_are=args.images_are
    )
    save(args.output, about, figures)
    return 3 if failed else 0


def _line(group: str, found: Outcome) -> str:
    sets, parity = found.parity.sets, found.parity
    images, reference, right, same = (
        sum(getattr(each, name) for each in sets)
        for name in ("images", "reference_right", "artifact_right", "same_where_right")
    )
    low, high = binomial_interval(same, reference)
    shares = f"{reference / images:>7.2%} {right / images:>7.2%}"
    return f"{group[-20:]:<20} {images:>6} {shares} {same}/{reference} ({low:.2%} to {high:.2%}) {parity.verdict}"


if __name__ == "__main__":
    sys.exit(main())
