"""Finds the layers that must stay float32 for an artifact to read what the trained model reads.

If a conversion does not pass the gate, the search keeps the layer whose noise harms the probabilities most in float32,
converts again, and asks `localise` anew, since another layer may be to blame then. Once the gate is met, it tries to
turn back to int8 every layer that was kept before the last.
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
_IMAGES = 32


def keepable(graph: Graph) -> list[str]:
    """Return the layers that can stay float32 on their own: those that compute something, except the last."""
    return [node.name for node in graph.nodes[:-1] if not isinstance(node, _EXACT)]


def keeping(recipe: Recipe, layers: Sequence[str], graph: Graph) -> Recipe:
    """Return the recipe with these layers in float32, in the graph's order.

    Raises:
        InputError: a layer is not among `keepable`.
    """
    choices = keepable(graph)
    if unknown := [name for name in layers if name not in choices]:
        raise InputError(f"{', '.join(unknown)}: no layer that can stay float32; choose from {', '.join(choices)}")
    return replace(recipe, float_layers=tuple(name for name in choices if name in layers))


def search(
    recipe: Recipe,
    graph: Graph,
    image: InputSpec,
    datasets: Sequence[Dataset],
    convert: Callable[[Recipe], Candidate],
    passes: Callable[[Verification], bool],
) -> Candidate:
    """Return the first conversion that passes, or the last one tried; its spec lists all that were tried.

    Args:
        recipe: the recipe to begin with.
        graph: the graph to convert.
        image: the image that the graph takes.
        datasets: the images to verify with.
        convert: makes and verifies a candidate.
        passes: tells whether a verification meets the gate.
    """
    images = spread(datasets, _IMAGES)
    tried: list[Candidate] = []

    def attempt(layers: Sequence[str]) -> Candidate:
        tried.append(convert(keeping(recipe, layers, graph)))
        return tried[-1]

    kept: list[str] = []
    chosen = attempt(kept)
    while not passes(chosen.verification):
        drift = localise(chosen.artifact, graph, image, images)
        blamed = [layer.name for layer in drift.by_blame if layer.name in keepable(graph) and layer.name not in kept]
        if not blamed:
            break
        kept.append(blamed[0])
        chosen = attempt(kept)
    if passes(chosen.verification):
        for name in kept[:-1]:
            fewer = [layer for layer in kept if layer != name]
            candidate = attempt(fewer)
            if passes(candidate.verification):
                kept = fewer
                chosen = candidate
    return _with_trials(chosen, tuple(map(_trial, tried)))


def table(trials: Sequence[Trial]) -> list[str]:
    """Return a table of the trials in lines; none if there were no trials."""
    if not trials:
        return []
    names = [", ".join(trial.float_layers) or "none" for trial in trials]
    width = max(map(len, ("float32", *names)))
    lines = ["layers kept in float32, and the result:"]
    lines.append(f"  {'float32':<{width}}  {'verdict':<12}  {'agreement':>9}  {'accuracy':>9}  {'bytes':>11}")
    return lines + [
        f"  {name:<{width}}  {trial.verdict:<12}  {trial.agreement:>9.2%}  {_points(trial.accuracy_change):>9}"
        f"  {trial.bytes:>11,}"
        for name, trial in zip(names, trials, strict=True)
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


def _with_trials(candidate: Candidate, trials: tuple[Trial, ...]) -> Candidate:
    spec = candidate.artifact.spec
    assert spec.artifact is not None  # `convert` wrote it
    facts = replace(spec.artifact, trials=trials if len(trials) > 1 else None)
    return replace(candidate, artifact=replace(candidate.artifact, spec=replace(spec, artifact=facts)))
