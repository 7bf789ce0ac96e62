"""Shows the measurements of `edge-crnn bench`: times, rates, sustained load, and the state of the board."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np

from edge_crnn.bench.marks import difference, marks, throttled
from edge_crnn.bench.statistics import quantile, steady_after
from edge_crnn.bench.summary import TOTAL, Percentile, Summary, stage_times, summarise
from edge_crnn.binomial import binomial_interval
from edge_crnn.board.snapshot import Snapshot
from edge_crnn.records.bench import STAGES, Kind, Measured, Opened, Record, Result
from edge_crnn.records.verification import Verification
from edge_crnn.rounding import three_digits

from .blocks import Block, Figure, Finding, Number, Paragraph, Table
from .charts import Line, Point, Row, doubling_scale, named_or_numbered, number, plot, rows, scale
from .markup import Markup
from .words import between, counted, listed, megabytes, ms, of, tick

_TONES = ("s1", "s2", "s3", "s4", "s6", "s5")
_MOST_LINES = len(_TONES)
"""Largest number of lines in a chart that can be told apart."""
_SHARES = [percent / 100 for percent in range(1, 100)]
_ALL_KINDS: tuple[Kind, ...] = ("single", "offline", "multi", "camera", "sustained")


@dataclass(frozen=True)
class _Case:
    """The measurement of an artifact in a scenario."""

    name: str
    """The artifact's file name, or its path if two artifacts share the name."""
    artifact: Opened
    result: Result

    @cached_property
    def summary(self) -> Summary:
        """Percentiles, rates and costs over all rounds."""
        return summarise(self.result)

    @property
    def total_ms(self) -> np.ndarray:
        """(N,) float64: times from the file to the text, in milliseconds."""
        return np.asarray(stage_times([measured.round for measured in self.result.rounds])[TOTAL] / 1e6)

    @property
    def engines(self) -> str:
        """The engines in words, such as "2 engines of 4 threads"."""
        readers = self.result.scenario.readers
        threads = self.artifact.threads
        return counted(readers, "engine") + (f" of {threads} threads" if threads != 1 else "")


def _cases(record: Record, *kinds: Kind) -> Iterator[_Case]:
    """Yield the cases of some kinds of scenario, without the controls."""
    for result in record.results:
        artifact = record.artifacts[result.artifact]
        if result.scenario.kind in kinds and not artifact.control:
            yield _Case(_name(record, artifact), artifact, result)


def _name(record: Record, artifact: Opened) -> str:
    name = Path(artifact.path).name
    namesakes = {other.path for other in record.artifacts if Path(other.path).name == name}
    return name if len(namesakes) == 1 else artifact.path


def findings(record: Record) -> Iterator[Finding]:
    """Yield warnings against quoting the times; artifacts with the same warnings share a line."""
    kinds_by_mark: dict[str, dict[str, list[str]]] = {}
    for case in _cases(record, *_ALL_KINDS):
        for mark in marks(record, case.result):
            kinds_by_mark.setdefault(case.name, {}).setdefault(mark, []).append(case.result.scenario.kind)
    names_by_detail: dict[str, list[str]] = {}
    for name, kinds_of in kinds_by_mark.items():
        detail = "; ".join(f"{', '.join(kinds)}: {mark}" for mark, kinds in kinds_of.items())
        names_by_detail.setdefault(detail, []).append(name)
    for detail, names in names_by_detail.items():
        yield Finding("noisy", f"{listed(names)}: do not quote {'its' if len(names) == 1 else 'their'} times", detail)


def numbers(record: Record) -> Iterator[Number]:
    """Yield the times of single images that may be quoted."""
    for case in _cases(record, "single"):
        if not marks(record, case.result):
            middle, _, last = case.summary.percentiles[TOTAL]
            yield Number(three_digits(middle.ms), "ms", f"from file to text, median: {case.name}")
            yield Number(three_digits(last.ms), "ms", f"the 99th percentile: {case.name}")


# --- one image -------------------------------------------------------------------------------------------------------


def latency_blocks(record: Record) -> list[Block]:
    """Return charts and tables of the time from an image file to its text, one image after the other."""
    cases = list(_cases(record, "single"))
    if not cases:
        return []
    note = "Dots are medians; bars go from the 10th to the 90th percentile, lines from the fastest to the 99th."
    blocks: list[Block] = [Figure("From the image file to the text", _times(cases), note)]
    if len(cases) <= _MOST_LINES:
        blocks.append(Figure("Share of the images that are read within a time", _shares(cases)))
    return [*blocks, _percentiles(cases), _stages(cases), *_control(record)]


def _times(cases: Sequence[_Case]) -> Markup:
    lines = []
    bounds: list[float] = []
    for case in cases:
        times = case.total_ms
        tenth, middle, ninetieth, last = (quantile(times, share) for share in (0.1, 0.5, 0.9, 0.99))
        span = (float(times.min()), last)
        bounds += span
        lines.append(Row(case.name, f"{ms(middle)}, p99 {ms(last)}", middle, "ours", span, (tenth, ninetieth)))
    return rows(lines, scale(bounds, "ms", at_zero=True))


def _shares(cases: Sequence[_Case]) -> Markup:
    lines = []
    for index, case in enumerate(cases):
        times = case.total_ms
        points = tuple((quantile(times, share), share) for share in _SHARES)
        lines.append(Line(case.name, points, _TONES[index % len(_TONES)]))
    x = scale([time for line in lines for time, _ in line.points], "ms", at_zero=True)
    return plot(x, scale([0, 1], "images", tick), lines=lines, height=260)


def _percentiles(cases: Sequence[_Case]) -> Table:
    lines = [(case.name, f"{case.summary.images:,}", *map(_bounded, case.summary.percentiles[TOTAL])) for case in cases]
    head = ("ms, with 95% intervals", "images", "p50", "p90", "p99")
    return Table(head, tuple(lines))


def _bounded(percentile: Percentile) -> str:
    if percentile.interval_ms is None:
        return f"{three_digits(percentile.ms)} (too few)"
    low, high = map(three_digits, percentile.interval_ms)
    return f"{three_digits(percentile.ms)} ({low} to {high})"


def _stages(cases: Sequence[_Case]) -> Table:
    stages = [stage for stage in STAGES if all(stage in case.summary.percentiles for case in cases)]
    lines = []
    for case in cases:
        medians = (case.summary.percentiles[stage][0].ms for stage in stages)
        lines.append((case.name, *map(three_digits, medians)))
    return Table(("median ms of each stage", *(STAGES[stage] for stage in stages)), tuple(lines))


def _control(record: Record) -> Iterator[Block]:
    for case in _cases(record, "single"):
        apart = difference(record, case.result)
        if apart is not None:
            yield Paragraph(f"The same artifact measured twice, {case.name}, differs from itself by {apart:.1%}.")


# --- accuracy against time -------------------------------------------------------------------------------------------


def trade_off_blocks(
    benched: Sequence[tuple[str, Record]], verification: Verification, model: str, verified_on: str
) -> list[Block]:
    """Return a chart of verified accuracy against the median time.

    It has the artifacts that are both verified and measured, matched by the hash of their payload.
    """
    parities = {artifact.payload_sha256: artifact.parity for artifact in verification.artifacts}
    points = []
    counts = []
    for _, record in benched:
        for case in _cases(record, "single"):
            parity = parities.get(case.artifact.payload_sha256)
            labelled = [folder for folder in parity.sets if folder.labelled] if parity is not None else []
            if labelled:
                right = sum(folder.artifact_right for folder in labelled)
                images = sum(folder.images for folder in labelled)
                counts.append((right, images))
                points.append(Point(case.summary.cost_ms, right / images, case.name, "ours", strong=True))
    if not points:
        return []
    low, high = binomial_interval(*max(counts))
    x = scale([point.x for point in points], "ms an image, from file to text", at_zero=True)
    y = scale([*(point.y for point in points), low, high], "images read correctly", tick)
    band = Line("", (), "peer", band=((x.low, low, high), (x.high, low, high)))
    shown, key = named_or_numbered(points)
    note = (
        f"{key}Texts as verified on {verified_on}. The band, {between(low, high)}, is the 95% interval of"
        " the best: within it, these images do not tell which reads better."
    )
    drawing = plot(x, y, lines=[band], points=shown, height=300)
    return [Figure(f"Images of {model} read correctly against the time of one", drawing, note)]


# --- many images -----------------------------------------------------------------------------------------------------


def throughput_blocks(records: Sequence[tuple[str, Record]]) -> list[Block]:
    """Return charts of images per second over all records of a machine, against the number of engines if it varies."""
    kinds: tuple[tuple[Kind, str], ...] = (("offline", "All images at once"), ("multi", "Parallel readers"))
    blocks: list[Block] = []
    for kind, title in kinds:
        cases = [case for _, record in records for case in _cases(record, kind)]
        if len({case.result.scenario.readers for case in cases}) > 1:
            blocks.append(Figure(f"{title}: images a second against engines", _against_readers(cases)))
        elif cases:
            blocks.append(Figure(f"{title}: images a second", _rates(cases), "Small dots are rounds."))
    return blocks


def _rates(cases: Sequence[_Case]) -> Markup:
    lines: list[Row | str] = []
    bounds: list[float] = []
    for case in cases:
        rates = tuple(_rate(measured) for measured in case.result.rounds)
        span = (min(rates), max(rates))
        bounds += span
        value = f"{number(case.summary.per_second)} a second"
        lines.append(Row(f"{case.name}, {case.engines}", value, case.summary.per_second, "ours", span, dots=rates))
    return rows(lines, scale(bounds, "", at_zero=True))


def _rate(measured: Measured) -> float:
    """Return the images per second of a round."""
    return measured.round.images * 1e9 / measured.round.elapsed_ns


def _against_readers(cases: Sequence[_Case]) -> Markup:
    series: dict[str, dict[int, float]] = {}
    for case in cases:
        threads = case.artifact.threads
        name = f"{case.name}, {threads} threads" if threads != 1 else case.name
        series.setdefault(name, {})[case.result.scenario.readers] = case.summary.per_second
    lines = [
        Line(name, tuple(sorted(rates.items())), _TONES[index % len(_TONES)], dots=True)
        for index, (name, rates) in enumerate(series.items())
    ]
    points = [point for line in lines for point in line.points]
    x = doubling_scale([readers for readers, _ in points], "engines in parallel")
    return plot(x, scale([rate for _, rate in points], "images a second", at_zero=True), lines=lines)


# --- as time passes --------------------------------------------------------------------------------------------------


def sustained_blocks(record: Record) -> list[Block]:
    """Return charts of rate, temperature and clock over minutes without a pause."""
    return [block for case in _cases(record, "sustained") for block in _endurance(case)]


def _endurance(case: _Case) -> Iterator[Block]:
    rounds = case.result.rounds
    minutes = list(accumulate(measured.round.elapsed_ns / 60e9 for measured in rounds))
    rates = list(map(_rate, rounds))
    after = [measured.snapshots[-1] for measured in rounds]
    slowed = throttled(case.result)
    note = f"The rate at the end is {rates[-1] / rates[0]:.1%} of the rate at the start."
    if slowed:
        note += f" Throttled: {', '.join(slowed)}."
    title = f"{case.name}, {case.engines}, without a pause"
    yield Figure(title, _curve(minutes, rates, "images a second", "s1", height=220), note)
    for meaning, values in (
        ("Hottest, °C", [snapshot.hottest.celsius if snapshot.hottest else None for snapshot in after]),
        ("Fastest core, MHz", list(map(_mhz, after))),
        ("Power, W", [snapshot.power.watts if snapshot.power else None for snapshot in after]),
    ):
        measured = [(minute, value) for minute, value in zip(minutes, values, strict=True) if value is not None]
        if measured:
            times = [minute for minute, _ in measured]
            yield Figure(meaning, _curve(times, [value for _, value in measured], "", "s2", height=110))


def _curve(minutes: Sequence[float], values: Sequence[float], title: str, tone: str, *, height: int) -> Markup:
    line = Line("", tuple(zip(minutes, values, strict=True)), tone, dots=len(minutes) == 1)
    x = scale(minutes, "minutes", at_zero=True)
    return plot(x, scale(values, title, at_zero=True, most=4 if height > 150 else 2), lines=[line], height=height)


def _mhz(snapshot: Snapshot) -> float | None:
    return max((core.mhz for core in snapshot.clocks.cores if core.mhz is not None), default=None)


# --- a camera, and the board -----------------------------------------------------------------------------------------


def camera_blocks(record: Record) -> list[Block]:
    """Return a table of frames that arrive at a camera's own rate."""
    lines = []
    for case in _cases(record, "camera"):
        summary = case.summary
        scenario = case.result.scenario
        middle, _, last = summary.percentiles[TOTAL]
        lines.append(
            (
                case.name,
                f"{scenario.fps:g} a second" if scenario.fps else "",
                scenario.late or "",
                of(summary.dropped, summary.images + summary.dropped),
                f"{summary.late:,}",
                _bounded(middle),
                _bounded(last),
            )
        )
    if not lines:
        return []
    head = ("", "frames", "late frames", "dropped", "read after the next arrived", "p50 ms", "p99 ms")
    return [Table(head, tuple(lines), "From a frame's arrival to its text")]


def board_blocks(record: Record) -> list[Block]:
    """Return tables of the artifacts, and of the machine before and after the measurement."""
    lines = [_opened(record, artifact) for artifact in record.artifacts if not artifact.control]
    opened = ("artifact", "recipe", "file", "to load", "first image", "steady after", "memory", "of the GPU", "SHA-256")
    blocks: list[Block] = [Table(opened, tuple(lines)), _scenarios(record)]
    rounds = [measured for result in record.results for measured in result.rounds]
    if rounds:
        moments = (("before", *_moment(rounds[0].snapshots[0])), ("after", *_moment(rounds[-1].snapshots[-1])))
        head = ("", "fastest core", "governor", "power mode", "hottest", "throttled now", "load")
        blocks.append(Table(head, moments))
    if record.absent:
        blocks.append(Table(("not available", "reason"), tuple(record.absent.items())))
    return blocks


def _opened(record: Record, artifact: Opened) -> tuple[str, ...]:
    steady = steady_after(artifact.warm_up_ns)
    return (
        _name(record, artifact),
        artifact.recipe,
        megabytes(artifact.file_bytes),
        ms(artifact.load_ns / 1e6),
        ms(artifact.warm_up_ns[0] / 1e6) if artifact.warm_up_ns else "",
        "not yet" if steady is None else f"{steady} images",
        "" if artifact.rss_bytes is None else megabytes(artifact.rss_bytes),
        "" if artifact.gpu_bytes is None else megabytes(artifact.gpu_bytes),
        artifact.payload_sha256[:12],
    )


def _scenarios(record: Record) -> Table:
    lines = []
    for case in _cases(record, *_ALL_KINDS):
        summary = case.summary
        others = case.result.other_cores
        lines.append(
            (
                f"{case.name}, {case.result.scenario.name}",
                f"{summary.images:,}",
                number(summary.per_second),
                three_digits(summary.processor_ms),
                "" if summary.watts is None else f"{summary.watts:.3g} W",
                "" if summary.joules is None else f"{summary.joules:.3g} J",
                "" if others is None else f"{others:.2g}",
            )
        )
    head = ("scenario", "images", "a second", "processor ms an image", "power", "energy an image", "other busy cores")
    return Table(head, tuple(lines))


def _moment(snapshot: Snapshot) -> tuple[str, ...]:
    mhz = _mhz(snapshot)
    hottest = snapshot.hottest
    mode = snapshot.power_mode
    return (
        "" if mhz is None else f"{mhz:,.0f} MHz",
        ", ".join(snapshot.clocks.governors),
        "" if mode is None else mode.name or str(mode.number),
        "" if hottest is None else f"{hottest.celsius:.1f} °C",
        "" if snapshot.throttling is None else ", ".join(snapshot.throttling.now) or "no",
        "" if snapshot.load is None else f"{snapshot.load[0]:.1f}",
    )
