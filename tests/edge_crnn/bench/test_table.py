from __future__ import annotations

from dataclasses import replace

from edge_crnn.bench.compare import compare
from edge_crnn.bench.table import comparison_table, table
from edge_crnn.board.power import Power, PowerMode
from edge_crnn.records.bench import Measured, Record, Result, Scenario
from tests.edge_crnn.bench.made import OFFLINE, PI, SINGLE, a_round, moment, opened, record, result, throttling

_TEN = [9.8, 9.9, 10.0, 10.1, 10.2]


def _lines(run: Record) -> list[str]:
    return [" ".join(line.split()) for line in table(run).splitlines()]


def test_the_machine_and_its_state() -> None:
    looks = [
        moment(1, governor="ondemand", celsius=51.25),
        replace(moment(9, throttling=throttling(now=["clock capped"])), power_mode=PowerMode(2, "15W", {})),
    ]
    lines = _lines(record(Result(0, SINGLE, "", 0.0, (Measured(a_round([10]), tuple(looks)),))))
    assert lines[:4] == [
        "Raspberry Pi 5 Model B Rev 1.0, 4 × Cortex-A76, Debian GNU/Linux 12 (bookworm), 6.6.51; 500 images of plates",
        "before: 2026-01-01T12:00:01.000+00:00; 2400 to 2400 MHz; governor ondemand; 51.2 °C (cpu-thermal); load 0.1",
        (
            "after: 2026-01-01T12:00:09.000+00:00; 2400 to 2400 MHz; governor performance; power mode 15W; 50.0 °C"
            " (cpu-thermal); throttled now: clock capped; load 0.1"
        ),
        "edge-crnn 0, numpy 2",
    ]


def test_an_artifact_and_its_stages() -> None:
    run = record(result(_TEN), result(_TEN, artifact=1))
    run = replace(run, artifacts=(opened(gpu_bytes=500_000_000), opened(control=True)))
    lines = _lines(run)
    start = lines.index("plates.tflite: int8, 7,000,000 bytes, SHA-256 aaaaaaaaaaaa…")
    assert lines[start + 1 : start + 12] == [
        "litert 2; 1 thread; greedy decoding",
        "loaded in 80.0 ms, first image 40.0 ms, steady after 1 of 50 images",
        "resident memory before 30 MB, when warm 90 MB, on the GPU 500 MB",
        "",
        "single: one image after the other; 5 rounds, 20 images",
        "ms p50 p90 p99",
        "end to end 11.0 (10.9–11.2) 11.3 (too few) 11.5 (too few)",
        "image file 0.250 (0.250–0.250) 0.250 (too few) 0.250 (too few)",
        "preprocessing 0.250 (0.250–0.250) 0.250 (too few) 0.250 (too few)",
        "inference 10.0 (9.90–10.2) 10.3 (too few) 10.5 (too few)",
        "decoding 0.500 (0.500–0.500) 0.500 (too few) 0.500 (too few)",
    ]
    assert lines[start + 12].startswith("90.7 images/s, 22.1 ms of processor time per image, 67 MB resident, the same")
    assert "differs by 0.0%, other programs kept 0.00 cores busy, garbage collector ran 5 times" in lines[start + 12]
    assert sum("plates.tflite" in line for line in lines) == 1  # the control shows in a figure only


def test_too_few_readings_for_a_percentile_are_marked() -> None:
    text = table(record(result([10] * 92)))
    assert "(too few)" not in text  # 368 readings
    assert "too few)" in table(record(result([10] * 91)))
    assert "6 for p50, 36 for p90, 368 for p99" in text
    assert "262,742 for 99 %" in text


def test_marks_stand_below_the_figures() -> None:
    hot = result(_TEN, snapshot=lambda: moment(throttling=throttling(now=["clock capped"])))
    assert "! throttled: clock capped; improve cooling" in table(record(hot))
    assert "! noisy: the same artifact measured twice differs by 90.9%" in table(
        record(result(_TEN), result([20], artifact=1))
    )
    assert "!" not in table(record(result(_TEN)))


def test_a_camera_s_frames_and_joules() -> None:
    power = Power(6.0, "rail VDD_IN", {}, ())
    played = replace(a_round([9, 9, 9, 49]), dropped=5)
    camera = Scenario("camera", 1, 9, fps=50.0, late="drop")
    run = record(Result(0, camera, "", None, (Measured(played, (moment(0), moment(1, power=power), moment(2))),)))
    (line,) = (line for line in _lines(run) if "dropped, " in line)
    assert "5 of 9 frames dropped, 1 read after the next frame arrived" in line
    assert "0.12 J per image at 6 W (rail VDD_IN)" in line
    assert "camera: 50 frames a second, late ones drop; 1 round, 4 images" in _lines(run)


def test_the_curve_of_a_sustained_run() -> None:
    rounds = []
    for number, cost in enumerate((10, 10, 20)):
        played = replace(a_round([cost] * 4, elapsed_ms=2000), stages={"total": (cost * 1_000_000,) * 4})
        played = replace(played, images=4, elapsed_ns=played.elapsed_ns * cost // 10)
        rounds.append(Measured(played, (moment(2 * number), moment(2 * number + 2, celsius=50 + 10.0 * number))))
    run = record(Result(0, Scenario("sustained", 4, 0, seconds=2.0), "", None, tuple(rounds)))
    lines = _lines(run)
    start = lines.index("s images/s p50 ms p99 ms MHz °C W")
    assert lines[start + 1 : start + 5] == [
        "2 2.0 10.0 10.0 2400 50.0 –",
        "4 2.0 10.0 10.0 2400 60.0 –",
        "8 1.0 20.0 20.0 2400 70.0 –",
        "ends at 50.0% of its initial speed",
    ]


def test_facts_that_a_machine_lacks_are_left_out() -> None:
    look = replace(moment(), zones=(), load=None, clocks=replace(moment().clocks, cores=()))
    bare = replace(PI, model=None, os=None, kernel=None)
    silent = opened(rss_bytes=None, rss_before_bytes=None, warm_up_ns=(1, 1, 1))
    run = record(
        result(_TEN, scenario=OFFLINE, other_cores=None, snapshot=lambda: look), artifacts=[silent], board=bare
    )
    lines = _lines(run)
    assert lines[:2] == ["4 × Cortex-A76; 500 images of plates", "before: 2026-01-01T12:00:00.000+00:00"]
    assert "not steady yet of 3 images" in table(run)
    assert "resident memory" not in table(run)
    assert "measured twice" not in table(run)


def test_then_and_now() -> None:
    old = record(result(_TEN))
    new = record(result([ms + 3 for ms in _TEN]))
    heading, titles, line = comparison_table(compare(old, new), "old.json").splitlines()
    assert heading.startswith(
        "Compared with old.json by per-round figures, one-sided exact rank test (Mann-Whitney U) at 0.01"
    )
    assert titles.split() == [
        "artifact",
        "and",
        "scenario",
        "then",
        "ms",
        "now",
        "ms",
        "change",
        "p",
        "counts",
        "from",
        "verdict",
    ]
    assert line.split()[-6:] == ["11.0", "14.0", "+27.3%", "0.004", "5%", "slower"]
