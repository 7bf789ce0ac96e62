"""Sources of training images: labelled folders or a renderer. Batch i depends only on i."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import count
from typing import Any, NamedTuple, Protocol, TypeVar

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
T = TypeVar("T")


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
class Wrapped:
    """Images made from those of another source, with the labels of that source."""

    source: Source

    @property
    def longest(self) -> int:
        """See `batches.Source.longest`."""
        return self.source.longest

    def require_steps(self, alphabet: Alphabet, steps: int) -> None:
        """See `batches.Source.require_steps`."""
        self.source.require_steps(alphabet, steps)


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
    with prepared(partial(make_batch, source, spec, size), start, workers) as coming:
        yield coming


@contextlib.contextmanager
def prepared(make: Callable[[int], T], start: int, workers: int) -> Iterator[Iterator[T]]:
    """Yield `make(start)`, `make(start + 1)`, … without end, prepared by worker processes, or on demand without any.

    Args:
        make: makes a batch from its number; it must be picklable, since every worker gets a copy.
        start: number of the first batch.
        workers: number of processes.
    """
    if workers == 0:
        yield map(make, count(start))
        return
    with pool_of(workers, _remember, make) as pool:
        yield _ahead(lambda index: pool.submit(_remembered, index), start, workers * _AHEAD)


def _ahead(submit: Callable[[int], Future[T]], start: int, ahead: int) -> Iterator[T]:
    waiting: deque[Future[T]] = deque()
    for index in count(start):
        waiting.append(submit(index))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()


_mine: Callable[[int], Any] | None = None
"""The function that makes batches in a worker process."""


def _remember(make: Callable[[int], Any]) -> None:
    global _mine
    _mine = make


def _remembered(index: int) -> Any:
    assert _mine is not None
    return _mine(index)
