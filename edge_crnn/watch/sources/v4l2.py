"""USB cameras, and others that Linux shows as `/dev/video0`."""

from __future__ import annotations

from pathlib import Path

from ...errors import SourceError
from .video import MOST_PIXELS, READ_S, VideoSource


class V4l2Source(VideoSource):
    """A camera that Linux shows as a device. JPEG is preferred: over USB, only JPEG is quick in 720p and above.

    Args:
        device: its path, such as `/dev/video0` or one in `/dev/v4l/by-id`, which stays the same.
        size: width and height to ask for; None: what the camera is set to. The camera may choose the nearest size.
        rate: largest number of frames per second to deliver; other images are not decoded.
        most_pixels: largest width times height of a frame.
    """

    def __init__(
        self,
        device: str,
        *,
        size: tuple[int, int] | None = None,
        rate: float | None = None,
        most_pixels: int = MOST_PIXELS,
    ) -> None:
        options = {} if size is None else {"video_size": f"{size[0]}x{size[1]}"}
        super().__init__(
            device,
            device,
            is_live=True,
            options=options,
            form="v4l2",
            rate=rate,
            most_pixels=most_pixels,
            timeout=(READ_S, READ_S),
        )

    def open(self) -> None:
        """Open the device, with JPEG if the camera has it.

        Raises:
            SourceError: there is no such device, or it cannot be opened now.
            BackendUnavailable: PyAV is not installed.
        """
        if not Path(self._address).exists():
            raise SourceError(f"{self.name}: there is no such device; plug in the camera, or see `ls /dev/video*`")
        usual = self._options
        try:
            self._options = {**usual, "input_format": "mjpeg"}
            super().open()
        except SourceError:
            self._options = usual
            super().open()
        finally:
            self._options = usual
