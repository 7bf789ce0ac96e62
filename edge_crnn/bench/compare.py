"""Finds out whether an artifact has become slower since an older record of the same machine, images and scenario."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..board.board import Board
from ..board.snapshot import Snapshot
from ..errors import InputError
from ..records.bench import Images, Opened, Record, Result, Scenario
from .marks import EQUAL, busy, noise, throttled
from .statistics import larger_p, smallest_p
from .summary import costs_ms

Verdict: TypeAlias = Literal["slower", "faster", "same", "unclear"]
"""unclear: the change is large enough, but other programs kept the machine busy."""

LEVEL = 0.01
"""The largest p that counts as a change."""

STATISTIC = f"one-sided exact rank test (Mann-Whitney U) at {LEVEL:g}"

METHOD = (
    f"per-round figures, {STATISTIC}, and a change of the median by more"
    f" than {EQUAL:.0%} and by more than a model differed from itself in either run"
)

_FORMER_BACKENDS = {"trt": "tensorrt"}
"""Former name of a backend → its name now."""

_UNLIKE = "measure both on the same machine, with the same settings and arguments"


@dataclass(frozen=True)
class Comparison:
    """The change of an artifact in a scenario, from an older record to a newer one."""

    path: str
    scenario: Scenario
    old_ms: float
    """Cost of an image in milliseconds; see `Summary.cost_ms`."""
    new_ms: float
    least: float
    """The smallest relative change of the median that counts."""
    p: float
    """p of the one-sided rank test, in the direction of the change."""
    verdict: Verdict
    why: str | None = None
    """Reason for the verdict `unclear`: what else may have slowed the slower run."""


def refuse_unlike(
    old: Record,
    board: Board,
    images: Images,
    artifacts: Sequence[Opened],
    scenario: Scenario,
    rounds: int,
) -> None:
    """Check, before measuring, that the new measurements can be compared with `old`.

    Args:
        old: the earlier record.
        board: this machine.
        images: the images to be read.
        artifacts: the artifacts to be measured.
        scenario: the scenario to be measured.
        rounds: rounds per artifact.

    Raises:
        InputError: the machine, an artifact, the scenario or the images differ, or there are too few rounds.
    """
    refuse_other_machine(old.board, board)
    if old.images.sha256 != images.sha256:
        raise InputError(
            f"not comparable: {old.images.count} images of {old.images.folder} then, {images.count} other images of"
            f" {images.folder} now; {_UNLIKE}"
        )
    for artifact in artifacts:
        then = len(_counterpart(old, artifact, scenario).rounds)
        if smallest_p(then, rounds) > LEVEL:
            raise InputError(
                f"not comparable: {then} rounds then and {rounds} now are too few for p = {LEVEL:g}; measure at least"
                " 5 rounds each time"
            )


def compare(old: Record, new: Record) -> tuple[Comparison, ...]:
    """Compare the results of `new` with those of `old`, except for controls and sustained scenarios.

    Raises:
        InputError: the records differ as `refuse_unlike` describes, or the machine had other settings or was throttled.
    """
    results = [
        result
        for result in new.results
        if result.scenario.kind != "sustained" and not new.artifacts[result.artifact].control
    ]
    for result in results:
        artifact = new.artifacts[result.artifact]
        refuse_unlike(old, new.board, new.images, [artifact], result.scenario, len(result.rounds))
    return tuple(_compared(old, new, result) for result in results)


def _compared(old: Record, new: Record, result: Result) -> Comparison:
    artifact = new.artifacts[result.artifact]
    before = _counterpart(old, artifact, result.scenario)
    _require_same_settings(artifact.path, before, result)
    for when, measured in (("then", before), ("now", result)):
        if reasons := throttled(measured):
            raise InputError(
                f"not comparable: throttled {when} ({', '.join(reasons)}); cool the machine and measure again"
            )
    then = costs_ms(before)
    now = costs_ms(result)
    old_ms = statistics.median(then)
    new_ms = statistics.median(now)
    least = max(EQUAL, noise(old, result.scenario), noise(new, result.scenario))
    p = larger_p(then, now) if new_ms >= old_ms else larger_p(now, then)
    verdict: Verdict = "same"
    why = None
    if p <= LEVEL and max(old_ms, new_ms) > (1 + least) * min(old_ms, new_ms):
        verdict, slow, when = ("slower", result, "now") if new_ms > old_ms else ("faster", before, "then")
        if others := busy(slow):
            verdict = "unclear"
            why = f"{others} {when}"
    return Comparison(artifact.path, result.scenario, old_ms, new_ms, least, p, verdict, why)


def _counterpart(old: Record, artifact: Opened, scenario: Scenario) -> Result:
    """Return the older result of the same artifact, settings, texts and scenario."""
    twins = [
        place
        for place, opened in enumerate(old.artifacts)
        if not opened.control and opened.payload_sha256 == artifact.payload_sha256
    ]
    if not twins:
        payloads = ", ".join(
            f"{opened.path} ({opened.payload_sha256[:12]}…)" for opened in old.artifacts if not opened.control
        )
        raise InputError(
            f"not comparable: {artifact.path} has changed (SHA-256 {payloads} then,"
            f" {artifact.payload_sha256[:12]}… now); to compare two models, measure them in one run"
        )
    alike = [place for place in twins if _setting(old.artifacts[place]) == _setting(artifact)]
    if not alike:
        then = old.artifacts[twins[0]]
        raise InputError(
            f"not comparable: {artifact.path} ran on {then.backend} with {then.threads} threads and {then.decoder}"
            f" then, on {artifact.backend} with {artifact.threads} and {artifact.decoder} now; {_UNLIKE}"
        )
    if old.artifacts[alike[0]].texts_sha256 != artifact.texts_sha256:
        raise InputError(
            f"not comparable: {artifact.path} no longer reads the same texts in the same images; find out why with"
            " edge-crnn verify"
        )
    same_scenario = [result for result in old.results if result.artifact == alike[0] and result.scenario == scenario]
    if not same_scenario:
        scenarios = (
            "; ".join(_full_name(result.scenario) for result in old.results if result.artifact == alike[0]) or "nothing"
        )
        raise InputError(
            f"not comparable: {artifact.path} was measured in {scenarios} then, in {_full_name(scenario)} now;"
            f" {_UNLIKE}"
        )
    return same_scenario[0]


def _full_name(scenario: Scenario) -> str:
    return f"{scenario.name}, {scenario.images} images per round"


def _setting(artifact: Opened) -> object:
    backend = _FORMER_BACKENDS.get(artifact.backend, artifact.backend)
    return backend, artifact.threads, artifact.decoder


def refuse_other_machine(old: Board, new: Board) -> None:
    """Check that two records come from the same machine.

    Raises:
        InputError: the boards differ in a fact that affects speed.
    """
    for name in ("kind", "model", "soc", "virtual", "container", "cpu_limit", "python_bits"):
        _require_same(f"another machine: {name}", getattr(old, name), getattr(new, name))
    for name in ("name", "architecture", "features", "cores"):
        _require_same(f"another machine: processor's {name}", getattr(old.cpu, name), getattr(new.cpu, name))


def _require_same_settings(path: str, old: Result, new: Result) -> None:
    _require_same(f"{path}: governors", _governors(old), _governors(new))
    _require_same(f"{path}: power modes", _power_modes(old), _power_modes(new))


def _governors(result: Result) -> list[str]:
    return sorted({governor for moment in _snapshots(result) for governor in moment.clocks.governors})


def _power_modes(result: Result) -> list[str]:
    modes = [moment.power_mode for moment in _snapshots(result) if moment.power_mode]
    return sorted({mode.name or str(mode.number) for mode in modes})


def _snapshots(result: Result) -> list[Snapshot]:
    return [snapshot for measured in result.rounds for snapshot in measured.snapshots]


def _require_same(subject: str, then: object, now: object) -> None:
    if then != now:
        raise InputError(f"not comparable: {subject} {then!r} then, {now!r} now; {_UNLIKE}")
