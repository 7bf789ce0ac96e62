"""`python -m benchmarks.artifacts MODEL --calibration DIR -o FOLDER`: write every artifact that this machine can make.

The artifacts equal those of `edge-crnn convert`, but are not verified: `edge-crnn verify` and `benchmarks.accuracy` do
that.
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
"""The names of all artifacts; a `.tflite` is named after its recipe."""


def make_all(source: Source, calibration: Calibrated, folder: Path) -> tuple[dict[str, Artifact], dict[str, str]]:
    """Make the artifacts, and save them in `folder`.

    Returns:
        The artifacts by name, such as `int8` and `onnx float16`, and the reasons why others are absent, by name.

    Raises:
        EdgeCrnnError: a conversion failed. An artifact whose engine is not installed is absent instead.
    """
    artifacts: dict[str, Artifact] = {}
    absent: dict[str, str] = {}
    for name, (file, make) in _makers(source, calibration).items():
        try:
            artifacts[name] = make(folder / f"{source.path.stem}-{file}")
        except BackendUnavailable as error:
            absent[name] = str(error)
    return artifacts, absent


def tflite(source: Source, calibration: Calibrated, recipe: Recipe, path: Path, batch: int = 1) -> Artifact:
    """Make and save a `.tflite` that takes `batch` images at a time."""
    conversion = make_tflite(path, source.graph, source.spec, recipe, source.sha256, *calibration, batch=batch)
    refuse_other_ranges(conversion, source.graph, calibration[0], "calibration")
    return save(path, conversion.payload, conversion.spec)


def _makers(source: Source, calibration: Calibrated) -> Mapping[str, tuple[str, Callable[[Path], Artifact]]]:
    """Map a name to its file and the function that makes it. An engine comes after the file that it is built from."""

    def onnx(recipe: Recipe, path: Path) -> Artifact:
        if "half" in (recipe.stack, recipe.head):
            refuse_values(source.graph, recipe, calibration[0])
        conversion = make_onnx(path, source.graph, source.spec, recipe, source.sha256)
        return save(path, conversion.payload, conversion.spec)

    def engine(path: Path) -> Artifact:
        require("an engine")  # TensorRT may be installed where there is no GPU
        return to_engine(path.with_suffix(".onnx"), path)

    return {
        **{name: (f"{name}.tflite", partial(tflite, source, calibration, recipe)) for name, recipe in RECIPES.items()},
        **{f"onnx {name}": (f"{name}.onnx", partial(onnx, recipe)) for name, recipe in ONNX_RECIPES.items()},
        f"tensorrt {_ENGINE}": (f"{_ENGINE}.engine", engine),
    }


def opened(path: Path, calibration: Path, verified_with: Sequence[Dataset] = ()) -> tuple[Source, Calibrated]:
    """Open a trained model, and calibrate it for its int8 artifacts.

    Raises:
        EdgeCrnnError: see `open_source` and `calibrated`.
    """
    source = open_source(path)
    return source, calibrated(source, calibration, verified_with)


def main(words: Sequence[str] | None = None) -> int:
    """Make the artifacts, and print a line for each."""
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
    """Call `make_all`, and print a line for each artifact."""
    artifacts, absent = make_all(*opened(model, calibration), folder)
    for name, artifact in artifacts.items():
        print(f"{artifact.path}: {artifact.path.stat().st_size:,} bytes, {name}")
    for name, reason in absent.items():
        print(f"absent: {name} ({reason})", flush=True)
    return artifacts, absent


if __name__ == "__main__":
    sys.exit(main())
