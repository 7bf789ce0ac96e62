"""Cameras that stream JPEG images with HTTP."""

from __future__ import annotations

from .network import NetworkSource

_OPTIONS = {
    "format_whitelist": "mpjpeg,mjpeg,mpegts",  # not playlists, which name other addresses
    "use_wallclock_as_timestamps": "1",
    "fpsprobesize": "0",
    "analyzeduration": "500000",
    # A small buffer limits the delay: a server that cannot send leaves frames out.
    "recv_buffer_size": "262144",
}


class HttpSource(NetworkSource):
    """A camera with an address such as `http://user:password@camera.local/video.mjpg`.

    The stream is MJPEG in parts (`multipart/x-mixed-replace`), MJPEG without parts, or MPEG-TS. The certificate of an
    `https://` camera is not checked, since cameras sign their own.

    Args:
        address: the address.
        rate: largest number of frames per second to deliver; other images are not decoded.
        most_pixels: largest width times height of a frame.
        timeout: longest seconds for connecting, and between two frames.
    """

    options = _OPTIONS
