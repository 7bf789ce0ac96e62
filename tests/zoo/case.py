"""The cases that the tables consist of.

Nothing here imports a framework: `Case.build` does so when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from .networks import Network

BYTES, UNIT, CENTRED, HALVES = (0.0, 255.0), (0.0, 1.0), (-1.0, 1.0), (-0.5, 0.5)


@dataclass(frozen=True)
class Builder:
    """A function of a module of this package with its arguments; the module is imported when it is called."""

    module: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> Network:
        """Build."""
        return getattr(self.load(), self.function)(**self.arguments)

    def load(self) -> Any:
        """Return the module."""
        return import_module(f".{self.module}", __package__)


@dataclass(frozen=True)
class Case:
    """A network as its project saves it."""

    number: str
    source: str
    features: str
    framework: str = ""  # keras2 or keras3
    file: str = ""
    build: Callable[[], Network] | None = None
    # Shape of an image as the network takes it, with None axes fixed by spec_lines, and the order of its axes.
    shape: tuple[int, ...] = ()
    axes: str = "HWC"
    pixels: tuple[float, float] = UNIT
    steps: int = 0
    classes: int = 0
    blank: int = -1
    # The steps that the project's own decoding drops.
    skip_steps: int = 0
    # In a training graph, the layer whose output is the prediction; empty: the model's own output.
    prediction: str = ""
    # Turns the raw output into probabilities (images, steps, classes): "", "softmax" or "squeeze 2".
    postprocess: str = ""
    # Number of images in a call of the framework, if the result depends on it.
    batch: int | None = None
    # Facts that the user has to state because the file cannot.
    spec_lines: Mapping[str, Any] = field(default_factory=dict)
    # The text of the user's --layers file, and the classes of the saved model that it has to explain.
    layers_file: str | None = None
    own_layers: tuple[str, ...] = ()
    excluded: str | None = None


def builder(module: str, function: str, **arguments: Any) -> Builder:
    """Return a builder."""
    return Builder(module, function, arguments)
