"""Converts a case, and measures how far every artifact is from Keras' own predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.graph.graph import Graph, Ranges
from converters.graph.ranges import calibrate
from converters.onnx.to_onnx import to_onnx
from converters.recipe import ONNX_RECIPES, RECIPES
from converters.reference.keras import KerasReference
from converters.tflite.to_tflite import to_tflite
from converters.trained.keras.model import Declarations, Network, load_network
from edge_crnn.model.spec import InputSpec

from .case import Case
from .networks import Array
from .reference import images, predict, probabilities, write
from .user_layers import LAYERS, ONLY

CALIBRATION_SEED, SEED = 5, 2
IMAGES = 4


@dataclass(frozen=True)
class Converted:
    """A case as Keras reads it, and as edge-crnn converts it."""

    case: Case
    path: Path
    images: Array
    """(N, *graph.input_shape)."""
    expected: Array
    """(N, steps, classes), by Keras' own predict on the saved file."""
    network: Network

    @property
    def graph(self) -> Graph:
        """The folded graph."""
        return self.network.graph.folded()

    @property
    def ranges(self) -> Ranges:
        """Ranges of the graph's values on other images, and on these."""
        more = as_graph_takes_them(self.case, images(self.case, 8, CALIBRATION_SEED))
        return calibrate(self.graph, [more, self.images])

    def reference(self) -> Array:
        """Return the output of the reference that verification uses."""
        reference = KerasReference(
            self.path, None, self.network, lambdas=self.case.spec_lines.get("lambdas"), batch=self.case.batch or IMAGES
        )
        try:
            return reference.infer(self.images)
        finally:
            reference.close()


def converted(case: Case, folder: Path) -> Converted:
    """Save a case, have Keras read images, and convert it."""
    path = write(case, folder)
    pictures = images(case, case.batch or IMAGES, SEED)
    expected = probabilities(case, predict(path, pictures, case))
    network = load_network(path, None, declarations(case))
    return Converted(case, path, as_graph_takes_them(case, pictures), expected, network)


def declarations(case: Case) -> Declarations:
    """Return the facts that the user of a case states."""
    lambdas = case.spec_lines.get("lambdas", {})
    custom = {name: function for name, function in LAYERS.items() if name in case.own_layers}
    return Declarations(input_spec(case).shape, lambdas, {**custom, **ONLY.get(case.number, {})})


def input_spec(case: Case) -> InputSpec:
    """Return the spec that turns images of a case into the graph's input."""
    sizes = {
        "HW": lambda h, w: (h, w, 1),
        "CHW": lambda c, h, w: (h, w, c),
        "WHC": lambda w, h, c: (h, w, c),
        "HWC": lambda h, w, c: (h, w, c),
    }
    height, width, channels = sizes[case.axes](*case.shape)
    axes = "WHC" if case.axes == "WHC" else "HWC"
    return InputSpec(width, height, axes, 1 / 255, 0.0, colour="grey" if channels == 1 else "rgb")


def as_graph_takes_them(case: Case, pictures: Array) -> Array:
    """Convert images as the network takes them to channels last."""
    if case.axes == "HW":
        return pictures[..., None]
    return np.ascontiguousarray(pictures.transpose(0, 2, 3, 1)) if case.axes == "CHW" else pictures


def by_tflite(one: Converted, recipe: str, ranges: Ranges) -> Array:
    """Return the output of a `.tflite`."""
    from ai_edge_litert.interpreter import Interpreter

    payload = to_tflite(one.graph, input_spec(one.case), RECIPES[recipe], ranges)
    interpreter = Interpreter(model_content=payload, num_threads=1)
    read = interpreter.get_signature_runner("read")
    (detail,) = interpreter.get_output_details()
    scale, zero_point = detail["quantization"]
    values = np.concatenate([next(iter(read(image=image[None]).values())) for image in one.images])
    return (values.astype(np.float32) - zero_point) * scale if scale else values


def by_onnx(one: Converted, recipe: str) -> Array:
    """Return the output of an `.onnx`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    payload = to_onnx(one.graph, ONNX_RECIPES[recipe], input_spec(one.case))
    session = onnxruntime.InferenceSession(payload, options, ["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": one.images})[0])


def deviations(one: Converted) -> Mapping[str, float]:
    """Return the largest |Δp| of every artifact, by the recipe's name."""
    ranges = one.ranges
    outputs: dict[str, Any] = {recipe: by_tflite(one, recipe, ranges) for recipe in RECIPES}
    outputs |= {f"onnx {recipe}": by_onnx(one, recipe) for recipe in ONNX_RECIPES}
    for recipe, values in outputs.items():
        assert values.shape == one.expected.shape, recipe
        assert np.isfinite(values).all(), recipe
    return {recipe: float(np.abs(values - one.expected).max()) for recipe, values in outputs.items()}
