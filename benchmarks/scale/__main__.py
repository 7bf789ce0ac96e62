"""`python -m benchmarks.scale`: compare `read-all`, with Ray and with processes, with a plain loop on one machine.

Every way reads the same images: rendered plates in Parquet files, of which some thousands are distinct and the others
are repeats with other names. The plain loop has one engine per core, each in a process that loops over its share of the
files with `Reader.read_batch`. The ways take turns, so that other load affects all of them, and the first turn is not
counted. On a busy machine, compare the processor time per image. All texts must be the same.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, get_args

from edge_crnn.bench.contention import Contention
from edge_crnn.board.limits import usable_cores
from edge_crnn.files import write_atomically
from edge_crnn.progress import note
from edge_crnn.records import form

from ..record import header, typed
from . import crops, stages
from .usage import Memory, processor_s
from .ways import WAYS, Way, Work

_PLAIN = WAYS[0].name


@dataclass
class Run:
    """A way while it is measured."""

    way: Way
    output: Path
    process: Any
    pipe: Connection
    elapsed_s: list[float] = field(default_factory=list)
    """Time of every turn."""
    busy_s: list[float] = field(default_factory=list)
    """Processor time of every turn."""
    waiting_s: float = 0.0
    """Processor time during the turns of the others."""
    memory: list[float] = field(default_factory=list)
    """The most memory of any worker in every turn, in MiB."""

    def turn(self) -> None:
        """Have the way read its next files."""
        memory = Memory(self.process.pid, self.way.is_worker)
        busy, started = processor_s(self.process.pid), time.perf_counter()
        self.pipe.send(None)
        try:
            self.pipe.recv()
        except EOFError:
            sys.exit(f"{self.way.name}: the process ended early; see its message above")
        self.elapsed_s.append(time.perf_counter() - started)
        self.busy_s.append(processor_s(self.process.pid) - busy)
        self.memory.append(max(memory.close(), default=0.0))

    def summary(self, images: int) -> dict[str, Any]:
        """Return the figures.

        Args:
            images: number of images of a turn.
        """
        turns = len(self.elapsed_s)
        return {
            "images a second": images * turns / sum(self.elapsed_s),
            "processor ms per image": 1e3 * sum(self.busy_s) / (images * turns),
            "processor s while others read": self.waiting_s,
            "MiB of the largest worker by turn": self.memory,
            "s by turn": self.elapsed_s,
            "processor s by turn": self.busy_s,
        }


def main(words: Sequence[str] | None = None) -> int:
    """Print the figures, and with `-o` write them as JSON; return 1 if a text differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="plates")
    parser.add_argument("--images", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--distinct", type=int, default=4_000, help="images that are rendered (default: %(default)s)")
    parser.add_argument("--format", choices=get_args(crops.Format), default="jpg")
    parser.add_argument("--turns", type=int, default=5, help="turns of every way (default: %(default)s)")
    parser.add_argument("--ways", nargs="+", choices=[way.name for way in WAYS], default=[way.name for way in WAYS])
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args(words)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for all ways
    with tempfile.TemporaryDirectory(prefix="edge-crnn-") as folder:
        figures = _figures(arguments, Path(folder))
    print("\n".join(table(figures)))
    if arguments.output:
        about = header(typed("scale", words), model=arguments.model, images_are="rendered plates, repeated")
        write_atomically(arguments.output, form.dumps({**form.plain(about), **figures}).encode())
    return int(any(figures["texts that differ"].values()))


def _figures(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    cores = usable_cores()
    distinct = min(arguments.distinct, arguments.images)
    inputs = folder / "crops"
    inputs.mkdir()
    note(f"rendering {distinct:,} plates", program="scale")
    turns = crops.write(inputs, arguments.images, distinct, arguments.format, arguments.turns, cores)
    images = sum(crops.count(path) for path in turns[1])
    runs = [
        _start(way, Work(tuple(map(tuple, turns)), arguments.model, cores, folder / way.name))
        for way in WAYS
        if way.name in arguments.ways
    ]
    contention = Contention(())
    for number in range(len(turns)):
        note(f"turn {number} of {arguments.turns}", program="scale")
        if number == 1:
            contention = Contention(run.process.pid for run in runs)
        for run in runs:
            others = [(other, processor_s(other.process.pid)) for other in runs if other is not run]
            run.turn()
            for other, before in others:
                other.waiting_s += max(0.0, processor_s(other.process.pid) - before)  # it may have ended
        if number == 0:
            for run in runs:
                run.elapsed_s, run.busy_s, run.memory, run.waiting_s = [], [], [], 0.0
    busy = contention.cores()
    for run in runs:
        run.process.join()
    texts = {run.way.name: run.way.texts(run.output) for run in runs}
    expected = texts[runs[0].way.name]
    return {
        "images": images * arguments.turns,
        "distinct images": distinct,
        "format": arguments.format,
        "readers": cores,
        "ways": {run.way.name: run.summary(images) for run in runs},
        "cores busy in all, with other programs": busy,
        "texts": len(expected),
        "texts that differ": {
            name: sum(found.get(image) != text for image, text in expected.items()) + abs(len(found) - len(expected))
            for name, found in texts.items()
        },
        "processor ms by stage": stages.measure(arguments.model, turns[1][0]),
    }


def _start(way: Way, work: Work) -> Run:
    work.output.mkdir()
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=way.run, args=(work, theirs), name=way.name)
    process.start()
    theirs.close()
    return Run(way, work.output, process, pipe)


def table(figures: Mapping[str, Any]) -> list[str]:
    """Return the figures in Markdown.

    A ratio is that of the plain loop's time to the way's: the median of the turns' ratios for the elapsed time, and
    the ratio of the sums for the processor time.
    """
    ways = figures["ways"]
    plain = ways.get(_PLAIN)
    count, distinct = figures["images"], figures["distinct images"]
    columns = ("way", "images/s", "ratio", "CPU ms/image", "ratio", "MiB, first and last turn", "texts that differ")
    lines = [
        f"{count:,} rendered plates ({figures['format']}), {distinct:,} of them distinct; {figures['readers']} readers",
        "",
        f"| {' | '.join(columns)} |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, way in ways.items():
        elapsed = busy = "–"
        if plain:
            pairs = zip(plain["s by turn"], way["s by turn"], strict=True)
            elapsed = f"{statistics.median(theirs / ours for theirs, ours in pairs):.2f}"
            busy = f"{sum(plain['processor s by turn']) / sum(way['processor s by turn']):.2f}"
        memory = way["MiB of the largest worker by turn"]
        cells = (
            name,
            f"{way['images a second']:.0f}",
            elapsed,
            f"{way['processor ms per image']:.2f}",
            busy,
            f"{memory[0]:.0f}, {memory[-1]:.0f}",
            str(figures["texts that differ"][name]),
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| stage | CPU ms/image |", "|---|---:|"]
    lines += [f"| {name} | {time_ms:.3f} |" for name, time_ms in figures["processor ms by stage"].items()]
    return lines


if __name__ == "__main__":
    sys.exit(main())
