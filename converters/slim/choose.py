"""Chooses which convolutions are factorised and which are thinned, together with how much is kept of everything.

Convolutions are ordered by the loss per multiplication of factorising them, at a quarter of their multiplications,
relative to that of thinning them, at half of their channels. For sets of the first ones in this order, from none to
all, the multiplications are allotted, and the set whose predicted loss is least is chosen. A convolution that is
factorised keeps all its output channels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge_crnn.errors import InputError

from ..graph.nodes import Node
from .allot import Counts, Factorisations, Losses, Work, allot, block
from .select import Ranking
from .units import Group, Units

_MOST = 8
"""Most sets of convolutions that are tried, since each takes an allotment."""


@dataclass(frozen=True)
class Choice:
    """What is kept of a graph."""

    counts: Counts
    """Units of every group that is thinned, and the place on its path of every convolution that is factorised."""
    factorisations: Factorisations
    """The convolutions that are factorised."""


def choose(
    units: Units,
    rankings: Mapping[Group, Ranking],
    losses: Mapping[Group, Losses],
    share: float,
    factorisations: Factorisations,
) -> Choice:
    """Choose what to keep of a graph so that it needs a share of its multiplications.

    Args:
        units: the units of the graph.
        rankings: the units of every group in the order in which they are kept, and the ranks of `factorisations`.
        losses: the losses of all of them.
        share: largest share of the multiplications, above 0 and at most 1.
        factorisations: the convolutions that can be factorised.

    Raises:
        InputError: the share cannot be reached.
    """
    order = _by_gain(units, rankings, losses, factorisations)
    best: Choice | None = None
    least = math.inf
    unreached: InputError | None = None
    for size in np.unique(np.linspace(0, len(order), min(len(order) + 1, _MOST)).round().astype(int)).tolist():
        chosen = {group: factorisations[group] for group in order[:size]}
        whole = {channels for item in chosen.values() for channels in _groups_of(units, item.node)}
        reduced = {
            group: ranking
            for group, ranking in rankings.items()
            if group in chosen or (group not in factorisations and group not in whole)
        }
        try:
            counts = allot(units, reduced, losses, share, chosen)
        except InputError as error:
            unreached = unreached or error  # of the network that is only thinned
            continue
        loss = sum(float(losses[group][kept]) for group, kept in counts.items())
        if loss < least:
            best = Choice(counts, chosen)
            least = loss
    if best is None:
        assert unreached is not None
        raise unreached
    return best


def _by_gain(
    units: Units, rankings: Mapping[Group, Ranking], losses: Mapping[Group, Losses], factorisations: Factorisations
) -> list[Group]:
    """Return the convolutions, in the order of the loss of factorising them as a share of that of thinning them."""
    thinned = {group: ranking for group, ranking in rankings.items() if group not in factorisations}
    work = Work(units, thinned)
    counts = {group: len(ranking.order) for group, ranking in thinned.items()}

    def ratio(group: Group) -> float:
        factorisation = factorisations[group]
        thinning = [(channels, _half(units, channels)) for channels in _groups_of(units, factorisation.node)]
        other_loss = sum(float(losses[channels][kept]) for channels, kept in thinning)
        other_saved = sum(work.saved(counts, channels, kept) for channels, kept in thinning)
        if not other_saved:
            return 0.0
        ranks = factorisation.nearest(1 / 4)
        saved = factorisation.whole_work - factorisation.work(factorisation.path[ranks - 1])
        price = losses[group][ranks] / max(1, saved)
        return float(price / max(other_loss / other_saved, np.finfo(float).tiny))

    return sorted(factorisations, key=ratio)


def _half(units: Units, group: Group) -> int:
    """Return the number of units that is nearest to half of a group, among those that can be kept."""
    step = block(units, group)
    return max(step, len(units.groups[group]) // 2 // step * step)


def _groups_of(units: Units, node: Node) -> list[Group]:
    """Return the groups that a node's output channels belong to; channels that cannot be removed have none."""
    return [group for group in units.groups if node.name in group]
