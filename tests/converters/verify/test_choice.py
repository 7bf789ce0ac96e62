"""The choice among candidates; `tests/converters/test_pipeline.py` measures real ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from converters.recipe import RECIPES, Recipe
from converters.verify.choice import attempts, choose
from edge_crnn.errors import ConversionError, EdgeCrnnError, InputError

THREE = list(RECIPES.values())[:3]


def candidate(passes: bool, agreement: float) -> Any:
    parity = SimpleNamespace(agreement=agreement)
    return SimpleNamespace(verification=SimpleNamespace(passes=lambda strict: passes and not strict, parity=parity))


def test_the_fastest_that_passes() -> None:
    candidates = [candidate(True, 0.999), candidate(True, 0.996), candidate(False, 0.9)]
    assert choose(candidates, [3.0, 2.0, 1.0], strict=False) is candidates[1]


def test_the_one_that_agrees_best_if_none_passes() -> None:
    candidates = [candidate(False, 0.9), candidate(False, 0.95), candidate(True, 0.7)]
    assert choose(candidates, [3.0, 2.0, 1.0], strict=True) is candidates[1]


@pytest.mark.parametrize("good", [(), (0,), (2,), (0, 1, 2)])
def test_recipes_that_cannot_be_used_are_reported(good: tuple[int, ...]) -> None:
    failures: list[tuple[Recipe, str]] = []

    def make(recipe: Recipe) -> Any:
        if THREE.index(recipe) not in good:
            raise ConversionError(recipe.name)
        return recipe

    def failed(recipe: Recipe, error: EdgeCrnnError) -> None:
        failures.append((recipe, str(error)))

    if good:
        assert attempts(THREE, make, failed) == [THREE[index] for index in good]
        assert failures == [(recipe, recipe.name) for index, recipe in enumerate(THREE) if index not in good]
    else:
        with pytest.raises(ConversionError, match=THREE[-1].name):
            attempts(THREE, make, failed)


def test_other_errors_end_the_search() -> None:
    def make(_: Recipe) -> Any:
        raise InputError("no such layer")

    with pytest.raises(InputError):
        attempts(THREE, make, lambda recipe, error: None)
