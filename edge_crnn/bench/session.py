"""An artifact under measurement: real readers, whose engines note the time of every call to separate the stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..backends import Backend, Probabilities, open_backend
from ..board.memory import gpu_bytes, rss_bytes
from ..files import sha256
from ..images import load_image
from ..model.artifact import Artifact, load
from ..reader import Reader
from ..reading import Reading
from ..records.bench import Opened
from .clock import Clock, SystemClock

WARM_UP = 50
"""Readings before anything is measured."""
REFRESH = 3
"""Unmeasured readings of each reader at the start of a round, which bring the weights into the caches."""


class Stream:
    """A reader with one engine, which reads one image after the other.

    The calls that are timed are `load_image` and `Reader.read`, as a user makes them. The engine notes when a stage
    ends and the next begins, so the stages add up to the whole.
    """

    def __init__(self, artifact: Artifact, engine: Backend, clock: Clock) -> None:
        self._clock = clock
        self.engine = _Watched(engine, clock)
        self._reader = Reader(artifact.spec, lambda: self.engine)

    def read(self, image: Path) -> tuple[Reading, tuple[int, int, int, int]]:
        """Read an image; return the reading, and the nanoseconds of load, preprocess, infer and decode."""
        engine = self.engine
        now = self._clock.now
        begun = now()
        pixels = load_image(image)
        loaded = now()
        reading = self._reader.read(pixels)
        ended = now()
        return reading, (
            loaded - begun,
            engine.called - loaded,
            engine.answered - engine.called,
            ended - engine.answered,
        )

    def close(self) -> None:
        """Free the engine."""
        self._reader.close()


class Session:
    """An opened artifact that is warmed up; it opens further engines when a scenario needs them.

    Args:
        path: file of the artifact.
        images: image files, read in order and over again.
        threads: threads of each engine.
        engine: the engine's name, as `open_backend` takes it.
        open_engine: opens an engine; see `open_backend`.
        clock: the clock to measure with.

    Raises:
        EdgeCrnnError: in the same cases as `open_reader` and `Reader.read`.
    """

    def __init__(
        self,
        path: Path,
        images: Sequence[Path],
        threads: int = 1,
        engine: str | None = None,
        *,
        open_engine: Callable[[Artifact, int, str | None], Backend] = open_backend,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        rss_before = rss_bytes()
        gpu_before = gpu_bytes()
        begun = self.clock.now()
        self._artifact = load(path)
        first = open_engine(self._artifact, threads, engine)
        self._streams = [Stream(self._artifact, first, self.clock)]
        loaded = self.clock.now()
        self._open: Callable[[], Backend] = lambda: open_engine(self._artifact, threads, engine)
        self._pools: dict[int, Reader] = {}
        self._images = tuple(images)
        self._next = 0
        labels, times = self._warm_up()
        gpu = gpu_bytes()
        facts = self._artifact.spec.artifact
        assert facts is not None  # `load` guarantees it
        self.opened = Opened(
            path=str(path),
            control=False,
            file_bytes=path.stat().st_size,
            payload_sha256=facts.payload_sha256,
            recipe=facts.headline,
            decoder=self._artifact.spec.decoder,
            threads=threads,
            backend=first.facts.name,
            engine=first.facts.version,
            notes=first.facts.notes,
            load_ns=loaded - begun,
            warm_up_ns=tuple(times),
            texts_sha256=sha256("\n".join(labels).encode()),
            rss_before_bytes=rss_before,
            rss_bytes=rss_bytes(),
            gpu_bytes=None if gpu is None or gpu_before is None else gpu - gpu_before,
        )

    def take(self, count: int) -> list[Path]:
        """Return the next `count` images, starting over after the last."""
        first = self._next
        self._next = (first + count) % len(self._images)
        return [self._images[(first + index) % len(self._images)] for index in range(count)]

    def streams(self, count: int) -> list[Stream]:
        """Return `count` streams, each with an engine of its own whose weights are in the caches."""
        while len(self._streams) < count:
            self._streams.append(Stream(self._artifact, self._open(), self.clock))
        for stream in self._streams[:count]:
            for image in self._images[:REFRESH]:
                stream.read(image)
        return self._streams[:count]

    def pool(self, workers: int) -> Reader:
        """Return a reader that shares the engines of `workers` streams, whose weights are in the caches."""
        engines = [stream.engine for stream in self.streams(workers)]
        if workers not in self._pools:
            self._pools[workers] = Reader(self._artifact.spec, iter(engines).__next__, workers=workers)
        return self._pools[workers]

    def close(self) -> None:
        """Free all engines."""
        for stream in self._streams:
            stream.close()

    def _warm_up(self) -> tuple[list[str], list[int]]:
        labels = []
        times = []
        for image in self.take(WARM_UP):
            reading, stages = self._streams[0].read(image)
            labels.append(reading.label)
            times.append(sum(stages))
        self._next = 0
        return labels, times


class _Watched:
    """An engine that notes when it was last called and when it answered."""

    def __init__(self, engine: Backend, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self.facts = engine.facts
        self.called = self.answered = 0

    def infer(self, batch: npt.NDArray[np.generic]) -> Probabilities:
        """See `Backend.infer`."""
        self.called = self._clock.now()
        probabilities = self._engine.infer(batch)
        self.answered = self._clock.now()
        return probabilities

    def close(self) -> None:
        """See `Backend.close`."""
        self._engine.close()
