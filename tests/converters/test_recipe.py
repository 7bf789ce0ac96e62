from __future__ import annotations

import pytest

from converters.recipe import (
    AUTO,
    DEFAULT_RECIPE,
    ONNX_RECIPES,
    RECIPES,
    RECIPES_FOR,
    WITHOUT_IMAGES,
    Recipe,
    Target,
    recipes_to_try,
)
from edge_crnn.errors import DatasetError, InputError


def test_names_are_the_keys() -> None:
    assert [recipe.name for recipe in RECIPES.values()] == list(RECIPES)
    assert list(RECIPES) == ["float32", "float16", "dynamic", "int8", "int8-full"]
    assert [recipe.name for recipe in ONNX_RECIPES.values()] == list(ONNX_RECIPES)
    assert list(ONNX_RECIPES) == ["float32", "float16", "float16-mixed"]


def test_every_target_has_its_default() -> None:
    assert DEFAULT_RECIPE.keys() == RECIPES_FOR.keys()
    assert all(DEFAULT_RECIPE[target] in recipes for target, recipes in RECIPES_FOR.items())


def test_calibration_is_for_static_parts() -> None:
    assert [name for name, recipe in RECIPES.items() if recipe.needs_calibration] == ["int8", "int8-full"]


def test_static_recipes_are_unrolled() -> None:
    """A loop cannot be quantised as a whole."""
    for recipe in RECIPES.values():
        assert (recipe.head == "static") == (recipe.form == "unrolled")


def test_onnx_leaves_the_recurrence_to_an_op() -> None:
    assert {recipe.form for recipe in ONNX_RECIPES.values()} == {"op"}
    assert {part for recipe in ONNX_RECIPES.values() for part in (recipe.stack, recipe.head)} == {"float32", "half"}


def try_(target: Target, name: str | None, has_images: bool) -> tuple[list[Recipe], str | None]:
    return recipes_to_try(target, name, has_images=has_images, remedy="add images")


@pytest.mark.parametrize("target", list(RECIPES_FOR))
def test_with_images_every_recipe_can_be_chosen(target: Target) -> None:
    assert try_(target, None, True) == ([RECIPES_FOR[target][DEFAULT_RECIPE[target]]], None)
    for name, recipe in RECIPES_FOR[target].items():
        assert try_(target, name, True) == ([recipe], None)


def test_auto_tries_all_recipes_that_can_be_calibrated() -> None:
    assert try_("tflite", AUTO, True) == (list(RECIPES.values()), None)
    assert try_("onnx", AUTO, False) == (list(ONNX_RECIPES.values()), None)
    recipes, note = try_("tflite", AUTO, False)
    assert [recipe.name for recipe in recipes] == ["float32", "float16", "dynamic"]
    assert note is not None
    assert "add images" in note


def test_without_images_the_default_is_replaced_and_a_named_recipe_is_refused() -> None:
    recipes, note = try_("tflite", None, False)
    assert recipes == [RECIPES[WITHOUT_IMAGES]]
    assert note is not None
    assert "add images" in note
    with pytest.raises(DatasetError, match="int8 needs images to calibrate with; add images"):
        try_("tflite", "int8", False)


@pytest.mark.parametrize(("target", "name"), [("tflite", "float16-mixed"), ("onnx", "int8"), ("tensorrt", AUTO)])
def test_a_recipe_of_another_target_is_refused(target: Target, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}'? does not apply to {target}"):
        try_(target, name, True)
