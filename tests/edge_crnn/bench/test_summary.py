from __future__ import annotations

from dataclasses import replace

import pytest

from edge_crnn.bench.summary import TOTAL, costs_ms, summarise
from edge_crnn.board.power import Counter, Power
from edge_crnn.records.bench import Measured, Result, Scenario
from tests.edge_crnn.bench.made import MS, OFFLINE, a_round, moment, result


def _watts(watts: float) -> Power:
    return Power(watts, "rail VDD_IN", {"VDD_IN": watts}, ())


def _counted(joules: float, wraps_at: float | None = None) -> Power:
    return Power(None, "RAPL", {}, (Counter("package-0", joules, wraps_at),))


def test_known_numbers() -> None:
    rounds = [a_round([1, 2, 3, 4]), a_round([5, 6, 7, 8, 9, 10])]
    measured = Result(
        0, Scenario("single", 1, 4), "", None, tuple(Measured(played, (moment(), moment())) for played in rounds)
    )
    summary = summarise(measured)
    assert [percentile.ms for percentile in summary.percentiles["infer"]] == [5, 9, 10]
    assert [percentile.ms for percentile in summary.percentiles["load"]] == [0.25] * 3
    assert [percentile.ms for percentile in summary.percentiles[TOTAL]] == [6, 10, 11]
    assert [percentile.interval_ms for percentile in summary.percentiles[TOTAL]] == [
        (3, 10),
        None,
        None,
    ]  # ranks 2 and 9 of 10
    assert (summary.images, summary.dropped, summary.collections) == (10, 0, 2)
    assert summary.per_second == pytest.approx(10 / 0.065)
    assert summary.processor_ms == pytest.approx(2 * 65 / 10)
    assert costs_ms(measured) == [3.5, 8.5]
    assert summary.cost_ms == 6
    assert (summary.watts, summary.joules) == (None, None)


def test_images_that_are_read_at_once_cost_their_share_of_the_time() -> None:
    offline = result([10, 20], scenario=OFFLINE)
    assert costs_ms(offline) == pytest.approx([11.025, 21.025])
    assert summarise(offline).percentiles == {}


def test_readers_side_by_side_count_by_their_number_in_a_time() -> None:
    rounds = (a_round([10, 10, 10, 10], elapsed_ms=22), a_round([10, 10, 10, 10], elapsed_ms=24))
    measured = tuple(Measured(played, (moment(), moment())) for played in rounds)
    summary = summarise(Result(0, Scenario("multi", 2, 4), "", None, measured))
    assert summary.cost_ms == pytest.approx(5.75)
    assert summary.percentiles[TOTAL][0].ms == 11


def test_a_camera_s_frames_count_from_their_arrival() -> None:
    played = a_round([4, 4, 4, 14])
    played = replace(played, dropped=3, stages={"wait": (0, 0, 6 * MS, 0), **played.stages})
    camera = Result(0, Scenario("camera", 1, 7, fps=100.0, late="drop"), "", None, (Measured(played, (moment(),) * 2),))
    summary = summarise(camera)
    assert (summary.images, summary.dropped, summary.late) == (4, 3, 2)  # 11 and 15 ms, when a frame comes every 10
    assert [percentile.ms for percentile in summary.percentiles[TOTAL]] == [5, 15, 15]
    assert [percentile.ms for percentile in summary.percentiles["wait"]] == [0, 6, 6]


def test_joules_from_counters() -> None:
    """20 J in the 2 s between the snapshots are 10 W; a round of 4 images took 400 ms."""
    played = a_round([99] * 4)
    counted = Measured(played, (moment(1, power=_counted(100)), moment(3, power=_counted(120))))
    summary = summarise(Result(0, Scenario("single", 1, 4), "", None, (counted,)))
    assert summary.watts == pytest.approx(10)
    assert summary.joules == pytest.approx(10 * 0.4 / 4)
    wrapped = Measured(played, (moment(1, power=_counted(995, 1000)), moment(3, power=_counted(15, 1000))))
    assert summarise(Result(0, Scenario("single", 1, 4), "", None, (wrapped,))).watts == pytest.approx(10)


def test_joules_from_watts_count_while_it_reads() -> None:
    """The snapshots before and after show the machine at rest."""
    looks = [moment(second, power=_watts(watts)) for second, watts in enumerate([2, 7, 9, 2])]
    worked = Measured(a_round([99] * 4), tuple(looks))
    too_short = Measured(a_round([99] * 4), (looks[0], looks[-1]))
    summary = summarise(Result(0, Scenario("single", 1, 4), "", None, (worked, too_short)))
    assert summary.watts == pytest.approx(8)
    assert summary.joules == pytest.approx(8 * 0.8 / 8)
    alone = summarise(Result(0, Scenario("single", 1, 4), "", None, (too_short,)))
    assert (alone.watts, alone.joules) == (None, None)
