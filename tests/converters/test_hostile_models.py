"""Trained models made to harm: one clear error, no code run, no other file read, little memory, and Keras never starts.

Each is a real model with one thing changed, as `.keras` and as `.h5`, given to `load_graph` and to the command.
"""

from __future__ import annotations

import base64
import io
import json
import marshal
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.reference import keras as keras_reference
from converters.reference.keras import KerasReference
from converters.trained.keras.model import load_graph
from edge_crnn.cli.main import main
from edge_crnn.errors import ModelFileError
from edge_crnn.model.artifact import sidecar

h5py = pytest.importorskip("h5py")

MAX_MEMORY_MB = 256


class Model:
    """Parts of a trained model, to be changed and put together again."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.folder = folder
        self.secret = folder / "secret"
        self.trace = folder / "trace"
        self.extra: dict[str, bytes] = {}
        self.packing, self.repeats = zipfile.ZIP_STORED, 1
        self._name = path.name
        if path.suffix == ".h5":
            self.weights = path.read_bytes()
            with h5py.File(path) as file:
                self.config = json.loads(file.attrs["model_config"])
        else:
            with zipfile.ZipFile(path) as archive:
                self.weights = archive.read("model.weights.h5")
                self.config = json.loads(archive.read("config.json"))
        self._config = json.dumps(self.config)

    def change(self, change: Callable[[Any], None]) -> None:
        """Change the HDF5 file."""
        buffer = io.BytesIO(self.weights)
        with h5py.File(buffer, "a") as file:
            change(file)
        self.weights = buffer.getvalue()

    def replace_kernel(self, replace: Callable[[Any, str, np.ndarray], None]) -> None:
        """Replace the first kernel."""

        def change(file: Any) -> None:
            paths: list[str] = []
            file.visititems(lambda path, item: paths.append(path) if len(getattr(item, "shape", ())) == 4 else None)
            values = file[paths[0]][()]
            del file[paths[0]]
            replace(file, paths[0], values)

        self.change(change)

    def written(self) -> Path:
        path = self.folder / self._name
        if path.suffix == ".h5":
            if json.dumps(self.config) != self._config:  # a file forged in other ways is not touched again
                self.change(lambda file: file.attrs.modify("model_config", json.dumps(self.config)))
            path.write_bytes(self.weights)
            return path
        with zipfile.ZipFile(path, "w", self.packing) as archive:
            for name, data in self.extra.items():
                archive.writestr(name, data)
            archive.writestr("config.json", json.dumps(self.config))
            with archive.open("model.weights.h5", "w") as member:
                for _ in range(self.repeats):
                    member.write(self.weights)
        return path


def external_link(model: Model) -> None:
    def replace(file: Any, path: str, values: np.ndarray) -> None:
        with h5py.File(model.secret, "w") as other:
            other["kernel"] = values
        file[path] = h5py.ExternalLink(str(model.secret), "kernel")

    model.replace_kernel(replace)


def external_storage(model: Model) -> None:
    def replace(file: Any, path: str, values: np.ndarray) -> None:
        model.secret.write_bytes(values.tobytes())
        file.create_dataset(path, values.shape, "f4", external=[(str(model.secret), 0, values.nbytes)])

    model.replace_kernel(replace)


def virtual_dataset(model: Model) -> None:
    def replace(file: Any, path: str, values: np.ndarray) -> None:
        with h5py.File(model.secret, "w") as other:
            other["kernel"] = values
        layout = h5py.VirtualLayout(values.shape, "f4")
        layout[:] = h5py.VirtualSource(model.secret, "kernel", values.shape)
        file.create_virtual_dataset(path, layout)

    model.replace_kernel(replace)


def ten_terabytes(model: Model) -> None:
    model.replace_kernel(lambda file, path, _: file.create_dataset(path, (3, 3, 1, 10**12), "f4"))


def ten_terabytes_in_chunks(model: Model) -> None:
    model.replace_kernel(lambda file, path, _: file.create_dataset(path, (10**9, 10**4), "f4", chunks=(1, 1)))


def million_layers(model: Model) -> None:
    model.config["config"]["layers"] = [{}] * 10**6


def lambda_layer(model: Model) -> None:
    code = compile(f"open({str(model.trace)!r}, 'w').write('run')", "<string>", "exec")
    text = base64.b64encode(marshal.dumps(code)).decode()
    layers = model.config["config"]["layers"]
    victim = next(layer for layer in layers if layer["class_name"] == "MaxPooling2D")
    function = {"class_name": "__lambda__", "config": {"code": text, "defaults": None, "closure": None}}
    victim["class_name"] = "Lambda"
    victim["config"] = {"name": victim["config"]["name"], "function": function}


def lambda_layer_of_keras2(model: Model) -> None:
    lambda_layer(model)
    victim = next(layer for layer in model.config["config"]["layers"] if layer["class_name"] == "Lambda")
    text = victim["config"]["function"]["config"]["code"]
    victim["config"] |= {"function": [text, None, None], "function_type": "lambda"}


def crash(model: Model) -> None:
    """A text of a kind that there is not; HDF5 1.14.6 follows a wild pointer."""
    model.change(lambda file: file.attrs.create("a_text_of_no_kind", "text"))
    data = bytearray(model.weights)
    kind = data.index(b"a_text_of_no_kind\0") + 24 + 1  # the name is padded to 24 bytes, then comes the datatype
    assert data[kind] == 1
    data[kind] = 15
    model.weights = bytes(data)


def loop(model: Model) -> None:
    """A heap of texts with an entry of no length, over which HDF5 1.14.6 never gets."""
    start = model.weights.index(b"GCOL\1") + 16
    model.weights = model.weights[:start] + bytes(16) + model.weights[start + 16 :]


HDF5 = {
    "external link": (external_link, "ExternalLink, which is not followed"),
    "external storage": (external_storage, "lies in another file"),
    "virtual dataset": (virtual_dataset, "is put together from other files"),
    "10 TB": (ten_terabytes, "claims 36,000,000,000,000 bytes in a file of"),
    "10 TB in chunks": (ten_terabytes_in_chunks, "claims 40,000,000,000,000 bytes in a file of"),
    "million layers": (million_layers, "1,000,000 layers; at most 10,000 are read"),
    "lambda": (lambda_layer, "(Lambda): code in a model file is never run"),
    "lambda of Keras 2": (lambda_layer_of_keras2, "(Lambda): code in a model file is never run"),
    "crash": (crash, "the file is damaged"),
}


def paths_that_lead_out(model: Model) -> None:
    model.extra = {"../trace": b"written", "../../trace": b"written", str(model.trace): b"written"}


def bomb_of_weights(model: Model) -> None:
    model.weights = bytes(1 << 20)
    model.repeats = 1 << 10
    model.packing = zipfile.ZIP_DEFLATED


def bomb_of_settings(model: Model) -> None:
    model.config["config"]["name"], model.packing = " " * (1 << 26), zipfile.ZIP_DEFLATED


ZIP = {
    "paths that lead out": (paths_that_lead_out, "its member '../trace' leads out of the archive"),
    "bomb of weights": (bomb_of_weights, "model.weights.h5 claims 1,073,741,824 bytes, packed in"),
    "bomb of settings": (bomb_of_settings, "config.json claims 67,"),
}
CASES = {
    **{f"{case}, {suffix}": (suffix, *damage) for case, damage in HDF5.items() for suffix in (".keras", ".h5")},
    "loop": (".keras", loop, "the HDF5 library failed on it, or took too much memory or time"),
    **{case: (".keras", *damage) for case, damage in ZIP.items()},
}


def peak_mb() -> float:
    resource = pytest.importorskip("resource")
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / (1 << 20 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("case", CASES)
def test_one_error_and_nothing_else(
    case: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    labelled_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    suffix, harm, words = CASES[case]
    source = request.getfixturevalue({".keras": "tiny_keras", ".h5": "tiny_h5"}[suffix])
    model = Model(source, tmp_path)
    harm(model)
    path = model.written()
    shutil.copy(sidecar(source), sidecar(path))
    if model.secret.exists():
        os.utime(model.secret, (0, model.secret.stat().st_mtime))
    monkeypatch.setattr(keras_reference, "import_keras", lambda: pytest.fail("Keras was started"))
    files = sorted(tmp_path.rglob("*"))
    before = peak_mb()

    messages = []
    for read in (load_graph, KerasReference):
        with pytest.raises(ModelFileError) as caught:
            read(path)
        messages.append(str(caught.value))
    target = tmp_path / "x.tflite"
    command = ["convert", path, "--recipe", "float32", "--labelled", labelled_folder, "-o", target]
    assert main([str(word) for word in command]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    messages.append(line.removeprefix("edge-crnn convert: "))

    assert len(set(messages)) == 1
    assert messages[0].startswith(f"{path}: ")
    assert words in messages[0]
    assert len(messages[0]) <= 1000
    assert sorted(tmp_path.rglob("*")) == files
    assert not model.trace.exists()
    assert peak_mb() - before < MAX_MEMORY_MB
    if model.secret.exists():
        assert model.secret.stat().st_atime == 0
