"""Named precisions. A recipe's name tells what it costs; these fields tell why.

| precision | weights | activations |
|---|---|---|
| float32 | float32 | float32 |
| float16 | float16, widened when the model is loaded | float32 |
| half | float16 | float16, but for the softmax |
| dynamic | int8 per output channel | float32, quantised row by row inside each matrix product |
| static | int8 per output channel | int8, ranges from calibration images |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Precision: TypeAlias = Literal["float32", "float16", "half", "dynamic", "static"]
Form: TypeAlias = Literal["loop", "unrolled", "op"]
Target: TypeAlias = Literal["tflite", "onnx", "tensorrt"]


@dataclass(frozen=True)
class Recipe:
    """How precisely each part of a CRNN is computed."""

    name: str
    stack: Precision
    """Everything that depends on no recurrent layer: convolutions, pools, the dense layer after them."""
    head: Precision
    """Recurrent layers, and everything that depends on one."""
    form: Form
    """Recurrence as one WHILE loop per direction, or with every step written out, or as the engine's own op."""
    summary: str
    largest_change: float = 1.0
    """Largest |Δp| from the trained model that is allowed on seeded pictures; 1: whatever it is.

    Sound artifacts of seven networks show at most 6e-6 in float32, 0.014 in float16, 0.35 in dynamic, 0.33 in int8 and
    0.67 in int8-full, those with one kernel in a wrong order 0.66 to 1. In float32 a trained model that computes in
    float16 itself must pass.
    """
    float_layers: tuple[str, ...] = ()
    """Nodes, by the graph's names, that are float32 whatever their part is."""

    @property
    def needs_calibration(self) -> bool:
        """Whether ranges of activations must be known before the conversion."""
        return "static" in (self.stack, self.head)


def _by_name(*recipes: Recipe) -> dict[str, Recipe]:
    return {recipe.name: recipe for recipe in recipes}


RECIPES = _by_name(
    Recipe("float32", "float32", "float32", "loop", "the reference precision", 0.003),
    Recipe("float16", "float16", "float16", "loop", "half the size, as fast as float32", 0.1),
    Recipe("dynamic", "dynamic", "dynamic", "loop", "a quarter of the size, needs no calibration", 0.5),
    Recipe("int8", "static", "dynamic", "loop", "int8 convolutions, dynamic int8 recurrent layers", 0.5),
    Recipe(
        "int8-full", "static", "static", "unrolled", "int8 throughout, for accelerators that take nothing else", 1.0
    ),
)
"""Of a `.tflite`."""

ONNX_RECIPES = _by_name(
    Recipe("float32", "float32", "float32", "op", "the reference precision", 0.003),
    Recipe("float16", "half", "half", "op", "float16 throughout, for GPUs", 0.1),
    Recipe("float16-mixed", "half", "float32", "op", "float16 convolutions, float32 recurrent layers", 0.1),
)
"""Of an `.onnx`, and of the engine that TensorRT builds of it."""

RECIPES_FOR: dict[Target, dict[str, Recipe]] = {
    "tflite": RECIPES,
    "onnx": ONNX_RECIPES,
    "tensorrt": ONNX_RECIPES,
}
DEFAULT_RECIPE: dict[Target, str] = {"tflite": "int8", "onnx": "float32", "tensorrt": "float16"}
WITHOUT_IMAGES = "dynamic"
"""The recipe for a `.tflite` where the usual one lacks images to calibrate with."""
