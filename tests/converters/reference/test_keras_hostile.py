"""Configurations made to have Keras run code, or to exhaust it: refused before Keras builds anything."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from converters.reference.keras import KerasReference
from converters.trained.keras.model import load_graph
from edge_crnn.errors import ModelFileError


def places(value: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """(keys down to it, object, key) of every setting; each place in lists alike."""
    for item in value if isinstance(value, list) else [value]:
        for key in tuple(item) if isinstance(item, dict) else ():
            yield (*path, key), item, key
            yield from places(item[key], *path, key)
        if isinstance(item, list):
            yield from places(item, *path)


@pytest.fixture(scope="module")
def parts(tiny_keras: Path) -> tuple[str, bytes]:
    with zipfile.ZipFile(tiny_keras) as archive:
        return archive.read("config.json").decode(), archive.read("model.weights.h5")


def written(path: Path, config: object, weights: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights)
    return path


CALLS = {
    "a module": {"module": "os", "class_name": "system"},
    "a module inside": {"module": "keras.layers", "class_name": "Dense", "config": {"units": {"module": "subprocess"}}},
    "registered": {"module": "subprocess", "class_name": "run", "registered_name": "subprocess>run"},
    "a lambda": {"class_name": "__lambda__", "config": {"value": ["4wAAAAA=", None, None]}},
    "a layer that loads files": {"module": "keras.layers", "class_name": "TFSMLayer"},
    "the same by another name": {"module": "keras", "class_name": "layers.TFSMLayer"},
    "the same of Keras 2": {"class_name": "TFSMLayer"},
}


def refused(path: Path, config: dict[str, Any], weights: bytes, trace: Path) -> None:
    with pytest.raises(ModelFileError):
        KerasReference(written(path, config, weights))
    assert not trace.exists()


def with_arguments(call: str, trace: Path) -> dict[str, Any]:
    arguments = {"command": f"touch {trace}", "filepath": str(trace), "args": ["touch", str(trace)]}
    return {"config": arguments, **CALLS[call]}


def test_code_in_any_setting(keras: Any, parts: tuple[str, bytes], tmp_path: Path) -> None:
    first: dict[tuple[str, ...], int] = {}
    for index, (where, *_) in enumerate(places(json.loads(parts[0])["config"])):
        first.setdefault(where, index)
    assert len(first) > 60
    for number, index in enumerate(first.values()):
        config = json.loads(parts[0])
        _, holder, key = list(places(config["config"]))[index]
        holder[key] = with_arguments(tuple(CALLS)[number % len(CALLS)], tmp_path / "trace")
        refused(tmp_path / "model.keras", config, parts[1], tmp_path / "trace")


@pytest.mark.parametrize("call", CALLS)
def test_code_in_a_setting_at_which_the_graph_does_not_look(
    call: str, keras: Any, parts: tuple[str, bytes], tmp_path: Path
) -> None:
    config = json.loads(parts[0])
    layer = next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Conv2D")
    layer["config"]["kernel_initializer"] = with_arguments(call, tmp_path / "trace")
    assert load_graph(written(tmp_path / "model.keras", config, parts[1])).output_shape == (16, 11)
    refused(tmp_path / "model.keras", config, parts[1], tmp_path / "trace")


def test_a_layer_beside_the_chain(keras: Any, parts: tuple[str, bytes], tmp_path: Path) -> None:
    """Keras would build this layer, which `load_graph` never sees."""
    config = json.loads(parts[0])
    loader = {
        "module": "keras.layers",
        "class_name": "TFSMLayer",
        "name": "x",
        "config": {"name": "x", "filepath": "x"},
    }
    config["config"]["layers"].append({**loader, "registered_name": None, "inbound_nodes": []})
    path = written(tmp_path / "model.keras", config, parts[1])
    assert load_graph(path).output_shape == (16, 11)
    with pytest.raises(ModelFileError, match="holds 'TFSMLayer', which is not loaded"):
        KerasReference(path)


@pytest.mark.parametrize("layer", [{}, {"class_name": "Lambda", "config": {}, "name": "a"}], ids=str)
def test_a_million_layers(keras: Any, parts: tuple[str, bytes], tmp_path: Path, layer: dict[str, Any]) -> None:
    count = 1_000_000 if not layer else 200_000  # as many as go into the text that is read at all
    config = {"class_name": "Functional", "config": {"layers": [layer] * count, "output_layers": ["a", 0, 0]}}
    path = written(tmp_path / "model.keras", config, parts[1])
    for run in (load_graph, KerasReference):
        with pytest.raises(ModelFileError, match=f"{count:,} layers; at most 10,000 are read"):
            run(path)
