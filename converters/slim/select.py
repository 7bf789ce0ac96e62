"""Selects the units to keep: those from whose values the sums that use the units can best be computed.

A sum over channels takes X W, the values X (rows, units) of a group times weights W. A subset S of the columns of X,
with the weights and the bias that fit best, leaves the error ||(X - X_S A) W||², where X is taken from its mean. The
greedy choice adds the unit that lowers this error most; with the residual covariance R of what S does not explain and
M = W Wᵀ, the gain of unit c is (R M R)_cc / R_cc (column subset selection: Farahat, Ghodsi, Kamel 2011, "An efficient
greedy method for unsupervised feature selection", here weighted by the sums). Each step removes what unit c explains
from R, a step of a pivoted Cholesky factorisation.

If several sums use a group, the shares of all of them that a unit explains are added up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Matrix: TypeAlias = npt.NDArray[np.float64]
Vector: TypeAlias = npt.NDArray[np.float64]
Kinds: TypeAlias = npt.NDArray[np.intp]

_LEAST = 1e-9
"""Share of a unit's variance below which the others explain it completely."""
_TINY = np.finfo(float).tiny


class Ranking(NamedTuple):
    """Units in the order in which they are selected."""

    order: tuple[int, ...]
    """Indices of all units, the most useful first."""
    errors: tuple[float, ...]
    """Share of the sums' variance that is lost if only the first k units are kept, for k = 0, 1, …; from 1 to 0.

    The mean over the sums that use the units."""


def rank(sums: Sequence[tuple[Matrix, Matrix]], kinds: Kinds | None = None) -> Ranking:
    """Rank the units of a group.

    Args:
        sums: the covariance (C, C) of the units' values and M = W Wᵀ (C, C), for every sum that uses the units.
        kinds: (C,) the kind of every unit, 0, 1, …: the kinds take turns, so that equally many of all are kept.
    """
    units = len(sums[0][0])
    residuals = [_Residual.of(covariance, weight) for covariance, weight in sums]
    kinds = np.zeros(units, np.intp) if kinds is None else kinds
    picked = np.zeros(kinds.max() + 1, np.intp)
    left = np.bincount(kinds)
    order: list[int] = []
    errors = [1.0]
    is_left = np.ones(units, bool)
    for _ in range(units):
        turn = np.where(left > 0, picked, units) == picked[left > 0].min()
        gains = np.add.reduce([residual.gains() for residual in residuals])
        unit = int(np.argmax(np.where(is_left & turn[kinds], gains, -1.0)))
        order.append(unit)
        is_left[unit] = False
        picked[kinds[unit]] += 1
        left[kinds[unit]] -= 1
        for residual in residuals:
            residual.remove(unit)
        errors.append(float(np.mean([residual.left for residual in residuals])))
    errors[-1] = 0.0
    return Ranking(tuple(order), tuple(errors))


@dataclass
class _Residual:
    """What is left of the values of a group, as one sum weighs them."""

    covariance: Matrix
    """R, (C, C)."""
    weight: Matrix
    """M, (C, C), scaled so that tr(R M) begins as 1."""
    energy: Vector
    """The diagonal of R M R."""
    scale: Vector
    """The diagonal of R at the beginning."""
    left: float
    """tr(R M)."""

    @classmethod
    def of(cls, covariance: Matrix, weight: Matrix) -> _Residual:
        residual = np.array(covariance, np.float64)
        total = float(np.einsum("ij,ji->", residual, weight))
        scaled = weight / total if total > _TINY else np.zeros_like(weight)
        energy = np.einsum("ij,ji->i", residual @ scaled, residual)
        scale = np.maximum(residual.diagonal().copy(), _TINY)
        return cls(residual, scaled, energy, scale, float(total > _TINY))

    def gains(self) -> Vector:
        """Return how much of tr(R M) every unit explains."""
        variance = self.covariance.diagonal()
        return np.where(self._is_explained(), 0.0, self.energy / np.maximum(variance, _TINY))

    def remove(self, unit: int) -> None:
        """Remove what a unit explains: R becomes R - v vᵀ."""
        if self._is_explained()[unit]:
            return
        self.left = max(0.0, self.left - float(self.gains()[unit]))
        v = self.covariance[:, unit] / np.sqrt(self.covariance[unit, unit])
        weighted = self.weight @ v
        # (R - v vᵀ) M (R - v vᵀ) on the diagonal, from R M R and R M v
        self.energy = self.energy - 2 * v * (self.covariance @ weighted) + v**2 * float(v @ weighted)
        self.covariance -= np.outer(v, v)

    def _is_explained(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.covariance.diagonal() <= _LEAST * self.scale)
