"""Slims a graph: fewer multiplications, and posteriors as near as possible to those of the whole graph.

`find_units` says what can be removed, `observe` looks at it on images, `rank` orders the units of every group, `factor`
does the same for the ranks of convolutions, `choose` decides how many of them are kept, and `repair` refits the weights
that are left. Nothing is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from edge_crnn.errors import DatasetError, InputError

from ..graph.cells import Array
from ..graph.cost import multiplications
from ..graph.graph import Graph
from .allot import Factorisations, Losses, kinds_of, measured_losses, removed_units
from .choose import choose
from .factor import Factorisation, Ranks, can_be_factorised, factor_names
from .observe import Observation, observe
from .repair import repair
from .select import Matrix, Ranking, rank
from .units import Group, Units, find_units

MIN_IMAGES = 64
"""Fewest images that weights can be refitted to: on plates, half as many lose five times as many texts."""
ENOUGH_IMAGES = 384
"""More images cost time and memory in proportion, and change less and less."""
MIN_CONFIDENCE = 0.5
"""Lowest median confidence of the whole graph on the images."""
_LOSS_IMAGES = 32
"""Images on which the loss of thinning one group is measured."""

Progress = Callable[[str], None]
"""Called with a line that says what is being done."""


@dataclass(frozen=True)
class Slimmed:
    """A slimmed graph."""

    graph: Graph
    share: float
    """Its share of the multiplications of the whole graph."""
    kept: Mapping[str, tuple[int, int]]
    """Group of units, named by the nodes that make them → how many are kept, of how many."""
    ranks: Mapping[str, Ranks] = field(default_factory=dict)
    """Convolution that is factorised → the channels between its factors."""


class Slimmer:
    """Slims one graph to any number of shares; what does not depend on the share is done once.

    Args:
        graph: the folded graph of the trained model.
        images: (N, *input_shape) float32, preprocessed images like those that the network will read.
        seed: the same seed gives the same weights.
        progress: called with a line that says what is being done.

    Raises:
        DatasetError: there are too few images, or the model cannot read them.
    """

    def __init__(self, graph: Graph, images: Array, seed: int = 0, progress: Progress | None = None) -> None:
        if len(images) < MIN_IMAGES:
            raise DatasetError(
                f"{len(images)} images are too few to slim a model with; expected at least {MIN_IMAGES}, better"
                f" {ENOUGH_IMAGES}: add images, which need no labels"
            )
        self._images = images
        self._progress = progress or (lambda _line: None)
        self._graph = graph
        self._units = find_units(graph)
        self._observation = self._observe(seed)
        _require_text(self._observation.output)
        self._progress("ranking the units")
        self._rankings = {group: ranking_of(self._units, group, self._observation) for group in self._units.groups}
        self._factorisations = factorisations_of(self._units, self._observation)
        self._rankings |= {group: item.ranking for group, item in self._factorisations.items()}
        self._losses: Mapping[Group, Losses] | None = None

    def slim(self, share: float) -> Slimmed:
        """Slim the graph to a share of its multiplications.

        Args:
            share: largest share of the multiplications, above 0 and at most 1.

        Raises:
            InputError: the share is not above 0 and at most 1, or cannot be reached.
        """
        if not 0 < share <= 1:
            raise InputError(f"a share of {share} of the multiplications, expected above 0 and at most 1")
        if self._losses is None:
            self._losses = self._measure()
        choice = choose(self._units, self._rankings, self._losses, share, self._factorisations)
        ranks = [(item, item.path[choice.counts[group] - 1]) for group, item in choice.factorisations.items()]
        thinned = {group: kept for group, kept in choice.counts.items() if group not in choice.factorisations}
        removed = removed_units(self._units, {group: self._rankings[group] for group in thinned}, thinned)
        count = len(self._graph.nodes)

        def show(done: int) -> None:
            self._progress(f"repairing: {done} of {count} layers")

        graph = repair(self._units, removed, self._images, self._observation, show, ranks)
        return Slimmed(
            graph,
            multiplications(graph) / max(1, multiplications(self._graph)),
            {
                "+".join(group): (thinned.get(group, len(numbers)), len(numbers))
                for group, numbers in self._units.groups.items()
            },
            {
                item.node.name: Ranks(graph.shapes[item.names.first][-1], graph.shapes[item.names.core][-1])
                for item in choice.factorisations.values()
            },
        )

    def _observe(self, seed: int) -> Observation:
        begin = perf_counter()
        count = len(self._images)

        def show(done: int) -> None:
            left = (perf_counter() - begin) / done * (count - done)
            self._progress(f"observing the model: {done} of {count} images, {left:.0f} s left")

        return observe(self._units, self._images, seed, show)

    def _measure(self) -> Mapping[Group, Losses]:
        def show(done: int, count: int) -> None:
            self._progress(f"measuring what every layer loses: {done} of {count}")

        some = self._images[:: -(-len(self._images) // _LOSS_IMAGES)]
        return measured_losses(
            self._units, self._rankings, self._observation, some, progress=show, factorisations=self._factorisations
        )


def ranking_of(units: Units, group: Group, observation: Observation) -> Ranking:
    """Rank the units of a group by all the sums that use them."""
    count = len(units.groups[group])
    sums: list[tuple[Matrix, Matrix]] = []
    for use, moments in observation.of_group(group).items():
        covariance, weight = np.zeros((2, count, count))
        inside = np.ix_(use.members, use.members)
        covariance[inside] = moments.covariance
        weight[inside] = use.weight(units.graph.by_name[use.node])
        sums.append((covariance, weight))
    return rank(sums or [(np.eye(count), np.eye(count))], kinds_of(units, group))


def factorisations_of(units: Units, observation: Observation) -> Factorisations:
    """Find the convolutions of which factors of some ranks need fewer multiplications."""
    graph = units.graph
    result: dict[Group, Factorisation] = {}
    for node in graph.nodes:
        if can_be_factorised(node):
            (shape,) = graph.input_shapes(node)
            channels = observation.channels[node.name]
            outside = np.atleast_2d(np.cov(observation.targets[node.name].T.astype(np.float64), bias=True))
            names = factor_names(node, graph.shapes)
            factorisation = Factorisation(node, shape, names, channels.covariance, channels.mean, outside)
            if factorisation.path:
                result[names.core,] = factorisation
    return result


def _require_text(output: Array) -> None:
    """Raise DatasetError if the posteriors (N, steps, classes) are flat."""
    confidence = float(np.median(output.max(axis=-1).mean(axis=-1)))
    if confidence < MIN_CONFIDENCE:
        raise DatasetError(
            f"the model cannot read the images: its median confidence is {confidence:.2f}, expected at least"
            f" {MIN_CONFIDENCE}; pass images of the kind it was trained on, and check the preprocessing in its spec"
        )
