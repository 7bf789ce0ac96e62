from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from converters.trained.facts import file_facts
from converters.trained.kinds import KINDS, kind_of
from edge_crnn.errors import ModelFileError


def refused(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        file_facts(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


ONNX = b"\x08\x0a\x12\x07pytorch\x1a\x052.1.0:\x95\x01"
HEADS = {
    "TFLite": (b"\x1c\0\0\0TFL3\x14\0", "a TFLite model"),
    "ONNX": (ONNX, "an ONNX model"),
    "ONNX without a producer": (b"\x08\x08\x3a\x8f\x02\x0a\x10", "an ONNX model"),
    "TensorRT engine": (b"ftrt\0\0\0\0", "a TensorRT engine"),
    "PyTorch, old form": (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "PyTorch"),
    "NumPy": (b"\x93NUMPY\x01\0v\0{'descr'", "an array of NumPy"),
    "safetensors": (b"\x40\0\0\0\0\0\0\0" + b'{"weight":{"dtype"', "safetensors"),
    "Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:12", "git lfs pull"),
    "web page": (b"\n<!DOCTYPE html><html>", "download the file itself"),
    "gzip": (b"\x1f\x8b\x08\0\0", "unpack it"),
    "JSON": (b'{"class_name": "Functional"', "--architecture"),
    "SavedModel": (b"\x08\x01\x12\xf4\xd4", "name the folder"),
    "frozen graph": (b"\x0a\x31\x0a\x05image\x12\x0bPlaceholder", "frozen graph"),
}


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".pt", ".pb"])
@pytest.mark.parametrize(("head", "words"), HEADS.values(), ids=HEADS)
def test_by_the_first_bytes_whatever_the_name(head: bytes, words: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(head + b"\0" * 100)
    assert words in refused(path)


def test_every_kind_is_tested() -> None:
    kinds = {kind_of(head) for head, _ in HEADS.values()}
    assert kinds == set(KINDS)


@pytest.mark.parametrize("head", [b"", b"a", b"hello world", b"\0" * 64, b"\xff\xd8\xff\xe0"])
def test_unknown(head: bytes, tmp_path: Path) -> None:
    assert kind_of(head) is None
    (tmp_path / "mine.keras").write_bytes(head)
    assert "no Keras model" in refused(tmp_path / "mine.keras")


ARCHIVES = {
    "PyTorch": (["archive/data.pkl", "archive/version"], "PyTorch"),
    "NumPy": (["a.npy", "b.npy"], "arrays of NumPy"),
    "SavedModel": (["mine/saved_model.pb"], "unpack it, and name the folder"),
    "a model inside": (["mine/mine.h5"], "unpack it, and name the model"),
    "something else": (["readme.txt"], "no config.json"),
    "nothing": ([], "no config.json"),
}


@pytest.mark.parametrize("suffix", [".keras", ".pth"])
@pytest.mark.parametrize(("members", "words"), ARCHIVES.values(), ids=ARCHIVES)
def test_archives(members: list[str], words: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"mine{suffix}"
    with zipfile.ZipFile(path, "w") as archive:
        for name in members:
            archive.writestr(name, b"x")
    assert words in refused(path)


def test_hdf5_of_something_else(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["images"] = np.zeros((2, 3), np.float32)
    assert "HDF5, but not written by Keras" in refused(tmp_path / "data.h5")
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["dense/dense/kernel:0"] = np.zeros((2, 3), np.float32)
    text = refused(tmp_path / "weights.h5")
    assert "--architecture model.json" in text
    assert "write(model.to_json())" in text


def saved_model(folder: Path, graph: bytes, *, metadata: bool = False) -> Path:
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"\x08\x01\x12" + graph)
    if metadata:
        (folder / "keras_metadata.pb").write_bytes(b"\x0a\xa1\x04\x08\x01")
    return folder


def test_saved_models_of_keras_2(tmp_path: Path) -> None:
    now = saved_model(tmp_path / "now", b"", metadata=True)
    before = saved_model(tmp_path / "before", b"...\x12\x0e_tf_keras_network")
    for path in (now, now / "saved_model.pb", now / "keras_metadata.pb", before):
        text = refused(path)
        assert "a SavedModel of Keras 2" in text
        folder = path if path.is_dir() else path.parent
        assert f"tf_keras.models.load_model('{folder}', compile=False).save('mine.h5')" in text


def test_an_exported_saved_model(tmp_path: Path) -> None:
    text = refused(saved_model(tmp_path / "exported", b"\x12\x0bserving_default"))
    assert "without the configuration of Keras" in text
    assert "tf_keras" not in text


@pytest.mark.slow
def test_the_line_to_type_about_a_saved_model_works(tmp_path: Path) -> None:
    pytest.importorskip("tf_keras")
    build = """
import tf_keras as keras
image = keras.Input((32, 16, 1))
x = keras.layers.Reshape((32, 16))(image)
x = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True))(x)
keras.Model(image, keras.layers.Dense(11, activation="softmax")(x)).save("folder")
"""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", build], cwd=tmp_path, env=environment, check=True)
    text = refused(tmp_path / "folder")
    match = re.search(r"type: (python -c \".*?\") and convert", text)
    assert match is not None
    _, *words = shlex.split(match[1])
    subprocess.run([sys.executable, "-W", "ignore", *words], cwd=tmp_path, env=environment, check=True)
    facts = file_facts(tmp_path / "mine.h5")
    assert (facts.shape, facts.axes, facts.steps, facts.classes) == ((32, 16, 1), "WHC", 32, 11)


@pytest.mark.slow
def test_what_keras_3_exports_is_recognised(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    image = keras.Input((32, 16, 1))
    model = keras.Model(image, keras.layers.Dense(11)(keras.layers.Reshape((32, 16))(image)))
    model.export(str(tmp_path / "exported"), verbose=False)
    assert "without the configuration of Keras" in refused(tmp_path / "exported")
