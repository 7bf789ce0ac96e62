"""`python -m benchmarks.charts`: draw the README's two charts from `benchmarks/results`.

`accuracy.svg` shows whether conversions keep the text. `latency.svg` shows the time of an image, and whether engines
keep the text. All figures come from the results, letters stay text, and the same results give the same bytes.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from converters.report.accuracy import Judged, images_in_words, judged
from converters.report.speed import busy
from edge_crnn.binomial import binomial_interval
from edge_crnn.errors import EdgeCrnnError, InputError
from edge_crnn.files import write_atomically
from edge_crnn.records.engines import REFERENCE, Engines, Run, Timing
from edge_crnn.records.record import Record, load_record

RESULTS = Path("benchmarks/results")
ACCURACY, PEERS = "accuracy*.json", "peers-*.json"
"""Patterns of the files that a chart is drawn from; the last by name comes first."""

_OURS, _PEER, _INK, _SOFT, _HAIR = "#1f5fd0", "#77828d", "#1b2126", "#5a6670", "#e4e7ea"
_TONES = ("#1f5fd0", "#c25e00", "#13795b")
_ROW, _WIDTH = 0.27, 8.6
"""The height of a row and the width of a chart, in inches."""
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "edge-crnn",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _SOFT,
    "axes.edgecolor": _HAIR,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": _SOFT,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "x",
    "grid.color": _HAIR,
    "axes.axisbelow": True,
    "ytick.major.size": 0,
    "legend.frameon": False,
}


def drawn(draw: Callable[[Sequence[Record]], bytes], records: Sequence[Record]) -> bytes:
    """Call `draw` in the style of the project, whatever the settings of matplotlib are."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        return draw(records)


def accuracy(records: Sequence[Record]) -> bytes:
    """Draw the share of Keras' correct readings that each conversion keeps, in a panel for each record.

    Raises:
        InputError: there is no record, or one is of another kind.
    """
    judgements = [(record, judged(record)) for record in records]
    if not all(conversions for _, conversions in judgements) or not judgements:
        raise InputError(
            "found no results of benchmarks.accuracy, or a file of another kind; name files of benchmarks.accuracy"
        )
    heights = [len(conversions) + 1 for _, conversions in judgements]
    figure = _figure(_ROW * sum(heights) + 1.0 * len(judgements))
    panels = figure.subplots(len(judgements), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})
    for (record, conversions), axis in zip(judgements, panels[:, 0], strict=True):
        _conversions(axis, conversions)
        axis.set_title(f"{record.header.model}: {images_in_words(record)}", fontweight="bold")
    panels[-1, 0].set_xlabel("same text, of what Keras reads correctly; lines are 95 % intervals")
    return _svg(figure)


def _conversions(axis: Any, conversions: Sequence[Judged]) -> None:
    groups = len(conversions[0].parities)
    for place, conversion in enumerate(conversions):
        for number, parity in enumerate(conversion.parities):
            same, right = (
                sum(getattr(image_set, count) for image_set in parity.sets)
                for count in ("same_where_right", "reference_right")
            )
            tone = _TONES[number % len(_TONES)]
            folder, _, last = parity.sets[0].name.rpartition("/")
            name = folder if len(parity.sets) > 1 else last
            _dot(axis, place + 0.22 * (number - (groups - 1) / 2), same, right, tone, None if place else name)
    _gate(axis, conversions[0].parities[0].gate_agreement)
    _names(axis, [conversion.name for conversion in conversions])
    axis.legend(loc="lower right", ncols=groups, fontsize=8, bbox_to_anchor=(1.0, 0.98), borderaxespad=0)


def latency(records: Sequence[Record]) -> bytes:
    """Draw the time of an image with each engine, and how often it reads what Keras reads, fastest first.

    Raises:
        InputError: there are no results of `benchmarks.peers`.
    """
    runs = [run for record in records if isinstance(record.figures, Engines) for run in record.figures.runs]
    runs.sort(key=lambda run: run.threads)
    if not runs:
        raise InputError("found no results of benchmarks.peers; run it, or name its files")
    order = sorted(runs[0].timings, key=lambda timing: timing.ms)
    figure = _figure(_ROW * len(order) + 1.2)
    times, texts = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": (3, 2)})
    for number, run in enumerate(runs):
        by_name = {timing.engine: timing for timing in run.timings}
        _times(times, [by_name.get(timing.engine) for timing in order], run, number)
    times.set_xlim(0, None)
    times.set_title("ms an image, median", fontweight="bold")
    times.legend(loc="upper right", fontsize=8)
    for place, timing in enumerate(order):
        if timing.parity is not None and timing.engine != REFERENCE:
            same, images = (
                sum(getattr(image_set, count) for image_set in timing.parity.sets) for count in ("same_text", "images")
            )
            _dot(texts, place, same, images, _tone(timing), None)
    texts.set_title("same text as Keras, 95 % intervals", fontweight="bold")
    texts.xaxis.set_major_formatter(_percent)
    _names(times, [timing.engine for timing in order])
    for label, timing in zip(times.get_yticklabels(), order, strict=True):
        label.set_fontweight("bold" if timing.ours else "normal")
    about = f"{_images(order)} {records[0].header.images_are or 'labelled images'}; {records[0].board_name}"
    figure.text(0.01, 0.012, about, color=_SOFT, fontsize=8)
    return _svg(figure, bottom=0.035)


def _images(order: Sequence[Timing]) -> str:
    parities = [timing.parity for timing in order if timing.parity is not None]
    return f"{sum(image_set.images for image_set in parities[0].sets):,}" if parities else ""


def _times(axis: Any, timings: Sequence[Timing | None], run: Run, number: int) -> None:
    label: str | None = f"{run.threads} thread{'s' * (run.threads > 1)}"
    for place, timing in enumerate(timings):
        if timing is not None:
            filled = _tone(timing) if number == 0 else "white"
            axis.plot(
                timing.ms, place, "o", markersize=6, color=_tone(timing), markerfacecolor=filled, label=label, zorder=3
            )
            label = None


def _tone(timing: Timing) -> str:
    if timing.ours:
        return _OURS
    return _INK if timing.engine == REFERENCE else _PEER


def _dot(axis: Any, place: float, part: int, whole: int, tone: str, name: str | None) -> None:
    if whole:
        axis.plot(binomial_interval(part, whole), (place, place), color=tone, linewidth=1.4, solid_capstyle="round")
        axis.plot(part / whole, place, "o", color=tone, markersize=5, label=name, zorder=3)


def _gate(axis: Any, gate: float) -> None:
    axis.axvline(gate, color=_INK, linestyle=(0, (3, 3)), linewidth=1)
    axis.annotate(
        "gate", (gate, 0), xycoords=("data", "axes fraction"), xytext=(4, 4), textcoords="offset points", fontsize=8
    )  # fmt: skip
    axis.xaxis.set_major_formatter(_percent)


def _percent(share: float, _: int) -> str:
    return f"{100 * share:.6g} %"


def _names(axis: Any, names: Sequence[str]) -> None:
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)


def _figure(height: float) -> Any:
    from matplotlib.figure import Figure  # unlike pyplot, it keeps no reference to its figures

    return Figure(figsize=(_WIDTH, height))


def _svg(figure: Any, bottom: float = 0.0) -> bytes:
    figure.tight_layout(rect=(0, bottom, 1, 1))
    data = io.BytesIO()
    figure.savefig(data, format="svg", metadata={"Date": None}, facecolor="white")
    return data.getvalue()


def main(words: Sequence[str] | None = None) -> int:
    """Draw both charts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="default: the folder of the results")
    args = parser.parse_args(words)
    folder = args.output or args.results
    try:
        for name, pattern, draw in (("accuracy.svg", ACCURACY, accuracy), ("latency.svg", PEERS, latency)):
            files = sorted(args.results.glob(pattern), reverse=True)
            records = [load_record(file) for file in files]
            for finding in filter(None, map(busy, records)):
                print(f"{finding.title}: {finding.detail}", file=sys.stderr)
            write_atomically(folder / name, drawn(draw, records))
            print(f"{folder / name}: drawn from {', '.join(file.name for file in files)}")
    except EdgeCrnnError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
