"""The facts about a trained model for `info`, from the converters, which the runtime does not import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ..conversion import find_converter


@dataclass(frozen=True)
class Inspection:
    """The facts that a trained model's file holds."""

    rows: tuple[tuple[str, str], ...]
    """Names and values, for a person."""
    layers: tuple[tuple[str, str, str], ...] = ()
    """Name, class and output shape of each layer that the prediction needs."""
    obstacles: tuple[str, ...] = ()
    """Reasons why the model cannot be converted, with remedies."""
    advice: str = ""
    """The next command to type."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """The same facts as values for JSON."""


Inspector: TypeAlias = Callable[[Path, "str | None", "Path | None", Mapping[str, str]], Inspection]
"""A function of the path of a model, the network for a file of weights (`--architecture`), the file with functions for
further layers (`--layers`), and the operations of Lambdas by name (`--lambda`)."""


def find_inspector() -> Inspector:
    """Return the converters' function that inspects a trained model.

    Raises:
        BackendUnavailable: the converters, or packages that they import, are not installed.
    """
    inspector: Inspector = find_converter("trained")
    return inspector
