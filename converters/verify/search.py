"""Which layers must stay float32 for an artifact to read what the trained model reads.

The gate decides, `localise` proposes. Where a conversion does not pass, the layer whose noise does most to the
probabilities is kept in float32 and the conversion made again, since what is to blame after that is another question:
a value that is too coarse in int8 is so where it is made and where it is taken. When the gate is met, each layer that
was kept before the last is tried without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from edge_crnn.dataset import Dataset
from edge_crnn.errors import InputError
from edge_crnn.model.spec import InputSpec, Trial

from ..graph.graph import Graph
from ..graph.nodes import MOVERS, Constant, Pad, Pool
from ..recipe import Recipe
from .gate import Candidate, Verification
from .localise import localise, spread

_EXACT = (*MOVERS, Constant, Pad, Pool)
_LOOKED_AT = 32


def keepable(graph: Graph) -> list[str]:
    """Layers that can stay float32 by themselves: those that compute, but for the last one, which gives the result."""
    return [node.name for node in graph.nodes[:-1] if not isinstance(node, _EXACT)]


def keeping(recipe: Recipe, layers: Sequence[str], graph: Graph) -> Recipe:
    """The recipe with these layers in float32, in the graph's order.

    Raises:
        InputError: one is not among `keepable`.
    """
    known = keepable(graph)
    if unknown := [name for name in layers if name not in known]:
        raise InputError(f"{', '.join(unknown)}: no layer that can stay float32; those are {', '.join(known)}")
    return replace(recipe, float_layers=tuple(name for name in known if name in layers))


def search(
    recipe: Recipe,
    graph: Graph,
    image: InputSpec,
    datasets: Sequence[Dataset],
    convert: Callable[[Recipe], Candidate],
    passes: Callable[[Verification], bool],
) -> Candidate:
    """The first conversion that passes; the last one tried if none does. Its spec tells all that were tried.

    Args:
        recipe: to begin with.
        graph: that is converted.
        image: that it takes.
        datasets: that it is verified with.
        convert: makes and verifies a candidate.
        passes: whether it meets the gate.
    """
    images = spread(datasets, _LOOKED_AT)
    tried: list[Candidate] = []

    def attempt(layers: Sequence[str]) -> Candidate:
        tried.append(convert(keeping(recipe, layers, graph)))
        return tried[-1]

    kept: list[str] = []
    chosen = attempt(kept)
    while not passes(chosen.verification):
        drift = localise(chosen.artifact, graph, image, images)
        blamed = [each.name for each in drift.by_blame if each.name in keepable(graph) and each.name not in kept]
        if not blamed:
            break
        kept.append(blamed[0])
        chosen = attempt(kept)
    if passes(chosen.verification):
        for name in kept[:-1]:
            fewer = [each for each in kept if each != name]
            candidate = attempt(fewer)
            if passes(candidate.verification):
                kept, chosen = fewer, candidate
    return _told(chosen, tuple(_trial(each) for each in tried))


def table(trials: Sequence[Trial]) -> list[str]:
    """Lines for a person; none where nothing was tried."""
    if not trials:
        return []
    names = [", ".join(each.float_layers) or "none" for each in trials]
    width = max(map(len, ("float32", *names)))
    lines = ["layers kept in float32, and what that gives:"]
    lines.append(f"  {'float32':<{width}}  {'verdict':<12}  {'agreement':>9}  {'accuracy':>9}  {'bytes':>11}")
    return lines + [
        f"  {name:<{width}}  {each.verdict:<12}  {each.agreement:>9.2%}  {_points(each.accuracy_change):>9}"
        f"  {each.bytes:>11,}"
        for name, each in zip(names, trials, strict=True)
    ]


def _points(change: float | None) -> str:
    return "" if change is None else f"{change:+.2f}"


def _trial(candidate: Candidate) -> Trial:
    parity = candidate.verification.parity
    return Trial(
        candidate.recipe.float_layers,
        parity.verdict,
        parity.agreement,
        parity.accuracy_change,
        len(candidate.artifact.payload),
    )


def _told(candidate: Candidate, trials: tuple[Trial, ...]) -> Candidate:
    spec = candidate.artifact.spec
    assert spec.artifact is not None  # `convert` made it
    facts = replace(spec.artifact, trials=trials if len(trials) > 1 else None)
    return replace(candidate, artifact=replace(candidate.artifact, spec=replace(spec, artifact=facts)))
