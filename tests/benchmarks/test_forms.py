from __future__ import annotations

from benchmarks.forms import forms
from benchmarks.peers.engines import OURS, PEERS
from converters.recipe import RECIPES
from edge_crnn.records.engines import REFERENCE


def test_every_recipe_is_there_as_it_is_and_in_the_other_form() -> None:
    names = set(forms())
    assert set(OURS) | {REFERENCE} < names
    loops = {name for name, recipe in RECIPES.items() if recipe.head != "static"}
    assert {f"edge-crnn {name}, unrolled" for name in loops} < names
    assert {f"edge-crnn {name}, float32 in" for name in RECIPES} < names


def test_the_peers_are_those_that_are_promised() -> None:
    assert {name.partition(" (")[0] for name in PEERS} == {
        "Keras",
        "ONNX Runtime float32",
        "ONNX Runtime int8",
        "OpenVINO float32",
        "OpenVINO int8",
        "ncnn float32",
        "ncnn int8",
        "PyTorch float32",
        "TensorRT float16",
    }
