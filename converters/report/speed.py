"""Shows the times that benchmarks measured on a workstation; a chart never mixes records, so it shows one machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Literal

from edge_crnn.bench.contention import QUIET
from edge_crnn.binomial import binomial_interval
from edge_crnn.model.spec import Parity
from edge_crnn.records.decoding import DecodingErrors, DecodingSpeed
from edge_crnn.records.engines import REFERENCE, Engines, Run, Timing
from edge_crnn.records.gpu import Criterion, Gpu, GpuSpeed
from edge_crnn.records.instructions import Instructions
from edge_crnn.records.record import Record
from edge_crnn.records.throughput import Throughput

from .blocks import Block, Figure, Finding, Paragraph, Table
from .charts import Line, Point, Row, doubling_scale, named_or_numbered, number, plot, rows, scale
from .markup import Markup
from .words import between, counted, megabytes, ms, of, percent, tick

_CPUS = {"cortex-a72": "Cortex-A72 (Pi 4)", "cortex-a76": "Cortex-A76 (Pi 5)"}
_WAYS = {"inference": "inference alone", "folder": "a folder, from files to text"}
_COUNTS = {
    "greedy_right": "correct by greedy decoding",
    "beam_right": "correct by a beam without a grammar",
    "grammar_right": "correct by a beam within the grammar",
    "covered": "greedy texts that pass the grammar as a filter",
    "filter_wrong": "wrong among these",
    "grammar_wrong": "wrong among as many of the grammar's most confident",
    "remaining": "wrong by a beam within the grammar",
    "truth_in_n_best": "of these, correct among the 10 best",
}


def busy(record: Record) -> Finding | None:
    """Return a warning against quoting the times if other programs kept the machine busy."""
    figures = record.figures
    if isinstance(figures, Engines):
        others = max((run.other_cores for run in figures.runs), default=0.0)
    elif isinstance(figures, Throughput | DecodingSpeed | Gpu):
        others = figures.other_cores or 0.0
    else:
        return None
    if others <= QUIET:
        return None
    return Finding(
        "noisy",
        f"{record.origin}: do not quote its times",
        f"{_others(others)} At most {QUIET} may be busy.",
    )


def missed(record: Record) -> list[Finding]:
    """Return the criteria that a GPU did not meet."""
    if not isinstance(record.figures, Gpu):
        return []
    return [
        Finding("fail", f"{criterion.name}: missed on the GPU", f"{_figure(criterion)}, {_target(criterion)}")
        for criterion in record.figures.criteria
        if criterion.verdict == "MISSED"
    ]


def _figure(criterion: Criterion) -> str:
    return "" if criterion.figure is None else f"{criterion.figure:.5g}"


def _target(criterion: Criterion) -> str:
    return f"{criterion.wants} {criterion.threshold:g} {criterion.what}"


def against_keras(run: Run) -> tuple[Timing, float] | None:
    """Return our fastest engine that passes, and the time of the trained model's own framework divided by its time."""
    if run.best is None or run.reference is None:
        return None
    return run.best, run.reference.ms / run.best.ms


def trade_off_blocks(record: Record) -> list[Block]:
    """Return charts of accuracy against time, one for each run."""
    if not isinstance(record.figures, Engines):
        return []
    return [
        Figure(f"Images read correctly against the time of one, {_threads(run)}", *_trade_off(run))
        for run in record.figures.runs
        if any(timing.parity for timing in run.timings)
    ]


def _trade_off(run: Run) -> tuple[Markup, str]:
    """Return a chart, and a note on how to read it."""
    points = []
    counts: dict[str, tuple[int, int]] = {}
    for timing in _fastest_first(run):
        if timing.parity is not None:
            counts[timing.engine] = right, images = _right(timing.parity)
            points.append(Point(timing.ms, right / images, timing.engine, _tone(timing), strong=timing.ours))
    low, high = binomial_interval(*counts.get(REFERENCE, next(iter(counts.values()))))
    x = scale([timing.ms for timing in run.timings], "ms an image", at_zero=True)
    y = scale([*(point.y for point in points), low, high], "images read correctly", tick)
    doubt = Line("", (), "peer", band=((x.low, low, high), (x.high, low, high)))
    shown, key = named_or_numbered(points)
    note = (
        f"{key}Up and to the left is better; nothing beats a point on the line in both. The band,"
        f" {between(low, high)}, is the 95% interval of what {REFERENCE} reads correctly of {images:,} images: within"
        " it, these images do not tell which reads better."
    )
    return plot(x, y, lines=[doubt, _frontier(points)], points=shown, height=340), note


def _fastest_first(run: Run) -> list[Timing]:
    return sorted(run.timings, key=lambda timing: timing.ms)


def _right(parity: Parity) -> tuple[int, int]:
    """Return the number of images that are read correctly, and the number of all images."""
    return sum(folder.artifact_right for folder in parity.sets), sum(folder.images for folder in parity.sets)


def _frontier(points: Sequence[Point]) -> Line:
    """Return steps through the points that no other point beats in both coordinates."""
    corners: list[tuple[float, float]] = []
    best = -math.inf
    for point in sorted(points, key=lambda point: (point.x, -point.y)):
        if point.y > best:
            start = best if corners else point.y
            corners += [(point.x, start), (point.x, point.y)]
            best = point.y
    return Line("", (*corners, (max(point.x for point in points), best)), "peer")


def latency_blocks(record: Record) -> list[Block]:
    """Return charts and tables of the times of single images."""
    if not isinstance(record.figures, Engines):
        return []
    note = (
        "Large dots are medians over the rounds, small ones are rounds; lines go from the fastest call to the slowest"
        " round."
    )
    blocks: list[Block] = []
    for run in record.figures.runs:
        blocks.append(Figure(f"Time of one image, {_threads(run)} ({record.origin})", _times(run), note))
        blocks += [Paragraph(_others(run.other_cores)), _engines(run)]
        if run.absent:
            absent = "; ".join(f"{name} ({reason})" for name, reason in run.absent.items())
            blocks.append(Paragraph(f"Absent: {absent}."))
    return blocks


def _others(cores: float) -> str:
    return f"Meanwhile other programs kept {cores:.2g} cores busy."


def _times(run: Run) -> Markup:
    lines = []
    bounds: list[float] = []
    for timing in _fastest_first(run):
        medians = tuple(played.median_ms for played in timing.rounds)
        span = (timing.minimum_ms, max(medians))
        bounds += span
        value = ms(timing.ms)
        lines.append(Row(timing.engine, value, timing.ms, _tone(timing), span, dots=medians, strong=timing.ours))
    return rows(lines, scale(bounds, "ms", at_zero=True))


def _engines(run: Run) -> Table:
    ours = run.best
    lines = []
    for timing in _fastest_first(run):
        texts = ("", "", "")
        if timing.parity is not None:
            right, images = _right(timing.parity)
            same = sum(folder.same_text for folder in timing.parity.sets)
            texts = (of(same, images), percent(right / images), timing.parity.verdict)
        to_best = f" ({timing.ms / ours.ms:.2f})" if ours else ""
        times = (f"{timing.ms:.2f}{to_best}", f"{timing.first_ms:,.0f}")
        lines.append((timing.engine, *times, megabytes(timing.file_bytes), *texts))
    head = ("engine", "ms (to our best)", "first call, ms", "file", "same text", "correct", "verdict")
    return Table(head, tuple(lines), _threads(run), statuses=True)


def _tone(timing: Timing) -> str:
    if timing.ours:
        return "ours"
    return "reference" if timing.engine == REFERENCE else "peer"


def _threads(run: Run) -> str:
    return counted(run.threads, "thread")


def throughput_blocks(record: Record) -> list[Block]:
    """Return charts of many images: one engine with all threads against one engine for each core."""
    figures = record.figures
    if not isinstance(figures, Throughput):
        return []
    lines: list[Row | str] = []
    bounds: list[float] = []
    for name, pairs in figures.rounds.items():
        lines.append(_WAYS.get(name, name))
        wide, narrow = zip(*pairs, strict=True)
        for way, rates, tone in (("one engine, all threads", wide, "peer"), ("one engine per core", narrow, "ours")):
            middle = median(rates)
            span = (min(rates), max(rates))
            bounds += span
            lines.append(Row(way, f"{number(middle)} a second", middle, tone, span, dots=rates))
    ratios = ", ".join(f"{ratio:.2f} times for {_WAYS.get(name, name)}" for name, ratio in figures.ratios.items())
    gain = f"One engine per core gives, round by round and in the median, {ratios}."
    note = f"Dots are rounds. {gain} {_others(figures.other_cores)}"
    drawing = rows(lines, scale(bounds, "images a second", at_zero=True))
    return [Figure(f"Images a second ({record.origin})", drawing, note)]


def gpu_blocks(record: Record) -> list[Block]:
    """Return the criteria for TensorRT engines, and charts of their rates against the images of a call."""
    figures = record.figures
    if not isinstance(figures, Gpu):
        return []
    criteria = tuple(
        (criterion.name, _figure(criterion), _target(criterion), criterion.verdict) for criterion in figures.criteria
    )
    blocks: list[Block] = [Table(("criterion", "measured", "target", "verdict"), criteria, "Criteria")]
    for model, way in dict.fromkeys((timed.model, timed.way) for timed in figures.speed):
        chosen = [timed for timed in figures.speed if (timed.model, timed.way) == (model, way)]
        lines = [Line("TensorRT", _per_second(chosen, "ours"), "ours", dots=True)]
        if any(timed.peer for timed in chosen):
            lines.append(Line("PyTorch", _per_second(chosen, "peer"), "peer", dots=True))
        points = [point for line in lines for point in line.points]
        x = doubling_scale([images for images, _ in points], "images a call")
        y = scale([rate for _, rate in points], "images a second", at_zero=True)
        blocks.append(Figure(f"{model}, {way}: images a second against the images of a call", plot(x, y, lines=lines)))
    if figures.other_cores is not None:
        blocks.append(Paragraph(_others(figures.other_cores)))
    return blocks


def _per_second(timed: Sequence[GpuSpeed], side: Literal["ours", "peer"]) -> tuple[tuple[float, float], ...]:
    """Return pairs of images in a call and images per second, the median over the rounds."""
    rates = ((speed.images, speed.ours_images_per_s if side == "ours" else speed.peer_images_per_s) for speed in timed)
    return tuple(sorted((images, rate) for images, rate in rates if rate is not None))


def instruction_blocks(record: Record) -> list[Block]:
    """Return a table of the instructions for one image on emulated processors."""
    if not isinstance(record.figures, Instructions):
        return []
    lines = []
    for count in record.figures.counts:
        numbers = count.instructions
        classes = (numbers.total, numbers.dot, numbers.simd, numbers.memory, numbers.scalar)
        lines.append((count.engine, _CPUS.get(count.cpu, count.cpu), *(f"{number / 1e6:,.1f}" for number in classes)))
    head = ("millions", "processor", "all", "dot products", "other SIMD", "loads and stores", "scalar")
    note = "Instructions are not times: a processor executes several at once, and waits for memory."
    return [Paragraph(f"Counted under emulation, not on a board. {note}"), Table(head, tuple(lines))]


def decoding_blocks(record: Record) -> list[Block]:
    """Return the times of decoders, or the errors that a grammar avoids."""
    figures = record.figures
    if isinstance(figures, DecodingErrors):
        return [_decoding_errors(figures, record.header.images_are or "labelled images")]
    if isinstance(figures, DecodingSpeed):
        return [_decoding_speed(figures, batch) for batch in sorted({timed.batch for timed in figures.speeds})]
    return []


def _decoding_errors(figures: DecodingErrors, images_are: str) -> Table:
    lines = []
    for name, meaning in _COUNTS.items():
        count = getattr(figures.errors, name)
        interval = between(*binomial_interval(count, figures.images))
        lines.append((meaning, f"{count:,}", percent(count / figures.images), interval))
    title = f"Grammar {figures.grammar}, {figures.images:,} {images_are}"
    return Table(("", "images", "share", "95% interval"), tuple(lines), title)


def _decoding_speed(figures: DecodingSpeed, batch: int) -> Figure:
    lines = []
    for timed in sorted((timed for timed in figures.speeds if timed.batch == batch), key=lambda timed: timed.ms):
        value = f"{timed.ms:.3g} ms, same {percent(timed.same)}"
        lines.append(Row(timed.decoder, value, timed.ms, "ours", (timed.minimum_ms, timed.ms)))
    note = (
        f"Same: the share of {figures.images:,} images in which the decoder reads the same label as ours."
        f" {_others(figures.other_cores)}"
    )
    axis = scale([timed.ms for timed in figures.speeds if timed.batch == batch], "ms a call", at_zero=True)
    return Figure(f"Decoding {counted(batch, 'image')} at a time, on one core", rows(lines, axis), note)
