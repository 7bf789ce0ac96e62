"""Whether an artifact has become slower since an older record: of the same machine, artifact, images and scenario."""

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
"""unclear: a change that would count, if other programs had not kept the machine busy."""

LEVEL = 0.01
"""Largest p that counts."""

STATISTIC = f"one-sided exact rank test (Mann-Whitney U) at {LEVEL:g}"

METHOD = (
    f"per-round figures, {STATISTIC}, and a change of the median by more"
    f" than {EQUAL:.0%} and more than a model differed from itself in either run"
)

_FORMER_BACKENDS = {"trt": "tensorrt"}
"""How older records name a backend → its name now."""

_UNLIKE = "measure both on the same machine, with the same settings and arguments"


@dataclass(frozen=True)
class Comparison:
    """An artifact in a scenario, then and now."""

    path: str
    scenario: Scenario
    old_ms: float
    """Cost of an image, as `Summary.cost_ms`."""
    new_ms: float
    least: float
    """The smallest change of the median that counts, as a share."""
    p: float
    """One-sided p of the rank test, in the direction of the change."""
    verdict: Verdict
    why: str | None = None
    """Why the verdict is `unclear`: what else may have made the slower one slow."""


def refuse_unlike(
    old: Record,
    board: Board,
    images: Images,
    artifacts: Sequence[Opened],
    scenario: Scenario,
    rounds: int,
) -> None:
    """Make sure, before anything is measured, that it can be compared with `old`; `compare` knows the arguments.

    Raises:
        InputError: it cannot: another machine, artifact or scenario; other images; too few rounds.
    """
    refuse_other_machine(old.board, board)
    if old.images.sha256 != images.sha256:
        raise InputError(
            f"not comparable: then {old.images.count} images of {old.images.folder}, now {images.count} others of"
            f" {images.folder}; {_UNLIKE}"
        )
    for artifact in artifacts:
        then = len(_counterpart(old, artifact, scenario).rounds)
        if smallest_p(then, rounds) > LEVEL:
            raise InputError(
                f"not comparable: {then} rounds then and {rounds} now are too few at {LEVEL:g}; measure at least 5"
                " rounds each"
            )


def compare(old: Record, new: Record) -> tuple[Comparison, ...]:
    """All of `new` but controls and what was sustained, beside the same in `old`.

    Raises:
        InputError: it would be unfair: as `refuse_unlike`, or a machine that was set otherwise or was throttled.
    """
    results = [
        each for each in new.results if each.scenario.kind != "sustained" and not new.artifacts[each.artifact].control
    ]
    for each in results:
        artifact = new.artifacts[each.artifact]
        refuse_unlike(old, new.board, new.images, [artifact], each.scenario, len(each.rounds))
    return tuple(_compared(old, new, each) for each in results)


def _compared(old: Record, new: Record, result: Result) -> Comparison:
    artifact = new.artifacts[result.artifact]
    before = _counterpart(old, artifact, result.scenario)
    _same_settings(artifact.path, before, result)
    for when, each in (("then", before), ("now", result)):
        if reasons := throttled(each):
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
            verdict, why = "unclear", f"{others} {when}"
    return Comparison(artifact.path, result.scenario, old_ms, new_ms, least, p, verdict, why)


def _counterpart(old: Record, artifact: Opened, scenario: Scenario) -> Result:
    """What was measured then of the same artifact, set alike, that read the same texts in the same scenario."""
    twins = [
        place
        for place, each in enumerate(old.artifacts)
        if not each.control and each.payload_sha256 == artifact.payload_sha256
    ]
    if not twins:
        had = ", ".join(f"{each.path} ({each.payload_sha256[:12]}…)" for each in old.artifacts if not each.control)
        raise InputError(
            f"not comparable: {artifact.path} has changed (SHA-256 {artifact.payload_sha256[:12]}… now, then {had}); to"
            " compare two models, measure them in one run"
        )
    alike = [place for place in twins if _setting(old.artifacts[place]) == _setting(artifact)]
    if not alike:
        then = old.artifacts[twins[0]]
        raise InputError(
            f"not comparable: {artifact.path} ran on {then.backend} with {then.threads} threads and {then.decoder}"
            f" then, now on {artifact.backend} with {artifact.threads} and {artifact.decoder}; {_UNLIKE}"
        )
    if old.artifacts[alike[0]].texts_sha256 != artifact.texts_sha256:
        raise InputError(
            f"not comparable: {artifact.path} reads the same images differently than it did then; find out why with"
            " edge-crnn verify"
        )
    found = [each for each in old.results if each.artifact == alike[0] and each.scenario == scenario]
    if not found:
        had = "; ".join(_full_name(each.scenario) for each in old.results if each.artifact == alike[0]) or "nothing"
        raise InputError(
            f"not comparable: {artifact.path} was measured in {had} then, in {_full_name(scenario)} now; {_UNLIKE}"
        )
    return found[0]


def _full_name(scenario: Scenario) -> str:
    return f"{scenario.name}, {scenario.images} images per round"


def _setting(artifact: Opened) -> object:
    backend = _FORMER_BACKENDS.get(artifact.backend, artifact.backend)
    return backend, artifact.threads, artifact.decoder


def refuse_other_machine(old: Board, new: Board) -> None:
    """Make sure that two boards are one.

    Raises:
        InputError: they differ in what speed depends on.
    """
    for name in ("kind", "model", "soc", "virtual", "container", "cpu_limit", "python_bits"):
        _require_same(f"another machine: {name}", getattr(old, name), getattr(new, name))
    for name in ("name", "architecture", "features", "cores"):
        _require_same(f"another machine: processor's {name}", getattr(old.cpu, name), getattr(new.cpu, name))


def _same_settings(path: str, old: Result, new: Result) -> None:
    _require_same(f"{path}: governors", _governors(old), _governors(new))
    _require_same(f"{path}: power modes", _power_modes(old), _power_modes(new))


def _governors(result: Result) -> list[str]:
    return sorted({governor for each in _snapshots(result) for governor in each.clocks.governors})


def _power_modes(result: Result) -> list[str]:
    modes = [each.power_mode for each in _snapshots(result) if each.power_mode]
    return sorted({mode.name or str(mode.number) for mode in modes})


def _snapshots(result: Result) -> list[Snapshot]:
    return [each for measured in result.rounds for each in measured.snapshots]


def _require_same(what: str, then: object, now: object) -> None:
    if then != now:
        raise InputError(f"not comparable: {what} {then!r} then, {now!r} now; {_UNLIKE}")
