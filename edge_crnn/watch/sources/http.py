"""Cameras that stream JPEG images with HTTP."""

from __future__ import annotations

from .names import public_name
from .video import CONNECT_S, MOST_PIXELS, READ_S, VideoSource

_OPTIONS = {
    "format_whitelist": "mpjpeg,mjpeg,mpegts",  # not playlists, which name other addresses
    "use_wallclock_as_timestamps": "1",
    "fpsprobesize": "0",
    "analyzeduration": "500000",
    # A small buffer limits the delay: a server that cannot send leaves frames out.
    "recv_buffer_size": "262144",
}


class HttpSource(VideoSource):
    """A camera with an address such as `http://user:password@camera.local/video.mjpg`.

    The stream is MJPEG in parts (`multipart/x-mixed-replace`), MJPEG without parts, or MPEG-TS. The certificate of an
    `https://` camera is not checked, since cameras sign their own.

    Args:
        address: the address.
        rate: largest number of frames per second to deliver; other images are not decoded.
        most_pixels: largest width times height of a frame.
        timeout: longest seconds for connecting, and between two frames.
    """

    def __init__(
        self,
        address: str,
        *,
        rate: float | None = None,
        most_pixels: int = MOST_PIXELS,
        timeout: tuple[float, float] = (CONNECT_S, READ_S),
    ) -> None:
        super().__init__(
            address,
            public_name(address),
            is_live=True,
            options=_OPTIONS,
            rate=rate,
            most_pixels=most_pixels,
            timeout=timeout,
        )
