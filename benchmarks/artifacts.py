"""`python -m benchmarks.artifacts MODEL --calibration DIR -o FOLDER`: each artifact that this machine can make.

Made as `edge-crnn convert` makes them, and not verified: that is `edge-crnn verify`'s, or `benchmarks.accuracy`'s.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from converters.artifact import make_onnx, make_tflite
from converters.graph.graph import Ranges
from converters.graph.half import refuse_values
from converters.pipeline import Source, calibrated, open_source
from converters.recipe import DEFAULT_RECIPE, ONNX_RECIPES, RECIPES, Recipe
from converters.tensorrt.to_engine import to_engine
from converters.verify.faults import refuse_other_ranges
from edge_crnn.backends.tensorrt.cache import require
from edge_crnn.dataset import Dataset
from edge_crnn.errors import BackendUnavailable, EdgeCrnnError
from edge_crnn.model.artifact import Artifact, save
from edge_crnn.model.spec import Calibration

Calibrated = tuple[Ranges, Calibration]

_ENGINE = DEFAULT_RECIPE["tensorrt"]

NAMES = (*RECIPES, *(f"onnx {name}" for name in ONNX_RECIPES), f"tensorrt {_ENGINE}")
"""Of all artifacts; of a `.tflite` the recipe's."""


def make_all(source: Source, calibration: Calibrated, folder: Path) -> tuple[dict[str, Artifact], dict[str, str]]:
    """Artifacts by name, such as int8 and onnx float16, saved in `folder`; and why the others are absent, by name.

    Raises:
        EdgeCrnnError: a conversion failed. What is only not installed is absent.
    """
    made: dict[str, Artifact] = {}
    absent: dict[str, str] = {}
    for name, (file, make) in _makers(source, calibration).items():
        try:
            made[name] = make(folder / f"{source.path.stem}-{file}")
        except BackendUnavailable as error:
            absent[name] = str(error)
    return made, absent


def tflite(source: Source, calibration: Calibrated, recipe: Recipe, path: Path, batch: int = 1) -> Artifact:
    """A `.tflite` that takes so many images at a time, saved."""
    made = make_tflite(path, source.graph, source.spec, recipe, source.sha256, *calibration, batch=batch)
    refuse_other_ranges(made, source.graph, calibration[0], "calibration")
    return save(path, made.payload, made.spec)


def _makers(source: Source, calibration: Calibrated) -> Mapping[str, tuple[str, Callable[[Path], Artifact]]]:
    """Name → its file, and what makes it; an engine comes after the file that it is built of."""

    def onnx(recipe: Recipe, path: Path) -> Artifact:
        if "half" in (recipe.stack, recipe.head):
            refuse_values(source.graph, recipe, calibration[0])
        made = make_onnx(path, source.graph, source.spec, recipe, source.sha256)
        return save(path, made.payload, made.spec)

    def engine(path: Path) -> Artifact:
        require("an engine")  # there may be a TensorRT, and no GPU that it runs on
        return to_engine(path.with_suffix(".onnx"), path)

    return {
        **{name: (f"{name}.tflite", partial(tflite, source, calibration, each)) for name, each in RECIPES.items()},
        **{f"onnx {name}": (f"{name}.onnx", partial(onnx, each)) for name, each in ONNX_RECIPES.items()},
        f"tensorrt {_ENGINE}": (f"{_ENGINE}.engine", engine),
    }


def opened(path: Path, calibration: Path, verified_with: Sequence[Dataset] = ()) -> tuple[Source, Calibrated]:
    """A trained model, and what its int8 artifacts need.

    Raises:
        EdgeCrnnError: as of `open_source` and `calibrated`.
    """
    source = open_source(path)
    return source, calibrated(source, calibration, verified_with)


def main(words: Sequence[str] | None = None) -> int:
    """Make them, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--calibration", type=Path, required=True, metavar="DIR")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    args = parser.parse_args(words)
    args.output.mkdir(parents=True, exist_ok=True)
    try:
        make_and_tell(args.model, args.calibration, args.output)
    except EdgeCrnnError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def make_and_tell(model: Path, calibration: Path, folder: Path) -> tuple[dict[str, Artifact], dict[str, str]]:
    """`make_all`, with a line for each."""
    made, absent = make_all(*opened(model, calibration), folder)
    for name, each in made.items():
        print(f"{each.path}: {each.path.stat().st_size:,} bytes, {name}")
    for name, reason in absent.items():
        print(f"absent: {name} ({reason})", flush=True)
    return made, absent


if __name__ == "__main__":
    sys.exit(main())
