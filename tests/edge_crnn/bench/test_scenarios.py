from __future__ import annotations

import gc
import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edge_crnn.backends import Probabilities
from edge_crnn.bench.scenarios import play
from edge_crnn.bench.session import REFRESH, WARM_UP, Session
from edge_crnn.records.bench import Scenario
from tests.edge_crnn.bench.made import FakeClock, SlowEngine, artifact_file, opener, pictures

_BEFORE = WARM_UP + REFRESH


def _session(folder: Path, *engines: SlowEngine, images: int = 8) -> Session:
    paths = pictures(folder, images)
    return Session(artifact_file(folder), paths, open_engine=opener(engines), clock=engines[0].clock)


def _after_warm_up(costs: list[int]) -> itertools.chain[int]:
    return itertools.chain([7] * _BEFORE, costs)


def test_single_reads_one_after_the_other(tmp_path: Path) -> None:
    engine = SlowEngine(FakeClock(), _after_warm_up([100, 200, 300]))
    played = play(_session(tmp_path, engine), Scenario("single", 1, 3))
    assert engine.seen[_BEFORE:] == [0, 1, 2]
    assert played.stages == {"load": (0,) * 3, "preprocess": (0,) * 3, "infer": (100, 200, 300), "decode": (0,) * 3}
    assert (played.images, played.dropped, played.elapsed_ns, played.processor_ns) == (3, 0, 600, 1200)
    assert played.rss_bytes is not None


def test_stages_add_up_to_the_time_that_passed(tmp_path: Path) -> None:
    played = play(_session(tmp_path, SlowEngine(FakeClock(tick=1), itertools.repeat(50))), Scenario("single", 1, 5))
    between = 5 + 1  # looks at the clock outside of the readings' five each
    assert sum(map(sum, played.stages.values())) == played.elapsed_ns - between


def test_offline_reads_all_at_once(tmp_path: Path) -> None:
    clock = FakeClock()
    engines = [SlowEngine(clock, itertools.repeat(10)) for _ in range(2)]
    session = _session(tmp_path, *engines)
    played = play(session, Scenario("offline", 2, 8))
    assert sorted(engines[0].seen[_BEFORE:] + engines[1].seen[REFRESH:]) == [*range(8)]
    assert (played.images, played.elapsed_ns, played.stages) == (8, 80, {})


def test_readers_side_by_side_share_the_images(tmp_path: Path) -> None:
    clock = FakeClock()
    engines = [SlowEngine(clock) for _ in range(3)]
    played = play(_session(tmp_path, *engines), Scenario("multi", 3, 8))
    assert engines[0].seen[_BEFORE:] == [0, 3, 6]
    assert engines[1].seen[REFRESH:] == [1, 4, 7]
    assert engines[2].seen[REFRESH:] == [2, 5]
    assert played.images == 8
    assert {len(column) for column in played.stages.values()} == {8}


@pytest.mark.parametrize(
    ("late", "cost", "read", "waits", "elapsed"),
    [
        ("drop", 60, [0, 1, 2, 3, 4, 5], [0] * 6, 560),
        ("drop", 100, [0, 1, 2, 3, 4, 5], [0] * 6, 600),  # done as the next one comes
        ("drop", 101, [0, 2, 4], [0] * 3, 501),
        ("drop", 250, [0, 3], [0] * 2, 550),
        ("queue", 60, [0, 1, 2, 3, 4, 5], [0] * 6, 560),
        ("queue", 250, [0, 1, 2, 3, 4, 5], [0, 150, 300, 450, 600, 750], 1500),
    ],
)
def test_a_camera(tmp_path: Path, late: str, cost: int, read: list[int], waits: list[int], elapsed: int) -> None:
    """A frame every 100 ns."""
    engine = SlowEngine(FakeClock(), itertools.chain([7] * _BEFORE, itertools.repeat(cost)))
    played = play(_session(tmp_path, engine), Scenario("camera", 1, 6, fps=1e7, late=late))  # type: ignore[arg-type]
    assert engine.seen[_BEFORE:] == read
    assert played.stages["wait"] == tuple(waits)
    assert played.stages["infer"] == (cost,) * len(read)
    assert (played.images, played.dropped, played.elapsed_ns) == (len(read), 6 - len(read), elapsed)


def test_a_camera_whose_reader_wakes_up_late(tmp_path: Path) -> None:
    class Drowsy(FakeClock):
        def sleep(self, nanoseconds: int) -> None:
            super().sleep(nanoseconds + 15)

    engine = SlowEngine(Drowsy(), itertools.chain([7] * _BEFORE, [60, 30, 60]))
    played = play(_session(tmp_path, engine), Scenario("camera", 1, 3, fps=1e7, late="drop"))
    assert played.stages["wait"] == (0, 15, 15)
    assert engine.clock.slept == [40 + 15, 55 + 15]


def test_a_sustained_round_ends_in_time(tmp_path: Path) -> None:
    engine = SlowEngine(FakeClock(), itertools.chain([7] * _BEFORE, itertools.repeat(300)))
    played = play(_session(tmp_path, engine), Scenario("sustained", 1, 0, seconds=1e-6))
    assert played.stages == {"total": (300,) * 4}
    assert played.elapsed_ns == 1200
    assert engine.seen[_BEFORE:] == [0, 1, 2, 3]


def test_all_readers_of_a_sustained_round_work(tmp_path: Path) -> None:
    engines = [SlowEngine(FakeClock(), itertools.repeat(300))]
    engines.append(SlowEngine(engines[0].clock, itertools.repeat(300)))
    played = play(_session(tmp_path, *engines), Scenario("sustained", 2, 0, seconds=1e-6))
    seen = [engines[0].seen[_BEFORE:], engines[1].seen[REFRESH:]]
    assert all(seen)
    assert played.images == sum(map(len, seen)) == len(played.stages["total"])


def test_garbage_collections_during_a_round_are_counted(tmp_path: Path) -> None:
    class Collects(SlowEngine):
        def infer(self, batch: npt.NDArray[np.generic]) -> Probabilities:
            gc.collect(0)
            return super().infer(batch)

    session = _session(tmp_path, Collects(FakeClock(tick=1)))
    gc.disable()  # Python's own are counted as well
    try:
        played = play(session, Scenario("single", 1, 4))
    finally:
        gc.enable()
    assert (played.collections, played.collecting_ns) == (4, 4)
    assert not any(getattr(callback, "__qualname__", "").startswith("_Garbage") for callback in gc.callbacks)
