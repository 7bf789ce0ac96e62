"""Layers that Keras lacks: the user's own Python file defines how they are converted.

The file is named on the command line, and is run. It defines

    LAYERS = {"GatedConv2D": gated_convolution}

a function from `Layer` to `Value` for each class, or for the name of one layer, and, so that verification can run the
trained model, also the classes of Keras:

    KERAS = {"GatedConv2D": GatedConv2D}

See `examples/gated_convolution.py`. Code in a model file is never run.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

from edge_crnn.errors import EdgeCrnnError, InputError

from .builder import Layer, Value

_MODULE = "edge_crnn_layers"
"""Module name of the user's file."""


def load_layers(path: Path) -> tuple[Mapping[str, Callable[[Layer], Value]], Mapping[str, Any]]:
    """Run the user's file.

    The folder of the file is where it may import other modules from.

    Returns:
        What converts a layer, by the name of its class or its own; and classes of Keras, by name.

    Raises:
        InputError: no such file, an error in it, or no such dictionaries.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; name a Python file that defines LAYERS")
    if str(path.parent.resolve()) not in sys.path:
        sys.path.append(str(path.parent.resolve()))
    module = _run(path)
    layers, classes = _dictionary(path, module, "LAYERS"), _dictionary(path, module, "KERAS", {})
    if wrong := [name for name, function in layers.items() if not callable(function)]:
        raise InputError(f"{path}: LAYERS[{wrong[0]!r}] is no function; expected one from Layer to Value")
    if wrong := [name for name, keras_class in classes.items() if not isinstance(keras_class, type)]:
        raise InputError(f"{path}: KERAS[{wrong[0]!r}] is no class; expected a class of Keras layers")
    return {name: _located(path, function) for name, function in layers.items()}, classes


def _run(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(_MODULE, path.resolve())
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module  # which dataclasses, among others, look themselves up in
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InputError(f"{_place(path, error)}: {_text(error)}") from error
    return module


def _dictionary(path: Path, module: ModuleType, name: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
    value = getattr(module, name, default)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        missing = "is missing" if value is None else f"is {str(value)[:100]!r}"
        raise InputError(f"{path}: {name} {missing}, expected a dictionary by the names of layers or of their classes")
    return value


def _located(path: Path, function: Callable[[Layer], Value]) -> Callable[[Layer], Value]:
    """Wrap a function so that its errors say where in the file they occurred."""

    @wraps(function)
    def convert(layer: Layer) -> Value:
        try:
            return function(layer)
        except EdgeCrnnError:
            raise
        except Exception as error:
            raise layer.error(f"{_place(path, error)}: {_text(error)}") from error

    return convert


def _place(path: Path, error: BaseException) -> str:
    """Return the file, and the line in it where the error occurred or that called what failed."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if _is_same(frame.filename, path)]
    if isinstance(error, SyntaxError) and _is_same(error.filename, path):
        lines.append(error.lineno)
    return f"{path}, line {lines[-1]}" if lines else str(path)


def _is_same(name: str | None, path: Path) -> bool:
    return name is not None and Path(name) == path.resolve()


def _text(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
