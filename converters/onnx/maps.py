"""Nodes that work on feature maps, which are channels first in the file, and the sampling of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from ..graph.nodes import Conv, ConvTranspose, Pads, Pool, Resize, SpatialTransform
from .elements import activate
from .writer import Place


def conv(place: Place, node: Conv, x: str) -> str:
    """Convolve a map."""
    kernel = place.weight("kernel", node.kernel.transpose(3, 2, 0, 1))
    bias = place.weight("bias", node.bias)
    settings: dict[str, Any] = {"strides": node.strides, "pads": _ends(node.pads)}
    if node.dilation != (1, 1):
        settings["dilations"] = node.dilation
    if node.groups != 1:
        settings["group"] = node.groups
    return activate(place, node.activation, place.add("Conv", x, kernel, bias, **settings))


def conv_transpose(place: Place, node: ConvTranspose, x: str) -> str:
    """Convolve transposed; `output_padding` adds the rows and columns of a negative trim."""
    kernel = place.weight("kernel", node.kernel.transpose(2, 3, 0, 1))
    bias = place.weight("bias", node.bias)
    trimmed = tuple((max(before, 0), max(after, 0)) for before, after in node.trims)
    settings: dict[str, Any] = {"strides": node.strides, "pads": _ends((trimmed[0], trimmed[1]))}
    added = tuple(max(-after, 0) for _, after in node.trims)
    if any(added):
        settings["output_padding"] = added
    return activate(place, node.activation, place.add("ConvTranspose", x, kernel, bias, **settings))


def pool(place: Place, node: Pool, x: str) -> str:
    """Pool a map; padding never counts."""
    settings: dict[str, Any] = {"kernel_shape": node.size, "strides": node.strides, "pads": _ends(node.pads)}
    if node.mode == "max":
        return place.add("MaxPool", x, **settings)
    return place.add("AveragePool", x, count_include_pad=0, **settings)


def _ends(pads: Pads) -> tuple[int, ...]:
    """Return top, left, bottom and right explicitly: SAME_UPPER is deprecated, and engines differ on it."""
    (top, bottom), (left, right) = pads
    return top, left, bottom, right


def resize(place: Place, node: Resize, x: str) -> str:
    """Enlarge a map by whole factors; a nearest neighbour is a repetition."""
    scales = place.writer.constant(place.name, "scales", np.array([1, 1, *node.factors], np.float32))
    if node.mode == "nearest":
        settings = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    else:
        settings = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return place.add("Resize", x, "", scales, **settings)


def spatial_transform(place: Place, _node: SpatialTransform, x: str, matrix: str) -> str:
    """Sample a map as `converters.graph.oracle` does; `GridSample` weighs neighbours outside the map differently."""
    rows, columns, channels = place.shapes[0]
    across, down = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(-1, 1, rows))
    grid = place.weight("grid", np.stack([across.ravel(), down.ravel(), np.ones(rows * columns)]))
    matrix = place.add("Reshape", matrix, place.integers("matrix", -1, 2, 3))
    unit = place.weight("one", 1)
    places = place.add("Add", place.add("MatMul", matrix, grid), unit)
    places = place.add("Mul", places, place.weight("halves", [[columns / 2], [rows / 2]]))  # (N, 2, pixels): x, y
    low = place.add("Floor", places)
    ends = place.weight("ends", [[columns - 1], [rows - 1]])
    zero = place.weight("zero", 0)
    low, high = (
        place.add("Max", place.add("Min", corner, ends), zero) for corner in (low, place.add("Add", low, unit))
    )
    to_high, to_low = place.add("Sub", high, places), place.add("Sub", places, low)
    pixels = place.add("Reshape", x, place.integers("pixels", -1, rows * columns, channels))
    indices = [place.integers("x", 0), place.integers("y", 1)]
    axis, last = place.integers("axis", 1), place.integers("last", 2)

    def part(of: str, coordinate: int) -> str:
        """Return one coordinate, (N, pixels)."""
        return place.add("Squeeze", place.add("Gather", of, indices[coordinate], axis=1), axis)

    def corner_of(row: str, column: str, height: str, width: str) -> str:
        """Return a neighbour weighted by its area, (N, pixels, channels)."""
        index = place.add("Add", place.add("Mul", row, place.weight("columns", columns)), column)
        whole = place.add("Unsqueeze", place.add("Cast", index, to=onnx.TensorProto.INT64), last)
        area = place.add("Unsqueeze", place.add("Mul", width, height), last)
        return place.add("Mul", place.add("GatherND", pixels, whole, batch_dims=1), area)

    left, top, right, bottom = part(low, 0), part(low, 1), part(high, 0), part(high, 1)
    to_right, to_bottom, to_left, to_top = part(to_high, 0), part(to_high, 1), part(to_low, 0), part(to_low, 1)
    total = place.add("Add", corner_of(top, left, to_bottom, to_right), corner_of(bottom, left, to_top, to_right))
    total = place.add("Add", total, corner_of(top, right, to_bottom, to_left))
    total = place.add("Add", total, corner_of(bottom, right, to_top, to_left))
    return place.add("Reshape", total, place.integers("shape", -1, rows, columns, channels))
