"""Removes units so that those that are left take over what they can express of the removed ones.

A sum X W over a group's units, of which S are kept and D removed, becomes X_S (W_S + A W_D) plus a bias, where
X_D ≈ X_S A + constant in the least-squares sense: A = C_SS⁻¹ C_SD of the covariance C. This needs no pass over images.
It is exact for units that are linear combinations of others (the "linear reconstruction" of He, Zhang, Sun 2017,
"Channel pruning for accelerating very deep neural networks", solved for the values instead of the sums), except for
the bias where zero padding takes part in the sum.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..graph.cells import Array, Cell, GruCell
from ..graph.graph import Graph
from ..graph.nodes import Conv, ConvTranspose, Dense, Node, Recurrent
from .observe import Moments, Observation, Use
from .select import Matrix
from .units import Places, Units

_RIDGE = 1e-6
"""Added to the diagonal of C_SS, as a share of its mean: about the precision of sums in float32."""


def absorb(units: Units, removed: Collection[int], observation: Observation) -> Graph:
    """Return the graph without some units, whose sums use the others in their place.

    Raises:
        ValueError: see `Units.without`.
    """
    nodes = dict(units.graph.by_name)
    for use, moments in observation.moments.items():
        numbers = np.array(units.groups[use.group])[use.members]
        is_removed = np.isin(numbers, list(removed))
        if is_removed.any() and not is_removed.all():
            nodes[use.node] = _absorbed(nodes[use.node], use, moments, is_removed)
    return replace(units, graph=Graph(units.graph.input_shape, tuple(nodes.values()))).without(removed)


def _absorbed(node: Node, use: Use, moments: Moments, is_removed: npt.NDArray[np.bool_]) -> Node:
    kept, gone = np.flatnonzero(~is_removed), np.flatnonzero(is_removed)
    a = np.array(moments.covariance[np.ix_(kept, kept)])
    a.flat[:: len(a) + 1] += max(_RIDGE * float(a.trace()) / len(a), np.finfo(float).tiny)
    mix: Matrix = np.asarray(np.linalg.solve(a, moments.covariance[np.ix_(kept, gone)]), np.float64)
    offset = moments.mean[gone] - moments.mean[kept] @ mix
    return _mixed(node, use, _Mix(use.columns[kept], use.columns[gone], mix, offset))


class _Mix:
    """The removed units in terms of the kept ones."""

    def __init__(self, kept: Places, gone: Places, mix: Matrix, offset: Matrix) -> None:
        self._kept, self._gone = kept, gone  # (units, appearances)
        self._mix = mix.astype(np.float32)  # (kept, gone)
        self._offset = offset.astype(np.float32)  # (gone,)

    def kernel(self, kernel: Array) -> Array:
        """Return weights (..., in, out) in which the rows of kept units have taken over those of removed ones."""
        mixed = kernel.copy()
        for kept, gone in zip(self._kept.T, self._gone.T, strict=True):
            mixed[..., kept, :] += self._mix @ kernel[..., gone, :]
        return mixed

    def bias(self, kernel: Array) -> Array:
        """Return what the constant part of the removed units adds to the bias, (out,)."""
        rows = kernel.reshape(-1, *kernel.shape[-2:]).sum(axis=0)
        added = np.zeros(kernel.shape[-1], np.float32)
        for gone in self._gone.T:
            added += self._offset @ rows[gone]
        return added


def _mixed(node: Node, use: Use, mix: _Mix) -> Node:
    if isinstance(node, Recurrent):
        cells: dict[str, Cell] = {}
        for direction, cell in node.cells:
            if use.part == "input":
                cells[direction] = replace(cell, kernel=mix.kernel(cell.kernel), bias=cell.bias + mix.bias(cell.kernel))
            elif use.part == direction:
                cells[direction] = _fed_back(cell, mix)
        return replace(node, **cells)  # type: ignore[arg-type]
    assert isinstance(node, Conv | ConvTranspose | Dense)
    added = mix.bias(node.kernel)
    if isinstance(node, ConvTranspose):
        added = added / np.float32(math.prod(node.strides))  # a place of the result gets so much less of the kernel
    return replace(node, kernel=mix.kernel(node.kernel), bias=node.bias + added)


def _fed_back(cell: Cell, mix: _Mix) -> Cell:
    """Let a cell feed back kept units in the place of removed ones.

    The candidate of a GRU without an inner bias takes r times the state, whose constant part no bias can replace.
    """
    added = mix.bias(cell.recurrent)
    recurrent = mix.kernel(cell.recurrent)
    if not isinstance(cell, GruCell):
        return replace(cell, recurrent=recurrent, bias=cell.bias + added)
    gates, candidate = np.split(added, [2 * cell.units])
    bias = cell.bias + np.concatenate([gates, np.zeros_like(candidate)])
    if cell.inner_bias is None:
        return replace(cell, recurrent=recurrent, bias=bias)
    return replace(cell, recurrent=recurrent, bias=bias, inner_bias=cell.inner_bias + candidate)
