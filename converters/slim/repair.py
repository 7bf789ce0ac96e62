"""Repairs a thinned graph: refits its weights by least squares to what the whole graph computes.

Layer by layer from the image on, the weights W of a thinned layer minimise ||A W - Y||² + λ||W - W₀||². A has the
thinned graph's own input, so that a layer also mends the errors of those before it; Y is what the whole graph computes
there before the activation, for the units that are left; W₀ are the weights that `absorb` gives (He, Zhang, Sun 2017,
"Channel pruning for accelerating very deep neural networks", sections 3.1 and 3.2, here for all output channels at
once, with a ridge around W₀). The gates of a recurrent layer are fitted alike, to its input and to its state before.

`factor` finds the first factor of a factorised convolution for the thinned graph's own input. The core and the last
factor are fitted to what the whole convolution computes, by least squares of a limited rank (Izenman 1975,
"Reduced-rank regression for the multivariate linear model"; Zhang, Zou, He, Sun 2016, sections 3.2 and 3.3, see
`factor`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..graph import oracle
from ..graph.cells import Array, Cell, GruCell
from ..graph.graph import INPUT, Graph
from ..graph.nodes import Activation, Conv, Dense, Node, Recurrent
from .absorb import absorb
from .factor import Factorisation, Ranks, core, first_factor, last_factor, rotation
from .observe import CHUNK, Moments, Observation, is_fitted, rows_at, summed
from .units import Places, Units, gate_columns

RIDGE = 1e-2
"""λ as a share of the mean square of the input."""
_TINY = 1e-30
"""Smallest λ, for an input that does not vary."""
_ROUNDS = 8
"""Times that a fit before a ReLU is refined."""


def repair(
    units: Units,
    removed: Collection[int],
    images: Array,
    observation: Observation,
    progress: Callable[[int], None] = lambda _nodes: None,
    ranks: Sequence[tuple[Factorisation, Ranks]] = (),
) -> Graph:
    """Remove units from a graph, factorise convolutions, and refit the weights that are left.

    Args:
        units: the units of the whole graph.
        removed: the units to remove.
        images: (N, *input_shape) float32, the images that were observed.
        observation: what was seen of the whole graph on these images.
        progress: called with the number of nodes that are done.
        ranks: the convolutions to factorise, none of whose output channels are removed, with their ranks.

    Returns:
        The graph without the units.
    """
    factorised = {factorisation.node.name: (factorisation, pair) for factorisation, pair in ranks}
    thinned = absorb(units, removed, observation)
    values = {INPUT: images}
    changed: set[str] = set()
    left = {name: len(nodes) for name, nodes in thinned.consumers.items()}
    nodes: list[Node] = []
    for done, node in enumerate(thinned.nodes, 1):
        kept = units.places(node.name, len(thinned.shapes[node.name]) - 1, removed)
        is_changed = not changed.isdisjoint(node.inputs)
        is_thinned = thinned.shapes[node.name] != units.graph.shapes[node.name]
        inputs = [values[name] for name in node.inputs]
        if node.name in factorised:
            factorisation, pair = factorised[node.name]
            assert isinstance(node, Conv)
            own = replace(factorisation, node=node, input_shape=inputs[0].shape[1:])
            (first, window, node), value = _factorised(own, inputs[0], pair, observation)
            nodes += [first, window]
            inputs = [_evaluate(window, [value])]
            is_changed = True
        elif is_fitted(node) and (is_changed or (is_thinned and isinstance(node, Recurrent))):
            node = _fitted(node, inputs[0], kept, observation)
            is_changed = True
        if is_changed or is_thinned:
            changed.add(node.name)
        nodes.append(node)
        values[node.name] = _evaluate(node, inputs)
        for name in dict.fromkeys(thinned.by_name[node.name].inputs):
            left[name] -= 1
            if not left[name]:
                del values[name]
        progress(done)
    return Graph(thinned.input_shape, tuple(nodes))


def fit(x: Array, target: Array, kernel: Array, activation: Activation = "linear") -> tuple[Array, Array]:
    """Return the kernel (in, out) and the bias (out,) that fit x (rows, in) best to target (rows, out).

    The ridge draws the kernel towards the one that is passed; see the formula above. Before a ReLU, a result that is
    negative where the target is negative is no error. Least squares then minimise a bound on the error again and again,
    each time with the right results as their own targets (Hunter, Lange 2004, "A tutorial on MM algorithms").

    Args:
        x: the input of the sums.
        target: what the sums should be.
        kernel: the weights before the fit, (in, out).
        activation: what is applied to the sums.
    """
    fitted, _, mean, offset = _fit(x, target, kernel, activation, None)
    return fitted, offset - mean @ fitted


def fit_factors(
    x: Array, target: Array, kernel: Array, rank: int, activation: Activation = "linear"
) -> tuple[Array, Array, Array]:
    """Return two kernels, (in, rank) and (rank, out), and the bias (out,) that fit x as `fit` does.

    The second kernel spans the principal directions of the fitted sums; see `rotation`.

    Args:
        x: the input of the sums, (rows, in).
        target: what the sums should be, (rows, out).
        kernel: the weights before the fit, (in, out).
        rank: the number of channels between the kernels.
        activation: what is applied to the sums.
    """
    fitted, directions, mean, offset = _fit(x, target, kernel, activation, rank)
    directions = directions @ rotation(directions.shape[1]).astype(np.float32)
    first = _projected(fitted, directions)
    bias = np.asarray(offset - (mean @ first) @ directions.T, np.float32)
    return first, np.ascontiguousarray(directions.T), bias


def _fit(
    x: Array, target: Array, kernel: Array, activation: Activation, rank: int | None
) -> tuple[Array, Array, Array, Array]:
    """Return the fitted kernel, and how its sums are computed: (x - mean) times the kernel, plus an offset.

    With a rank, the sums are those of the kernel projected on directions (out, rank); without, there are none.

    Returns:
        The kernel (in, out), the directions (out, rank or 0), the mean (in,) and the offset (out,).
    """
    mean = x.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = x - mean
    gram = np.asarray(centred.T @ centred, np.float64)
    gram.flat[:: len(gram) + 1] += max(RIDGE * float(gram.trace()) / len(gram), _TINY)
    inverse = np.linalg.inv(gram)
    before = centred @ kernel  # (rows, out)
    directions = np.empty((kernel.shape[-1], 0), np.float32)
    result = target
    for _ in range(1 if activation == "linear" else 1 + _ROUNDS):
        wanted = _wanted(target, result, activation) - before
        offset = wanted.mean(axis=0, dtype=np.float64).astype(np.float32)
        change = (inverse @ (centred.T @ wanted)).astype(np.float32)
        fitted = kernel + change
        if rank is None:
            result = before + centred @ change + offset
        else:
            directions = np.linalg.eigh(fitted.T @ (gram @ fitted))[1][:, ::-1][:, :rank].astype(np.float32)
            result = (centred @ _projected(fitted, directions)) @ directions.T + offset
    return fitted, directions, mean, offset


def _projected(kernel: Array, directions: Array) -> Array:
    """Return a kernel (in, out) times directions (out, rank)."""
    with np.errstate(invalid="ignore"):  # for a rank of 1, the BLAS can report this although all values are finite
        return np.asarray(kernel @ directions)


def _wanted(target: Array, result: Array, activation: Activation) -> Array:
    """Return the values nearest to a result that become by the activation what the target becomes."""
    if activation == "linear":
        return target
    wanted = np.where(target > 0, target, np.minimum(result, 0))
    return wanted if activation == "relu" else np.where(target < 6, wanted, np.maximum(result, 6))


def _evaluate(node: Node, inputs: Sequence[Array]) -> Array:
    count = max(map(len, inputs), default=1)
    parts = [
        oracle.evaluate(node, [x[start : start + CHUNK] if len(x) == count else x for x in inputs])
        for start in range(0, count, CHUNK)
    ]
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _fitted(node: Node, x: Array, kept: Places, observation: Observation) -> Node:
    """Return a thinned node with refitted weights."""
    if isinstance(node, Recurrent):
        return _fitted_recurrent(node, x, kept, observation)
    assert isinstance(node, Conv | Dense)
    if node.name not in observation.targets:
        return node
    places = observation.places[node.name]
    rows = np.concatenate(list(_rows(node, x, places)))
    target = observation.targets[node.name][:, kept]
    kernel, bias = fit(rows, target, node.kernel.reshape(-1, len(kept)), node.activation)
    return replace(node, kernel=kernel.reshape(node.kernel.shape), bias=bias)


def _rows(node: Conv | Dense, x: Array, places: Places) -> Iterator[Array]:
    for start in range(0, len(x), CHUNK):
        yield summed(node, x[start : start + CHUNK], places[start : start + CHUNK])


def _factorised(
    own: Factorisation, x: Array, ranks: Ranks, observation: Observation
) -> tuple[tuple[Conv, Conv, Conv], Array]:
    """Return the factors of a convolution that suit its input x and come nearest to what the whole graph computes.

    The second result is what the first factor computes.
    """
    node = own.node
    channels = rows_at(x, observation.channel_places[node.name])
    moments = Moments()
    moments.add(channels)
    own = replace(own, input_covariance=moments.covariance, input_mean=moments.mean)
    inside, out = node.kernel.shape[2:]
    weights = own.first(min(ranks.first, inside))  # fewer input channels may allow no more
    first = first_factor(node, weights, own.names)
    value = _evaluate(first, [x])
    rest = own.rest(weights.shape[-1])
    places = observation.places[node.name]
    rows = np.concatenate(list(_rows(core(node, rest, own.names), value, places)))
    target = observation.targets[node.name]
    kernel, last, bias = fit_factors(rows, target, rest.reshape(-1, out), ranks.last, node.activation)
    window = kernel.reshape(*rest.shape[:3], -1)
    factors = first, core(node, window, own.names), last_factor(node, last, bias, own.names)
    return factors, value


def _fitted_recurrent(node: Recurrent, x: Array, kept: Places, observation: Observation) -> Recurrent:
    cells: dict[str, Cell] = {}
    start = 0
    for direction, cell in node.cells:
        prefix = f"{node.name}/{direction}/"
        whole = {
            name.removeprefix(prefix): value for name, value in observation.targets.items() if name.startswith(prefix)
        }
        width = whole["hidden"].shape[-1]
        mine = kept[(kept >= start) & (kept < start + width)] - start
        start += width if node.merge == "concat" else 0
        seen = {name: value[..., gate_columns(value.shape[-1], width, mine)] for name, value in whole.items()}
        cells[direction] = _fitted_cell(cell, x, seen, direction)
    return replace(node, **cells)  # type: ignore[arg-type]


def _fitted_cell(cell: Cell, x: Array, seen: Mapping[str, Array], direction: str) -> Cell:
    """Fit a thinned cell; `seen` has what its units compute in the whole cell, (N, T, ·) by name.

    The states before are those of the whole cell: fits to the thinned cell's own states come out no better.
    """
    rows = x.reshape(-1, x.shape[-1])
    before = _before(seen["hidden"], direction).reshape(len(rows), -1)
    flat = {name: value.reshape(len(rows), -1) for name, value in seen.items()}
    if isinstance(cell, GruCell):
        return _fitted_gru(cell, rows, before, flat)
    both = np.concatenate([cell.kernel, cell.recurrent])
    both, bias = fit(np.concatenate([rows, before], axis=1), flat["gates"], both)
    return replace(cell, kernel=both[: rows.shape[1]], recurrent=both[rows.shape[1] :], bias=bias)


def _fitted_gru(cell: GruCell, rows: Array, before: Array, seen: Mapping[str, Array]) -> GruCell:
    ends = 2 * cell.units
    weights = np.concatenate([cell.kernel, cell.recurrent])
    both, bias = fit(np.concatenate([rows, before], axis=1), seen["gates"], weights[:, :ends])
    kernel, candidate_bias = fit(rows, seen["proposal"], cell.kernel[:, ends:])
    inner_bias = None
    if cell.inner_bias is None:
        recurrent, offset = fit(seen["recalled"], seen["memory"], cell.recurrent[:, ends:])
        candidate_bias = candidate_bias + offset
    else:
        recurrent, inner_bias = fit(before, seen["memory"], cell.recurrent[:, ends:])
    return replace(
        cell,
        kernel=np.concatenate([both[: rows.shape[1]], kernel], axis=1),
        recurrent=np.concatenate([both[rows.shape[1] :], recurrent], axis=1),
        bias=np.concatenate([bias, candidate_bias]),
        inner_bias=inner_bias,
    )


def _before(hidden: Array, direction: str) -> Array:
    """Return the state before every step of (N, T, units): that of the step computed before, or zeros."""
    before = np.zeros_like(hidden)
    if direction == "backward":
        before[:, :-1] = hidden[:, 1:]
    else:
        before[:, 1:] = hidden[:, :-1]
    return before
