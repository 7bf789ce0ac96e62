"""`edge-crnn serve-folder`: reads each image that arrives in a folder once, even if the process is killed."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeAlias

from ..dataset import chunked
from ..doctor.trials import SAMPLE
from ..errors import DatasetError, ImageError, OutputError
from ..reader import Reader
from ..reading import Reading
from ..serve.arrivals import Arrival, Arrivals
from ..serve.attempts import DEADLY, Attempts
from ..serve.journal import Journal
from ..serve.stop import Stop
from ..serve.systemd import Systemd
from .command import Command, between
from .reader import add_reader_arguments, json_line, reader_of

_Result: TypeAlias = tuple[Arrival, Reading | ImageError]

_BATCH = 32
"""Lines that are synced together at most."""
_SHARE = 10
"""Looking at the folder may take one part in so many of the time."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `serve-folder`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="where images arrive; nothing in it is changed")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("readings.jsonl"),
        metavar="FILE",
        help="append one line of JSON per image; images in this file are not read again (default: %(default)s)",
    )
    parser.add_argument(
        "--interval",
        type=between(0.01, 3600),
        default=1.0,
        metavar="S",
        help="seconds between two looks at the folder; an image is read once it has not changed for this long (default:"
        " %(default)g)",
    )
    parser.add_argument("--once", action="store_true", help="stop when all images have been read")
    add_reader_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Return 0 when stopped by SIGTERM or SIGINT; with --once, 1 if an image could not be read, else 0."""
    folder: Path = arguments.folder
    if not folder.is_dir():
        raise DatasetError(f"{folder}: is not a folder; name the folder where images arrive")
    with Journal(arguments.output) as journal, reader_of(arguments) as reader, Stop() as stop:
        reader.read_batch([SAMPLE])  # what ends the process here is no fault of an image in the folder
        with _attempts(folder, journal) as attempts:
            service = _Service(folder, journal, attempts, reader, stop)
            service.run(arguments.interval, arguments.once)
    return 1 if arguments.once and service.unread else 0


@contextlib.contextmanager
def _attempts(folder: Path, journal: Journal) -> Iterator[Attempts]:
    """What was being read is kept for the next process where an image may be why this one ends."""

    def is_open(arrival: Arrival) -> bool:
        return arrival not in journal and Arrival.of(folder / arrival.name) == arrival

    attempts = Attempts(journal.path.with_name(f".{journal.path.name}.reading"), is_open)
    if attempts.trouble is not None:
        _say(attempts.trouble)
    orderly = False
    try:
        yield attempts
        orderly = True
    except (KeyboardInterrupt, OutputError):
        orderly = True
        raise
    finally:
        attempts.close(orderly)


class _Service:
    """The loop: look, read, write, sleep."""

    def __init__(self, folder: Path, journal: Journal, attempts: Attempts, reader: Reader, stop: Stop) -> None:
        self.read = self.unread = 0
        self._folder, self._journal, self._attempts, self._reader, self._stop = folder, journal, attempts, reader, stop
        self._arrivals = Arrivals(folder, journal.__contains__)
        self._systemd = Systemd()
        self._gone = False

    def run(self, interval: float, once: bool) -> None:
        _say(f"reading {self._folder} into {self._journal.path}, which has {len(self._journal):,} readings")
        self._systemd.ready(self._status())
        while not self._stop.asked:
            started = time.monotonic()
            arrivals = self._look()
            looked = time.monotonic()
            for results in self._results(arrivals):
                self._write(results)
                self._systemd.alive(self._status())
            if once and not self._arrivals.waiting and not self._gone:
                break
            self._sleep(max(interval, (_SHARE - 1) * (looked - started)))
        self._systemd.stopping()
        _say(self._status())

    def _look(self) -> list[Arrival]:
        try:
            arrivals = self._arrivals.look()
        except OSError as error:
            if not self._gone:
                _say(f"{self._folder}: cannot be listed ({error.strerror}); waiting for it")
            self._gone = True
            return []
        if self._gone:
            _say(f"{self._folder}: is back")
        self._gone = False
        return arrivals

    def _results(self, arrivals: Sequence[Arrival]) -> Iterator[list[_Result]]:
        """Readings as they come, until asked to stop, some at a time; all workers are at them.

        Those that were being read when a process ended come first, alone, and are written down one by one: so the next
        end tells which it was.
        """
        suspects = [each for each in arrivals if self._attempts.count(each)]
        others = [each for each in arrivals if not self._attempts.count(each)]
        for suspect in suspects:
            yield [(suspect, self._given_up(suspect))] if self._is_deadly(suspect) else list(self._read([suspect]))
            if self._stop.asked:
                return
        yield from chunked(self._read(others), _BATCH)

    def _read(self, arrivals: Sequence[Arrival]) -> Iterator[_Result]:
        for arrival, result in zip(arrivals, self._reader.read_each(map(self._begun, arrivals)), strict=True):
            self._attempts.end(arrival)
            yield arrival, result
            if self._stop.asked:
                break

    def _given_up(self, arrival: Arrival) -> ImageError:
        return ImageError(
            f"{self._folder / arrival.name}: the process died {self._attempts.count(arrival)} times while reading it;"
            " it is skipped now; check the file, and copy it here again to retry"
        )

    def _begun(self, arrival: Arrival) -> Path:
        self._attempts.begin(arrival)
        return self._folder / arrival.name

    def _is_deadly(self, arrival: Arrival) -> bool:
        return self._attempts.count(arrival) >= DEADLY

    def _write(self, results: Sequence[_Result]) -> None:
        lines = []
        for arrival, result in results:
            path = self._folder / arrival.name
            if Arrival.of(path) != arrival:  # gone or changed meanwhile: whatever was read is not of this image
                continue
            if isinstance(result, ImageError):
                if not self._is_deadly(arrival) and self._arrivals.failed(arrival):
                    continue
                self.unread += 1
            else:
                self.read += 1
            now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            lines.append((arrival, json_line(path, result, time=now, size=arrival.size, mtime_ns=arrival.mtime_ns)))
        self._journal.append(lines)
        for arrival, _ in lines:
            self._arrivals.done(arrival)
            self._attempts.end(arrival)

    def _sleep(self, seconds: float) -> None:
        """In naps that leave time for signs of life."""
        until = time.monotonic() + seconds
        patience = self._systemd.patience_s
        while not self._stop.asked:
            self._systemd.alive(self._status())
            left = until - time.monotonic()
            if left <= 0:
                break
            self._stop.sleep(left if patience is None else min(left, patience / 4))

    def _status(self) -> str:
        return f"{self.read:,} images read, {self.unread:,} failed"


def _say(text: str) -> None:
    print(f"edge-crnn serve-folder: {text}", file=sys.stderr, flush=True)


COMMAND = Command(
    "read each image that arrives in a folder",
    add_arguments,
    run,
    details="Runs until it is stopped, and reads every image once, even if the process is killed and started again.",
    examples=("serve-folder incoming -o readings.jsonl",),
)
