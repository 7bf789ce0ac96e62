"""`edge-crnn bench`: measures the time to read an image, stage by stage, and compares it with earlier measurements."""

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
from ..board.limits import usable_workers
from ..files import require_place, write_atomically
from ..reader import DEFAULT_MODEL, MOST
from ..records.bench import Kind, Record, Scenario, load_record
from .command import Command, at_least
from .folders import add_recursive_argument

_KINDS: tuple[Kind, ...] = ("single", "offline", "multi", "camera")
_MOST_SECONDS = 1e5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bench`."""
    parser.add_argument(
        "models", nargs="*", type=Path, metavar="MODEL", help="converted models (default: the built-in model)"
    )
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of images to read")
    add_recursive_argument(parser)
    parser.add_argument(
        "--scenario",
        type=_scenarios,
        default=("single", "offline"),
        metavar="NAME,…",
        help="single: one image after the other; offline: all images at once; multi: several readers in parallel;"
        " camera: frames at a fixed rate; or all (default: single,offline)",
    )
    parser.add_argument(
        "--rounds", type=at_least(1, 100), default=10, metavar="N", help="rounds per model (default: %(default)s)"
    )
    parser.add_argument(
        "--per-round", type=at_least(1, 1_000_000), default=100, metavar="N", help="images per round (default: 100)"
    )
    parser.add_argument(
        "--engine", choices=ENGINES, help="engine to run the models with; tensorrt first builds one from an .onnx"
    )
    parser.add_argument(
        "--threads", type=at_least(1, MOST), default=1, metavar="N", help="threads per engine (default: %(default)s)"
    )
    parser.add_argument(
        "--workers",
        type=at_least(1, MOST),
        metavar="N",
        help="engines in parallel, for offline, multi and --minutes (default: one per usable core; 1 if a model runs on"
        " a GPU)",
    )
    parser.add_argument(
        "--fps",
        type=_positive,
        default=30.0,
        metavar="F",
        help="frames per second of the scenario camera (default: %(default)g)",
    )
    parser.add_argument(
        "--late",
        choices=("drop", "queue"),
        default="drop",
        help="what happens to a frame that arrives while another is being read (default: %(default)s)",
    )
    parser.add_argument(
        "--minutes", type=_positive, metavar="M", help="afterwards, also read for M minutes without a pause"
    )
    parser.add_argument(
        "--every",
        type=_positive,
        default=5.0,
        metavar="S",
        help="seconds between two points of the curve over --minutes (default: %(default)g)",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write all measurements as JSON")
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="OLD",
        help="compare with a file that -o wrote earlier; exit with 3 if a model has become slower, with 1 if that is"
        " unclear",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="format of the output (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure. Return 0, or with --compare 3 if a model has become slower and 1 if that is unclear."""
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
        recursive=arguments.recursive,
    )
    if arguments.output is not None:  # before the comparison, which may fail
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
        f"{comparison.path} ({comparison.scenario.kind}, {comparison.new_ms / comparison.old_ms - 1:+.1%},"
        f" p = {comparison.p:.2g})"
        for comparison in comparisons
        if comparison.verdict == "slower"
    ]
    unclear = [
        f"{comparison.path} ({comparison.scenario.kind}): {comparison.why}"
        for comparison in comparisons
        if comparison.why
    ]
    if not slower and not unclear:
        return 0
    if slower:
        print(f"edge-crnn bench: slower than in {old} ({STATISTIC}): {', '.join(slower)}", file=sys.stderr)
        return 3
    print(f"edge-crnn bench: comparison with {old} is unclear: {', '.join(unclear)}; measure again", file=sys.stderr)
    return 1


def _plays(arguments: argparse.Namespace) -> Iterator[tuple[Scenario, int]]:
    readers = arguments.workers or _default_workers(arguments.models, arguments.engine)
    images = arguments.per_round
    rounds = arguments.rounds
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


def _default_workers(models: Sequence[Path], engine: str | None) -> int:
    """Return the number of engines in parallel, which is that of a `Reader` and the same for all models."""
    on_gpu = engine == "tensorrt" or any(model.suffix == ".engine" for model in models)
    return 1 if on_gpu else usable_workers()


def _json(record: Record, comparisons: Sequence[Comparison] = ()) -> str:
    """Return the record as JSON, with summaries and comparisons, which are derived and not read back."""
    summaries = [
        {
            **dataclasses.asdict(summarise(result)),
            "control_differs": difference(record, result),
            "marks": marks(record, result),
        }
        for result in record.results
    ]
    if not comparisons:
        return record.to_json(summaries=summaries)
    compared = [dataclasses.asdict(comparison) for comparison in comparisons]
    return record.to_json(summaries=summaries, comparisons=compared, compared_by=METHOD)


def _scenarios(text: str) -> tuple[Kind, ...]:
    kinds = _KINDS if text == "all" else tuple(kind for name in text.split(",") for kind in _KINDS if kind == name)
    if not kinds or (text != "all" and len(kinds) != len(text.split(","))):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not one of {', '.join(_KINDS)}, all; separate several with commas"
        )
    return tuple(dict.fromkeys(kinds))


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0 and up to {_MOST_SECONDS:g}")
    return value


COMMAND = Command(
    "measure how fast models read on this machine",
    add_arguments,
    run,
    details="Splits the time of every image into loading, preprocessing, inference and decoding. Measures the first"
    " model twice, which shows by how much equal models differ.",
    examples=(
        "bench --images samples/plates",
        "bench model.tflite --images folder --scenario all -o today.json",
        "bench model.tflite --images folder --compare today.json",
    ),
    renamed={"--readers": "--workers"},
)
