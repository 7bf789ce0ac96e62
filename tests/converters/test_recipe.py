from __future__ import annotations

from converters.recipe import RECIPES


def test_names_are_the_keys() -> None:
    assert [recipe.name for recipe in RECIPES.values()] == list(RECIPES)
    assert list(RECIPES) == ["float32", "float16", "dynamic", "int8", "int8-full"]


def test_calibration_is_for_static_parts() -> None:
    assert [name for name, recipe in RECIPES.items() if recipe.needs_calibration] == ["int8", "int8-full"]


def test_what_is_static_is_unrolled() -> None:
    """A loop cannot be quantised as a whole."""
    for recipe in RECIPES.values():
        assert (recipe.head == "static") == (recipe.form == "unrolled")
