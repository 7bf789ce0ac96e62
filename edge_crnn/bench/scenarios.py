"""The scenarios: the order and the pace in which images come.

| kind | what happens | what counts |
|---|---|---|
| single | one reader reads one image after the other | time of an image |
| offline | one reader with one engine per worker gets all images of a round at once | images a second |
| multi | several readers with one engine each read in parallel, each its share as in `single` | images a second |
| camera | one reader; frame k arrives k / fps seconds after the first | time from arrival to text |
| sustained | `multi` for a fixed time without a pause, round after round | images a second over time |

`single` and `offline` are MLPerf's SingleStream and Offline with fewer queries. `multi` is not its MultiStream, which
gives one program 8 images at once. A camera frame that arrives while an earlier one is being read is dropped
(`late="drop"`), or waits for its turn (`late="queue"`); its time counts from its arrival.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ..board.memory import rss_bytes
from ..records.bench import READING, Kind, Round, Scenario
from .clock import Clock
from .session import Session, Stream

_LAP = 1000  # images that a reader of `sustained` cycles through


@dataclass(frozen=True)
class _Done:
    """The outcome of one run of a scenario."""

    images: int
    elapsed_ns: int
    stages: Mapping[str, tuple[int, ...]]
    dropped: int = 0


def play(session: Session, scenario: Scenario) -> Round:
    """Measure one round.

    Raises:
        EdgeCrnnError: in the same cases as `Reader.read`.
    """
    with _Garbage(session.clock) as garbage:
        measure = _RUNS[scenario.kind](session, scenario)  # opens and warms up the engines that it needs
        garbage.reset()
        worked = session.clock.processor()
        done = measure()
        worked = session.clock.processor() - worked
    return Round(
        images=done.images,
        dropped=done.dropped,
        elapsed_ns=done.elapsed_ns,
        processor_ns=worked,
        collections=garbage.collections,
        collecting_ns=garbage.nanoseconds,
        rss_bytes=rss_bytes(),
        stages=done.stages,
    )


def _single(session: Session, scenario: Scenario) -> Callable[[], _Done]:
    (stream,) = session.streams(1)
    images = session.take(scenario.images)

    def run() -> _Done:
        begun = session.clock.now()
        times = [stream.read(image)[1] for image in images]
        return _Done(len(images), session.clock.now() - begun, _columns(times))

    return run


def _offline(session: Session, scenario: Scenario) -> Callable[[], _Done]:
    reader = session.pool(scenario.readers)
    images = session.take(scenario.images)

    def run() -> _Done:
        begun = session.clock.now()
        reader.read_batch(images)
        return _Done(len(images), session.clock.now() - begun, {})

    return run


def _multi(session: Session, scenario: Scenario) -> Callable[[], _Done]:
    streams = session.streams(scenario.readers)
    images = session.take(scenario.images)
    shares = [images[place :: len(streams)] for place in range(len(streams))]

    def run() -> _Done:
        elapsed, times = _side_by_side(
            session.clock, streams, lambda stream, place: [stream.read(image)[1] for image in shares[place]]
        )
        return _Done(len(times), elapsed, _columns(times))

    return run


def _sustained(session: Session, scenario: Scenario) -> Callable[[], _Done]:
    streams = session.streams(scenario.readers)
    clock = session.clock
    images = session.take(_LAP)
    duration_ns = round((scenario.seconds or 0) * 1e9)

    def run() -> _Done:
        end = clock.now() + duration_ns

        def until_the_end(stream: Stream, place: int) -> list[int]:
            times = []
            for image in itertools.cycle(images[place:] + images[:place]):
                times.append(sum(stream.read(image)[1]))
                if clock.now() >= end:
                    return times
            raise AssertionError  # a cycle has no end

        elapsed, times = _side_by_side(clock, streams, until_the_end)
        return _Done(len(times), elapsed, {"total": tuple(times)})

    return run


def _camera(session: Session, scenario: Scenario) -> Callable[[], _Done]:
    (stream,) = session.streams(1)
    images = session.take(scenario.images)
    clock = session.clock
    period = 1e9 / (scenario.fps or 1)

    def run() -> _Done:
        first = clock.now()
        arrivals = [first + round(number * period) for number in range(len(images))]
        waits = []
        times = []
        ended = first
        for arrival, image in zip(arrivals, images, strict=True):
            if arrival < ended and scenario.late == "drop":
                continue
            while (early := arrival - clock.now()) > 0:
                clock.sleep(early)
            waits.append(clock.now() - arrival)
            times.append(stream.read(image)[1])
            ended = clock.now()
        columns = {"wait": tuple(waits), **_columns(times)}
        return _Done(len(times), ended - first, columns, dropped=len(images) - len(times))

    return run


_RUNS: dict[Kind, Callable[[Session, Scenario], Callable[[], _Done]]] = {
    "single": _single,
    "offline": _offline,
    "multi": _multi,
    "camera": _camera,
    "sustained": _sustained,
}


def _side_by_side(
    clock: Clock, streams: Sequence[Stream], work: Callable[[Stream, int], list[Any]]
) -> tuple[int, list[Any]]:
    """Run `work` on all streams in parallel; return the nanoseconds until the last one ended, and all results."""
    with ThreadPoolExecutor(len(streams)) as pool:
        begun = clock.now()
        outcomes = list(pool.map(work, streams, range(len(streams))))
        elapsed = clock.now() - begun
    return elapsed, [*itertools.chain.from_iterable(outcomes)]


def _columns(times: Iterable[tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return dict(zip(READING, zip(*times, strict=True), strict=True))


class _Garbage:
    """Counts the runs of Python's garbage collector, which stays on because it is on in production, too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun = 0
        self.reset()

    def reset(self) -> None:
        self.collections = self.nanoseconds = 0

    def __enter__(self) -> _Garbage:
        gc.callbacks.append(self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gc.callbacks.remove(self._note)

    def _note(self, phase: str, _: Mapping[str, int]) -> None:
        if phase == "start":
            self._begun = self._clock.now()
        else:
            self.collections += 1
            self.nanoseconds += self._clock.now() - self._begun
