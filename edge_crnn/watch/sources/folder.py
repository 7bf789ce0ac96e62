"""Folders with the frames of a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ...errors import DatasetError, ImageError, SourceError
from ...images import read_image
from ...labels.places import find_images
from ...progress import note as to_stderr
from ..frame import Pixels
from .pace import Pace
from .video import MOST_PIXELS, check_rate


class FolderSource:
    """A folder of images that are frames, in the order of their names.

    An image that is damaged or cannot be read is noted and skipped.

    Args:
        folder: the folder.
        recorded_rate: frames per second at which the images were taken.
        rate: largest number of frames per second of the recording to deliver; None: all frames.
        most_pixels: largest width times height of a frame.
        note: writes a line about images and files that are skipped.

    Raises:
        InputError: a rate is not positive.
    """

    is_live = False

    def __init__(
        self,
        folder: str,
        *,
        recorded_rate: float = 25.0,
        rate: float | None = None,
        most_pixels: int = MOST_PIXELS,
        note: Callable[[str], None] = to_stderr,
    ) -> None:
        check_rate(recorded_rate)
        check_rate(rate)
        self.name = folder
        self._recorded_rate = recorded_rate
        self._rate = rate
        self._most_pixels = most_pixels
        self._note = note
        self._frames: Iterator[tuple[float, Path]] | None = None
        self._has_read = False

    def __repr__(self) -> str:
        return f"FolderSource({self.name!r})"

    def open(self) -> None:
        """List the images.

        Raises:
            SourceError: the folder cannot be read, or has no image.
        """
        try:
            paths = find_images(Path(self.name), note=self._note)
        except DatasetError as error:
            found = str(error).partition(";")[0]
            raise SourceError(f"{found}; name a folder whose images are the frames") from error
        pace = Pace(self._rate)
        times = ((number / self._recorded_rate, path) for number, path in enumerate(paths))
        self._has_read = False
        self._frames = ((seconds, path) for seconds, path in times if pace.is_due(seconds))

    def read(self) -> tuple[Pixels, float | None] | None:
        """Return the next image and its time since the start, or None at the end.

        Raises:
            SourceError: the folder is not open, an image is larger than `most_pixels`, or no image can be read.
        """
        if self._frames is None:
            raise SourceError(f"{self.name}: is not open; call open() first")
        for seconds, path in self._frames:
            try:
                image = read_image(path)
            except ImageError as error:
                self._note(f"{error}; skipped")
                continue
            if image.damage:
                self._note(f"{path}: is damaged ({image.damage}); skipped")
                continue
            height, width = image.pixels.shape[:2]
            if width * height > self._most_pixels:
                raise SourceError(
                    f"{path}: found {width:,} x {height:,} pixels, expected at most {self._most_pixels:,} pixels; make"
                    " the images smaller"
                )
            self._has_read = True
            return image.pixels, seconds
        if not self._has_read:
            raise SourceError(f"{self.name}: no image can be read; name a folder whose images are the frames")
        return None

    def close(self) -> None:
        """Forget the list of images."""
        self._frames = None
