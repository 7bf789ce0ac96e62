"""Files that are damaged or made to harm, each refused with one line; made by hand, so no TensorFlow is needed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.graph.nodes import Dense
from converters.trained.keras.model import load_graph
from edge_crnn.errors import ModelFileError

h5py = pytest.importorskip("h5py")

KERNEL = np.arange(12, dtype=np.float32).reshape(4, 3)
BIAS = np.array([1, 2, 3], np.float32)
BASE = {"trainable": True, "dtype": "float32"}
"""Settings that Keras 3 gives every layer, but no operation."""


def layer(kind: str, name: str, source: str | None = None, **settings: Any) -> dict[str, Any]:
    history = {"class_name": "__keras_tensor__", "config": {"keras_history": [source, 0, 0]}}
    nodes = [{"args": [history], "kwargs": {}}] if source else []
    return {"class_name": kind, "name": name, "config": {**BASE, "name": name, **settings}, "inbound_nodes": nodes}


def config(*more: dict[str, Any]) -> dict[str, Any]:
    layers = [
        layer("InputLayer", "image", batch_shape=[None, 6, 4, 1]),
        layer("Reshape", "reshape", "image", target_shape=[6, -1]),
        layer("Dense", "head", "reshape", units=3, activation="softmax", use_bias=True),
        *more,
    ]
    ends = {"input_layers": [["image", 0, 0]], "output_layers": [["head", 0, 0]]}
    return {"class_name": "Functional", "config": {"layers": layers, **ends}}


def fill(group: Any) -> None:
    group["layers/dense/vars/0"], group["layers/dense/vars/1"] = KERNEL, BIAS
    group["layers/dense/vars"].attrs["name"] = "head"


def hdf5(build: Callable[[Any], None] = fill) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        build(file)
    return buffer.getvalue()


def archive(path: Path, configuration: object = None, weights: bytes | None = None, packing: int = 0) -> Path:
    text = configuration if isinstance(configuration, bytes) else json.dumps(configuration or config())
    with zipfile.ZipFile(path, "w", packing) as file:
        file.writestr("config.json", text)
        file.writestr("model.weights.h5", hdf5() if weights is None else weights)
    return path


def whole_h5(path: Path, configuration: object = None) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(configuration or config())
        file["model_weights/head/sequential/head/kernel"] = KERNEL
        file["model_weights/head/sequential/head/bias"] = BIAS
    return path


def refused(path: Path, *words: str) -> str:
    with pytest.raises(ModelFileError) as caught:
        load_graph(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) <= 1000
    for word in words:
        assert word in message
    return message


def test_both_formats_give_the_same_graph(tmp_path: Path) -> None:
    for path in (archive(tmp_path / "a.keras"), archive(tmp_path / "b.keras", packing=8), whole_h5(tmp_path / "c.h5")):
        graph = load_graph(path)
        assert (graph.input_shape, graph.output_shape) == ((6, 4, 1), (6, 3))
        head = graph.nodes[1]
        assert isinstance(head, Dense)
        np.testing.assert_array_equal(head.kernel, KERNEL)
        np.testing.assert_array_equal(head.bias, BIAS)


def test_name_and_content_must_agree(tmp_path: Path) -> None:
    assert load_graph(whole_h5(tmp_path / "model.hdf5")).output_shape == (6, 3)
    with pytest.raises(ModelFileError, match=r"holds HDF5, but is named '\.keras'; name it \.h5"):
        load_graph(whole_h5(tmp_path / "misnamed.keras"))
    with pytest.raises(ModelFileError, match=r"holds ZIP, but is named '\.h5'; name it \.keras"):
        load_graph(archive(tmp_path / "misnamed.h5"))


def test_weights_go_by_the_layers_name_not_by_the_containers(tmp_path: Path) -> None:
    double = layer("Dense", "first", "reshape", units=4, activation="linear", use_bias=False)
    layers = config(double)
    layers["config"]["layers"][2]["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0] = "first"
    square = np.eye(4, dtype=np.float32)

    def swapped(file: Any) -> None:  # containers count in layer order: head is dense, first is dense_1
        file["layers/dense_1/vars/0"], file["layers/dense_1/vars/1"] = KERNEL, BIAS
        file["layers/dense_1/vars"].attrs["name"] = "head"
        file["layers/dense/vars/0"] = square
        file["layers/dense/vars"].attrs["name"] = "first"

    def unnamed(file: Any) -> None:
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = KERNEL, BIAS
        file["layers/dense_1/vars/0"] = square

    for build in (swapped, unnamed):
        _, first, head, _ = load_graph(archive(tmp_path / "model.keras", layers, hdf5(build))).nodes
        assert isinstance(first, Dense)
        assert isinstance(head, Dense)
        np.testing.assert_array_equal(first.kernel, square)
        np.testing.assert_array_equal(head.kernel, KERNEL)


# The file as such.


def test_no_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.keras", "no such file")
    refused(tmp_path, "a folder or device")
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01\x12")
    for path in (tmp_path, tmp_path / "saved_model.pb"):
        refused(path, "a SavedModel", "model.save('NAME.keras')")
    os.mkfifo(tmp_path / "pipe.keras")
    refused(tmp_path / "pipe.keras", "a folder or device")


@pytest.mark.parametrize("data", [b"", b"P", b"PK", b"PK\3\4" + b"\0" * 100, b"hello world", b"\x89HDF\r\n\x1a\n"])
def test_no_model(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(data)
    refused(path)


@pytest.mark.parametrize("make", [archive, whole_h5])
@settings(deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_truncated_anywhere(tmp_path_factory: pytest.TempPathFactory, make: Any, share: float) -> None:
    path = make(tmp_path_factory.mktemp("cut") / "model")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refused(path)


@pytest.mark.parametrize("make", [archive, whole_h5])
@settings(deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), junk=st.binary(min_size=1, max_size=16))
def test_damage_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, make: Any, place: float, junk: bytes
) -> None:
    path = make(tmp_path_factory.mktemp("damaged") / "model")
    data = bytearray(path.read_bytes())
    start = int(len(data) * place)
    data[start : start + len(junk)] = junk
    path.write_bytes(data)
    with contextlib.suppress(ModelFileError):
        assert len(load_graph(path).output_shape) == 2


def test_zip_without_the_members(tmp_path: Path) -> None:
    for missing in ("config.json", "model.weights.h5"):
        with zipfile.ZipFile(tmp_path / "model.keras", "w") as file:
            for name in {"config.json", "model.weights.h5"} - {missing}:
                file.writestr(name, "{}")
        refused(tmp_path / "model.keras", f"no {missing}")


def test_zip_bombs(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.keras", b" " * (17 << 20), packing=zipfile.ZIP_DEFLATED)
    refused(path, "config.json claims 17,825,792 bytes")
    path = archive(tmp_path / "model.keras", packing=zipfile.ZIP_BZIP2)
    refused(path, "packed by method 12")
    # A directory that claims more than deflate can give, in both places where the size stands.
    data = bytearray(archive(tmp_path / "model.keras").read_bytes())
    at = data.rfind(b"PK\1\2")
    data[at + 24 : at + 28] = (1 << 30).to_bytes(4, "little")
    (tmp_path / "model.keras").write_bytes(data)
    refused(tmp_path / "model.keras", "model.weights.h5 claims 1,073,741,824 bytes")
    # A directory of absurd size.
    data[-10:-6] = (1 << 31).to_bytes(4, "little")
    (tmp_path / "model.keras").write_bytes(data)
    refused(tmp_path / "model.keras", "directory claims 2,147,483,648 bytes")


def test_encrypted_zip(tmp_path: Path) -> None:
    data = bytearray(archive(tmp_path / "model.keras").read_bytes())
    for start in (match.start() for match in re.finditer(b"PK\1\2", bytes(data))):
        data[start + 8] |= 1
    (tmp_path / "model.keras").write_bytes(data)
    refused(tmp_path / "model.keras", "encrypted")


# The configuration.


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff\xfe{}", "no JSON"),
        (b"[]", "expected a JSON object"),
        (b"{}", "no layers"),
        (b'{"config": {"layers": []}}', "no layers"),
        (b'{"config": {"layers": [1]}}', "no class"),
        (b'{"config": {"layers": [{"class_name": "Dense", "config": {}}]}}', "no name"),
        (b'{"config": {"layers": [' + b"1," * 1_000_000 + b"1]}}", "1,000,001 layers"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, ""),
        (b'{"class_name": "Functional", "config": {"layers": ' + b"[" * 900 + b"]" * 900 + b"}}", ""),
    ],
    ids=lambda value: value[:24] if isinstance(value, bytes) else None,
)
def test_malformed_configuration_is_refused(tmp_path: Path, text: bytes, word: str) -> None:
    refused(archive(tmp_path / "model.keras", text), word)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(class_name="MyModel"), ["'MyModel'", "Functional, Sequential"]),
        (lambda c: c["config"].pop("output_layers"), ["output_layers None, expected a list of tensors"]),
        (lambda c: c["config"].update(output_layers=[["head", 0, 0], ["image", 0, 0]]), ["expected one"]),
        (lambda c: c["config"].update(output_layers=["gone", 0, 0]), ["'gone' is used but not listed"]),
        (lambda c: c["config"]["layers"].append(c["config"]["layers"][2]), ["two layers are named 'head'"]),
        (lambda c: c["config"]["layers"][2].update(inbound_nodes=[]), ["call 0 of layer 'head' is not listed"]),
        (lambda c: c["config"]["layers"][2].update(inbound_nodes=[[["head", 0, 0, {}]]]), ["feeds itself"]),
        (
            lambda c: c["config"]["layers"][2].update(inbound_nodes=7),
            ["layer 'head': inbound_nodes 7, expected a list"],
        ),
        (
            lambda c: c["config"]["layers"][2].update(inbound_nodes=[[["image", 0, 1, {}]]]),
            ["result 2 of layer 'image' is used, which gives 1"],
        ),
        (
            lambda c: c["config"]["layers"][0]["config"].update(batch_shape=[None, None, 4, 1]),
            ["the spec must fix its open axes"],
        ),
        (lambda c: c["config"]["layers"][0]["config"].update(batch_shape=[1, 9999, 9999, 9]), ["16,777,216"]),
        (lambda c: c["config"]["layers"][1]["config"].update(target_shape=[-1, -1]), ["'reshape'", "target_shape"]),
        (lambda c: c["config"]["layers"][1]["config"].update(target_shape=[]), ["'reshape'", "cannot take"]),
        (lambda c: c["config"]["layers"][1]["config"].update(target_shape=[5, -1]), ["'reshape'", "cannot take"]),
        (lambda c: c["config"]["layers"][2]["config"].update(units=10**12), ["'head' (Dense)", "units"]),
        (lambda c: c["config"]["layers"][2]["config"].update(units=True), ["'head' (Dense)", "units"]),
        (lambda c: c["config"]["layers"][2]["config"].update(use_bias="no"), ["'head' (Dense)", "use_bias"]),
        (lambda c: c["config"]["layers"][2]["config"].update(activation={"class_name": "__lambda__"}), ["__lambda__"]),
        (lambda c: c["config"]["layers"][2].update(module="os"), ["'head' (os.Dense)", "not supported"]),
        (lambda c: c["config"]["layers"][2].update(class_name="x" * 5000), ["layer 'head' (xxx"]),
    ],
)
def test_configuration_that_does_not_fit(tmp_path: Path, change: Any, words: list[str]) -> None:
    changed = config()
    change(changed)
    refused(archive(tmp_path / "model.keras", changed), *words)
    refused(whole_h5(tmp_path / "model.h5", changed), *words)


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAAA", "defaults": None, "closure": None}}
    changed = config(layer("Lambda", "evil", "head", function=code))
    changed["config"]["output_layers"] = [["evil", 0, 0]]
    refused(archive(tmp_path / "model.keras", changed), "'evil' (Lambda)", "never run")


# The weights.


def test_groups_that_contain_each_other(tmp_path: Path) -> None:
    path = whole_h5(tmp_path / "model.h5")
    with h5py.File(path, "a") as file:
        group = file["model_weights/head"]
        for number in range(100):
            group[f"again{number}"] = group
    refused(path, "more than 20,000 names")


def test_h5_of_weights_only(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["head/kernel"] = KERNEL
    refused(tmp_path / "weights.h5", "weights only", "--architecture model.json")


@pytest.mark.parametrize("value", [1, [b"a", b"b"], np.zeros(3), b"\xff"], ids=str)
def test_h5_with_a_configuration_that_is_not_text(tmp_path: Path, value: object) -> None:
    path = whole_h5(tmp_path / "model.h5")
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = value
    refused(path)
