"""The command line, rounds, table and record that the benchmarks `peers` and `forms` share."""

from __future__ import annotations

import argparse
import functools
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from converters.verify.gate import Gate, Readings, compare
from edge_crnn.backends import Probabilities
from edge_crnn.bench.contention import Contention
from edge_crnn.dataset import Dataset, load_labelled
from edge_crnn.model.spec import ModelSpec, Parity
from edge_crnn.preprocess import preprocess
from edge_crnn.records.engines import REFERENCE, Engines, Run, Timing

from .peers.engines import build
from .peers.rounds import Engine, Images, interleave, workers
from .peers.source import Source
from .peers.table import table
from .record import header, save, typed

SAMPLES = Path("samples/plates")
"""Rendered plates, without a photograph; say so wherever you quote accuracy on them."""


def main(
    benchmark: str, about: str | None, makers: Mapping[str, Callable[[Source], Engine]], threads: Sequence[int]
) -> int:
    """Run a benchmark, `python -m benchmarks.BENCHMARK`: measure the engines that `makers` make."""
    args = _arguments(about, benchmark, threads)
    with tempfile.TemporaryDirectory(prefix="edge-crnn-") as work:
        source = Source(args.model, args.calibration, Path(work))
        plates = load_labelled(args.images, source.spec.alphabet)
        print(f"making the files of {len(makers)} engines from {args.model}", file=sys.stderr)
        engines, absent = build(source, makers)
        runs = []
        images = images_of(plates)
        print(f"reading {len(plates)} plates with each of {len(engines)} engines", file=sys.stderr)
        parities = judge(engines, plates, images, source.spec)
        for count in args.threads:
            print(f"{args.rounds} rounds on {count} core{'s' * (count > 1)}", file=sys.stderr)
            runs.append(measure(engines, absent, count, images, parities, args.rounds, args.calls))
            print(table(runs[-1]), end="\n\n", flush=True)
        written = header(
            typed(benchmark), model=source.spec.name, source_sha256=source.sha256, images_are=args.images_are
        )
    save(args.output, written, Engines(args.calls, tuple(runs)))
    print(f"written to {args.output}", file=sys.stderr)
    return 0


def images_of(plates: Dataset) -> Images:
    """Return a function that prepares the plates for an input, and keeps the result of each input."""
    pixels = [entry.load() for entry in plates]
    return functools.cache(lambda image: preprocess(pixels, image))


def judge(engines: Sequence[Engine], plates: Dataset, images: Images, spec: ModelSpec) -> dict[str, Parity]:
    """Compare the readings of the engines with the reference, at the gate of conversions; return parities by name.

    The result is empty where the reference is absent. The readings of an engine do not depend on its threads.
    """
    with workers(engines, 1, images) as (opened, _):
        read = {worker.engine.name: readings(worker.infer_all(), spec) for worker in opened}
    if REFERENCE not in read:
        return {}
    reference = read[REFERENCE]
    return {
        name: compare([plates], [reference], [engine_readings], Gate()).parity for name, engine_readings in read.items()
    }


def measure(
    engines: Sequence[Engine],
    absent: Mapping[str, str],
    threads: int,
    images: Images,
    parities: Mapping[str, Parity],
    rounds: int,
    calls: int,
) -> Run:
    """Measure all engines at one number of threads.

    `absent` holds the reasons why other engines could not be made, by name.
    """
    with workers(engines, threads, images) as (opened, missing):
        before = os.getloadavg()
        contention = Contention(worker.pid for worker in opened)
        rounds_of = interleave(opened, rounds, calls)
        others = contention.cores()
        after = os.getloadavg()
        timings = [
            Timing(
                engine=worker.engine.name,
                ours=worker.engine.ours,
                note=worker.engine.note,
                file_bytes=worker.engine.file_bytes,
                first_ms=worker.first_ms,
                rounds=tuple(rounds_of[worker.engine.name]),
                parity=parities.get(worker.engine.name),
            )
            for worker in opened
        ]
    return Run(threads, before, after, others, tuple(timings), {**absent, **missing})


def readings(probabilities: Probabilities, spec: ModelSpec) -> Readings:
    """Return the best-path labels of the network's output, (N, T, C), after its rows are scaled to sum to 1.

    Some peers quantise the softmax more coarsely than our decoder accepts.
    """
    rows = probabilities / probabilities.sum(axis=-1, keepdims=True, dtype=np.float32)
    return Readings.of(rows, spec)


def _arguments(about: str | None, benchmark: str, threads: Sequence[int]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{benchmark}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--threads", type=int, nargs="+", default=list(threads))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--calls", type=int, default=25, help="timed calls of each engine in a round (default: %(default)s)"
    )
    parser.add_argument("--model", type=Path, default=Path("models/plates.keras"))
    parser.add_argument("--images", type=Path, default=SAMPLES, help="folder of labelled images, which are also timed")
    parser.add_argument(
        "--images-are", metavar="WORDS", help="words for the report (default for the samples: rendered plates)"
    )
    parser.add_argument("--calibration", type=Path, default=Path("samples/calibration"))
    parser.add_argument("-o", "--output", type=Path, default=Path(f"benchmarks/results/{benchmark}.json"))
    args = parser.parse_args()
    if args.images_are is None:
        args.images_are = "rendered plates" if args.images == SAMPLES else ""
    return args
