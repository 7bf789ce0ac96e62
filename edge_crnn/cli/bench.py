"""`edge-crnn bench`: what reading an image costs on this machine, stage by stage, and whether that has changed."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..backends import ENGINES
from ..bench.compare import METHOD, STATISTIC, Comparison, compare
from ..bench.marks import difference, marks
from ..bench.suite import run_suite
from ..bench.summary import summarise
from ..bench.table import comparison_table, table
from ..files import require_place, write_atomically
from ..reader import DEFAULT_MODEL, MOST, usable_cores
from ..records.bench import Kind, Record, Scenario, load_record
from .command import Command, at_least

_KINDS: tuple[Kind, ...] = ("single", "offline", "multi", "camera")
_MOST_SECONDS = 1e5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `bench`."""
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL", help="artifacts (default: the one of read)")
    parser.add_argument(
        "--images", type=Path, required=True, metavar="DIR", help="a folder of images, such as are read"
    )
    parser.add_argument(
        "--scenario",
        type=_scenarios,
        default=("single", "offline"),
        metavar="S,…",
        help="single: one image after the other; offline: all at once; multi: readers side by side; camera: as frames"
        " come; all (default: single,offline)",
    )
    parser.add_argument(
        "--rounds", type=at_least(1, 100), default=10, metavar="N", help="of each artifact (default: 10)"
    )
    parser.add_argument(
        "--per-round", type=at_least(1, 1_000_000), default=100, metavar="N", help="images a round (default: 100)"
    )
    parser.add_argument("--engine", choices=ENGINES, help="tensorrt: run an .onnx as an engine, built once")
    parser.add_argument("--threads", type=at_least(1, MOST), default=1, metavar="N", help="of each engine (default: 1)")
    parser.add_argument(
        "--readers", type=at_least(1, MOST), metavar="N", help="of offline, multi, --minutes (default: one per core)"
    )
    parser.add_argument("--fps", type=_positive, default=30.0, metavar="F", help="of the camera (default: 30)")
    parser.add_argument(
        "--late",
        choices=("drop", "queue"),
        default="drop",
        help="a frame that comes while an earlier one is still being read is dropped (default), or waits for its turn",
    )
    parser.add_argument(
        "--minutes", type=_positive, metavar="M", help="then read so long without a pause, for its curve"
    )
    parser.add_argument("--every", type=_positive, default=5.0, metavar="S", help="seconds to a point of that curve")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="all that was measured, as JSON")
    parser.add_argument(
        "--compare", type=Path, metavar="OLD", help="an earlier FILE: exit with 3 if an artifact is slower now"
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="text: tables; json: what -o writes (default: text)"
    )


def run(arguments: argparse.Namespace) -> int:
    """0; beside an older record 3 if an artifact has become slower, 1 if that cannot be told."""
    if arguments.output is not None:
        require_place(arguments.output)
    old = None if arguments.compare is None else load_record(arguments.compare)
    record = run_suite(
        arguments.models or [DEFAULT_MODEL],
        arguments.images,
        list(_plays(arguments)),
        threads=arguments.threads,
        engine=arguments.engine,
        command=shlex.join(["edge-crnn", *sys.argv[1:]]),
        old=old,
    )
    if arguments.output is not None:  # first, so that a comparison that fails loses nothing
        write_atomically(arguments.output, _json(record).encode())
    comparisons = () if old is None else compare(old, record)
    if arguments.format == "json":
        print(_json(record, comparisons), end="")
    else:
        print(table(record))
        if old is not None:
            print(f"\n{comparison_table(comparisons, str(arguments.compare))}")
    return _end(comparisons, arguments.compare)


def _end(comparisons: Sequence[Comparison], old: Path | None) -> int:
    slower = [
        f"{each.path} ({each.scenario.kind}, {each.new_ms / each.old_ms - 1:+.1%}, p = {each.p:.2g})"
        for each in comparisons
        if each.verdict == "slower"
    ]
    unclear = [f"{each.path} ({each.scenario.kind}): {each.why}" for each in comparisons if each.why]
    if not slower and not unclear:
        return 0
    sys.stdout.flush()
    if slower:
        print(f"edge-crnn bench: slower than in {old} by {STATISTIC}: {', '.join(slower)}", file=sys.stderr)
        return 3
    print(f"edge-crnn bench: cannot be told beside {old}: {', '.join(unclear)}; measure again", file=sys.stderr)
    return 1


def _plays(arguments: argparse.Namespace) -> Iterator[tuple[Scenario, int]]:
    readers, images, rounds = arguments.readers or usable_cores(), arguments.per_round, arguments.rounds
    for kind in arguments.scenario:
        if kind == "single":
            yield Scenario(kind, 1, images), rounds
        elif kind == "camera":
            yield Scenario(kind, 1, images, fps=arguments.fps, late=arguments.late), rounds
        else:
            yield Scenario(kind, readers, images), rounds
    if arguments.minutes is not None:
        points = max(1, round(arguments.minutes * 60 / arguments.every))
        yield Scenario("sustained", readers, 0, seconds=arguments.every), points


def _json(record: Record, comparisons: Sequence[Comparison] = ()) -> str:
    """With what follows from the record, for those who do not want to compute it; it is not read back."""
    summaries = [
        {
            **dataclasses.asdict(summarise(each)),
            "control_differs": difference(record, each),
            "marks": marks(record, each),
        }
        for each in record.results
    ]
    if not comparisons:
        return record.to_json(summaries=summaries)
    compared = [dataclasses.asdict(each) for each in comparisons]
    return record.to_json(summaries=summaries, comparisons=compared, compared_by=METHOD)


def _scenarios(text: str) -> tuple[Kind, ...]:
    kinds = _KINDS if text == "all" else tuple(kind for name in text.split(",") for kind in _KINDS if kind == name)
    if not kinds or (text != "all" and len(kinds) != len(text.split(","))):
        raise argparse.ArgumentTypeError(f"{text!r} is not among {', '.join(_KINDS)}, all; separate several by commas")
    return tuple(dict.fromkeys(kinds))


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most {_MOST_SECONDS:g}")
    return value


COMMAND = Command("measure what reading costs on this machine", add_arguments, run)
