"""Network cameras that stream with RTSP."""

from __future__ import annotations

from .network import NetworkSource

_OPTIONS = {
    "rtsp_transport": "tcp",  # UDP loses packets, which damages frames
    "allowed_media_types": "video",
    # Connects in 0.5 s instead of 1.3 s: FFmpeg need not estimate the rate. What arrives meanwhile is kept, so the
    # first frame is there at once; with `fflags nobuffer` it would come with the next key frame.
    "fpsprobesize": "0",
    "analyzeduration": "500000",
}


class RtspSource(NetworkSource):
    """A camera with an address such as `rtsp://user:password@camera.local/stream`, read over TCP.

    If decoding falls more than a second behind, everything up to a timely key frame is discarded.

    Args:
        address: the address, `rtsp://` or `rtsps://`.
        rate: largest number of frames per second to deliver; None: all frames.
        most_pixels: largest width times height of a frame.
        timeout: longest seconds for connecting, and between two frames.
    """

    options = _OPTIONS
    may_skip = True
