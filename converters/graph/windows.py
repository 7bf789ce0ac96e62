"""Padding of feature maps, and the windows that convolutions and pools move over them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

Pads: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
"""Padding: rows above and below, columns left and right."""

NO_PADS: Pads = ((0, 0), (0, 0))


def windows(
    shape: Sequence[int],
    size: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilation: Sequence[int] = (1, 1),
) -> tuple[int, int]:
    """Count the windows that fit along rows and columns; 0 or less if the map is too small."""
    rows, columns = (
        (before + shape[axis] + after - (size[axis] - 1) * dilation[axis] - 1) // strides[axis] + 1
        for axis, (before, after) in enumerate(pads)
    )
    return rows, columns


def padded_size(shape: Sequence[int], pads: Sequence[tuple[int, int]]) -> int:
    """Count the elements of a map with its padding."""
    return math.prod(length + sum(pad) for length, pad in zip(shape, (*pads, (0, 0)), strict=True))


def same_pads(
    shape: Sequence[int], size: Sequence[int], strides: Sequence[int], dilation: Sequence[int] = (1, 1)
) -> Pads:
    """Compute TensorFlow's padding "same" for rows and columns: an odd pixel goes below and to the right."""
    totals = [
        max(
            (-(-shape[axis] // strides[axis]) - 1) * strides[axis]
            + (size[axis] - 1) * dilation[axis]
            + 1
            - shape[axis],
            0,
        )
        for axis in (0, 1)
    ]
    rows, columns = ((total // 2, total - total // 2) for total in totals)
    return rows, columns
