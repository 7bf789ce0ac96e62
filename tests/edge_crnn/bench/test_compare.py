from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from edge_crnn.bench.compare import compare, refuse_unlike
from edge_crnn.board.power import PowerMode
from edge_crnn.errors import InputError
from edge_crnn.model.spec import DecoderSpec
from edge_crnn.records.bench import Record, Scenario
from tests.edge_crnn.bench.made import OFFLINE, PI, SINGLE, moment, opened, record, result, throttling

_TEN = [9.8, 9.9, 10.0, 10.1, 10.2]


def _both(now: Sequence[float], *, then: Sequence[float] = _TEN, control: Sequence[float] = _TEN) -> tuple[str, float]:
    """Return the verdict, and the smallest change that counts."""
    old = record(result(then), result(then, artifact=1))
    (comparison,) = compare(old, record(result(now), result(control, artifact=1)))
    return comparison.verdict, comparison.least


def _times(factor: float) -> list[float]:
    return [factor * (ms + 1) - 1 for ms in _TEN]  # an image takes 1 ms beside its inference


def test_slower_and_faster() -> None:
    old = record(result(_TEN))
    new = record(result(_times(1.2)))
    (comparison,) = compare(old, new)
    assert (comparison.verdict, comparison.path, comparison.scenario) == ("slower", "plates.tflite", SINGLE)
    assert (comparison.old_ms, comparison.new_ms) == (pytest.approx(11), pytest.approx(13.2))
    assert comparison.p == pytest.approx(1 / 252)  # all of five above all of five
    (comparison,) = compare(new, old)
    assert comparison.verdict == "faster"


@pytest.mark.parametrize(
    ("now", "control", "verdict", "least"),
    [
        (_TEN, _TEN, "same", 0.05),
        (_times(1.06), _times(1.06), "slower", 0.05),
        (_times(1.04), _times(1.04), "same", 0.05),  # surely slower, but by too little to matter
        (_times(1.06), _times(1.06 * 1.08), "same", 0.08),  # by less than it differs from itself
        (_times(1.2), _times(1.2 * 1.08), "slower", 0.08),
        ([9.9, 12, 9.8, 12, 12], _times(1.182), "same", 0.05),  # in its median, but not surely
    ],
)
def test_which_changes_count(now: list[float], control: list[float], verdict: str, least: float) -> None:
    assert _both(now, control=control) == (verdict, pytest.approx(least, abs=0.001))


def test_a_change_that_other_programs_may_have_caused_is_unclear() -> None:
    slow = _times(1.3)
    fast = _TEN
    for then, now, busy, verdict in (
        (fast, slow, (0.0, 0.5), "unclear"),
        (fast, slow, (0.5, 0.0), "slower"),  # all the more
        (slow, fast, (0.5, 0.0), "unclear"),
        (slow, fast, (0.0, 0.5), "faster"),
        (fast, fast, (0.5, 0.5), "same"),
    ):
        old, new = (record(result(times, other_cores=others)) for times, others in zip((then, now), busy, strict=True))
        (comparison,) = compare(old, new)
        assert comparison.verdict == verdict
        when = "now" if now is slow else "then"
        assert comparison.why == (f"other programs kept 0.5 cores busy {when}" if verdict == "unclear" else None)


def test_the_noise_of_a_scenario_holds_for_all_artifacts_in_it() -> None:
    artifacts = [opened(), opened(control=True), opened(path="other.tflite", payload_sha256="d" * 64)]

    def measured(control: list[float], other: list[float]) -> Record:
        offline = [result(_TEN, place, OFFLINE) for place in (0, 1, 2)]
        return record(result(_TEN), result(control, 1), result(other, 2), *offline, artifacts=artifacts)

    comparisons = compare(measured(_TEN, _TEN), measured(_times(1.25), _times(1.2)))
    assert [(comparison.path, comparison.scenario.kind, comparison.verdict) for comparison in comparisons] == [
        ("plates.tflite", "single", "same"),
        ("other.tflite", "single", "same"),
        ("plates.tflite", "offline", "same"),
        ("other.tflite", "offline", "same"),
    ]
    assert [comparison.least for comparison in comparisons] == pytest.approx([0.25, 0.25, 0.05, 0.05])


def test_controls_and_sustained_runs_are_not_compared() -> None:
    sustained = Scenario("sustained", 4, 0, seconds=5.0)
    new = record(result(_TEN), result(_times(2), artifact=1), result(_times(2), scenario=sustained))
    (comparison,) = compare(record(result(_TEN)), new)
    assert comparison.verdict == "same"


def test_every_scenario_is_compared_with_its_own() -> None:
    old = record(result(_times(3)), result(_TEN, scenario=OFFLINE))
    new = record(result(_TEN, scenario=OFFLINE), result(_times(3.5)))
    assert [(comparison.scenario, comparison.verdict) for comparison in compare(old, new)] == [
        (OFFLINE, "same"),
        (SINGLE, "slower"),
    ]


def _with_artifact(**changes: object) -> Record:
    return record(result(_TEN), artifacts=[opened(**changes)])


def _on(**changes: object) -> Record:
    board = replace(PI, **changes)  # type: ignore[arg-type]
    return record(result(_TEN, board=board), board=board)


_SLOW_MODE = PowerMode(0, "15W", {"15W": 0})

UNLIKE: dict[str, tuple[Callable[[], Record], str]] = {
    "foreign board": (
        lambda: _on(model="Raspberry Pi 4 Model B"),
        "another machine: model 'Raspberry Pi 4",
    ),
    "other processor": (lambda: _on(cpu=replace(PI.cpu, cores=3)), "another machine: processor's cores 3 then, 4 now"),
    "limited container": (lambda: _on(cpu_limit=1.5), "another machine: cpu_limit 1.5 then, None now"),
    "changed artifact": (
        lambda: _with_artifact(payload_sha256="e" * 64),
        r"plates\.tflite has changed",
    ),
    "other threads": (lambda: _with_artifact(threads=2), "ran on litert with 2 threads"),
    "other decoder": (lambda: _with_artifact(decoder=DecoderSpec("beam")), "with 1 threads and DecoderSpec"),
    "other engine": (lambda: _with_artifact(backend="onnxrt"), "ran on onnxrt with 1 threads .*, on litert"),
    "other texts": (lambda: _with_artifact(texts_sha256="f" * 64), "no longer reads the same texts"),
    "other images": (
        lambda: replace(_with_artifact(), images=replace(_with_artifact().images, sha256="e" * 64, count=3)),
        "3 images of plates then, 500 other images of plates now",
    ),
    "other scenario": (
        lambda: record(result(_TEN, scenario=OFFLINE)),
        "in single: .*, 4 images per round now",
    ),
    "other rounds": (lambda: record(result(_TEN, scenario=Scenario("single", 1, 9))), "in single.*, 9 images per"),
    "too few samples": (lambda: record(result(_TEN[:3])), "3 rounds then and 5 now are too few"),
    "throttled": (
        lambda: record(result(_TEN, snapshot=lambda: moment(throttling=throttling(now=["throttled"])))),
        r"throttled then \(throttled\)",
    ),
    "governor": (
        lambda: record(result(_TEN, snapshot=lambda: moment(governor="powersave"))),
        r"governors \['powersave'\] then, \['performance'\] now",
    ),
    "power mode": (
        lambda: record(result(_TEN, snapshot=lambda: replace(moment(), power_mode=_SLOW_MODE))),
        r"power modes \['15W'\] then, \[\] now",
    ),
}


@pytest.mark.parametrize("fault", UNLIKE)
def test_incomparable_records_are_refused(fault: str) -> None:
    make, message = UNLIKE[fault]
    with pytest.raises(InputError, match=f"^not comparable: .*{message}"):
        compare(make(), record(result(_TEN)))


_LATER = ("throttled", "governor", "power mode")
"""Differences that only show after measuring."""


@pytest.mark.parametrize("fault", [fault for fault in UNLIKE if fault not in _LATER])
def test_most_differences_are_found_before_measuring(fault: str) -> None:
    make, message = UNLIKE[fault]
    new = record()
    with pytest.raises(InputError, match=message):
        refuse_unlike(make(), new.board, new.images, new.artifacts[:1], SINGLE, 5)
    refuse_unlike(record(result(_TEN)), new.board, new.images, new.artifacts[:1], SINGLE, 5)


def test_versions_of_software_may_differ() -> None:
    old = replace(_on(kernel="6.1", os="Debian 11", python="CPython 3.10.1"), versions={"edge-crnn": "0.0.1"})
    assert [comparison.verdict for comparison in compare(old, record(result(_TEN)))] == ["same"]
