"""Findings of a search: the images that every choice reads, by dimension, and the choices that remain unsure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...verify.statistics import paired_change_interval
from .judges import Scored

_SHOWN = 6
"""Largest number of choices of a dimension in a line."""


@dataclass(frozen=True)
class Option:
    """A choice in one dimension and its results."""

    name: str
    right: int
    """Number of images that are read as labelled."""
    images: int
    """Number of images that it was tried on: all, or the first few if it reads clearly fewer."""
    level: bool
    """True if the images do not tell it from the best choice."""
    change: tuple[float, float]
    """95 % interval of the share of images read, less the best choice's, in points of 100."""

    likelihood: float
    """Geometric mean of the probabilities of the labels, or without labels of the network's own texts, 0 to 1."""

    def shown(self, images: int, labelled: bool) -> str:
        """Return its result in words."""
        if not labelled:
            return f"{self.name} {self.likelihood:.0%}"
        return f"{self.name} {self.right}" + (f" of {self.images}" if self.images < images else "")


@dataclass(frozen=True)
class Finding:
    """The choices in one dimension, the best choice first."""

    dimension: str
    options: tuple[Option, ...]
    images: int
    labelled: bool = True

    @property
    def unsure(self) -> tuple[Option, ...]:
        """Choices that are level with the best."""
        return tuple(option for option in self.options[1:] if option.level)

    @property
    def lines(self) -> Iterator[str]:
        """Lines for a person: the images that every choice reads, and the choices that are level with the best."""
        shown = " · ".join(option.shown(self.images, self.labelled) for option in self.options[:_SHOWN])
        more = f" · {len(self.options) - _SHOWN} more" if len(self.options) > _SHOWN else ""
        doubt = self._doubt if self.unsure else ""
        if len(self.unsure) == len(self.options) - 1:
            yield f"{self.dimension:<14} {shown}{more}  unsure: all level{doubt}"
            return
        yield f"{self.dimension:<14} {shown}{more}"
        if self.unsure:
            names = ", ".join(option.name for option in self.unsure)
            yield f"{'':<14} unsure: {self.options[0].name} or {names}{doubt}"

    @property
    def _doubt(self) -> str:
        """The interval of the first level choice, in words."""
        if not self.labelled:
            return ""
        low, high = self.unsure[0].change
        return f" ({self.unsure[0].name}: {low:+.1f} to {high:+.1f} points of the images read)"


def finding(dimension: str, best: Scored, options: Mapping[str, Scored], labelled: bool = True) -> Finding | None:
    """Return the choices in a dimension, the best first; None: there is no choice."""
    if len(options) < 2:
        return None
    ordered = sorted(options.items(), key=lambda item: (not _same(item[1], best), -item[1].score))
    return Finding(dimension, tuple(_option(name, best, scored) for name, scored in ordered), len(best.right), labelled)


def _same(scored: Scored, best: Scored) -> bool:
    return (scored.image, scored.spelling) == (best.image, best.spelling)


def _option(name: str, best: Scored, scored: Scored) -> Option:
    count = len(scored.right)
    first = best.right[:count]
    only_best = int((first & ~scored.right).sum())
    only_other = int((scored.right & ~first).sum())
    low, high = paired_change_interval(only_best, only_other, count)
    level = not scored.is_beaten_by(best)
    return Option(name, int(scored.right.sum()), count, level, (100 * low, 100 * high), math.exp(scored.score))


def table(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the lines of all findings."""
    for result in findings:
        yield from result.lines
