"""Makes a Keras model of a graph, and the file of that model."""

from __future__ import annotations

import re
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

from edge_crnn.errors import BackendUnavailable, OutputError
from edge_crnn.files import write_atomically
from edge_crnn.tensorflow_settings import set_environment

from ..graph.graph import Graph
from .lowering import lower

_DATE = re.compile(rb', "date_saved": "[^"]*"')
_IDENTITY = re.compile(rb'("shared_object_id": )(\d+)')


def to_keras(graph: Graph) -> Any:
    """Return a `keras.Model` that computes the same as a graph, from float32 (N, *graph.input_shape).

    The model has Keras' own layers and operations alone, named after the nodes of the graph.

    Args:
        graph: the graph, folded or not, which is lowered as it is.

    Raises:
        BackendUnavailable: Keras or its backend is not installed.
        ConversionError: Keras cannot express a node.
        ModelFileError: the graph is not valid.
    """
    set_environment()
    try:
        import keras
    except ImportError as error:
        raise BackendUnavailable(
            f"writing a Keras model needs {error.name}: pip install 'edge-crnn[convert]'"
        ) from error
    return lower(keras, graph)


def write_keras(graph: Graph, path: Path) -> None:
    """Write the model of `to_keras` to a `.keras` file, completely or not at all; a graph always gives the same bytes.

    Raises:
        OutputError: the file cannot be written.
        BackendUnavailable, ConversionError, ModelFileError: see `to_keras`.
    """
    save_keras(to_keras(graph), path)


def save_keras(model: Any, path: Path) -> None:
    """Write a model of `to_keras` to a `.keras` file, completely or not at all; equal models give the same bytes.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".saving.", dir=path.parent) as near:
            saved = Path(near) / "model.keras"
            model.save(saved)
            data = _reproducible(saved)
    except OSError as error:
        raise OutputError(
            error.errno,
            f"{path}: cannot write the model ({error.strerror or error}); name a file in a folder that has room",
        ) from error
    write_atomically(path, data)


def _reproducible(saved: Path) -> bytes:
    """Return a `.keras` file without the time at which Keras saved it, and with numbers in place of addresses."""
    data = BytesIO()
    with zipfile.ZipFile(saved) as archive, zipfile.ZipFile(data, "w") as result:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "metadata.json":
                content = _DATE.sub(b"", content)
            elif name == "config.json":
                content = _numbered(content)
            result.writestr(zipfile.ZipInfo(name), content)
    return data.getvalue()


def _numbered(config: bytes) -> bytes:
    """Replace the identities of shared objects, which are addresses in memory, by numbers in order of appearance."""
    identities = dict.fromkeys(match[2] for match in _IDENTITY.finditer(config))
    numbers = {identity: b"%d" % number for number, identity in enumerate(identities, 1)}
    return _IDENTITY.sub(lambda match: match[1] + numbers[match[2]], config)
