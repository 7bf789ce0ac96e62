"""What `info` shows of a trained model, and how it reaches the converters, which the runtime does not import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ..conversion import find_converter


@dataclass(frozen=True)
class Inspection:
    """What the file of a trained model says of itself."""

    rows: tuple[tuple[str, str], ...]
    """Names and values, for a person."""
    layers: tuple[tuple[str, str, str], ...] = ()
    """Name, class and output shape of each layer that the prediction needs."""
    obstacles: tuple[str, ...] = ()
    """What keeps the model from being converted, and what to do about it."""
    advice: str = ""
    """What to type next."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs, as JSON has it."""


Inspector: TypeAlias = Callable[[Path, "str | None", "Path | None", Mapping[str, str]], Inspection]
"""Takes the path of a model, the network of a file of weights alone (`--architecture`), the file with functions for
further layers (`--layers`), and what Lambdas do, by their names (`--lambda`)."""


def find_inspector() -> Inspector:
    """The converters' function that looks at a trained model.

    Raises:
        BackendUnavailable: the converters, or what they import, are not installed.
    """
    inspector: Inspector = find_converter("trained")
    return inspector
