"""Factorises convolutions (Tucker-2): the window is summed over fewer channels, between two convolutions 1×1.

A kernel (h, w, in, out) becomes a convolution 1×1 from `in` to r channels, the core h×w from r to s channels, and one
1×1 from s to `out` channels (Kim, Park, Yoo, Choi, Yang, Shin 2016, "Compression of deep convolutional neural networks
for fast and low power mobile applications", section 3.1). Both 1×1 convolutions are weighted by what was observed:

- With the covariance C = G Gᵀ of the input's channels, the first one is G⁻ᵀ U with the first r left singular vectors U
  of Gᵀ K, where K (in, h w out) is the kernel. Of all first factors of rank r, it changes the sums least if the
  places of a window are independent.
- The last one is Vᵀ with the first s principal directions V of what the convolution computes before its activation
  (Zhang, Zou, He, Sun 2016, "Accelerating very deep convolutional networks for classification and detection", section
  3.1). Their fit before a ReLU (section 3.2) is in `repair`.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, TypeGuard

import numpy as np

from ..graph.cells import Array
from ..graph.cost import node_multiplications
from ..graph.graph import Graph
from ..graph.nodes import Conv, Node, Shape
from .select import Matrix, Ranking, Vector

BLOCK = 8
"""Kernels in int8 take this many channels at once."""
LARGE = 32
"""From this many channels on, a multiple of `BLOCK` is kept."""
_RIDGE = 1e-6
"""Added to the variances of C, as a share of their mean: about the precision of sums in float32."""
_TINY = 1e-30
"""Largest variance that counts as none."""


class Ranks(NamedTuple):
    """The channels between the factors of a convolution."""

    first: int
    """Channels that the core takes."""
    last: int
    """Channels that the core gives."""


class Names(NamedTuple):
    """Names of the factors that take the place of a convolution; the last one has its name."""

    first: str
    core: str


def can_be_factorised(node: Node) -> TypeGuard[Conv]:
    """Return whether a node is a convolution with a window of several places over all channels."""
    return isinstance(node, Conv) and node.groups == 1 and math.prod(node.kernel.shape[:2]) > 1


def factor_names(node: Conv, used: Collection[str] = ()) -> Names:
    """Return names for the first factors of a convolution, other than the names in use."""
    mark = ""
    while {f"{node.name}:first{mark}", f"{node.name}:core{mark}"} & set(used):
        mark += "'"
    return Names(f"{node.name}:first{mark}", f"{node.name}:core{mark}")


def rotation(rank: int) -> Matrix:
    """Return an orthogonal matrix (rank, rank), by which the channels between two factors are mixed.

    The product of the factors stays the same. Principal directions have variances that differ a thousandfold, and few
    large values. As mixtures of all of them, channels have similar variances and nearly normal values, so that one
    scale of int8 serves them all (Ashkboos et al. 2024, "QuaRot"). The matrix is that of the DCT-II (Ahmed, Natarajan,
    Rao 1974).
    """
    place = np.arange(rank)
    matrix = np.sqrt(2 / rank) * np.cos(np.pi * np.outer(2 * place + 1, place) / (2 * rank))
    matrix[:, 0] = np.sqrt(1 / rank)
    return np.asarray(matrix)


def first_factor(node: Conv, kernel: Array, names: Names) -> Conv:
    """Return the first factor of a convolution, with weights (in, r)."""
    return _factor(names.first, kernel[None, None], node.inputs[0])


def core(node: Conv, kernel: Array, names: Names) -> Conv:
    """Return the core of a convolution, with weights (h, w, r, s)."""
    bias = np.zeros(kernel.shape[-1], np.float32)
    inner = replace(node, name=names.core, kernel=kernel, bias=bias, activation="linear")
    return replace(inner, inputs=(names.first,))


def last_factor(node: Conv, kernel: Array, bias: Array, names: Names) -> Conv:
    """Return the last factor of a convolution, with weights (s, out) and a bias (out,); it has the activation."""
    return replace(_factor(node.name, kernel[None, None], names.core), bias=bias, activation=node.activation)


def _factor(name: str, kernel: Array, source: str) -> Conv:
    return Conv(name, kernel, np.zeros(kernel.shape[-1], np.float32), inputs=(source,))


@dataclass(frozen=True, eq=False)
class Factorisation:
    """The factors of a convolution: a path of ranks, from the fewest multiplications to those of the convolution."""

    node: Conv
    input_shape: Shape
    names: Names
    input_covariance: Matrix
    """(in, in), of the channels."""
    input_mean: Vector
    """(in,), of the channels."""
    output_covariance: Matrix
    """(out, out), of what the convolution computes before its activation."""

    @cached_property
    def path(self) -> tuple[Ranks, ...]:
        """The ranks that lose least for their multiplications, which increase and are fewer than the convolution's.

        They are the lower convex hull of the multiplications and errors of all ranks.
        """
        candidates = sorted(
            (self.work(ranks), self._error(ranks), ranks)
            for ranks in (
                Ranks(first, last)
                for first in _steps(self.node.kernel.shape[2])
                for last in _steps(self.node.kernel.shape[3])
            )
        )
        hull: list[tuple[int, float, Ranks]] = []
        for work, error, ranks in candidates:
            if work >= self.whole_work or (hull and error >= hull[-1][1]):
                continue
            while len(hull) > 1 and _is_above(hull[-2], hull[-1], (work, error)):
                hull.pop()
            hull.append((work, error, ranks))
        return tuple(ranks for _, _, ranks in hull)

    @cached_property
    def ranking(self) -> Ranking:
        """The first k ranks of the path, for k = 0, 1, …, with their errors; after the last, the convolution itself.

        An error is the mean of the shares of the variance that the first and the last factor lose.
        """
        errors = (1.0, *map(self._error, self.path), 0.0)
        return Ranking(tuple(range(len(errors) - 1)), errors)

    @cached_property
    def whole_work(self) -> int:
        """Multiplications of the convolution."""
        return node_multiplications(self.node, (self.input_shape,), self.node.shape(self.input_shape))

    def work(self, ranks: Ranks) -> int:
        """Count the multiplications of the factors."""
        inside, out = self.node.kernel.shape[2:]
        before, window, after = self.places
        return int(before * inside * ranks.first + window * ranks.first * ranks.last + after * ranks.last * out)

    @property
    def places(self) -> tuple[int, int, int]:
        """How often each weight of the three factors is used for one image."""
        before, after = (math.prod(shape[:2]) for shape in (self.input_shape, self.node.shape(self.input_shape)))
        return before, after * math.prod(self.node.kernel.shape[:2]), after

    def nearest(self, share: float) -> int:
        """Return k of the ranks whose multiplications are nearest to a share of the convolution's."""
        gaps = [abs(self.work(ranks) - share * self.whole_work) for ranks in self.path]
        return 1 + int(np.argmin(gaps))

    def first(self, rank: int) -> Array:
        """Return the weights (in, r) of the first factor."""
        return np.linalg.solve(self._root.T, self._input_basis(rank)).astype(np.float32)

    def rest(self, rank: int) -> Array:
        """Return the weights (h, w, r, out) that take the channels of the first factor."""
        rest = np.einsum("ir,hwio->hwro", self._root @ self._input_basis(rank), self.node.kernel, optimize=True)
        return np.asarray(rest, np.float32)

    def of_ranks(self, ranks: Ranks) -> tuple[Conv, Conv, Conv]:
        """Return the factors; the bias makes up for the mean of what is lost, except at padding."""
        first, rest = self.first(ranks.first), self.rest(ranks.first)
        directions = (self._output_directions[1][:, : ranks.last] @ rotation(ranks.last)).astype(np.float32)
        window = rest @ directions
        lost = self.node.kernel - first @ window @ directions.T
        bias = self.node.bias + np.einsum("i,hwio->o", self.input_mean, lost)
        return (
            first_factor(self.node, first, self.names),
            core(self.node, window, self.names),
            last_factor(self.node, np.ascontiguousarray(directions.T), bias.astype(np.float32), self.names),
        )

    def applied(self, graph: Graph, ranks: Ranks) -> Graph:
        """Return a graph that has the factors in place of the convolution."""
        nodes = [
            factor
            for node in graph.nodes
            for factor in (self.of_ranks(ranks) if node.name == self.node.name else (node,))
        ]
        return Graph(graph.input_shape, tuple(nodes))

    def _error(self, ranks: Ranks) -> float:
        inside, outside = self._errors
        return float(inside[ranks.first] + outside[ranks.last]) / 2

    @cached_property
    def _errors(self) -> tuple[Vector, Vector]:
        """The share of the variance that every rank of the first and of the last factor loses."""
        return _lost(self._input_directions[0]), _lost(self._output_directions[0])

    @cached_property
    def _root(self) -> Matrix:
        """G of C = G Gᵀ; C is scaled, and the identity where the input does not vary."""
        scale = float(self.input_covariance.trace()) / len(self.input_covariance)
        scaled = self.input_covariance / scale if scale > _TINY else np.eye(len(self.input_covariance))
        variances, directions = _principal(scaled)  # sums in float32 can make the smallest variances negative
        return np.asarray(directions * np.sqrt(variances + _RIDGE))

    @cached_property
    def _input_directions(self) -> tuple[Vector, Matrix]:
        """Squares of the singular values of Gᵀ K, the largest first, and the left singular vectors as columns."""
        kernel = np.moveaxis(self.node.kernel, 2, 0).reshape(len(self._root), -1)
        weighted = self._root.T @ kernel
        return _principal(weighted @ weighted.T)

    def _input_basis(self, rank: int) -> Matrix:
        return np.asarray(self._input_directions[1][:, :rank] @ rotation(rank))

    @cached_property
    def _output_directions(self) -> tuple[Vector, Matrix]:
        """Variances of the output, the largest first, and their directions as columns."""
        return _principal(self.output_covariance)


def _principal(matrix: Matrix) -> tuple[Vector, Matrix]:
    """Return the eigenvalues of a positive matrix, the largest first, and the eigenvectors as columns."""
    values, vectors = np.linalg.eigh(matrix)
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]


def _lost(variances: Vector) -> Vector:
    """Return the share of variances that is lost if only the first r are kept, for r = 0, 1, …; from 1 to 0."""
    lost = np.append(np.cumsum(variances[::-1])[::-1], 0.0)
    return lost / max(float(lost[0]), _TINY)


def _steps(channels: int) -> list[int]:
    """Return the ranks that are tried. With all channels, a factor would do nothing."""
    step = BLOCK if channels >= LARGE else 1
    return list(range(step, channels, step))


def _is_above(left: tuple[int, float, Ranks], middle: tuple[int, float, Ranks], right: tuple[int, float]) -> bool:
    """Return whether the middle of three points does not lie below the line from the left to the right one."""
    rise = (right[1] - left[1]) * (middle[0] - left[0])
    return (middle[1] - left[1]) * (right[0] - left[0]) >= rise
