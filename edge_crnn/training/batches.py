"""Sources of training images: labelled folders or a renderer. Batch i depends only on i."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ..alphabet import Alphabet
from ..dataset import Dataset
from ..labels.steps import require_steps
from ..model.spec import InputSpec
from ..preprocess import preprocess
from .workers import workers as pool_of

_AHEAD = 4
"""Number of batches that a worker prepares ahead."""

Pixels = npt.NDArray[np.uint8]


class Batch(NamedTuple):
    """Images for the network, and their labels."""

    images: npt.NDArray[np.float32]
    """Images of shape (N, *InputSpec.shape)."""
    labels: tuple[str, ...]


class Source(Protocol):
    """An endless supply of labelled images; it must be picklable, since workers get a copy."""

    @property
    def longest(self) -> int:
        """Number of characters of the longest label."""
        ...

    def require_steps(self, alphabet: Alphabet, steps: int) -> None:
        """Check that the labels fit into the time steps: all labels of folders, or most labels of a renderer.

        Raises:
            DatasetError: the labels do not fit.
        """
        ...

    def sample(self, index: int) -> tuple[Pixels, str]:
        """Return image `index`, (H, W, 3) uint8 BGR, and its label; the same in every call."""
        ...


@dataclass(frozen=True)
class Folders:
    """All images of labelled folders, in a new order in every round."""

    datasets: tuple[Dataset, ...]
    seed: int

    def __len__(self) -> int:
        return sum(map(len, self.datasets))

    @property
    def longest(self) -> int:
        """Number of characters of the longest label."""
        return max(len(entry.label) for dataset in self.datasets for entry in dataset.entries)

    def require_steps(self, alphabet: Alphabet, steps: int) -> None:
        """See `Source.require_steps`."""
        for dataset in self.datasets:
            require_steps([(entry.path, entry.label) for entry in dataset], alphabet, steps, dataset.folder)

    def sample(self, index: int) -> tuple[Pixels, str]:
        """See `Source.sample`."""
        entries = [entry for dataset in self.datasets for entry in dataset.entries]
        turn, place = divmod(index, len(entries))
        entry = entries[_order(len(entries), self.seed, turn)[place]]
        return entry.load(), entry.label


@lru_cache(maxsize=2)
def _order(count: int, seed: int, turn: int) -> npt.NDArray[np.intp]:
    return np.random.default_rng((seed, turn)).permutation(count)


def make_batch(source: Source, spec: InputSpec, size: int, index: int) -> Batch:
    """Make batch `index` of a source.

    Raises:
        ImageError: an image cannot be read.
    """
    samples = [source.sample(number) for number in range(index * size, (index + 1) * size)]
    return Batch(preprocess([image for image, _ in samples], spec), tuple(label for _, label in samples))


@contextlib.contextmanager
def batches(source: Source, spec: InputSpec, size: int, start: int, workers: int) -> Iterator[Iterator[Batch]]:
    """Yield batches `start`, `start` + 1, … without end, prepared by worker processes, or on demand without any."""
    if workers == 0:
        yield (make_batch(source, spec, size, index) for index in _count(start))
        return
    with pool_of(workers, _remember, source, spec, size) as pool:
        yield _ahead(lambda index: pool.submit(_remembered, index), start, workers * _AHEAD)


def _ahead(submit: Callable[[int], Future[Batch]], start: int, ahead: int) -> Iterator[Batch]:
    waiting: deque[Future[Batch]] = deque()
    for index in _count(start):
        waiting.append(submit(index))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()


def _count(start: int) -> Iterator[int]:
    while True:
        yield start
        start += 1


_mine: tuple[Source, InputSpec, int] | None = None
"""The source of batches in a worker process."""


def _remember(source: Source, spec: InputSpec, size: int) -> None:
    global _mine
    _mine = (source, spec, size)


def _remembered(index: int) -> Batch:
    assert _mine is not None
    source, spec, size = _mine
    return make_batch(source, spec, size, index)
