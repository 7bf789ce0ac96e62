"""Collects everything that prevents a conversion, so that nobody has to fix a model layer by layer.

After a layer that could not be converted, shapes are guesses. An error there counts only if it does not depend on a
shape, which is what `UnsupportedError` means.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_crnn.errors import ModelFileError

_MAX_LINE = 1000
_MAX_LISTED = 50
_MAX_NAMES = 3


class LayerError(ModelFileError):
    """A layer cannot be converted."""

    def __init__(self, layer: str, kind: str, reason: str) -> None:
        super().__init__(f"layer {layer!r} ({kind}): {reason}")
        self.layer = layer
        self.kind = kind
        self.reason = reason


class UnsupportedError(LayerError):
    """A layer cannot be converted, whatever the shape of its input: its class or one of its settings is in the way."""


class ExcessError(ModelFileError):
    """A model is larger than any that is converted; reading stops at once."""


class TooManyFailuresError(ExcessError):
    """Too many layers cannot be converted, so the rest is not examined."""


@dataclass(frozen=True)
class Obstacle:
    """A reason why a model cannot be converted, and what to do about it."""

    layers: tuple[str, ...]
    """Names of the layers concerned; empty: the whole model."""
    kind: str
    """Class of these layers; empty: the reason itself names the layers."""
    reason: str

    @classmethod
    def of(cls, error: ModelFileError, layer: str = "", kind: str = "") -> Obstacle:
        """Make the obstacle that an error describes.

        Args:
            error: raised by the conversion.
            layer: name of the layer that was being converted, if any.
            kind: class of that layer.
        """
        if isinstance(error, LayerError):
            return cls((error.layer,), error.kind, error.reason)
        text = str(error)
        start = f"layer {layer!r} ({kind}): "
        if layer and text.startswith(start):
            return cls((layer,), kind, text.removeprefix(start))
        return cls((layer,) if layer else (), "", text)

    def __str__(self) -> str:
        if not self.kind:
            return _one_line(self.reason)
        names = ", ".join(repr(name) for name in self.layers[:_MAX_NAMES])
        if len(self.layers) > _MAX_NAMES:
            names += f" and {len(self.layers) - _MAX_NAMES} more"
        noun = "layers" if len(self.layers) > 1 else "layer"
        return _one_line(f"{noun} {names} ({self.kind}): {self.reason}")


def grouped(obstacles: Iterable[Obstacle]) -> tuple[Obstacle, ...]:
    """Merge obstacles of the same class and reason, in the order of their first appearance."""
    groups: dict[tuple[str, str], Obstacle] = {}
    for obstacle in obstacles:
        reason = obstacle.reason
        for name in obstacle.layers if obstacle.kind else ():
            for quote in "'\"":
                reason = reason.replace(f"{quote}{name}{quote}", "").replace(f"{quote}{name}=", "")
        first = groups.get((obstacle.kind, reason))
        if first is None:
            groups[obstacle.kind, reason] = obstacle
        else:
            layers = tuple(dict.fromkeys((*first.layers, *obstacle.layers)))
            groups[obstacle.kind, reason] = Obstacle(layers, first.kind, first.reason)
    return tuple(groups.values())


def message(path: Path, obstacles: Sequence[Obstacle]) -> str:
    """Format obstacles: one line for one; for several, a headline and a line with a dash per obstacle."""
    if len(obstacles) == 1:
        return _one_line(f"{path}: {obstacles[0]}")
    lines = [_one_line(f"{path}: {len(obstacles)} obstacles:")]
    lines += [f"  - {obstacle}" for obstacle in obstacles[:_MAX_LISTED]]
    if len(obstacles) > _MAX_LISTED:
        lines.append(f"  - and {len(obstacles) - _MAX_LISTED} more")
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())[:_MAX_LINE]
