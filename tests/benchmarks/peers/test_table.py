from __future__ import annotations

from dataclasses import replace
from typing import Literal

from benchmarks.peers.table import summary, table
from converters.verify.statistics import binomial_interval
from edge_crnn.model.spec import Parity, ParitySet
from edge_crnn.records.engines import Round, Run, Timing

_Verdict = Literal["pass", "fail", "underpowered"]


def _parity(verdict: _Verdict, same: int = 9) -> Parity:
    counts = ParitySet(
        "plates", "00", 10, reference_right=10, artifact_right=same, same_text=same, same_where_right=same
    )
    interval = binomial_interval(same, 10)
    return Parity(verdict, 0.995, 0.3, same / 10, interval, 0.5, 0.0, (-1.0, 1.0), 1.0, 0.01, (counts,))


def _timing(name: str, *medians: float, ours: bool = False, verdict: _Verdict = "pass") -> Timing:
    rounds = tuple(Round(median, median - 1, median + 1) for median in medians)
    return Timing(name, ours, "", 7_600_000, 20.0, rounds, _parity(verdict))


_RUN = Run(
    threads=1,
    load_before=(0.1, 0.2, 0.3),
    load_after=(1.2, 0.3, 0.3),
    other_cores=0.02,
    timings=(
        _timing("quick but wrong", 1, 1, 1, ours=True, verdict="fail"),
        _timing("ours", 90, 8, 10, ours=True, verdict="underpowered"),
        _timing("slower", 20, 20, 20, ours=True),
        _timing("peer", 12.5, 12.5, 99),
        _timing("Keras", 60, 60, 60),
    ),
    absent={"OpenVINO": "No module named 'openvino'"},
)


def test_a_time_is_the_median_over_rounds_whatever_one_round_was_like() -> None:
    timing = _timing("x", 90, 8, 10)
    assert (timing.ms, timing.minimum_ms, timing.processor_ms) == (10, 7, 11)


def test_the_best_is_our_fastest_that_passes_and_the_peer_is_anyone_elses_fastest() -> None:
    assert _RUN.best is not None
    assert _RUN.fastest_peer is not None
    assert _RUN.reference is not None
    assert (_RUN.best.engine, _RUN.fastest_peer.engine, _RUN.reference.engine) == ("ours", "peer", "Keras")
    assert summary(_RUN) == (
        "ours takes 0.80 times as long as the fastest peer, peer, and is 6.0 times as fast as Keras."
    )


def test_the_reference_alone_is_no_peer_to_beat() -> None:
    alone = replace(_RUN, timings=(_RUN.timings[1], _RUN.timings[4]))
    assert summary(alone) == "ours is 6.0 times as fast as Keras."


def test_a_busy_machine_is_no_ground_for_a_claim() -> None:
    busy = replace(_RUN, other_cores=1.3)
    assert "kept 1.3 cores busy" in summary(busy)


def test_nothing_is_claimed_without_a_peer_or_a_reference() -> None:
    ours = replace(_RUN, timings=tuple(timing for timing in _RUN.timings if timing.ours))
    assert "Nothing to compare" in summary(ours)
    unjudged = replace(_RUN, timings=tuple(replace(timing, parity=None) for timing in _RUN.timings[1:4]))
    assert unjudged.best is None
    assert "Nothing to compare" in summary(unjudged)
    assert "–" in table(unjudged)


def test_table_is_sorted_and_names_the_absent() -> None:
    lines = table(_RUN).splitlines()
    assert lines[0] == "1 thread, load average 0.1 to 1.2, 0.02 cores busy with other programs:"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert [row[0] for row in rows[2:]] == ["quick but wrong", "ours", "peer", "slower", "Keras"]
    assert dict(zip(rows[0], rows[3], strict=True)) == {
        "engine": "ours",
        "ms": "10.00",
        "min": "7.00",
        "processor ms": "11.00",
        "to our best": "1.00",
        "Keras to it": "6.0",
        "same text": "9/10",
        "correct": "9",
        "verdict": "underpowered",
        "MB": "7.6",
    }
    assert len({len(line) for line in lines if line.startswith("|")}) == 1
    assert "Absent: OpenVINO (No module named 'openvino')." in lines
