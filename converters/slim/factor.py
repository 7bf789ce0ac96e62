"""Factorises convolutions: a sum over a window becomes a sum along one of its axes, then one along the other.

A kernel (h, w, in, out) is a matrix K (h in, w out). Its truncated singular value decomposition K ≈ L R of rank r gives
a convolution h×1 from `in` to r channels, L, and one 1×w from r to `out` channels, R, or the same with the axes swapped
(Jaderberg, Vedaldi, Zisserman 2014, "Speeding up convolutional neural networks with low rank expansions", scheme 2).

The decomposition is weighted by the covariance C = G Gᵀ of the windows h×1 of the input: the best L R minimises
||Gᵀ (K - L R)||², the error of the sums that every column of the window contributes. It is L = G⁻ᵀ U and R = Uᵀ Gᵀ K
with the first r left singular vectors U of Gᵀ K (Zhang, Zou, He, Sun 2016, "Accelerating very deep convolutional
networks for classification and detection", section 3.1, here for one column). Their fit before a ReLU (section 3.2) is
in `repair`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias, TypeGuard, TypeVar

import numpy as np

from ..graph.cells import Array
from ..graph.cost import node_multiplications
from ..graph.graph import Graph
from ..graph.nodes import Conv, Node, Shape
from .select import Matrix, Ranking, Vector

Axis: TypeAlias = Literal[0, 1]
"""Axis of a window: its rows, or its columns."""

_T = TypeVar("_T")

AXES: tuple[Axis, Axis] = (0, 1)
_LABELS = ("rows", "columns")
_RIDGE = 1e-6
"""Added to the diagonal of C, as a share of its mean: about the precision of sums in float32."""
_TINY = 1e-30
"""Largest variance that counts as none."""


def can_be_factorised(node: Node) -> TypeGuard[Conv]:
    """Return whether a node is a convolution with a window of several rows and columns over all channels."""
    return isinstance(node, Conv) and node.groups == 1 and min(node.kernel.shape[:2]) > 1


def label(node: Conv, axis: Axis, used: Collection[str] = ()) -> str:
    """Return a name for the first factor along an axis, other than the names in use."""
    name = f"{node.name}:{_LABELS[axis]}"
    while name in used:
        name += "'"
    return name


def factors(node: Conv, axis: Axis, first: Array, last: Array, name: str) -> tuple[Conv, Conv]:
    """Return the two factors of a convolution.

    Args:
        node: the convolution; the last factor keeps its name, bias and activation.
        axis: the axis of the window that the first factor sums along.
        first: float32 weights (length along the axis, in, rank).
        last: float32 weights (length along the other axis, rank, out).
        name: name of the first factor.
    """
    other = AXES[1 - axis]
    inner = Conv(
        name,
        np.ascontiguousarray(np.expand_dims(first, other)),
        np.zeros(first.shape[-1], np.float32),
        inputs=node.inputs,
        strides=_along(axis, node.strides, 1),
        pads=_along(axis, node.pads, (0, 0)),
        dilation=_along(axis, node.dilation, 1),
    )
    outer = replace(
        node,
        kernel=np.ascontiguousarray(np.expand_dims(last, axis)),
        inputs=(name,),
        strides=_along(other, node.strides, 1),
        pads=_along(other, node.pads, (0, 0)),
        dilation=_along(other, node.dilation, 1),
    )
    return inner, outer


def _along(axis: Axis, setting: tuple[_T, _T], neutral: _T) -> tuple[_T, _T]:
    """Return a setting of rows and columns that is neutral for the other axis."""
    return (setting[0], neutral) if axis == 0 else (neutral, setting[1])


def window(node: Conv, axis: Axis) -> Conv:
    """Return the first factor of rank 1 with weights of zero, whose input windows the covariance is that of."""
    return factors(node, axis, *_empty(node, axis), node.name)[0]


def _empty(node: Conv, axis: Axis) -> tuple[Array, Array]:
    """Return the weights of two factors of rank 1, all zero."""
    length, width = node.kernel.shape[axis], node.kernel.shape[1 - axis]
    inside, out = node.kernel.shape[2:]
    return np.zeros((length, inside, 1), np.float32), np.zeros((width, 1, out), np.float32)


@dataclass(frozen=True, eq=False)
class Factorisation:
    """The factors of a convolution along one axis first, for every rank."""

    node: Conv
    axis: Axis
    """The axis of the window that the first factor sums along."""
    name: str
    """Name of the first factor."""
    covariance: Matrix
    """(length in, length in), of the windows of the first factor."""
    mean: Vector
    """(length in,), their mean."""

    @property
    def rank(self) -> int:
        """The rank at which the factors equal the convolution."""
        return int(min(self._matrix.shape))

    @cached_property
    def ranking(self) -> Ranking:
        """The ranks with their errors: the share of the sums' variance that is lost with the first r."""
        squares = np.maximum(self._decomposed[0][: self.rank], 0.0)
        lost = np.append(np.cumsum(squares[::-1])[::-1], 0.0)
        return Ranking(tuple(range(self.rank)), tuple((lost / max(float(lost[0]), _TINY)).tolist()))

    def whole_work(self, shape: Shape) -> int:
        """Count the multiplications of the convolution, from the shape of the input."""
        return node_multiplications(self.node, (shape,), self.node.shape(shape))

    def work(self, shape: Shape) -> tuple[int, int]:
        """Count the multiplications of both factors for every channel between them, from the shape of the input."""
        inner, outer = factors(self.node, self.axis, *_empty(self.node, self.axis), self.name)
        between = inner.shape(shape)
        return (
            node_multiplications(inner, (shape,), between),
            node_multiplications(outer, (between,), outer.shape(between)),
        )

    def of_rank(self, rank: int) -> tuple[Conv, Conv]:
        """Return the factors of a rank; the bias makes up for the mean of what is lost, except at padding."""
        basis = self._decomposed[1][:, :rank]
        first = np.linalg.solve(self._root.T, basis)
        last = (self._root @ basis).T @ self._matrix
        length, width = (self.node.kernel.shape[axis] for axis in (self.axis, 1 - self.axis))
        lost = (self.mean @ (self._matrix - first @ last)).reshape(width, -1).sum(axis=0)
        inside, out = self.node.kernel.shape[2:]
        return factors(
            replace(self.node, bias=(self.node.bias + lost).astype(np.float32)),
            self.axis,
            first.reshape(length, inside, rank).astype(np.float32),
            last.reshape(rank, width, out).swapaxes(0, 1).astype(np.float32),
            self.name,
        )

    def applied(self, graph: Graph, rank: int) -> Graph:
        """Return a graph that has the factors in place of the convolution."""
        nodes = [
            factor
            for node in graph.nodes
            for factor in (self.of_rank(rank) if node.name == self.node.name else (node,))
        ]
        return Graph(graph.input_shape, tuple(nodes))

    @cached_property
    def _matrix(self) -> Matrix:
        """The kernel as a matrix, (length in, width out)."""
        length = self.node.kernel.shape[self.axis] * self.node.kernel.shape[2]
        kernel = self.node.kernel.transpose(self.axis, 2, 1 - self.axis, 3)
        return np.asarray(kernel.reshape(length, -1), np.float64)

    @cached_property
    def _root(self) -> Matrix:
        """G, lower triangular, of C = G Gᵀ; C is scaled, and the identity where the input does not vary."""
        scale = float(self.covariance.trace()) / len(self.covariance)
        scaled = self.covariance / scale if scale > _TINY else np.eye(len(self.covariance))
        return np.asarray(np.linalg.cholesky(scaled + _RIDGE * np.eye(len(scaled))))

    @cached_property
    def _decomposed(self) -> tuple[Vector, Matrix]:
        """Squares of the singular values of Gᵀ K, the largest first, and the left singular vectors as columns."""
        weighted = self._root.T @ self._matrix
        values, vectors = np.linalg.eigh(weighted @ weighted.T)
        return values[::-1], vectors[:, ::-1]


def better(factorisations: Sequence[Factorisation], shape: Shape) -> Factorisation:
    """Return the factorisation that loses least at half of the convolution's multiplications.

    Args:
        factorisations: those of one convolution.
        shape: shape of its input.
    """

    def lost(factorisation: Factorisation) -> float:
        half = factorisation.whole_work(shape) // 2
        return factorisation.ranking.errors[min(factorisation.rank, half // sum(factorisation.work(shape)))]

    return min(factorisations, key=lost)
