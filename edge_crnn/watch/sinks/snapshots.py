"""Crops and frames as JPEG files in dated folders, which are removed when they are too old or too many."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from ...errors import InputError, OutputError
from ...files import write_atomically
from ...progress import note
from .. import jpeg
from ..event import Event
from ..frame import Pixels
from ..opencv import opencv
from ..protocols import CLOSE_S
from .queued import Queued, detached, size_of
from .retention import Kept, expired

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_IDENTITY: Final = r"\d{1,12}(?:\.\d{1,9})?-[A-Za-z0-9]{1,32}"
_NAME: Final = re.compile(rf"\d{{6}}-({_IDENTITY})(?:-frame)?\.jpg", re.ASCII)
_PARTIAL: Final = re.compile(rf"\.\d{{6}}-({_IDENTITY})(?:-frame)?\.jpg\.\d{{1,9}}\.[0-9a-f]{{8}}\.partial", re.ASCII)
_MARK: Final = b"edge-crnn watch "
_HEAD_BYTES: Final = 512
_PARTIAL_S: Final = 3600.0


@dataclass(frozen=True, eq=False)
class _Shot:
    event: Event
    frame: Pixels | None


class Snapshots:
    """Writes the best crop of every passage, and on request the frame: `2026-12-01/093000-IDENTITY.jpg`, `…-frame.jpg`.

    The folder and the time of day are local. An update replaces the files of its passage. Only files that this class
    has written are ever removed: their name, and a comment within them, have the identity of the passage. An event
    without a crop, such as a hashed one, has no snapshot.

    Args:
        folder: the folder, which is created if it is missing.
        keep_s: age in seconds at which a snapshot is removed, counted from the start of its passage; None: any.
        most_bytes: size of all snapshots; the oldest are removed first; None: any.
        frame_of: returns the frame to write with an event, or None; it is called in `put`.
        rest_s: seconds between two looks for files that are too old.
        pauses: the shortest and the longest pause before another attempt, in seconds.
        say: takes notes for the user.

    Raises:
        BackendUnavailable: OpenCV is not installed.
        OutputError: the folder cannot be created.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep_s: float | None = None,
        most_bytes: int | None = None,
        frame_of: Callable[[Event], Pixels | None] | None = None,
        rest_s: float = 60.0,
        pauses: tuple[float, float] = (1.0, 30.0),
        say: Callable[[str], None] = note,
    ) -> None:
        opencv()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                error.errno, f"{folder}: cannot be created ({error.strerror}); name a folder that may be written"
            ) from error
        self.folder = folder
        self._keep_s = keep_s
        self._most_bytes = most_bytes
        self._frame_of = frame_of
        self._total = 0
        self.queue: Queued[_Shot] = Queued(
            str(folder),
            self._write,
            rest=self.tidy,
            rest_s=rest_s,
            most_bytes=32 << 20,  # a dozen frames in 720p
            pauses=pauses,
            say=say,
        )

    def put(self, event: Event) -> None:
        """Take an event."""
        if not event.crop.size:
            return
        event = detached(event)
        frame = None
        if self._frame_of is not None and event.kind != "end":  # at the end, the vehicle has left the frame
            frame = self._frame_of(event)
        self.queue.put(_Shot(event, frame), size_of(event) + (0 if frame is None else frame.nbytes))

    def close(self, within_s: float = CLOSE_S) -> None:
        """Write what is left."""
        self.queue.close(within_s)

    def tidy(self) -> None:
        """Remove the snapshots that are too old or too many, and the folders that are then empty.

        Raises:
            OutputError: the folder cannot be listed, or a file cannot be removed.
        """
        now = time.time()
        failure: OSError | None = None
        try:
            kept = list(self._matching(_NAME))
            partial = [file.path for file in self._matching(_PARTIAL) if now - file.time > _PARTIAL_S]
        except OSError as error:
            raise self._not_tidied(error) from error
        self._total = sum(file.size for file in kept)
        for file in expired(kept, now, self._keep_s, self._most_bytes):
            try:
                if _is_ours(file.path):
                    _remove(file.path)
                    self._total -= file.size
            except OSError as error:  # the other files must not stay because of this one
                failure = error
        for path in partial:  # left by a kill
            with contextlib.suppress(OSError):
                _remove(path)
        if failure is not None:
            raise self._not_tidied(failure) from failure

    def _not_tidied(self, error: OSError) -> OutputError:
        return OutputError(
            error.errno, f"{self.folder}: old snapshots cannot be removed ({error.strerror}); make it writable"
        )

    def _write(self, shot: _Shot) -> None:
        event = shot.event
        path = self.path_of(event)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(error.errno, f"{path.parent}: cannot be created ({error.strerror})") from error
        mark = _MARK + event.identity.encode()
        self._store(path, jpeg.with_comment(jpeg.encode(event.crop), mark))
        if shot.frame is not None:
            frame = jpeg.encode(shot.frame, jpeg.FRAME_QUALITY)
            self._store(path.with_name(f"{path.stem}-frame.jpg"), jpeg.with_comment(frame, mark))
        if self._most_bytes is not None and self._total > self._most_bytes:
            self.tidy()

    def path_of(self, event: Event) -> Path:
        """Return where the crop of an event is written.

        Raises:
            InputError: the identity has another form than that of `Event`.
        """
        if not re.fullmatch(_IDENTITY, event.identity, re.ASCII):
            raise InputError(
                f"{self.folder}: found identity {event.identity[:80]!r}, expected seconds, a hyphen and letters"
            )
        begun = datetime.fromtimestamp(_seconds(event.identity))
        return self.folder / f"{begun:%Y-%m-%d}" / f"{begun:%H%M%S}-{event.identity}.jpg"

    def _store(self, path: Path, data: bytes) -> None:
        write_atomically(path, data)
        self._total += len(data)

    def _matching(self, pattern: re.Pattern[str]) -> Iterator[Kept]:
        """Yield the files in dated folders whose names match."""
        with os.scandir(self.folder) as days:
            folders = [day.path for day in days if _DAY.fullmatch(day.name) and day.is_dir(follow_symlinks=False)]
        for folder in folders:
            with contextlib.suppress(FileNotFoundError), os.scandir(folder) as files:
                for file in files:
                    match = pattern.fullmatch(file.name)
                    if match and file.is_file(follow_symlinks=False):
                        yield Kept(_seconds(match[1]), Path(file.path), file.stat(follow_symlinks=False).st_size)


def _remove(path: Path) -> None:
    """Remove a file, and its folder if it is then empty."""
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it still has other files
        path.parent.rmdir()


def _seconds(identity: str) -> float:
    return float(identity.partition("-")[0])


def _is_ours(path: Path) -> bool:
    """Return whether the comment in a file has the identity that its name has."""
    name = _NAME.fullmatch(path.name)
    try:
        with path.open("rb") as file:
            return name is not None and jpeg.comment_of(file.read(_HEAD_BYTES)) == _MARK + name[1].encode()
    except FileNotFoundError:
        return False
