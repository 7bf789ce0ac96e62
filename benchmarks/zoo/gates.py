"""`python -m benchmarks.zoo.gates FOLDER --images DIR --calibration DIR`: verify every recipe of the trained networks.

FOLDER holds the networks that `benchmarks.zoo.train` saved. DIR holds rendered lines that no network was trained with.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from converters.pipeline import calibrated, convert, load_sets, open_source, reference_readings
from converters.recipe import ONNX_RECIPES, RECIPES
from converters.verify.gate import Candidate, Gate
from edge_crnn.errors import EdgeCrnnError

_LAYERS = Path(__file__).with_name("layers.py")
_HEAD = "| network | nodes | parameters | recipe | verdict | same text | accuracy | Keras | KB |"


def rows(model: Path, images: Path, calibration: Path, names: Sequence[str]) -> Iterator[str]:
    """Convert a network in each recipe, and yield the rows of the table."""
    source = open_source(model, layers=_LAYERS)
    datasets = load_sets([images], source.spec)
    ranges = calibrated(source, calibration, datasets)
    reference = reference_readings(source, datasets)
    recipes = [(recipe, ".tflite") for recipe in RECIPES.values()]
    recipes += [(recipe, ".onnx") for recipe in ONNX_RECIPES.values()]
    facts = f"{model.stem} | {len(source.graph.nodes)} | {source.graph.parameters:,}"
    for recipe, suffix in recipes:
        name = f"{'onnx ' if suffix == '.onnx' else ''}{recipe.name}"
        if name not in names:
            continue
        target = model.with_suffix(suffix)
        try:
            candidate = convert(source, target, recipe, datasets, reference, Gate(), ranges)
        except EdgeCrnnError as error:
            yield f"| {facts} | {name} | {str(error)[:200]} | | | | |"
            continue
        yield f"| {facts} | {name} | {_verdict(candidate)} |"


def _verdict(candidate: Candidate) -> str:
    parity = candidate.verification.parity
    right = sum(part.artifact_right for part in parity.sets) / parity.images
    reference = sum(part.reference_right for part in parity.sets) / parity.images
    size = len(candidate.artifact.payload) // 1000
    return f"{parity.verdict} | {parity.agreement:.2%} | {right:.2%} | {reference:.2%} | {size:,}"


def main(words: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    parser.add_argument("--calibration", type=Path, required=True, metavar="DIR")
    recipes = [*RECIPES, *(f"onnx {name}" for name in ONNX_RECIPES)]
    parser.add_argument("--recipes", type=lambda text: text.split(","), default=recipes, metavar="NAME,…")
    args = parser.parse_args(words)
    print(_HEAD)
    print("|---" * (_HEAD.count("|") - 1) + "|")
    for model in sorted(args.folder.glob("*.keras")):
        for line in rows(model, args.images, args.calibration, args.recipes):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
