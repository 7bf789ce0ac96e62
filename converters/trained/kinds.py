"""Identifies a file that is no Keras model by its content, and says which command to type."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_HEAD_BYTES = 64
_GRAPH_BYTES = 1 << 26
"""Bytes of a SavedModel that are searched for traces of Keras 2."""

_WHOLE_MODEL = "name the trained model, as model.save('NAME.keras') writes it"
_CONVERTED = (
    "{kind} model, which is converted already; edge-crnn runs those that it has converted itself, named NAME{suffix}."
    " To convert, name the trained model, .keras or .h5"
)
_PICKLED = (
    "a PyTorch file; edge-crnn converts models of Keras: build the network in Keras, copy the weights, and save it"
)
_ONNX_FIELDS = b"\x12\x1a\x22\x3a\x42"
"""What may follow the version in ONNX: the field of a producer, a domain, a text, the graph or the operators."""


@dataclass(frozen=True)
class Kind:
    """A kind of file that may be mistaken for a model."""

    name: str
    """Name of the kind, for a person who knows it."""
    is_this: Callable[[bytes], bool]
    """Whether a file is of this kind, by its first 64 bytes."""
    advice: str
    """Description and command to type, to follow the file's name and a colon."""


def _starts(*marks: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(marks)


KINDS = (
    Kind("TFLite", lambda head: head[4:8] == b"TFL3", _CONVERTED.format(kind="a TFLite", suffix=".tflite")),
    Kind(
        "TensorRT engine",
        _starts(b"ftrt", b"ptrt"),
        "a TensorRT engine, which holds no network that can be converted; name the trained model, .keras or .h5",
    ),
    Kind("PyTorch, old form", _starts(b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), _PICKLED),
    Kind("NumPy", _starts(b"\x93NUMPY"), f"an array of NumPy, not a model; {_WHOLE_MODEL}"),
    Kind(
        "safetensors",
        lambda head: head[8:10] == b'{"',
        f"a file of safetensors, which holds weights only; build the network in Keras, load them, and {_WHOLE_MODEL}",
    ),
    Kind(
        "Git LFS pointer",
        _starts(b"version https://git-lfs"),
        "a pointer of Git LFS, not the file itself; in its repository, type: git lfs pull",
    ),
    Kind(
        "web page",
        lambda head: head.lstrip().lower().startswith((b"<!doctype", b"<html")),
        ("a web page, not a model; download the file itself again"),
    ),
    Kind("gzip", _starts(b"\x1f\x8b"), "a gzip archive; unpack it, and name the model inside it"),
    Kind(
        "JSON",
        lambda head: head.lstrip().startswith((b"{", b"[")),
        "JSON, perhaps a model's structure without its weights; name the weights, and give it by --architecture",
    ),
    Kind(
        "SavedModel",
        _starts(b"\x08\x01\x12"),
        "the graph of a SavedModel without its folder; name the folder that it was in, saved_model.pb and variables"
        " together",
    ),
    Kind(
        "ONNX",
        lambda head: head[:1] == b"\x08" and 3 <= head[1] <= 20 and head[2] in _ONNX_FIELDS,
        _CONVERTED.format(kind="an ONNX", suffix=".onnx"),
    ),
    Kind(
        "frozen graph",
        lambda head: head[:1] == b"\x0a" and b"\x12" in head,
        "a frozen graph of TensorFlow, without the configuration of Keras; name the trained model, .keras or .h5, or"
        " build it in code, load its weights, and save it: model.save('NAME.keras')",
    ),
)
"""The kinds, in the order of how reliable their marks are."""


def kind_of(head: bytes) -> Kind | None:
    """Identify a file by its first bytes; None: unknown."""
    return next((kind for kind in KINDS if len(head) > 2 and kind.is_this(head)), None)


def advice_on_file(path: Path) -> str:
    """Describe a file that is neither HDF5 nor a ZIP, and what to do.

    Args:
        path: of a file that can be read.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    kind = kind_of(head)
    if kind is not None:
        return kind.advice
    content = f"it starts with {head[:8]!r}" if head else "it is empty"
    return f"no Keras model ({content}); name a .keras file or a whole-model .h5"


def advice_on_archive(archive: zipfile.ZipFile) -> str | None:
    """Describe a ZIP that is no `.keras` file; None: unknown."""
    names = archive.namelist()
    if any(name.endswith("data.pkl") for name in names):
        return _PICKLED
    if any(name.endswith("saved_model.pb") for name in names):
        return "a SavedModel in a ZIP; unpack it, and name the folder"
    if any(name.endswith((".keras", ".h5", ".hdf5")) for name in names if name != "model.weights.h5"):
        return "a ZIP with a model inside; unpack it, and name the model"
    if names and all(name.endswith(".npy") for name in names):
        return f"arrays of NumPy, not a model; {_WHOLE_MODEL}"
    return None


def advice_on_folder(path: Path) -> str | None:
    """Say what to type for a SavedModel, named by its folder or a file in it; None: it is none."""
    folder = path.parent if path.name in ("saved_model.pb", "keras_metadata.pb") else path
    graph = folder / "saved_model.pb"
    if not graph.is_file():
        return None
    if (folder / "keras_metadata.pb").is_file() or _has_traces_of_keras(graph):
        quoted = repr(str(folder)).replace('"', '\\"')
        command = f"import tf_keras; tf_keras.models.load_model({quoted}, compile=False).save('mine.h5')"
        return (
            "a SavedModel of Keras 2; save it as HDF5, pip install tf_keras and type:"
            f' python -c "{command}" and convert mine.h5'
        )
    return (
        "a SavedModel without the configuration of Keras, as model.export() writes it; name the .keras or .h5 file of"
        " the model, or build it in code, load its weights, and save it: model.save('NAME.keras')"
    )


def _has_traces_of_keras(graph: Path) -> bool:
    """Return whether TensorFlow 2.0 to 2.4 saved it, with the configuration inside the graph."""
    with graph.open("rb") as stream:
        return b"_tf_keras_" in stream.read(_GRAPH_BYTES)
