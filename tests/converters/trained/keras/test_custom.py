"""The user's own layers, in a Python file."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from converters.graph import oracle
from converters.graph.graph import Graph
from converters.trained.keras.builder import GraphBuilder
from converters.trained.keras.calls import evaluate, model_config
from converters.trained.keras.custom import load_layers
from converters.trained.keras.file import open_keras_file
from edge_crnn.errors import InputError, ModelFileError
from tests.converters.trained.keras.layers.helpers import Row, network_of, save

EXAMPLE = Path(__file__).parents[4] / "examples/gated_convolution.py"
MAP = (4, 6, 2)


@pytest.fixture(autouse=True)
def _same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])


def _converted(path: Path, layers: Any) -> tuple[Graph, GraphBuilder]:
    with open_keras_file(path) as file:
        model = model_config(file.config, file.keras2)
        builder = GraphBuilder(MAP, layers)
        (output,) = evaluate(model, {model.inputs[0]: builder.input}, builder, file.weights)
        return builder.graph(output), builder


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
@pytest.mark.parametrize(
    ("kind", "filters", "settings"),
    [
        ("FullGatedConv2D", 3, {"kernel_size": (3, 3), "padding": "same"}),
        ("GatedConv2D", 2, {"kernel_size": (2, 3), "padding": "same"}),
        ("GatedConvolution", 3, {}),
    ],
)
def test_example(kind: str, filters: int, settings: dict[str, Any], name: str, tmp_path: Path) -> None:
    """The layers of the example give what its classes give."""
    layers, classes = load_layers(EXAMPLE)
    row = Row(
        "", MAP, lambda keras, x: classes[kind](filters, **settings)(keras.layers.Conv2D(2, 3, padding="same")(x))
    )
    model, images, expected = network_of(row)
    graph, builder = _converted(save(model, tmp_path / name), layers)
    for variant in (graph, graph.folded()):
        np.testing.assert_allclose(oracle.run(variant, images), expected, rtol=1e-4, atol=1e-4)
    assert len(builder.fragments) == 1
    reloaded = _loaded(tmp_path / name, classes)
    np.testing.assert_allclose(np.asarray(reloaded(images)), expected, rtol=1e-5, atol=1e-5)


def _loaded(path: Path, classes: Any) -> Any:
    import keras

    return keras.models.load_model(path, custom_objects=dict(classes), compile=False)


def _file(folder: Path, text: str) -> Path:
    path = folder / "my_layers.py"
    path.write_text(dedent(text))
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("LAYERS = {}\nx = 1 / 0", r"my_layers\.py, line 2: ZeroDivisionError"),
        ("LAYERS = {}\n1 +\n", r"my_layers\.py, line 2: SyntaxError"),
        ("\nimport no_such_module_here", r"line 2: ModuleNotFoundError"),
        ("\n\nraise SystemExit", "line 3: SystemExit"),
        ("def f():\n    g()\n\nf()", "line 2: NameError"),
        ("pass", "LAYERS is missing"),
        ("LAYERS = [1]", "LAYERS is"),
        ("LAYERS = {1: print}", "LAYERS is"),
        ("LAYERS = {'A': 1}", r"LAYERS\['A'\] is no function"),
        ("LAYERS = {'A': print}\nKERAS = {'A': 1}", r"KERAS\['A'\] is no class"),
        ("LAYERS = {}\nKERAS = None", "KERAS is missing"),
    ],
)
def test_error_in_the_file(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        load_layers(_file(tmp_path, text))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_layers(tmp_path / "none.py")
    other = tmp_path / "layers.txt"
    other.write_text("LAYERS = {}")
    with pytest.raises(InputError, match=r"must end in \.py"):
        load_layers(other)


def test_modules_beside_the_file(tmp_path: Path) -> None:
    """A file may import its neighbours, and have dataclasses."""
    (tmp_path / "neighbour_of_layers.py").write_text("def convert(layer):\n    return layer.x\n")
    text = """
        from __future__ import annotations
        from dataclasses import dataclass
        from neighbour_of_layers import convert
        @dataclass
        class Size:
            rows: int
        LAYERS = {"Mine": convert}
    """
    layers, classes = load_layers(_file(tmp_path, text))
    assert list(layers) == ["Mine"]
    assert classes == {}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("layer.x.nothing", r"layer 'it' \(Dense\): .*my_layers\.py, line 3: AttributeError"),
        ("layer.read({'kernel': (9, 9)})", "shape"),
        ("None", "expected a Value"),
    ],
)
def test_error_in_a_function(body: str, words: str, tmp_path: Path) -> None:
    """A user's function stands before the built-in one, and its errors say where they are."""
    text = f"def convert(layer):\n    # by the user\n    return {body}\nLAYERS = {{'it': convert}}\n"
    layers, _ = load_layers(_file(tmp_path, text))
    model, _, _ = network_of(Row("", MAP, lambda keras, x: keras.layers.Dense(3, name="it")(x)))
    with pytest.raises(ModelFileError, match=words):
        _converted(save(model, tmp_path / "model.keras"), layers)
