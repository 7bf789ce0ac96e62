"""The trained model that the engines' files are made from, and our artifacts, made as `edge-crnn convert` does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.artifact import make_tflite
from converters.graph.graph import Graph, Ranges
from converters.graph.ranges import calibrate
from converters.recipe import Recipe
from converters.trained.keras.model import load_graph
from edge_crnn.backends import open_backend
from edge_crnn.dataset import chunked, find_images
from edge_crnn.files import sha256
from edge_crnn.images import load_image
from edge_crnn.model.artifact import load_sidecar, save
from edge_crnn.model.spec import ModelSpec
from edge_crnn.preprocess import preprocess

from .rounds import Engine, Infer


@dataclass(frozen=True)
class Source:
    """A trained model, images to calibrate with, and a folder for files."""

    path: Path
    calibration: Path
    work: Path

    @cached_property
    def spec(self) -> ModelSpec:
        """The spec of the trained model."""
        return load_sidecar(self.path)

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the trained model's file."""
        return sha256(self.path.read_bytes())

    @cached_property
    def graph(self) -> Graph:
        """The folded graph of the trained model."""
        return load_graph(self.path).folded()

    @cached_property
    def images(self) -> npt.NDArray[Any]:
        """The calibration images as the network takes them."""
        return preprocess([load_image(path) for path in find_images(self.calibration)], self.spec.input)

    @cached_property
    def ranges(self) -> Ranges:
        """The ranges of the graph's values on the calibration images."""
        return calibrate(self.graph, (np.stack(chunk) for chunk in chunked(self.images, 16)))

    @cached_property
    def onnx(self) -> Path:
        """The network as an ONNX file in float32."""
        # Imported here, so that without onnx only the engines that need it are absent.
        from converters.onnx.to_onnx import to_onnx

        path = self.work / "float32.onnx"
        path.write_bytes(to_onnx(self.graph))
        return path

    @cached_property
    def qdq(self) -> Path:
        """The network as an ONNX file, statically quantised except the recurrent layers and the softmax."""
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process

        prepared, path = self.work / "prepared.onnx", self.work / "qdq.onnx"
        quant_pre_process(self.onnx, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            path,
            _reader(self.images),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "MaxPool", "MatMul", "Add", "Relu", "Reshape", "Transpose"],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return path

    def artifact(self, recipe: Recipe, name: str | None = None, *, takes_pixels: bool = True) -> Engine:
        """Make our engine of a recipe, as `edge-crnn convert` does."""
        name = name or recipe.name
        path = self.work / f"{name}.tflite"
        ranges = self.ranges if recipe.needs_calibration else None
        conversion = make_tflite(path, self.graph, self.spec, recipe, self.sha256, ranges, takes_pixels=takes_pixels)
        saved = save(path, conversion.payload, conversion.spec)
        return Engine(f"edge-crnn {name}", open_ours, path, saved.spec.input, size_of(path), ours=True)


def open_ours(path: Path, threads: int) -> Infer:
    """Open a file in the runtime's own backend."""
    return open_backend(path, threads).infer


def size_of(path: Path) -> int:
    """Return the bytes of a model, including a separate file of weights."""
    beside = path.with_suffix(".bin")
    return path.stat().st_size + (beside.stat().st_size if path.suffix == ".xml" else 0)


def _reader(images: npt.NDArray[Any]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left: Iterator[npt.NDArray[Any]] = iter(images)

        def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
            image = next(self._left, None)
            return None if image is None else {"image": image[np.newaxis]}

    return Reader()
