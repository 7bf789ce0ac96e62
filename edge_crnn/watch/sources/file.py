"""Videos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...errors import SourceError
from ...progress import note as to_stderr
from .video import MOST_PIXELS, VideoSource


class FileSource(VideoSource):
    """A video file of any kind that FFmpeg reads. Every frame is delivered, with its time in the video.

    Args:
        path: the file.
        rate: largest number of frames per second of the video to deliver; None: all frames.
        most_pixels: largest width times height of a frame.
        note: writes a line about damaged parts.
    """

    def __init__(
        self,
        path: str,
        *,
        rate: float | None = None,
        most_pixels: int = MOST_PIXELS,
        note: Callable[[str], None] = to_stderr,
    ) -> None:
        # With its protocol, so that FFmpeg takes no part of the path for one.
        super().__init__(
            f"file:{path}",
            path,
            is_live=False,
            options={},
            rate=rate,
            most_pixels=most_pixels,
            timeout=None,
            note=note,
        )

    def open(self) -> None:
        """Open the file.

        Raises:
            SourceError: there is no such file, it is no video, or its frames are too large.
            BackendUnavailable: PyAV is not installed.
        """
        if not Path(self.name).is_file():
            raise SourceError(f"{self.name}: is not a file; name a video, a folder of images, or a camera")
        super().open()
