"""Prepares the files that `check` needs on a machine without Keras: artifacts, images, and Keras' readings.

python -m benchmarks.gpu.texts [-o build/gpu] [-n 3000] [--seed 47] [--preset heavy] [--models plates digits]
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from converters.artifact import make_onnx
from converters.graph.graph import Graph
from converters.pipeline import open_source
from converters.recipe import ONNX_RECIPES
from converters.reference.keras import KerasReference
from edge_crnn.dataset import chunked
from edge_crnn.images import Pixels
from edge_crnn.model.spec import InputSpec
from edge_crnn.preprocess import preprocess
from edge_crnn.progress import progress
from edge_crnn.records.form import now
from edge_crnn.training.degrade import HEAVY, PRESETS
from edge_crnn.training.folder import Drawing, What
from edge_crnn.training.fonts import pick_fonts

from ..record import typed
from .set import About, Layer, spell, write

BATCH = 50
PICTURES = 256
"""Number of images that the set also holds as they were rendered: the largest batch that is timed to the text."""


class _Model(NamedTuple):
    path: Path
    what: What


MODELS: Mapping[str, _Model] = {
    "plates": _Model(Path("models/plates.keras"), "plates"),
    "digits": _Model(Path("models/digits.keras"), "lines"),
}


def main(words: Sequence[str] | None = None) -> int:
    """Prepare a folder for each model; return 1 if a model's file is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/gpu"))
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("-n", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=47)
    parser.add_argument("--preset", choices=list(PRESETS), default=HEAVY.name)
    args = parser.parse_args(words)
    command = typed("gpu.texts", words)
    missing = False
    for name in args.models:
        path, drawn = MODELS[name]
        if not path.exists():
            print(f"{name}: found no {path}; left out", file=sys.stderr)
            missing = True
            continue
        folder = args.output / name
        folder.mkdir(parents=True, exist_ok=True)
        fonts = pick_fonts(None, drawn == "lines", "all")
        drawing = Drawing(drawn, args.seed, args.preset, fonts)
        print(f"{name}: {prepare(folder, path, drawing, args.n, command)}", flush=True)
    return int(missing)


def prepare(folder: Path, path: Path, drawing: Drawing, n: int, command: str) -> str:
    """Prepare a model's set of `n` images; return a line about it."""
    source = open_source(path)
    spec = source.spec
    artifact = make_onnx(folder / "model.onnx", source.graph, spec, ONNX_RECIPES["float16"], source.sha256)
    reference = KerasReference(path, batch=BATCH)
    drawing = dataclasses.replace(drawing, alphabet="".join(spec.symbols))
    pixels: list[Pixels] = []
    pictures: list[Pixels] = []
    labels: list[str] = []
    right = 0
    for batch in chunked(progress(drawing.render(n), n, folder.name), BATCH):
        images = [picture.image for picture in batch]
        read = spell(reference.infer(preprocess(images, spec.input)), spec)
        right += sum(text == picture.label for text, picture in zip(read, batch, strict=True))
        labels += read
        pixels.append(preprocess(images, artifact.spec.input))
        pictures += images[: PICTURES - len(pictures)]
    about = About(
        what=f"{n:,} rendered {drawing.what} of preset {drawing.preset}, seed {drawing.seed}",
        command=command,
        date=now(),
        reference=f"{reference.facts.name} {reference.facts.version}",
        reference_right=right,
        source_sha256=source.sha256,
    )
    write(folder, artifact, layers_of(source.graph, spec.input), about, np.concatenate(pixels), labels, pictures)
    size = sum(file.stat().st_size for file in folder.iterdir())
    return f"{about.what}; {about.reference} reads {right:,} of them correctly; {size:,} bytes in {folder}"


def layers_of(graph: Graph, image: InputSpec, matrices: npt.DTypeLike = np.float16) -> list[Layer]:
    """Convert the network to plain values.

    Args:
        graph: the network.
        image: how pixels become the network's input, which is the first layer.
        matrices: dtype of arrays with more than one dimension, in which a peer on a GPU computes.
    """
    layers = [Layer("Input", {"axes": image.axes, "scale": image.scale, "offset": image.offset}, {})]
    for node in graph.nodes:
        settings: dict[str, Any] = {}
        weights: dict[str, npt.NDArray[Any]] = {}
        for path, value in _fields(node):
            if isinstance(value, np.ndarray):
                weights[path] = value.astype(matrices if value.ndim > 1 else np.float32)
            else:
                settings[path] = value
        layers.append(Layer(type(node).__name__, settings, weights))
    return layers


def _fields(node: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values in a node with their paths, such as `forward.kernel`; `forward` itself is the kind of a cell."""
    for field in dataclasses.fields(node):  # type: ignore[arg-type]
        value = getattr(node, field.name)
        if dataclasses.is_dataclass(value):
            yield path + field.name, type(value).__name__
            yield from _fields(value, f"{path}{field.name}.")
        else:
            yield path + field.name, value


if __name__ == "__main__":
    sys.exit(main())
