"""The timed work, which is the same code for every engine: a batch from host to host, and pictures to text."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from edge_crnn.backends.base import Probabilities
from edge_crnn.images import Pixels
from edge_crnn.model.spec import ModelSpec
from edge_crnn.preprocess import preprocess

from .set import spell

Way: TypeAlias = Literal["host to host", "pictures to text"]
"""host to host: from a uint8 batch of the engine's shape to probabilities, both in the host's memory. pictures to text:
from images of any size, which are resized, to texts, decoded by best path and without confidences."""
WAYS: tuple[Way, ...] = get_args(Way)

Infer: TypeAlias = Callable[[npt.NDArray[Any]], Probabilities]
"""A batch (N, *shape) → (N, T, C)."""


class Work:
    """An engine with the images for its timed calls, which cycle through them.

    Args:
        infer: the engine's inference.
        spec: spec of its model.
        pixels: images for the engine, (N, *shape) uint8.
        pictures: images as they were rendered.
    """

    def __init__(self, infer: Infer, spec: ModelSpec, pixels: Pixels, pictures: Sequence[Pixels]) -> None:
        self._infer = infer
        self._spec = spec
        self._alphabet = spec.alphabet
        self._pixels = pixels
        self._pictures = pictures
        self._position = 0

    def times(self, way: Way, n: int, calls: int) -> list[float]:
        """Return the milliseconds of each call with `n` images."""
        work: Callable[[Any], object] = self._infer if way == "host to host" else self._read
        batches = [self._next(way, n) for _ in range(calls)]
        times = []
        for batch in batches:
            started = time.perf_counter_ns()
            work(batch)
            times.append((time.perf_counter_ns() - started) / 1e6)
        return times

    def _read(self, pictures: Sequence[Pixels]) -> list[str]:
        labels = spell(self._infer(preprocess(pictures, self._spec.input)), self._spec)
        return [self._alphabet.read(label) for label in labels]

    def _next(self, way: Way, n: int) -> Any:
        source: Any = self._pixels if way == "host to host" else self._pictures
        places = (self._position + np.arange(n)) % len(source)
        self._position += n
        return source[places] if way == "host to host" else [source[place] for place in places]
