"""What `info` shows of a trained model, and how it reaches the converters, which the runtime does not import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import BackendUnavailable

_GROUP = "edge_crnn.inspectors"
_INSTALL = "a trained model is looked at by the converters; pip install 'edge-crnn[convert]'"


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


Inspector: TypeAlias = Callable[[Path, "str | None", "Path | None"], Inspection]
"""Takes the path of a model, the network of a file of weights alone (`--architecture`), and the file with functions for
further layers (`--layers`)."""


def find_inspector() -> Inspector:
    """The converters' function that looks at a trained model.

    Raises:
        BackendUnavailable: the converters, or what they import, are not installed.
    """
    from importlib.metadata import entry_points  # which is slow to import

    points = tuple(entry_points(group=_GROUP, name="trained"))
    if not points:
        raise BackendUnavailable(_INSTALL)
    try:
        inspector: Inspector = points[0].load()
    except ModuleNotFoundError as error:
        raise BackendUnavailable(f"{_INSTALL} ({error.name} is missing)") from error
    return inspector
