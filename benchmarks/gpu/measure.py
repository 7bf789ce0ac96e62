"""The measurements of `check` on an open engine: texts, speed compared with a peer, and memory over many calls."""

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
"""Number of images that are read at every position of a batch."""
SAMPLE_EVERY = 50
"""Calls between two samples of the memory."""
MIXED = (1, 2, 3, 5, 8, 13, 21, 32, 55, 89, 144, 256)
"""Batch sizes of `soak`, without those above the engine's maximum, and with a size that has to be split."""

_SEED = 47


def orders(images: int) -> dict[str, npt.NDArray[np.intp]]:
    """Return the orders in which all images are read: name → indices."""
    drawn = np.arange(images)
    shuffled = np.random.default_rng(_SEED).permutation(images)
    return {"as drawn": drawn, "reversed": drawn[::-1], "shuffled": shuffled}


def read_all(infer: Infer, image_set: GpuSet, sizes: Sequence[int]) -> tuple[list[str], list[BatchReading]]:
    """Read all images in every order and batch size; return the labels of the images read alone, and the outcomes."""
    singles, alone = _read(infer, image_set, np.arange(len(image_set.pixels)), 1)
    readings = []
    for n in sizes:
        for name, order in orders(len(image_set.pixels)).items():
            labels, rows = _read(infer, image_set, order, n)
            readings.append(
                BatchReading(
                    image_set.name,
                    n=n,
                    order=name,
                    images=len(labels),
                    same_as_reference=_same(labels, image_set.labels),
                    same_as_singles=_same(labels, singles),
                    max_probability_change=float(np.abs(rows - alone).max()),
                )
            )
    return singles, readings


def turn(infer: Infer, image_set: GpuSet, singles: Sequence[str], n: int) -> Turned:
    """Read the first images in batches of `n`, and rotate every batch until each image was at every position."""
    images = min(TURNED, len(image_set.pixels)) // n * n
    other = readings = 0
    for first in range(0, images, n):
        for turned in range(n):
            places = first + (np.arange(n) + turned) % n
            labels = spell(infer(image_set.pixels[places]), image_set.artifact.spec)
            readings += n
            other += n - _same(labels, [singles[place] for place in places.tolist()])
    return Turned(image_set.name, n, images, readings, other)


def _read(infer: Infer, image_set: GpuSet, order: npt.NDArray[np.intp], n: int) -> tuple[list[str], Probabilities]:
    """Return the labels and probabilities of the images, in their original order."""
    spec = image_set.artifact.spec
    rows = np.empty((len(image_set.pixels), spec.output.steps, spec.output.classes), np.float32)
    for start in progress(range(0, len(order), n), -(-len(order) // n), f"{image_set.name} by {n}"):
        chunk = order[start : start + n]
        rows[chunk] = infer(image_set.pixels[chunk])
    return [label for chunk in chunked(rows, 256) for label in spell(np.stack(chunk), spec)], rows


def _same(labels: Sequence[str], others: Sequence[str]) -> int:
    return sum(a == b for a, b in zip(labels, others, strict=True))


# --- speed -----------------------------------------------------------------------------------------------------------


class Timer(Protocol):
    """An engine that can be timed: `Work` here, or a peer elsewhere."""

    def times(self, way: Way, n: int, calls: int) -> list[float]:
        """Return the milliseconds of each call with `n` images."""
        ...


def interleave(model: str, ours: Timer, peer: Timer | None, way: Way, n: int, rounds: int, calls: int) -> GpuSpeed:
    """Measure rounds of both in turn, each warmed up first; they take turns to begin."""
    timers: dict[str, Timer] = {"ours": ours} if peer is None else {"ours": ours, "peer": peer}
    rounds_of: dict[str, list[Timed]] = {"ours": [], "peer": []}
    for number in range(rounds):
        for name in sorted(timers, reverse=bool(number % 2)):
            timers[name].times(way, n, WARM_UP)
            rounds_of[name].append(_timed(timers[name].times(way, n, calls)))
    return GpuSpeed(model, way, n, calls, tuple(rounds_of["ours"]), tuple(rounds_of["peer"]))


def _timed(times: Sequence[float]) -> Timed:
    return Timed(statistics.median(times), float(np.quantile(times, 0.9)), min(times))


# --- memory ----------------------------------------------------------------------------------------------------------


def growth(samples: Sequence[int]) -> float:
    """Return the median of the last tenth of the samples minus the median of the second tenth.

    The first tenth is left out, because each batch size gets its graph and its buffers there.
    """
    tenth = len(samples) // 10
    if tenth < 1:
        raise ValueError(f"{len(samples)} samples, expected at least 10")
    return statistics.median(samples[-tenth:]) - statistics.median(samples[tenth : 2 * tenth])


def soak(infer: Infer, pixels: Pixels, most: int, calls: int, device_bytes: Callable[[], int]) -> Soak:
    """Measure memory over many calls at mixed batch sizes in random order."""
    sizes = (*(size for size in MIXED if size <= most), most + 1)
    drawn = np.random.default_rng(_SEED).choice(sizes, calls)
    repeated = np.concatenate([pixels] * (max(sizes) // len(pixels) + 2))
    host = []
    device = []
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
    """Count the unexpected readings when several readers read all images at the same time, in a thread each.

    Every second reader reads the images backwards, so that the readers do not read the same image at the same time.

    Raises:
        EdgeCrnnError: a reader failed.
    """
    start = threading.Barrier(len(readers))
    outcomes: list[int | EdgeCrnnError] = [0] * len(readers)

    def read(number: int, reader: Reader) -> None:
        step = -1 if number % 2 else 1
        start.wait()
        try:
            labels = [reading.label for reading in reader.read_batch(list(pixels[::step]))]
        except EdgeCrnnError as error:
            outcomes[number] = error
            return
        outcomes[number] = len(labels) - _same(labels, list(expected)[::step])

    threads = [threading.Thread(target=read, args=pair) for pair in enumerate(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(_counts(outcomes))


def _counts(outcomes: Sequence[int | EdgeCrnnError]) -> Iterator[int]:
    for outcome in outcomes:
        if isinstance(outcome, EdgeCrnnError):
            raise outcome
        yield outcome
