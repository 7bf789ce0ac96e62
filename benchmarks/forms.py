"""Measure the recipes against their variants: loop or unrolled, the precision of the head, pixels or float32 as input.

python -m benchmarks.forms [--threads 1] [--rounds 9] [-o benchmarks/results/forms.json]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

from converters.recipe import RECIPES, Form, Precision, Recipe
from edge_crnn.records.engines import REFERENCE

from .peers.engines import PEERS
from .peers.rounds import Engine
from .peers.source import Source
from .study import main


def forms() -> Mapping[str, Callable[[Source], Engine]]:
    """Return the reference, every recipe, and every recipe with one setting changed."""
    variants: dict[str, Callable[[Source], Engine]] = {REFERENCE: PEERS[REFERENCE]}

    def add(recipe: Recipe, name: str, *, takes_pixels: bool = True) -> None:
        variants[f"edge-crnn {name}"] = lambda source: source.artifact(recipe, name, takes_pixels=takes_pixels)

    for recipe in RECIPES.values():
        add(recipe, recipe.name)
        add(recipe, f"{recipe.name}, float32 in", takes_pixels=False)
        if recipe.head != "static":
            other: Form = "unrolled" if recipe.form == "loop" else "loop"
            add(replace(recipe, form=other), f"{recipe.name}, {other}")
    heads: tuple[Precision, ...] = ("float32", "float16")
    for head in heads:
        add(replace(RECIPES["int8"], head=head), f"int8, {head} head")
    return variants


if __name__ == "__main__":
    sys.exit(main("forms", __doc__, forms(), threads=(1,)))
