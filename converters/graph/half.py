"""Finds numbers that float16 cannot represent: weights and values beyond its range, and weights that are too small.

IEEE 754 binary16 ends at 65,504. Its normal numbers begin at 6.1e-5; below them it continues to 0 in steps of 6e-8.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_crnn.errors import ConversionError

from ..recipe import Recipe
from .graph import Graph, Ranges
from .nodes import Node

_END = float(np.finfo(np.float16).max)
_NORMAL = float(np.finfo(np.float16).smallest_normal)
_LEFT_FOR_OTHER_IMAGES = 2


def to_half(name: str, weight: npt.NDArray[Any]) -> npt.NDArray[np.float16]:
    """Convert a weight to float16.

    Raises:
        ConversionError: it would become infinite.
    """
    largest = float(np.abs(weight).max(initial=0.0))
    if largest > _END:
        raise ConversionError(
            f"weight {name!r} reaches {largest:.3g}, float16 ends at {_END:,.0f}; use --recipe float32"
        )
    return weight.astype(np.float16)


def refuse_values(graph: Graph, recipe: Recipe, ranges: Ranges) -> None:
    """Reject float16 for a network whose values come close to its limit, because a GPU would continue with infinities.

    A CPU computes float16 in float32, so it does not show the problem.

    Args:
        graph: the graph to lower.
        recipe: which layers become float16.
        ranges: ranges of the graph's values in float32 on real images, from `ranges.calibrate`.

    Raises:
        ConversionError: a value leaves half of the range.
    """
    half = {node.name for node in _half_nodes(graph, recipe)}
    for name, (low, high) in ranges.items():
        owner = graph.owner(name)
        if owner not in half:
            continue
        if max(-low, high) * _LEFT_FOR_OTHER_IMAGES > _END:
            raise ConversionError(
                f"value {name!r} goes from {low:.3g} to {high:.3g}, float16 ends at {_END:,.0f}; use --recipe"
                f" float32, or float16-mixed where it is in the recurrent head, or keep the layer by --float"
                f" {owner}"
            )


def faint_weights(graph: Graph, recipe: Recipe) -> Iterator[str]:
    """Describe the layers whose weights keep few digits in float16, one line per layer.

    This is no error: the loss is negligible beside the other weights of a sum. Only an output with no other weights may
    change, and then the texts show whether that output matters; weight decay leaves outputs that do not.
    """
    for node in _half_nodes(graph, recipe):
        kernels = [array for array in node.weights if array.ndim > 1]
        largest = np.concatenate(
            [np.zeros(0), *(np.abs(array).max(axis=tuple(range(array.ndim - 1))) for array in kernels)]
        )
        faint = int(np.sum((largest > 0) & (largest < _NORMAL)))
        if faint:
            yield f"{node.name}: {faint} of {largest.size} outputs have weights so small that float16 keeps few digits"


def _half_nodes(graph: Graph, recipe: Recipe) -> Iterator[Node]:
    for node in graph.nodes:
        precision = recipe.head if node.name in graph.head else recipe.stack
        if precision == "half" and node.name not in recipe.float_layers:
            yield node
