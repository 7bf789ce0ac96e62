"""Allots a share of the multiplications: decides how many units every group keeps.

The loss of thinning one group is measured: the Kullback-Leibler divergence of the posteriors from those of the whole
graph, when only that group keeps a few levels of its units. Between the levels it follows a power of the error that
`select` predicts for every number of units: the first power for small errors, of which the divergence is a quadratic
form (Kullback 1959, "Information Theory and Statistics", section 2.6), a higher one where classes change places. The
losses of several groups are taken to add up. `repair` leaves about a quarter of what convolutions lose, and all that
recurrent layers lose, so the losses of the latter count four times.

A convolution can be factorised instead; the ranks on its path are then counted like the units of a group. The channels
that it gives stay whole.

The allotment removes step by step from the group whose next step costs the least loss per multiplication that it saves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edge_crnn.errors import InputError

from ..graph import oracle
from ..graph.cells import Array
from ..graph.cost import multiplications
from ..graph.graph import Graph
from ..graph.nodes import Conv, ConvTranspose, Dense, Node, Recurrent
from .absorb import absorb
from .factor import BLOCK, LARGE, Factorisation
from .observe import CHUNK, Observation
from .select import Ranking
from .units import Group, Numbers, Units, is_depthwise, node_columns

Counts: TypeAlias = Mapping[Group, int]
"""How many units of a group are kept, or the place of a factorised convolution's ranks on its path, from 1 on."""
Factorisations: TypeAlias = Mapping[Group, Factorisation]
"""Group named by the core → the factorisation."""
Losses: TypeAlias = npt.NDArray[np.float64]
"""Loss if only the first k units of a group are kept, for k = 0, 1, …"""

LEVELS = (1 / 2, 1 / 4)
"""Shares of a group's units at which the loss is measured."""
_UNREPAIRED = 4.0
"""How much more a loss counts that `repair` does not lower."""
_LEAST = 1e-9
"""Least error and loss that count."""
_POWERS = (1.0, 4.0)
"""Smallest and largest power of the error that the loss is extrapolated with."""


def allot(
    units: Units,
    rankings: Mapping[Group, Ranking],
    losses: Mapping[Group, Losses],
    share: float,
    factorisations: Factorisations = MappingProxyType({}),
) -> Counts:
    """Decide how many units every group keeps, so that the graph needs a share of its multiplications.

    Args:
        units: the units of the graph.
        rankings: the units of every group in the order in which they are kept; other groups stay whole.
        losses: the loss of every group for every number of units.
        share: largest share of the multiplications, above 0 and at most 1.
        factorisations: the convolutions that are factorised, each of which has a ranking and losses, too.

    Raises:
        InputError: the share cannot be reached.
    """
    work = Work(units, rankings, factorisations)
    steps = {group: block(units, group) for group in rankings if group not in factorisations}
    least = {group: fewest(units, group, rankings[group]) for group in steps}
    counts = {group: len(rankings[group].order) for group in steps}
    for group, factorisation in factorisations.items():
        counts[group] = len(factorisation.path)
        steps[group] = least[group] = 1
    whole = multiplications(units.graph)
    total = work.count(counts)
    while total > share * whole:
        best, lowest = None, math.inf
        for group, kept in counts.items():
            fewest_next = least[group] if group in factorisations else (kept - 1) // steps[group] * steps[group]
            # With fewer input channels, a single step along a path of ranks may save nothing.
            for fewer in range((kept - 1) // steps[group] * steps[group], fewest_next - 1, -steps[group]):
                saved = work.saved(counts, group, fewer) if fewer >= least[group] else 0
                price = (losses[group][fewer] - losses[group][kept]) / saved if saved > 0 else math.inf
                if price < lowest:
                    best, lowest = (group, fewer), price
        if best is None:
            raise InputError(
                f"the model cannot be slimmed to {share:.3g} of its multiplications: with the fewest units in all"
                f" layers, {math.ceil(1000 * total / whole) / 1000:.3g} are left; ask for that or more"
            )
        counts[best[0]] = best[1]
        total = work.count(counts)
    return counts


def block(units: Units, group: Group) -> int:
    """Return the number whose multiples of a group's units are kept: equally many of every kind."""
    kinds = int(kinds_of(units, group).max()) + 1
    count = len(units.groups[group])
    return kinds * BLOCK if count >= LARGE * kinds else kinds


def fewest(units: Units, group: Group, ranking: Ranking) -> int:
    """Return how many units of a group are kept at least, so that something is left of every value.

    One unit would do, were it not for values that have only some units of the group, such as slices.
    """
    places = {units.groups[group][unit]: place for place, unit in enumerate(ranking.order, 1)}
    firsts = [min(map(places.__getitem__, needed & places.keys())) for needed in units.needed if needed & places.keys()]
    step = block(units, group)
    return min(len(places), -(-max(firsts, default=1) // step) * step)


def kinds_of(units: Units, group: Group) -> npt.NDArray[np.intp]:
    """Return the kind (C,) of every unit of a group: the direction, where a recurrent layer joins two.

    Both directions keep equally many units, so that one operation of ONNX still computes both.
    """
    numbers = np.array(units.groups[group])
    kinds = np.zeros(len(numbers), np.intp)
    for node in map(units.graph.by_name.__getitem__, group):
        if isinstance(node, Recurrent) and node.merge == "concat" and len(node.cells) == 2:
            (_, backward) = dict(node_columns(node)).values()
            kinds[np.isin(numbers, units.last_axis(node.name)[backward])] = 1
    return kinds if len(np.unique(kinds)) == 2 else np.zeros_like(kinds)


def measured_losses(
    units: Units,
    rankings: Mapping[Group, Ranking],
    observation: Observation,
    images: Array,
    levels: Sequence[float] = LEVELS,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
    factorisations: Factorisations = MappingProxyType({}),
) -> Mapping[Group, Losses]:
    """Measure the loss of thinning every group alone, and of factorising every convolution alone.

    Args:
        units: the units of the graph.
        rankings: the units of every group in the order in which they are kept.
        observation: what was seen of the graph.
        images: (N, *input_shape) float32, some of the observed images.
        levels: shares of a group's units at which the loss is measured.
        progress: called with the number of measurements that are done, and the number of all.
        factorisations: the convolutions that can be factorised, each of which has a ranking, too.
    """
    # Between groups that keep a share of their units, a convolution keeps the square of it of its multiplications.
    measured = {}
    for group, ranking in rankings.items():
        if group in factorisations:
            points = [factorisations[group].nearest(level**2) for level in levels]
        else:
            points = _levels(units, group, ranking, levels)
        measured[group] = dict.fromkeys(points, 0.0)
    count = -(-len(images) // CHUNK) * sum(map(len, measured.values()))
    done = 0
    for start in range(0, len(images), CHUNK):
        values: dict[str, Array] = {}
        oracle.run(units.graph, images[start : start + CHUNK], values.__setitem__)
        for group, losses in measured.items():
            for kept in losses:
                if group in factorisations:
                    factorisation = factorisations[group]
                    changed = {factorisation.node.name}
                    smaller = factorisation.applied(units.graph, factorisation.path[kept - 1])
                else:
                    changed = set(group)
                    removed = removed_units(units, {group: rankings[group]}, {group: kept})
                    smaller = absorb(units, removed, observation)
                output = _changed_output(units, changed, smaller, values)
                losses[kept] += float(divergence(values[units.graph.output], output).sum()) / len(images)
                done += 1
                progress(done, count)
    return {
        group: _unrepaired(units.graph, group) * interpolated(rankings[group], losses)
        for group, losses in measured.items()
    }


def _unrepaired(graph: Graph, group: Group) -> float:
    """Return how much the measured loss of a group counts."""
    is_recurrent = any(isinstance(graph.by_name.get(name), Recurrent) for name in group)
    return _UNREPAIRED if is_recurrent else 1.0


def _levels(units: Units, group: Group, ranking: Ranking, levels: Sequence[float]) -> list[int]:
    """Return the numbers of units that are nearest to some levels, and smaller than that of all units if possible."""
    count = len(ranking.order)
    step = block(units, group)
    least = fewest(units, group, ranking)
    return [min(count, max(least, round(count * level / step) * step)) for level in levels]


def _changed_output(units: Units, changed: set[str], smaller: Graph, values: Mapping[str, Array]) -> Array:
    """Return the output of a graph in which some nodes were changed, from the values of the whole graph."""
    for node in units.graph.nodes:
        is_thinned = smaller.shapes[node.name] != units.graph.shapes[node.name]  # such as a constant
        if is_thinned or not changed.isdisjoint(node.inputs):
            changed.add(node.name)
    return oracle.resume(smaller, {name: value for name, value in values.items() if name not in changed})


def removed_units(units: Units, rankings: Mapping[Group, Ranking], counts: Counts) -> set[int]:
    """Return the units that go when every group keeps so many."""
    return {units.groups[group][unit] for group, ranking in rankings.items() for unit in ranking.order[counts[group] :]}


def divergence(expected: Array, output: Array) -> npt.NDArray[np.float64]:
    """Return the Kullback-Leibler divergence of posteriors (N, steps, classes) from those expected, (N,), per step."""
    p, q = (np.maximum(value, 1e-12).astype(np.float64) for value in (expected, output))
    return np.asarray((p * np.log(p / q)).sum(axis=-1).mean(axis=-1))


def interpolated(ranking: Ranking, measured: Mapping[int, float]) -> Losses:
    """Interpolate the loss between numbers of units at which it was measured, as powers of the predicted error."""
    errors = np.log(np.maximum(np.minimum.accumulate(np.array(ranking.errors)), _LEAST))
    points = {float(errors[kept]): math.log(max(loss, _LEAST)) for kept, loss in sorted(measured.items(), reverse=True)}
    at, losses = (np.array(side) for side in zip(*points.items(), strict=True))
    losses = np.maximum.accumulate(losses)
    powers = np.clip(np.diff(losses) / np.diff(at), *_POWERS) if len(at) > 1 else np.ones(1)
    below = losses[0] + powers[0] * (errors - at[0])
    above = losses[-1] + powers[-1] * (errors - at[-1])
    logarithms = np.select([errors < at[0], errors > at[-1]], [below, above], np.interp(errors, at, losses))
    result = np.exp(logarithms)
    result[-1] = 0.0
    return np.asarray(np.maximum.accumulate(result[::-1])[::-1])


@dataclass(frozen=True)
class _Axis:
    """The length of an axis, depending on how many units of the groups are kept."""

    fixed: int
    tables: Mapping[Group, npt.NDArray[np.intp]]
    """Group → how many elements its first k units have, for k = 0, 1, …"""

    def length(self, counts: Counts) -> int:
        return self.fixed + sum(int(table[counts[group]]) for group, table in self.tables.items())


@dataclass(frozen=True)
class _Product:
    """Multiplications: a factor times the lengths of two axes."""

    factor: int
    axes: tuple[_Axis, _Axis]

    def count(self, counts: Counts) -> int:
        return self.factor * math.prod(axis.length(counts) for axis in self.axes)


class Work:
    """Counts multiplications as `cost` does, without making the graph that keeps so many units of every group."""

    def __init__(
        self,
        units: Units,
        rankings: Mapping[Group, Ranking],
        factorisations: Factorisations = MappingProxyType({}),
    ) -> None:
        self._units = units
        self._orders = {
            group: np.array(units.groups[group])[list(ranking.order)]
            for group, ranking in rankings.items()
            if group not in factorisations
        }
        whole = {node.name: self._products(node) for node in units.graph.nodes}
        counted = sum(product.count(self._all()) for products in whole.values() for product in products)
        self._fixed = multiplications(units.graph) - counted
        whole |= {
            factorisation.node.name: self._products_of_factors(group, factorisation)
            for group, factorisation in factorisations.items()
        }
        products = [product for products in whole.values() for product in products]
        self._products_all = products
        self._products_of = {
            group: [product for product in products if any(group in axis.tables for axis in product.axes)]
            for group in rankings
        }

    def count(self, counts: Counts) -> int:
        """Count the multiplications for one image."""
        return self._fixed + sum(product.count(counts) for product in self._products_all)

    def saved(self, counts: Counts, group: Group, fewer: int) -> int:
        """Count the multiplications that go if one group keeps fewer units."""
        after = {**counts, group: fewer}
        return sum(product.count(counts) - product.count(after) for product in self._products_of[group])

    def _all(self) -> Counts:
        return {group: len(order) for group, order in self._orders.items()}

    def _products(self, node: Node) -> list[_Product]:
        shape = self._units.graph.shapes[node.name]
        if not isinstance(node, Conv | ConvTranspose | Dense | Recurrent):
            return []
        out = self._axis(self._units.last_axis(node.name))
        inside = self._axis(self._units.last_axis(node.inputs[0]))
        source = self._units.graph.shapes[node.inputs[0]]
        one = _Axis(1, {})
        match node:
            case Conv(kernel=kernel) if is_depthwise(node):
                return [_Product(math.prod(shape[:2]) * math.prod(kernel.shape[:2]), (out, one))]
            case Conv(groups=groups) if groups > 1:
                return []
            case Conv(kernel=kernel):
                return [_Product(math.prod(shape[:2]) * math.prod(kernel.shape[:2]), (inside, out))]
            case ConvTranspose(kernel=kernel):
                return [_Product(math.prod(source[:2]) * math.prod(kernel.shape[:2]), (inside, out))]
            case Dense():
                return [_Product(math.prod(source[:-1]), (inside, out))]
        return [product for name, columns in node_columns(node) for product in self._of_cell(node, name, columns)]

    def _products_of_factors(self, group: Group, factorisation: Factorisation) -> list[_Product]:
        # Where fewer input channels are left than the first rank, `repair` makes fewer: these are then a few too many.
        node = factorisation.node
        before, window, after = factorisation.places
        first, last = (
            _Axis(0, {group: np.array([0, *column], np.intp)}) for column in zip(*factorisation.path, strict=True)
        )
        return [
            _Product(before, (self._axis(self._units.last_axis(node.inputs[0])), first)),
            _Product(window, (first, last)),
            _Product(after, (last, self._axis(self._units.last_axis(node.name)))),
        ]

    def _of_cell(self, node: Recurrent, direction: str, columns: slice) -> list[_Product]:
        cell = dict(node.cells)[direction]
        factor = self._units.graph.shapes[node.name][0] * (cell.kernel.shape[1] // cell.units)
        state = self._axis(self._units.last_axis(node.name)[columns])
        return [_Product(factor, (axis, state)) for axis in (self._axis(self._units.last_axis(node.inputs[0])), state)]

    def _axis(self, numbers: Numbers) -> _Axis:
        tables = {}
        for group, order in self._orders.items():
            appearances = (numbers == order[:, None]).sum(axis=1)
            if appearances.any():
                tables[group] = np.concatenate([[0], np.cumsum(appearances)])
        return _Axis(len(numbers) - sum(int(table[-1]) for table in tables.values()), tables)
