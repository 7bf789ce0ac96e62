from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.watch.sources.pace import Backlog, KeyFrames, Pace

RATES = st.floats(0.1, 60)


def test_without_a_rate_all_frames_are_due() -> None:
    pace = Pace(None)
    assert all(pace.is_due(0.0) for _ in range(5))


@given(rate=RATES, gaps=st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_no_more_frames_than_the_rate(rate: float, gaps: list[float]) -> None:
    pace = Pace(rate)
    moments = [sum(gaps[:index]) for index in range(len(gaps))]
    taken = [moment for moment in moments if pace.is_due(moment)]
    assert taken[0] == moments[0]
    assert all(later - earlier >= 0.89 / rate - 1e-9 for earlier, later in zip(taken, taken[2:], strict=False))
    assert len(taken) <= (moments[-1] - moments[0]) * rate * 1.12 + 2


@given(rate=st.floats(1, 24), start=st.floats(0, 1e6))
def test_the_rate_is_reached(rate: float, start: float) -> None:
    pace = Pace(rate)
    taken = sum(pace.is_due(start + number / 25) for number in range(1000))
    assert abs(taken - 40 * rate) <= 0.02 * 40 * rate + 2


def test_key_frames_suffice_if_they_come_often_enough() -> None:
    keys = KeyFrames(2.0)
    suffice = []
    for moment in (0.0, 0.5, 1.01, 2.0, 2.4):
        keys.see(moment)
        suffice.append(keys.suffice)
    assert suffice == [False, True, True, False, True]


def behind(backlog: Backlog, arrivals: list[tuple[float, float, bool]]) -> list[bool]:
    return [backlog.must_skip(*arrival) for arrival in arrivals]


def test_a_backlog_is_skipped_up_to_a_timely_key_frame() -> None:
    backlog = Backlog()
    assert not any(behind(backlog, [(100 + n / 25, n / 25, n % 25 == 0) for n in range(50)]))
    # For 2 seconds nobody read. What has queued up arrives at once.
    queued = [(104.0 + n / 1000, 2 + n / 25, n % 25 == 0) for n in range(51)]
    skipped = behind(backlog, queued)
    assert skipped[:50] == [True] * 50
    assert skipped[50] is False  # a key frame, on time
    assert not any(behind(backlog, [(104.04 + n / 25, 4.04 + n / 25, False) for n in range(50)]))


@given(drift=st.floats(-9e-4, 9e-4), jitter=st.lists(st.floats(0, 0.3), min_size=10, max_size=10))
def test_clocks_that_drift_are_no_backlog(drift: float, jitter: list[float]) -> None:
    backlog = Backlog()
    day = range(0, 86_400, 60)
    assert not any(backlog.must_skip(n * (1 + drift) + jitter[n % 10], float(n), True) for n in day)


def test_a_network_that_has_become_slower_is_no_backlog_for_long() -> None:
    backlog = Backlog()
    skipped = behind(backlog, [(n / 25 + (3.0 if n > 100 else 0.0), n / 25, n % 25 == 0) for n in range(400)])
    assert not any(skipped[:100])
    assert skipped[101]
    assert not any(skipped[180:])


def test_a_camera_that_sets_its_clock_has_no_backlog() -> None:
    assert not any(behind(Backlog(), [(n / 25, n / 25 - (3600 if n > 50 else 0), False) for n in range(100)]))


def test_packets_without_a_time_are_kept() -> None:
    assert not any(Backlog().must_skip(n / 25, None, False) for n in range(100))
