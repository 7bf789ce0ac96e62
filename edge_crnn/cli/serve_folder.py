"""`edge-crnn serve-folder`: reads every image that arrives in a folder once, even if the process is killed."""

from __future__ import annotations

import argparse
import contextlib
import stat
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TypeAlias

from ..chunks import chunked
from ..doctor.trials import SAMPLE
from ..errors import DatasetError, ImageError, OutputError
from ..files import is_temporary
from ..progress import note
from ..reader import Reader
from ..reading import Reading
from ..serve.arrivals import Arrival, Arrivals
from ..serve.attempts import DEADLY, Attempts
from ..serve.journal import Journal
from ..serve.reports import Reports
from ..serve.stop import Stop
from ..serve.systemd import Systemd
from .command import Command, between
from .folders import add_recursive_argument
from .reader import add_reader_arguments, json_line, reader_of

_Result: TypeAlias = tuple[Arrival, Reading | ImageError]

_BATCH = 32
"""Largest number of lines that are synced at once."""
_SHARE = 10
"""Polling the folder takes at most this fraction of the time: 1 / _SHARE."""

_note = partial(note, program="edge-crnn serve-folder")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `serve-folder`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder where images arrive; it is not changed")
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
        help="seconds between two scans of the folder; an image is read once it has not changed for this long (default:"
        " %(default)g)",
    )
    parser.add_argument("--once", action="store_true", help="stop when all images have been read")
    add_recursive_argument(parser)
    add_reader_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Return 0 when stopped by SIGTERM or SIGINT; with --once, 1 if an image could not be read, else 0."""
    folder: Path = arguments.folder
    _check_folder(folder)
    with Journal(arguments.output) as journal, reader_of(arguments) as reader, Stop() as stop:
        if journal.trouble is not None:
            _note(journal.trouble)
        reader.read_batch([SAMPLE])  # if this kills the process, no image in the folder is the cause
        with _attempts(folder, journal) as attempts:
            arrivals = Arrivals(folder, journal.__contains__, arguments.recursive)
            service = _Service(arrivals, journal, attempts, reader, stop)
            service.run(arguments.interval, arguments.once)
    return 1 if arguments.once and (service.unread or arrivals.unavailable) else 0


def _check_folder(folder: Path) -> None:
    """Check that the folder exists, unless it is temporarily not available.

    Raises:
        DatasetError: the folder does not exist.
    """
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except OSError as error:
        is_folder = is_temporary(error)
    if not is_folder:
        raise DatasetError(f"{folder}: is not a folder; name the folder where images arrive")


@contextlib.contextmanager
def _attempts(folder: Path, journal: Journal) -> Iterator[Attempts]:
    """Record which images are being read; the next process gets the record if an image may have ended this one."""

    def is_open(arrival: Arrival) -> bool:
        return arrival not in journal and Arrival.of(folder, arrival.name) == arrival

    attempts = Attempts(journal.path.with_name(f".{journal.path.name}.reading"), is_open)
    if attempts.trouble is not None:
        _note(attempts.trouble)
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

    def __init__(self, arrivals: Arrivals, journal: Journal, attempts: Attempts, reader: Reader, stop: Stop) -> None:
        self.read = 0
        self.damaged = 0
        self.unread = 0
        self._arrivals = arrivals
        self._folder = arrivals.folder
        self._journal = journal
        self._attempts = attempts
        self._reader = reader
        self._stop = stop
        self._systemd = Systemd()
        self._reports = Reports(arrivals, _note)
        self._is_gone = False

    def run(self, interval: float, once: bool) -> None:
        _note(f"reading {self._folder} into {self._journal.path}, which has {len(self._journal):,} readings")
        self._systemd.ready(self._status())
        while not self._stop.asked:
            started = time.monotonic()
            arrivals = self._look()
            looked = time.monotonic()
            for results in self._results(arrivals):
                self._write(results)
                self._systemd.alive(self._status())
            self._reports.tell()
            if once and not self._arrivals.waiting and not self._is_gone:
                break
            self._sleep(max(interval, (_SHARE - 1) * (looked - started)))
        self._systemd.stopping()
        left = len(self._arrivals.unavailable) if once else 0
        _note(f"{self._status()}, {left:,} not available and left to the next run" if left else self._status())

    def _look(self) -> list[Arrival]:
        try:
            arrivals = self._arrivals.look()
        except OSError as error:
            if not self._is_gone:
                _note(f"{self._folder}: cannot be listed ({error.strerror}); waiting for it")
            self._is_gone = True
            return []
        if self._is_gone:
            _note(f"{self._folder}: is back")
        self._is_gone = False
        return arrivals

    def _results(self, arrivals: Sequence[Arrival]) -> Iterator[list[_Result]]:
        """Yield readings in batches as they come, with all workers busy, until the service is stopped.

        Images that were being read when a process ended come first. They are read and written one by one, so the next
        crash shows which of them is the cause.
        """
        suspects = [arrival for arrival in arrivals if self._attempts.count(arrival)]
        others = [arrival for arrival in arrivals if not self._attempts.count(arrival)]
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
        problems = []
        for arrival, result in results:
            if Arrival.of(self._folder, arrival.name) != arrival:  # it has gone or changed, so the result is outdated
                continue
            if isinstance(result, ImageError) and is_temporary(result):
                self._arrivals.postpone(arrival, _reason(result))
                continue
            is_whole = not isinstance(result, ImageError) and not result.damaged
            if not is_whole and not self._is_deadly(arrival) and self._arrivals.failed(arrival):
                continue  # its upload may have stalled
            if isinstance(result, ImageError):
                self.unread += 1
                problems.append(str(result))
            elif result.damaged:
                self.damaged += 1
                problems.append(f"{self._folder / arrival.name}: is damaged, so its reading is not accepted")
            else:
                self.read += 1
            lines.append((arrival, self._line(arrival, result)))
        self._journal.append(lines)
        for problem in problems:
            _note(problem)
        for arrival, _ in lines:
            self._arrivals.done(arrival)
            self._attempts.end(arrival)

    def _line(self, arrival: Arrival, result: Reading | ImageError) -> str:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        identity: dict[str, str | int] = {"time": now, "size": arrival.size, "mtime_ns": arrival.mtime_ns}
        if "/" in arrival.name:
            identity["name"] = arrival.name
        return json_line(self._folder / arrival.name, result, **identity)

    def _sleep(self, seconds: float) -> None:
        """Sleep in short parts, with signs of life in between."""
        until = time.monotonic() + seconds
        patience = self._systemd.patience_s
        while not self._stop.asked:
            self._systemd.alive(self._status())
            left = until - time.monotonic()
            if left <= 0:
                break
            self._stop.sleep(left if patience is None else min(left, patience / 4))

    def _status(self) -> str:
        return f"{self.read:,} images read, {self.damaged:,} damaged, {self.unread:,} failed"


def _reason(error: ImageError) -> str:
    """Return why a file is not available, without its path."""
    cause = error.__cause__
    if isinstance(cause, MemoryError):
        return "not enough memory"
    return (cause.strerror if isinstance(cause, OSError) else None) or str(error)


COMMAND = Command(
    "read every image that arrives in a folder",
    add_arguments,
    run,
    details="Runs until it is stopped, and reads every image once, even if the process is killed and started again.",
    examples=("serve-folder incoming -o readings.jsonl", "serve-folder incoming --recursive"),
)
