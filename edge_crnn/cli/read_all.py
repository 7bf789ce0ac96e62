"""`edge-crnn read-all`: reads archives of images with all cores; a job that is killed continues where it stopped."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..board.limits import usable_processes
from ..files import sha256
from ..progress import note, status
from ..reader import MOST, Reader, load
from ..scale import local, work
from ..scale.job import Job, Settings, open_job
from ..scale.rows import FORMATS, shard_writer
from ..scale.tasks import Outcome
from .command import Command, at_least
from .folders import add_recursive_argument
from .reader import add_reader_arguments, reader_of

_SHOWN = 5
"""Largest number of reasons that are printed."""

_note = partial(note, program="edge-crnn read-all")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `read-all`."""
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="folders of images, patterns in quotes such as 'crops/**/*.jpg', lists of paths (.txt), images, and shards"
        " that hold images (.parquet, .tar); paths, or URLs such as s3://bucket/folder",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="DIR",
        help="folder for the results, new or of the same job: a path or a URL; parts that are done are not read again",
    )
    add_recursive_argument(parser)
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="jsonl",
        help="form of the results: a JSON object per line, or Parquet (default: %(default)s)",
    )
    parser.add_argument(
        "--column",
        default="image",
        metavar="NAME",
        help="column of .parquet inputs with the bytes of image files (default: %(default)s)",
    )
    parser.add_argument(
        "--sample", type=at_least(1), metavar="N", help="read only N images, picked at random, the same every time"
    )
    parser.add_argument(
        "--skip-unavailable",
        action="store_true",
        help="write an error for an image that is not available now, such as one without permission to read; by default"
        " its part is left for the next run",
    )
    parser.add_argument(
        "--address",
        metavar="CLUSTER",
        help="read with the machines of a Ray cluster, such as ray://head:10001, which all see the inputs, the output"
        " and the model under the same names; --workers is then the number of actors",
    )
    add_reader_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Return 0 if all parts are done, even if images have errors; 1 if parts are left for another run."""
    shard_writer(arguments.format)  # raises before any work if a package is missing
    with reader_of(arguments) as reader:
        settings = _settings(arguments, reader)
        workers = _workers(arguments, reader)
    with open_job(arguments.output, settings, readers=workers) as job:
        if job.done:
            _note(f"{job.output}: {len(job.done):,} of {job.parts:,} parts are done; continuing with the others")
        workplace = work.Workplace(job, partial(_single_reader, arguments), arguments.skip_unavailable)
        tally = _Tally(job)
        with status("reading") as show:
            advance = partial(_advance, tally, show)
            if arguments.address is None:
                outcomes = local.read_parts(workplace, job.waiting(), workers, advance)
            else:
                outcomes = _on_cluster(arguments, workplace, workers, advance)
            with contextlib.closing(outcomes):
                for outcome in outcomes:
                    tally.add(outcome)
        return _report(tally)


def _workers(arguments: argparse.Namespace, reader: Reader) -> int:
    """Return the number of processes or actors; with a cluster, connect to it."""
    if arguments.address is None:
        return arguments.workers or min(reader.workers, _fitting_workers(arguments.model))
    from ..scale import ray

    ray.connect(arguments.address)
    usable = ray.usable_actors(ray.gpus_for(arguments.model, arguments.engine))
    return arguments.workers or usable


def _on_cluster(
    arguments: argparse.Namespace, workplace: work.Workplace, actors: int, advance: Callable[[int], None]
) -> Generator[Outcome, None, None]:
    from ..scale import ray

    gpus = ray.gpus_for(arguments.model, arguments.engine)
    return ray.read_parts(workplace, workplace.job.waiting(), actors, advance, gpus=gpus)


def _single_reader(arguments: argparse.Namespace) -> Reader:
    """Open a reader with one engine, in a process that shares the cores with others."""
    with contextlib.suppress(ImportError):
        import cv2

        cv2.setNumThreads(1)
    return reader_of(argparse.Namespace(**{**vars(arguments), "workers": 1}))


def _settings(arguments: argparse.Namespace, reader: Reader) -> Settings:
    model, spec = work.digests(reader)
    decoder = reader.spec.decoder
    return Settings(
        inputs=tuple(arguments.inputs),
        model=model,
        spec=spec,
        options={
            "decoder": decoder.method,
            "grammar": decoder.grammar,
            "beam-width": decoder.beam_width,
            "rejection threshold": decoder.reject_below,
            "engine": arguments.engine,
            "n-best": arguments.n_best,
            "lexicon": _digest(arguments.lexicon),
            "lexicon-weight": arguments.lexicon_weight,
            "rescue": arguments.rescue,
            "prior": _digest(arguments.prior),
            "prior-weight": arguments.prior_weight,
        },
        recursive=arguments.recursive,
        sample=arguments.sample,
        column=arguments.column,
        format=arguments.format,
    )


def _digest(path: Path | None) -> str | None:
    """Return the SHA-256 of a file that the reader has read a moment ago."""
    return None if path is None else sha256(path.read_bytes())


def _fitting_workers(model: str | None) -> int:
    return min(usable_processes(len(load(model or "plates").payload)), MOST)


@dataclass
class _Tally:
    """The images and parts that this run has read, for its messages."""

    job: Job
    images: int = 0
    """Images that have been read, those of unfinished parts included."""
    read: int = 0
    """Images in shards."""
    errors: int = 0
    parts: int = 0
    left: list[str] = field(default_factory=list)
    """Reasons of the parts that are left for another run."""
    started: float = field(default_factory=time.monotonic)

    def add(self, outcome: Outcome) -> None:
        if outcome.open_because is not None:
            self.left.append(outcome.open_because)
            return
        self.read += outcome.images
        self.errors += outcome.errors
        self.parts += 1

    def __str__(self) -> str:
        """Return the progress, for a terminal."""
        seconds = max(time.monotonic() - self.started, 1e-3)
        done = len(self.job.done) + self.parts
        facts = [f"{done:,} of {self.job.parts:,} parts", f"{self.images:,} images"]
        if self.errors:
            facts.append(f"{self.errors:,} with an error")
        facts.append(f"{self.images / seconds:,.1f}/s")
        if self.parts and done < self.job.parts:
            facts.append(f"{(self.job.parts - done) * seconds / self.parts:,.0f} s left")
        return ", ".join(facts)


def _report(tally: _Tally) -> int:
    """Tell what has been read and what is left, and return the exit status."""
    job = tally.job
    with_error = f", {tally.errors:,} of them with an error" if tally.errors else ""
    _note(
        f"{job.output}: {tally.read:,} images read{with_error}; {len(job.done) + tally.parts:,} of {job.parts:,} parts"
        " are done"
    )
    reasons = list(dict.fromkeys(tally.left))
    for reason in reasons[:_SHOWN]:
        _note(reason)
    if reasons:
        others = f" for these and {len(reasons) - _SHOWN:,} other reasons" if len(reasons) > _SHOWN else ""
        noun = "part is" if len(tally.left) == 1 else "parts are"
        _note(f"{len(tally.left):,} {noun} left{others}; run the same command again to read what is left")
    none_read = 0 < tally.read == tally.errors
    if none_read:
        _note("no image could be read; see the column `error` of the rows")
    return 1 if tally.left or none_read else 0


def _advance(tally: _Tally, show: Callable[[str], None] | None, images: int) -> None:
    tally.images += images
    if show is not None:
        show(str(tally))


COMMAND = Command(
    "read archives of images, and continue after an interruption",
    add_arguments,
    run,
    details="The inputs are listed once and cut into parts. Processes, by default one per usable core, read the parts"
    " and write one file for each. If the job is killed, run the same command again: it reads the parts that have no"
    " file yet. An image that cannot be read has a row with an error.",
    examples=(
        "read-all --recursive archive -o readings",
        "read-all 'crops/**/*.jpg' more.txt -o readings --sample 1000",
        "read-all 'shards/*.parquet' -o readings --format parquet",
    ),
)
