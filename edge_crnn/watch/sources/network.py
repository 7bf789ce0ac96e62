"""What network cameras share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from .names import public_name
from .video import CONNECT_S, MOST_PIXELS, READ_S, VideoSource


class NetworkSource(VideoSource):
    """A camera with an address that may hold a password.

    Args:
        address: the address.
        rate: largest number of frames per second to deliver; None: all frames.
        most_pixels: largest width times height of a frame.
        timeout: longest seconds for connecting, and between two frames.
    """

    options: ClassVar[Mapping[str, str]]
    """FFmpeg's options."""
    may_skip: ClassVar[bool] = False
    """Whether packets are discarded when decoding has fallen behind."""

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
            options=self.options,
            rate=rate,
            most_pixels=most_pixels,
            timeout=timeout,
            may_skip=self.may_skip,
        )
