"""`python -m benchmarks.accuracy DIR… -o OUT.json`: does the text hold? Each recipe against Keras on labelled folders.

Fresh plates for it, which are then to be called so by `--images-are 'rendered plates'`:

    edge-crnn synth -o fresh/mild -n 5000 --seed 101 --preset mild
    edge-crnn synth -o fresh/heavy -n 5000 --seed 102 --preset heavy
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from converters.pipeline import calibrated, convert, load_sets, open_source, reference_readings
from converters.recipe import RECIPES
from converters.statistics import binomial_interval
from converters.verify import Gate, compare
from edge_crnn.spec import Parity

from .record import save, typed

VERSION = 1
"""Version of the JSON form. 1: the first."""


def main() -> int:
    """Print a line for each recipe and folder, and write all numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path, metavar="DIR", help="labelled folders")
    parser.add_argument("--images-are", default="", metavar="WORDS", help="such as 'rendered plates', for the report")
    parser.add_argument("--model", type=Path, default=Path("models/plates.keras"))
    parser.add_argument("--calibration", type=Path, default=Path("samples/calibration"))
    parser.add_argument("--recipes", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()

    source = open_source(args.model)
    datasets = load_sets(args.images, source.spec)
    calibration = calibrated(source, args.calibration, datasets)
    reference = reference_readings(source, datasets)
    found: dict[str, dict[str, Parity]] = {}
    print(
        f"{'recipe':<10} {'images':<20} {'n':>6} {'Keras':>7} {'right':>7} {'same where Keras right':<34} {'same':>7}"
    )
    for name in args.recipes:
        target = Path(f"{name}.tflite")
        candidate = convert(source, target, RECIPES[name], datasets, reference, Gate(), calibration)
        found[name] = {}
        for dataset, theirs, ours in zip(datasets, reference, candidate.readings, strict=True):
            parity = compare([dataset], [theirs], [ours], Gate()).parity
            found[name][str(dataset.folder)] = parity
            print(f"{name:<10} {_line(parity)}", flush=True)
    record = {
        "images_are": args.images_are,
        "model": source.spec.name,
        "source_sha256": source.sha256,
        "recipes": {
            recipe: {folder: dataclasses.asdict(parity) for folder, parity in sets.items()}
            for recipe, sets in found.items()
        },
    }
    save(args.output, "edge-crnn accuracy", VERSION, typed("accuracy"), record)
    return 0


def _line(parity: Parity) -> str:
    (one,) = parity.sets
    low, high = binomial_interval(one.same_where_right, one.reference_right)
    same = f"{one.same_where_right}/{one.reference_right} ({low:.2%} to {high:.2%})"
    shares = [f"{each / one.images:>7.2%}" for each in (one.reference_right, one.artifact_right)]
    return f"{one.name[-20:]:<20} {one.images:>6} {' '.join(shares)} {same:<34} {one.same_text / one.images:>7.2%}"


if __name__ == "__main__":
    sys.exit(main())
