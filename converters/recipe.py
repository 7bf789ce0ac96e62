"""Named precisions, and which of them a conversion tries.

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

from edge_crnn.errors import DatasetError, InputError

Precision: TypeAlias = Literal["float32", "float16", "half", "dynamic", "static"]
Form: TypeAlias = Literal["loop", "unrolled", "op"]
Target: TypeAlias = Literal["tflite", "onnx", "tensorrt"]


@dataclass(frozen=True)
class Recipe:
    """A named choice of precision for each part of a CRNN."""

    name: str
    stack: Precision
    """Everything that depends on no recurrent layer: convolutions, pools, the dense layer after them."""
    head: Precision
    """Recurrent layers, and everything that depends on one."""
    form: Form
    """The recurrence: WHILE loops, every step written out, or the engine's own op."""
    summary: str
    largest_change: float = 1.0
    """Largest |Δp| from the trained model that is allowed on seeded images; 1 allows any.

    Sound artifacts of seven networks show at most 6e-6 in float32, 0.014 in float16, 0.35 in dynamic, 0.33 in int8 and
    0.67 in int8-full, those with one kernel in a wrong order 0.66 to 1. In float32 a trained model that computes in
    float16 itself must pass.
    """
    float_layers: tuple[str, ...] = ()
    """Names of graph nodes that stay float32, whatever the precision of their part."""

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
"""The recipes for a `.tflite`."""

ONNX_RECIPES = _by_name(
    Recipe("float32", "float32", "float32", "op", "the reference precision", 0.003),
    Recipe("float16", "half", "half", "op", "float16 throughout, for GPUs", 0.1),
    Recipe("float16-mixed", "half", "float32", "op", "float16 convolutions, float32 recurrent layers", 0.1),
)
"""The recipes for an `.onnx`, and for the engine that TensorRT builds from it."""

RECIPES_FOR: dict[Target, dict[str, Recipe]] = {
    "tflite": RECIPES,
    "onnx": ONNX_RECIPES,
    "tensorrt": ONNX_RECIPES,
}
DEFAULT_RECIPE: dict[Target, str] = {"tflite": "int8", "onnx": "float32", "tensorrt": "float16"}
WITHOUT_IMAGES = "dynamic"
"""The recipe that replaces the default one if there are no images to calibrate with."""
AUTO = "auto"
"""The name that stands for all recipes of a target; the fastest that passes is kept."""


def recipes_to_try(
    target: Target, name: str | None, *, has_images: bool, remedy: str
) -> tuple[list[Recipe], str | None]:
    """Return the recipes to convert by, and a note for the user if recipes were left out or replaced.

    Args:
        target: the target of the conversion.
        name: name of a recipe, or `AUTO`; None: the default of the target.
        has_images: whether there are images to calibrate with.
        remedy: says how to provide such images, for messages.

    Raises:
        InputError: the target has no such recipe.
        DatasetError: the recipe needs images to calibrate with, and there are none.
    """
    recipes = RECIPES_FOR[target]
    if name == AUTO and target == "tensorrt":
        raise InputError("recipe auto does not apply to tensorrt, since it measures on this CPU; name a recipe")
    if name == AUTO:
        usable = [recipe for recipe in recipes.values() if has_images or not recipe.needs_calibration]
        return usable, None if len(usable) == len(recipes) else f"no images: auto skips static int8; {remedy} to try it"
    if name is not None and name not in recipes:
        choices = ", ".join([*recipes, *([] if target == "tensorrt" else [AUTO])])
        raise InputError(f"recipe {name!r} does not apply to {target}; choose from {choices}")
    recipe = recipes[name or DEFAULT_RECIPE[target]]
    if has_images or not recipe.needs_calibration:
        return [recipe], None
    if name is not None:
        raise DatasetError(f"recipe {name} needs images to calibrate with; {remedy}")
    return [recipes[WITHOUT_IMAGES]], f"no images: recipe {WITHOUT_IMAGES} instead of {recipe.name}; {remedy} for that"
