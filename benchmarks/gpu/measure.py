"""What `check` measures of an open engine: its texts, its speed beside a peer, and its memory over many calls."""

from __future__ import annotations

import gc
import statistics
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge_crnn.backends.base import Probabilities
from edge_crnn.board.memory import rss_bytes
from edge_crnn.dataset import chunked
from edge_crnn.errors import EdgeCrnnError
from edge_crnn.images import Pixels
from edge_crnn.progress import progress
from edge_crnn.reader import Reader
from edge_crnn.records.gpu import BatchReading, GpuSpeed, Soak, Timed, Turned

from .set import GpuSet, spell
from .work import Infer, Way

WARM_UP = 3
"""Calls at the start of each round that are not timed."""
TURNED = 256
"""Images that are put at every position of a batch."""
SAMPLE_EVERY = 50
"""Calls between two looks at the memory."""
MIXED = (1, 2, 3, 5, 8, 13, 21, 32, 55, 89, 144, 256)
"""Batch sizes of many calls; those above the engine's most are left out, and one that has to be split is added."""

_SEED = 47


def orders(images: int) -> dict[str, npt.NDArray[np.intp]]:
    """In which all images are read."""
    drawn = np.arange(images)
    shuffled = np.random.default_rng(_SEED).permutation(images)
    return {"as drawn": drawn, "reversed": drawn[::-1], "shuffled": shuffled}


def read_all(infer: Infer, given: GpuSet, sizes: Sequence[int]) -> tuple[list[str], list[BatchReading]]:
    """All images read in each order, so many at a time; and what each reads alone, which comes first."""
    singles, alone = _read(infer, given, np.arange(len(given.pixels)), 1)
    found = []
    for n in sizes:
        for name, order in orders(len(given.pixels)).items():
            labels, rows = _read(infer, given, order, n)
            found.append(
                BatchReading(
                    given.name,
                    n=n,
                    order=name,
                    images=len(labels),
                    same_as_reference=_same(labels, given.labels),
                    same_as_singles=_same(labels, singles),
                    max_probability_change=float(np.abs(rows - alone).max()),
                )
            )
    return singles, found


def turn(infer: Infer, given: GpuSet, singles: Sequence[str], n: int) -> Turned:
    """Read the first images in batches of `n`, each batch turned round by one image until each was everywhere."""
    images = min(TURNED, len(given.pixels)) // n * n
    other = readings = 0
    for first in range(0, images, n):
        for turned in range(n):
            places = first + (np.arange(n) + turned) % n
            labels = spell(infer(given.pixels[places]), given.artifact.spec)
            readings += n
            other += n - _same(labels, [singles[place] for place in places.tolist()])
    return Turned(given.name, n, images, readings, other)


def _read(infer: Infer, given: GpuSet, order: npt.NDArray[np.intp], n: int) -> tuple[list[str], Probabilities]:
    """Labels and probabilities of the images, in their own order."""
    spec = given.artifact.spec
    rows = np.empty((len(given.pixels), spec.output.steps, spec.output.classes), np.float32)
    for start in progress(range(0, len(order), n), -(-len(order) // n), f"{given.name} by {n}"):
        chunk = order[start : start + n]
        rows[chunk] = infer(given.pixels[chunk])
    return [label for each in chunked(rows, 256) for label in spell(np.stack(each), spec)], rows


def _same(labels: Sequence[str], others: Sequence[str]) -> int:
    return sum(a == b for a, b in zip(labels, others, strict=True))


# --- speed -----------------------------------------------------------------------------------------------------------


class Timer(Protocol):
    """What can be timed: `Work` here, or a peer elsewhere."""

    def times(self, way: Way, n: int, calls: int) -> list[float]:
        """Milliseconds of each of so many calls with `n` images."""
        ...


def interleave(model: str, ours: Timer, peer: Timer | None, way: Way, n: int, rounds: int, calls: int) -> GpuSpeed:
    """Rounds of both in turn, each warmed up first; the one that begins alternates."""
    timers: dict[str, Timer] = {"ours": ours} if peer is None else {"ours": ours, "peer": peer}
    found: dict[str, list[Timed]] = {"ours": [], "peer": []}
    for number in range(rounds):
        for name in sorted(timers, reverse=bool(number % 2)):
            timers[name].times(way, n, WARM_UP)
            found[name].append(_timed(timers[name].times(way, n, calls)))
    return GpuSpeed(model, way, n, calls, tuple(found["ours"]), tuple(found["peer"]))


def _timed(times: Sequence[float]) -> Timed:
    return Timed(statistics.median(times), float(np.quantile(times, 0.9)), min(times))


# --- memory ----------------------------------------------------------------------------------------------------------


def growth(samples: Sequence[int]) -> float:
    """How much more the last tenth of the samples is than the second tenth, by their medians.

    The first tenth is left out: there each batch size comes for the first time, and gets its graph and its buffers.
    """
    tenth = len(samples) // 10
    if tenth < 1:
        raise ValueError(f"{len(samples)} samples, expected at least 10")
    return statistics.median(samples[-tenth:]) - statistics.median(samples[tenth : 2 * tenth])


def soak(infer: Infer, pixels: Pixels, most: int, calls: int, device_bytes: Callable[[], int]) -> Soak:
    """So many calls at mixed batch sizes, each size often, their order drawn by lot."""
    sizes = (*(size for size in MIXED if size <= most), most + 1)
    drawn = np.random.default_rng(_SEED).choice(sizes, calls)
    repeated = np.concatenate([pixels] * (max(sizes) // len(pixels) + 2))
    host, device = [], []
    for number, n in enumerate(progress(drawn.tolist(), calls, "many calls"), 1):
        start = number % len(pixels)
        infer(repeated[start : start + n])
        if number % SAMPLE_EVERY == 0:
            gc.collect()
            host.append(rss_bytes() or 0)
            device.append(device_bytes())
    return Soak(calls, int(drawn.sum()), sizes, tuple(host), tuple(device), growth(host))


# --- two readers -----------------------------------------------------------------------------------------------------


def side_by_side(readers: Sequence[Reader], pixels: Pixels, expected: Sequence[str]) -> int:
    """Readings that are other than expected when each reader reads all images in a thread of its own, at once.

    Every second one reads them backwards, so that they do not do the same at the same time.

    Raises:
        EdgeCrnnError: a reader failed.
    """
    start = threading.Barrier(len(readers))
    found: list[int | EdgeCrnnError] = [0] * len(readers)

    def read(number: int, reader: Reader) -> None:
        step = -1 if number % 2 else 1
        start.wait()
        try:
            labels = [each.label for each in reader.read_batch(list(pixels[::step]))]
        except EdgeCrnnError as error:
            found[number] = error
            return
        found[number] = len(labels) - _same(labels, list(expected)[::step])

    threads = [threading.Thread(target=read, args=each) for each in enumerate(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(_counts(found))


def _counts(found: Sequence[int | EdgeCrnnError]) -> Iterator[int]:
    for each in found:
        if isinstance(each, EdgeCrnnError):
            raise each
        yield each
