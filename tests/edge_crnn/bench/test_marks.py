from __future__ import annotations

from collections.abc import Sequence

import pytest

from edge_crnn.bench.marks import difference, marks, throttled
from edge_crnn.board.heat import Throttling
from edge_crnn.records.bench import Measured, Result
from tests.edge_crnn.bench.made import OFFLINE, SINGLE, a_round, moment, opened, record, result, throttling

_PI_HOT = throttling(now=["clock capped"], occurred=["clock capped"])
_PI_ONCE = throttling(occurred=["under-voltage"])
_CALM = throttling()


def _looked(*states: Throttling | None) -> Result:
    """Return a result with a round that has these states of the machine, and a round without anything new."""
    looks = [moment(throttling=state) for state in states]
    rounds = (Measured(a_round([10.0]), tuple(looks)), Measured(a_round([10.0]), (looks[-1], looks[-1])))
    return Result(0, SINGLE, "", 0.0, rounds)


@pytest.mark.parametrize(
    ("states", "reasons"),
    [
        ([_CALM, _CALM], ()),
        ([None, None], ()),
        ([_PI_ONCE, _PI_ONCE], ()),  # before the run began
        ([_CALM, _PI_HOT, _CALM], ("clock capped",)),  # while it read, and gone at the end
        ([_CALM, _PI_ONCE], ("under-voltage",)),  # between two looks
        ([_PI_HOT, _PI_HOT], ("clock capped",)),  # all the time
        ([throttling(oc3=2), throttling(oc3=2)], ()),
        ([throttling(oc3=2), throttling(oc3=3)], ("oc3",)),  # counted, as on a Jetson
        ([_PI_ONCE, throttling(now=["throttled"], occurred=["under-voltage"])], ("throttled",)),
    ],
)
def test_throttling_during_a_run(states: Sequence[Throttling | None], reasons: tuple[str, ...]) -> None:
    assert throttled(_looked(*states)) == reasons


def test_a_throttle_flag_that_is_set_during_the_run_marks_it() -> None:
    hot = _looked(_CALM, _PI_HOT)
    assert marks(record(hot), hot) == ("throttled: clock capped; improve cooling or power supply, and measure again",)


def _marks(again: Sequence[float], other_cores: float | None = 0.0, governor: str = "performance") -> tuple[str, ...]:
    first = result([10, 10, 10], other_cores=other_cores, snapshot=lambda: moment(governor=governor))
    return marks(record(first, result(again, artifact=1)), first)


def test_the_same_twice_agrees() -> None:
    assert _marks([10.4, 10.5, 10.4]) == ()  # from file to text: 11.4 for 11
    assert _marks([10.4, 10.5, 10.4], governor="ondemand") == ()


def test_the_same_twice_differs() -> None:
    noisy = "noisy: the same artifact measured twice differs by 9.1%, more than 5%; "
    assert _marks([11, 11, 11]) == (f"{noisy}the reason is unknown; use more rounds",)
    assert _marks([11, 11, 11], 0.42) == (f"{noisy}other programs kept 0.4 cores busy",)
    assert _marks([11, 11, 11], 0.42, "ondemand") == (
        f"{noisy}other programs kept 0.4 cores busy, and the governor ondemand changes the clocks",
    )
    assert _marks([9, 9, 9], None) == (f"{noisy}the reason is unknown; use more rounds",)  # faster is no better


def test_busy_programs_are_marked_even_without_noise() -> None:
    assert _marks([10, 10, 10], 0.42) == ("busy: other programs kept 0.4 cores busy",)
    assert _marks([10, 10, 10], None) == ()


def test_a_result_without_a_control_is_not_marked_as_noisy() -> None:
    artifacts = [opened(), opened(control=True), opened(path="other.tflite", payload_sha256="d" * 64)]
    mine = result([10])
    again = result([12], artifact=1)
    other = result([10], artifact=2)
    offline = result([10], scenario=OFFLINE)
    run = record(mine, again, other, offline, artifacts=artifacts)
    assert difference(run, mine) == pytest.approx(2 / 11)
    assert [difference(run, without) for without in (again, other, offline)] == [None, None, None]
    assert marks(run, other) == ()
