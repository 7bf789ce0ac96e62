"""The settings of one Keras layer, as a model file states them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_crnn.errors import ModelFileError

from ...graph.cells import Array
from ...graph.graph import MAX_AXES
from ...graph.nodes import Shape
from ..obstacles import LayerError, UnsupportedError

MAX_SIZE = 1 << 24
"""Largest integer in a layer's settings, and largest number of values in an image."""


@dataclass(frozen=True)
class LayerConfig:
    """The class and settings of one layer; every setting is checked when it is read, with a clear error."""

    name: str
    kind: str
    """Class of the layer, with the module if it is not Keras' own."""
    settings: Mapping[str, Any]
    keras2: bool = False
    """Whether Keras 2 wrote it; its `hard_sigmoid` differs from Keras 3's."""
    built_for: Shape | None = None
    """Shape of one sample of its only input, if the file states it."""

    def error(self, message: str) -> LayerError:
        """Make an error that names the layer and its class."""
        return LayerError(self.name, self.kind, message)

    def unsupported(self, message: str) -> UnsupportedError:
        """Make an error for what cannot be converted whatever the shape of the layer's input."""
        return UnsupportedError(self.name, self.kind, message)

    def get(self, setting: str) -> Any:
        """Read a setting, which must be there."""
        if setting not in self.settings:
            raise self.unsupported(f"no setting {setting!r}; save the model again with Keras 3")
        return self.settings[setting]

    def expect(self, setting: str, *supported: object) -> None:
        """Reject any other value of a setting that may be absent."""
        value = self.settings.get(setting, supported[0])
        if value not in supported:
            raise self.unsupported(f"{setting} {value!r}; supported: {', '.join(map(repr, supported))}")

    def expect_float_weights(self) -> None:
        """Reject a layer that `model.quantize` has changed: its weights are integers with scales, or float8."""
        policy = self.settings.get("dtype")
        settings = policy.get("config") if isinstance(policy, dict) else {"name": policy}
        settings = settings if isinstance(settings, dict) else {}
        mode = settings.get("mode")  # which only the policies of quantised layers have
        name = str(mode or settings.get("name"))
        if mode is not None or "_from_" in name or self.settings.get("quantization_config") is not None:
            raise self.unsupported(
                f"its weights are quantised by model.quantize ({name.partition('_from_')[0]}), which cannot be"
                " undone; convert the model that you saved before model.quantize. For int8, convert quantises it with"
                " images (--labelled DIR or --calibration DIR)"
            )

    def flag(self, setting: str) -> bool:
        """Read a setting that is true or false."""
        value = self.get(setting)
        if not isinstance(value, bool):
            raise self.unsupported(f"{setting} {value!r}, expected true or false")
        return value

    def sizes(self, setting: str, count: int) -> tuple[int, ...]:
        """Read `count` positive integers; a single one stands for all."""
        value = self.get(setting)
        sizes = value if isinstance(value, list) else [value] * count
        if len(sizes) != count or not all(type(item) is int and 0 < item <= MAX_SIZE for item in sizes):
            raise self.unsupported(f"{setting} {value!r}, expected {count} whole numbers from 1 to {MAX_SIZE:,}")
        return tuple(sizes)

    def size(self, setting: str) -> int:
        """Read a positive integer."""
        return self.sizes(setting, 1)[0]

    def pair(self, setting: str) -> tuple[int, int]:
        """Read two positive integers."""
        first, second = self.sizes(setting, 2)
        return first, second

    def numbers(self, setting: str, count: int = 1) -> Array:
        """Read `count` numbers; a single one stands for all."""
        value = _plain(self.get(setting))
        numbers = value if isinstance(value, list) else [value]
        fits = len(numbers) == count or not isinstance(value, list)
        if not fits or not all(type(item) in (int, float) and abs(item) < 1e30 for item in numbers):
            raise self.unsupported(f"{setting} {value!r}, expected {count} numbers")
        return np.array(numbers, np.float32) if isinstance(value, list) else np.full(count, value, np.float32)

    def number(self, setting: str) -> float:
        """Read one number."""
        return float(self.numbers(setting)[0])

    def wrapped(self, setting: str) -> LayerConfig:
        """Read the layer inside a wrapper."""
        return layer_config(self.get(setting), self.keras2)

    def wrapped_list(self, setting: str) -> list[LayerConfig]:
        """Read the layers inside a wrapper of several layers."""
        value = self.get(setting)
        if not isinstance(value, list) or not value:
            raise self.unsupported(f"{setting} {value!r}, expected a list of layers")
        return [layer_config(config, self.keras2) for config in value]


def _plain(value: Any) -> Any:
    """Convert what Keras wrote as an array to a number or a list."""
    match value:
        case {"type": "ndarray", "value": plain} | {"class_name": "__numpy__", "config": {"value": plain}}:
            return plain
    return value


def layer_config(layer: object, keras2: bool) -> LayerConfig:
    """Read a layer's entry in a model's configuration.

    Raises:
        ModelFileError: it has no class or no settings.
    """
    fields = layer if isinstance(layer, dict) else {}
    settings, kind, module = fields.get("config"), fields.get("class_name"), fields.get("module")
    if not isinstance(settings, dict) or not isinstance(kind, str):
        raise ModelFileError(f"a layer has no class or no settings: {str(layer)[:200]}")
    if str(module).startswith("keras.src.ops") or (module is None and not keras2 and is_operation(kind, settings)):
        kind = f"ops.{kind}"
    elif module is not None and str(module).split(".")[0] not in ("keras", "tf_keras"):
        kind = f"{module}.{kind}"
    name = str(fields.get("name") or settings.get("name"))
    return LayerConfig(name, kind, settings, keras2=keras2, built_for=_built_for(fields.get("build_config")))


def _built_for(config: object) -> Shape | None:
    """Read the shape in a layer's `build_config`, without the batch axis."""
    match config:
        case {"input_shape": [_, *sizes]} if len(sizes) <= MAX_AXES:
            whole = all(type(size) is int and 0 < size <= MAX_SIZE for size in sizes)
            return tuple(sizes) if whole and math.prod(sizes) <= MAX_SIZE else None
    return None


def is_operation(kind: str, settings: Mapping[str, Any]) -> bool:
    """Return whether this is one of `keras.ops`; an `.h5` of Keras 3 leaves the module out."""
    incomplete = kind in ("InputLayer", "Lambda") or kind.startswith("SpatialDropout")  # may lack "trainable"
    return not incomplete and settings.keys().isdisjoint({"trainable", "layers"})
