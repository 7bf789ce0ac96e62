"""What `edge-crnn bench` measured on a device: times, rates, endurance, and how the board was doing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edge_crnn.bench.marks import difference, marks, throttled
from edge_crnn.bench.statistics import quantile, steady_after
from edge_crnn.bench.summary import TOTAL, Percentile, Summary, stage_times, summarise
from edge_crnn.binomial import binomial_interval
from edge_crnn.board.snapshot import Snapshot
from edge_crnn.records.bench import STAGES, Kind, Measured, Opened, Record, Result

from .blocks import Block, Figure, Finding, Number, Paragraph, Table
from .charts import Line, Point, Row, doubling_scale, named_or_numbered, number, plot, rows, scale
from .markup import Markup
from .suites import Verification
from .words import digits, listed, megabytes, ms, percent, tick

_TONES = ("s1", "s2", "s3", "s4", "s6", "s5")
_MOST = len(_TONES)
"""Lines of a picture that can be told apart."""
_STEPS = [step / 100 for step in range(1, 100)]


def results(record: Record, *kinds: Kind) -> Iterator[tuple[str, Opened, Result]]:
    """What was measured in scenarios of these kinds, and of which artifact; no controls."""
    for each in record.results:
        artifact = record.artifacts[each.artifact]
        if each.scenario.kind in kinds and not artifact.control:
            yield _name(record, artifact), artifact, each


def _name(record: Record, artifact: Opened) -> str:
    """The file's name; its path where two have that name."""
    name = Path(artifact.path).name
    return name if len({each.path for each in record.artifacts if Path(each.path).name == name}) == 1 else artifact.path


def findings(record: Record) -> Iterator[Finding]:
    """What speaks against the figures; artifacts of which the same is to be said share a line."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, _, result in results(record, "single", "offline", "multi", "camera", "sustained"):
        for mark in marks(record, result):
            found.setdefault(name, {}).setdefault(mark, []).append(result.scenario.kind)
    alike: dict[str, list[str]] = {}
    for name, said in found.items():
        alike.setdefault("; ".join(f"{', '.join(kinds)}: {mark}" for mark, kinds in said.items()), []).append(name)
    for detail, names in alike.items():
        its = "its" if len(names) == 1 else "their"
        yield Finding("noisy", f"{listed(names)}: {its} times are not to be quoted", detail)


def numbers(record: Record) -> Iterator[Number]:
    """Times of single images that may be quoted."""
    for name, _, result in results(record, "single"):
        if not marks(record, result):
            middle, _, last = summarise(result).percentiles[TOTAL]
            yield Number(digits(middle.ms), "ms", f"from file to text, median: {name}")
            yield Number(digits(last.ms), "ms", f"the 99th percentile: {name}")


# --- one image -------------------------------------------------------------------------------------------------------


def latency_blocks(record: Record) -> list[Block]:
    """From the file to the text, one image after the other."""
    found = [(name, result, summarise(result)) for name, _, result in results(record, "single")]
    if not found:
        return []
    return [
        Figure(
            "From the image file to the text",
            _times(found),
            "Dots are medians; bars go from the 10th to the 90th percentile, lines from the fastest to the 99th.",
        ),
        *([Figure("Share of the images that are read within a time", _shares(found))] if len(found) <= _MOST else []),
        _percentiles(found),
        _stages(found),
        *_control(record),
    ]


def _times(found: Sequence[tuple[str, Result, Summary]]) -> Markup:
    lines = []
    for name, result, _ in found:
        times = _total_ms(result)
        tenth, middle, ninetieth, last = (quantile(times, share) for share in (0.1, 0.5, 0.9, 0.99))
        value = f"{ms(middle)}, p99 {ms(last)}"
        lines.append(Row(name, value, middle, "ours", (float(times.min()), last), (tenth, ninetieth)))
    return rows(lines, scale([bound for each in lines for bound in each.span or ()], "ms", at_zero=True))


def _shares(found: Sequence[tuple[str, Result, Summary]]) -> Markup:
    lines = []
    for index, (name, result, _) in enumerate(found):
        times = _total_ms(result)
        points = tuple((quantile(times, share), share) for share in _STEPS)
        lines.append(Line(name, points, _TONES[index % len(_TONES)]))
    x = scale([at for each in lines for at, _ in each.points], "ms", at_zero=True)
    return plot(x, scale([0, 1], "images", tick), lines=lines, height=260)


def _total_ms(result: Result) -> np.ndarray:
    return np.asarray(stage_times([each.round for each in result.rounds])[TOTAL] / 1e6)


def _percentiles(found: Sequence[tuple[str, Result, Summary]]) -> Table:
    lines = []
    for name, _, summary in found:
        cells = [_bounded(each) for each in summary.percentiles[TOTAL]]
        lines.append((name, f"{summary.images:,}", *cells))
    head = ("ms, with 95% intervals", "images", "p50", "p90", "p99")
    return Table(head, tuple(lines))


def _bounded(each: Percentile) -> str:
    if each.interval_ms is None:
        return f"{digits(each.ms)} (too few)"
    low, high = each.interval_ms
    return f"{digits(each.ms)} ({digits(low)} to {digits(high)})"


def _stages(found: Sequence[tuple[str, Result, Summary]]) -> Table:
    stages = [stage for stage in STAGES if all(stage in summary.percentiles for _, _, summary in found)]
    lines = [(name, *(digits(summary.percentiles[stage][0].ms) for stage in stages)) for name, _, summary in found]
    return Table(("median ms of each stage", *(STAGES[stage] for stage in stages)), tuple(lines))


def _control(record: Record) -> Iterator[Block]:
    for name, _, result in results(record, "single"):
        apart = difference(record, result)
        if apart is not None:
            yield Paragraph(f"The same artifact measured twice, {name}, differs from itself by {apart:.1%}.")


# --- accuracy against time -------------------------------------------------------------------------------------------


def trade_off_blocks(
    benched: Sequence[tuple[str, Record]], verification: Verification, model: str, verified_on: str
) -> list[Block]:
    """Accuracy as verified against the median time, for the artifacts that are in both by the hash of their payload."""
    accuracy = {each.payload_sha256: each.parity for each in verification.artifacts}
    points = []
    for _, record in benched:
        for name, artifact, result in results(record, "single"):
            parity = accuracy.get(artifact.payload_sha256)
            labelled = [one for one in parity.sets if one.labelled] if parity is not None else []
            if labelled:
                right, images = (sum(getattr(one, of) for one in labelled) for of in ("artifact_right", "images"))
                points.append(
                    (Point(summarise(result).cost_ms, right / images, name, "ours", strong=True), right, images)
                )
    if not points:
        return []
    low, high = binomial_interval(*max(((right, images) for _, right, images in points)))
    x = scale([each.x for each, _, _ in points], "ms an image, from file to text", at_zero=True)
    y = scale([*(each.y for each, _, _ in points), low, high], "images read right", tick)
    band = Line("", (), "peer", band=((x.low, low, high), (x.high, low, high)))
    shown, key = named_or_numbered([each for each, _, _ in points])
    note = (
        f"{key}Texts as verified on {verified_on}. The band, {percent(low)} to {percent(high)}, is the 95% interval of"
        " the best: within it, these images do not tell which reads better."
    )
    drawing = plot(x, y, lines=[band], points=shown, height=300)
    return [Figure(f"Images of {model} read right against the time of one", drawing, note)]


# --- many images -----------------------------------------------------------------------------------------------------


def throughput_blocks(records: Sequence[tuple[str, Record]]) -> list[Block]:
    """Images a second, of all records of one machine: against engines side by side where that was varied."""
    found = [
        (name, artifact, result, summarise(result))
        for _, record in records
        for name, artifact, result in results(record, "offline", "multi")
    ]
    blocks: list[Block] = []
    for kind, title in (("offline", "All images at once"), ("multi", "Readers side by side")):
        chosen = [each for each in found if each[2].scenario.kind == kind]
        if not chosen:
            continue
        if len({result.scenario.readers for _, _, result, _ in chosen}) > 1:
            blocks.append(Figure(f"{title}: images a second against engines", _against_readers(chosen)))
        else:
            blocks.append(Figure(f"{title}: images a second", _rates(chosen), "Small dots are rounds."))
    return blocks


def _rates(found: Sequence[tuple[str, Opened, Result, Summary]]) -> Markup:
    lines: list[Row | str] = []
    for name, artifact, result, summary in found:
        rates = tuple(each.round.images * 1e9 / each.round.elapsed_ns for each in result.rounds)
        who = f"{name}, {_engines(artifact, result)}"
        value = f"{number(summary.per_second)} a second"
        lines.append(Row(who, value, summary.per_second, "ours", (min(rates), max(rates)), dots=rates))
    axis = scale([bound for each in lines if isinstance(each, Row) for bound in each.span or ()], "", at_zero=True)
    return rows(lines, axis)


def _engines(artifact: Opened, result: Result) -> str:
    readers, threads = result.scenario.readers, artifact.threads
    return f"{readers} engine{'s' * (readers != 1)}" + (f" of {threads} threads" if threads != 1 else "")


def _against_readers(found: Sequence[tuple[str, Opened, Result, Summary]]) -> Markup:
    series: dict[str, dict[int, float]] = {}
    for name, artifact, result, summary in found:
        who = f"{name}, {artifact.threads} threads" if artifact.threads != 1 else name
        series.setdefault(who, {})[result.scenario.readers] = summary.per_second
    lines = [
        Line(name, tuple(sorted(rates.items())), _TONES[index % len(_TONES)], dots=True)
        for index, (name, rates) in enumerate(series.items())
    ]
    x = doubling_scale([at for each in lines for at, _ in each.points], "engines side by side")
    return plot(
        x, scale([rate for each in lines for _, rate in each.points], "images a second", at_zero=True), lines=lines
    )


# --- as time passes --------------------------------------------------------------------------------------------------


def sustained_blocks(record: Record) -> list[Block]:
    """Pace, heat and clock of minutes without a pause."""
    blocks: list[Block] = []
    for name, artifact, result in results(record, "sustained"):
        minutes, paces, after = [], [], []
        passed = 0.0
        for measured in result.rounds:
            passed += measured.round.elapsed_ns / 60e9
            minutes.append(passed)
            paces.append(measured.round.images * 1e9 / measured.round.elapsed_ns)
            after.append(measured.snapshots[-1])
        slowed = throttled(result)
        change = f"It ends at {paces[-1] / paces[0]:.1%} of the pace at which it began."
        note = f"{change} Throttled: {', '.join(slowed)}." if slowed else change
        title = f"{name}, {_engines(artifact, result)}, without a pause"
        blocks.append(Figure(title, _curve(minutes, paces, "images a second", "s1", height=220), note))
        for about, told in (
            ("Hottest, °C", [each.hottest.celsius if each.hottest else None for each in after]),
            ("Fastest core, MHz", list(map(_mhz, after))),
            ("Power, W", [each.power.watts if each.power else None for each in after]),
        ):
            known = [(at, value) for at, value in zip(minutes, told, strict=True) if value is not None]
            if known:
                places, values = zip(*known, strict=True)
                blocks.append(Figure(about, _curve(places, values, "", "s2", height=110)))
    return blocks


def _curve(minutes: Sequence[float], values: Sequence[float], title: str, tone: str, *, height: int) -> Markup:
    line = Line("", tuple(zip(minutes, values, strict=True)), tone, dots=len(minutes) == 1)
    x = scale(minutes, "minutes", at_zero=True)
    return plot(x, scale(values, title, at_zero=True, most=4 if height > 150 else 2), lines=[line], height=height)


def _mhz(snapshot: Snapshot) -> float | None:
    return max((core.mhz for core in snapshot.clocks.cores if core.mhz is not None), default=None)


# --- a camera, and the board -----------------------------------------------------------------------------------------


def camera_blocks(record: Record) -> list[Block]:
    """Frames that come at their own pace."""
    lines = []
    for name, _, result in results(record, "camera"):
        summary, scenario = summarise(result), result.scenario
        frames = summary.images + summary.dropped
        middle, _, last = summary.percentiles[TOTAL]
        lines.append(
            (
                name,
                f"{scenario.fps:g} a second" if scenario.fps else "",
                scenario.late or "",
                f"{summary.dropped:,} of {frames:,}",
                f"{summary.late:,}",
                _bounded(middle),
                _bounded(last),
            )
        )
    if not lines:
        return []
    head = ("", "frames", "late ones", "dropped", "read after the next came", "p50 ms", "p99 ms")
    return [Table(head, tuple(lines), "From a frame's arrival to its text")]


def board_blocks(record: Record) -> list[Block]:
    """The artifacts as they were opened, and the machine before and after."""
    lines = []
    for each in record.artifacts:
        if not each.control:
            steady = steady_after(each.warm_up_ns)
            lines.append(
                (
                    _name(record, each),
                    each.recipe,
                    megabytes(each.file_bytes),
                    ms(each.load_ns / 1e6),
                    ms(each.warm_up_ns[0] / 1e6) if each.warm_up_ns else "",
                    "not yet" if steady is None else f"{steady} images",
                    "" if each.rss_bytes is None else megabytes(each.rss_bytes),
                    "" if each.gpu_bytes is None else megabytes(each.gpu_bytes),
                    each.payload_sha256[:12],
                )
            )
    opened = ("artifact", "recipe", "file", "to load", "first image", "steady after", "memory", "of the GPU", "SHA-256")
    blocks: list[Block] = [Table(opened, tuple(lines)), _scenarios(record)]
    measured: list[Measured] = [one for each in record.results for one in each.rounds]
    if measured:
        moments = {"before": measured[0].snapshots[0], "after": measured[-1].snapshots[-1]}
        shown = [(when, *_moment(each)) for when, each in moments.items()]
        head = ("", "fastest core", "governor", "power mode", "hottest", "throttled now", "load")
        blocks.append(Table(head, tuple(shown)))
    if record.absent:
        blocks.append(Table(("not told here", "why"), tuple(record.absent.items())))
    return blocks


def _scenarios(record: Record) -> Table:
    lines = []
    for name, _, result in results(record, "single", "offline", "multi", "camera", "sustained"):
        summary = summarise(result)
        lines.append(
            (
                f"{name}, {result.scenario.name}",
                f"{summary.images:,}",
                number(summary.per_second),
                digits(summary.processor_ms),
                "" if summary.watts is None else f"{summary.watts:.3g} W",
                "" if summary.joules is None else f"{summary.joules:.3g} J",
                "" if result.other_cores is None else f"{result.other_cores:.2g}",
            )
        )
    head = ("scenario", "images", "a second", "processor ms an image", "power", "energy an image", "cores of others")
    return Table(head, tuple(lines))


def _moment(each: Snapshot) -> tuple[str, ...]:
    mhz, hottest = _mhz(each), each.hottest
    mode = each.power_mode
    return (
        "" if mhz is None else f"{mhz:,.0f} MHz",
        ", ".join(each.clocks.governors),
        "" if mode is None else mode.name or str(mode.number),
        "" if hottest is None else f"{hottest.celsius:.1f} °C",
        "" if each.throttling is None else ", ".join(each.throttling.now) or "no",
        "" if each.load is None else f"{each.load[0]:.1f}",
    )
