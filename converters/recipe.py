"""Named precisions. A recipe's name tells what it costs; these fields tell why.

| precision | weights | activations |
|---|---|---|
| float32 | float32 | float32 |
| float16 | float16, widened when the model is loaded | float32 |
| dynamic | int8 per output channel | float32, quantised row by row inside each matrix product |
| static | int8 per output channel | int8, ranges from calibration images |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Precision: TypeAlias = Literal["float32", "float16", "dynamic", "static"]
Form: TypeAlias = Literal["loop", "unrolled"]


@dataclass(frozen=True)
class Recipe:
    """How precisely each part of a CRNN is computed."""

    name: str
    stack: Precision
    """Everything before the first recurrent layer: convolutions, pools, the dense layer after them."""
    head: Precision
    """From the first recurrent layer on."""
    form: Form
    """Recurrence as one WHILE loop per direction, or with every step written out."""
    summary: str

    @property
    def needs_calibration(self) -> bool:
        """Whether ranges of activations must be known before the conversion."""
        return "static" in (self.stack, self.head)


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("float32", "float32", "float32", "loop", "the reference precision"),
        Recipe("float16", "float16", "float16", "loop", "half the size, the speed of float32"),
        Recipe("dynamic", "dynamic", "dynamic", "loop", "a quarter of the size, no calibration images"),
        Recipe("int8", "static", "dynamic", "loop", "int8 convolutions, recurrent head in dynamic int8"),
        Recipe("int8-full", "static", "static", "unrolled", "every op int8; for accelerators that take nothing else"),
    )
}
