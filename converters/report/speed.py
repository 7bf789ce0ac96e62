"""How fast? What the benchmarks on a workstation measured; each picture is of one record, so of one machine."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from edge_crnn.bench.contention import QUIET
from edge_crnn.binomial import binomial_interval
from edge_crnn.model.spec import Parity

from .blocks import Block, Figure, Finding, Paragraph, Table
from .charts import Line, Point, Row, doubling_scale, named_or_numbered, number, plot, rows, scale
from .markup import Markup
from .records import Record
from .suites import (
    Criterion,
    DecodingErrors,
    DecodingSpeed,
    EngineRun,
    Engines,
    Gpu,
    GpuSpeed,
    Instructions,
    Throughput,
    Timing,
)
from .words import counted, megabytes, ms, percent, tick

REFERENCE = "Keras"
"""Name of the engine whose readings the others are held to."""
_CPUS = {"cortex-a72": "Cortex-A72 (Pi 4)", "cortex-a76": "Cortex-A76 (Pi 5)"}
_WAYS = {"inference": "inference alone", "folder": "a folder, from files to text"}
_COUNTS = {
    "greedy_right": "right by greedy decoding",
    "beam_right": "right by a beam without a grammar",
    "grammar_right": "right by a beam within the grammar",
    "covered": "greedy texts that pass the grammar as a filter",
    "filter_wrong": "wrong among these",
    "grammar_wrong": "wrong among as many of the grammar's surest",
    "remaining": "wrong by a beam within the grammar",
    "truth_in_n_best": "of these, right among the 10 best",
}


def busy(record: Record) -> Finding | None:
    """A warning that times are not to be quoted."""
    body = record.body
    if isinstance(body, Engines):
        others = max((run.other_cores for run in body.runs), default=0.0)
    elif isinstance(body, Throughput | DecodingSpeed | Gpu):
        others = body.other_cores or 0.0
    else:
        return None
    if others <= QUIET:
        return None
    return Finding(
        "noisy",
        f"{record.origin}: its times are not to be quoted",
        f"{_others(others)} {QUIET} is the most that may be.",
    )


def missed(record: Record) -> list[Finding]:
    """What had to be shown on a GPU, and was not."""
    if not isinstance(record.body, Gpu):
        return []
    return [
        Finding("fail", f"{each.name}: missed on the GPU", f"{_found(each)}, {_wanted(each)}")
        for each in record.body.criteria
        if each.verdict == "MISSED"
    ]


def _found(criterion: Criterion) -> str:
    return "" if criterion.figure is None else f"{criterion.figure:.5g}"


def _wanted(criterion: Criterion) -> str:
    return f"{criterion.wants} {criterion.threshold:g} {criterion.what}"


def passes(timing: Timing) -> bool:
    """Ours, and not shown to read anything else than the reference."""
    return timing.ours and timing.parity is not None and timing.parity.verdict != "fail"


def best(run: EngineRun) -> Timing | None:
    """Our fastest that passes."""
    return min(filter(passes, run.timings), key=lambda each: each.ms, default=None)


def against_keras(run: EngineRun) -> tuple[Timing, float] | None:
    """Our fastest that passes, and how many times as long the trained model's own framework takes."""
    ours = best(run)
    reference = next((each for each in run.timings if each.engine == REFERENCE), None)
    return None if ours is None or reference is None else (ours, reference.ms / ours.ms)


def trade_off_blocks(record: Record) -> list[Block]:
    """Accuracy against time, a picture for each run."""
    if not isinstance(record.body, Engines):
        return []
    return [
        Figure(f"Images read right against the time of one, {_threads(run)}", *_trade_off(run))
        for run in record.body.runs
        if any(each.parity for each in run.timings)
    ]


def _trade_off(run: EngineRun) -> tuple[Markup, str]:
    """The picture, and how to read it."""
    points = []
    for each in sorted(run.timings, key=lambda timing: timing.ms):
        if each.parity is not None:
            right, images = _right(each.parity)
            points.append(Point(each.ms, right / images, each.engine, _tone(each), strong=each.ours))
    low, high = _doubt(run)
    x = scale([each.ms for each in run.timings], "ms an image", at_zero=True)
    y = scale([*(each.y for each in points), low, high], "images read right", tick)
    doubt = Line("", (), "peer", band=((x.low, low, high), (x.high, low, high)))
    shown, key = named_or_numbered(points)
    return plot(x, y, lines=[doubt, _frontier(points)], points=shown, height=340), key + _read_with(run)


def _right(parity: Parity) -> tuple[int, int]:
    """Images that are read right, of so many."""
    return sum(each.artifact_right for each in parity.sets), sum(each.images for each in parity.sets)


def _doubt(run: EngineRun) -> tuple[float, float]:
    """95% interval of the share that the reference reads right; where it is absent, of the fastest."""
    known = [each for each in run.timings if each.parity]
    chosen = next((each for each in known if each.engine == REFERENCE), known[0])
    assert chosen.parity is not None
    return binomial_interval(*_right(chosen.parity))


def _frontier(points: Sequence[Point]) -> Line:
    """Steps through those that nothing beats in both."""
    corners: list[tuple[float, float]] = []
    for each in sorted(points, key=lambda point: (point.x, -point.y)):
        if not corners or each.y > corners[-1][1]:
            corners += [(each.x, corners[-1][1] if corners else each.y), (each.x, each.y)]
    return Line("", (*corners, (max(each.x for each in points), corners[-1][1])), "peer")


def _read_with(run: EngineRun) -> str:
    low, high = _doubt(run)
    images = next(_right(each.parity)[1] for each in run.timings if each.parity)
    return (
        f"Up and to the left is better; nothing beats what lies on the line in both. The band, {percent(low)} to"
        f" {percent(high)}, is the 95% interval of what {REFERENCE} reads right of {images:,} images: within it, these"
        " images do not tell which reads better."
    )


def latency_blocks(record: Record) -> list[Block]:
    """Times of single images."""
    if not isinstance(record.body, Engines):
        return []
    blocks: list[Block] = []
    for run in record.body.runs:
        blocks.append(
            Figure(
                f"Time of one image, {_threads(run)} ({record.origin})",
                _times(run),
                "Large dots are medians over the rounds, small ones are rounds; lines go from the fastest call to the"
                " slowest round.",
            )
        )
        blocks += [Paragraph(_others(run.other_cores)), _engines(run)]
        if run.absent:
            absent = "; ".join(f"{name} ({reason})" for name, reason in run.absent.items())
            blocks.append(Paragraph(f"Absent: {absent}."))
    return blocks


def _others(cores: float) -> str:
    return f"Other programs kept {cores:.2g} cores busy meanwhile."


def _times(run: EngineRun) -> Markup:
    lines = []
    for each in sorted(run.timings, key=lambda timing: timing.ms):
        medians = tuple(one.median_ms for one in each.rounds)
        span = min(one.minimum_ms for one in each.rounds), max(medians)
        lines.append(Row(each.engine, ms(each.ms), each.ms, _tone(each), span, dots=medians, strong=each.ours))
    return rows(lines, scale([bound for each in lines for bound in each.span or ()], "ms", at_zero=True))


def _engines(run: EngineRun) -> Table:
    ours = best(run)
    lines = []
    for each in sorted(run.timings, key=lambda timing: timing.ms):
        right, same = "", ""
        if each.parity is not None:
            count, images = _right(each.parity)
            right = percent(count / images)
            same = f"{sum(one.same_text for one in each.parity.sets):,} of {images:,}"
        lines.append(
            (
                each.engine,
                f"{each.ms:.2f}" + (f" ({each.ms / ours.ms:.2f})" if ours else ""),
                f"{each.first_ms:,.0f}",
                megabytes(each.file_bytes),
                same,
                right,
                each.parity.verdict if each.parity else "",
            )
        )
    head = ("engine", "ms (to our best)", "first call, ms", "file", "same text", "right", "verdict")
    return Table(head, tuple(lines), _threads(run), statuses=True)


def _tone(timing: Timing) -> str:
    return "ours" if timing.ours else "reference" if timing.engine == REFERENCE else "peer"


def _threads(run: EngineRun) -> str:
    return counted(run.threads, "thread")


def throughput_blocks(record: Record) -> list[Block]:
    """Many images: one engine with all threads against one per core."""
    body = record.body
    if not isinstance(body, Throughput):
        return []
    lines: list[Row | str] = []
    for name, pairs in body.rounds.items():
        lines.append(_WAYS.get(name, name))
        for way, rates, tone in zip(
            ("one engine, all threads", "one engine per core"), zip(*pairs, strict=True), ("peer", "ours"), strict=True
        ):
            middle = median(rates)
            lines.append(Row(way, f"{number(middle)} a second", middle, tone, (min(rates), max(rates)), dots=rates))
    axis = scale(
        [rate for pairs in body.rounds.values() for pair in pairs for rate in pair], "images a second", at_zero=True
    )
    ratios = ", ".join(f"{ratio:.2f} times for {_WAYS.get(name, name)}" for name, ratio in body.ratios.items())
    gain = f"One engine per core gives, round by round and in the median, {ratios}."
    note = f"Dots are rounds. {gain} {_others(body.other_cores)}"
    return [Figure(f"Images a second ({record.origin})", rows(lines, axis), note)]


def gpu_blocks(record: Record) -> list[Block]:
    """What must be shown of TensorRT engines, and their rates against the images of a call."""
    body = record.body
    if not isinstance(body, Gpu):
        return []
    criteria = [(each.name, _found(each), _wanted(each), each.verdict) for each in body.criteria]
    blocks: list[Block] = [Table(("criterion", "found", "wanted", "verdict"), tuple(criteria), "What must be shown")]
    for model, way in dict.fromkeys((each.model, each.way) for each in body.speed):
        found = [each for each in body.speed if (each.model, each.way) == (model, way)]
        lines = [
            Line(name, points, tone, dots=True)
            for name, points, tone in (
                ("TensorRT", _per_second(found, "ours"), "ours"),
                ("PyTorch", _per_second(found, "peer"), "peer"),
            )
            if points
        ]
        x = doubling_scale([at for each in lines for at, _ in each.points], "images a call")
        y = scale([rate for each in lines for _, rate in each.points], "images a second", at_zero=True)
        blocks.append(Figure(f"{model}, {way}: images a second against the images of a call", plot(x, y, lines=lines)))
    if body.other_cores is not None:
        blocks.append(Paragraph(_others(body.other_cores)))
    return blocks


def _per_second(found: Sequence[GpuSpeed], who: str) -> tuple[tuple[float, float], ...]:
    """Images of a call, and images a second by the median over the rounds."""
    rounds = {each.images: each.ours if who == "ours" else each.peer for each in found}
    return tuple(
        (images, 1e3 * images / median(one.median_ms for one in timed))
        for images, timed in sorted(rounds.items())
        if timed
    )


def instruction_blocks(record: Record) -> list[Block]:
    """What an image takes on processors that were not there."""
    body = record.body
    if not isinstance(body, Instructions):
        return []
    lines = []
    for each in body.counts:
        found = each.instructions
        classes = (found.dot, found.simd, found.memory, found.scalar)
        millions = (f"{count / 1e6:,.1f}" for count in (sum(classes), *classes))
        lines.append((each.engine, _CPUS.get(each.cpu, each.cpu), *millions))
    head = ("millions", "processor", "all", "dot products", "other SIMD", "loads and stores", "scalar")
    blocks: list[Block] = [
        Paragraph(
            "Counted under emulation, on no board. They are no times: a processor does several at once, and waits for"
            " memory."
        )
    ]
    return [*blocks, Table(head, tuple(lines))]


def decoding_blocks(record: Record) -> list[Block]:
    """Decoders beside others, and what a grammar saves."""
    body = record.body
    if isinstance(body, DecodingErrors):
        lines = []
        for name, about in _COUNTS.items():
            if name in body.errors:
                count = body.errors[name]
                low, high = binomial_interval(count, body.images)
                lines.append((about, f"{count:,}", percent(count / body.images), f"{percent(low)} to {percent(high)}"))
        title = f"Grammar {body.grammar}, {body.images:,} {record.images or 'labelled images'}"
        return [Table(("", "images", "share", "95% interval"), tuple(lines), title)]
    if not isinstance(body, DecodingSpeed):
        return []
    blocks: list[Block] = []
    for batch in sorted({each.batch for each in body.speeds}):
        found = sorted((each for each in body.speeds if each.batch == batch), key=lambda each: each.ms)
        shown = [
            Row(
                each.decoder,
                f"{each.ms:.3g} ms, same {percent(each.same)}",
                each.ms,
                "ours",
                (each.minimum_ms, each.ms),
            )
            for each in found
        ]
        title = f"Decoding {counted(batch, 'image')} at a time, on one core"
        axis = scale([each.ms for each in found], "ms a call", at_zero=True)
        note = (
            f"Same: the share of {body.images:,} images in which it finds the labels that ours finds."
            f" {_others(body.other_cores)}"
        )
        blocks.append(Figure(title, rows(shown, axis), note))
    return blocks
