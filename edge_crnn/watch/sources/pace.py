"""Decides which frames to decode."""

from __future__ import annotations

_FASTEST_DRIFT = 1e-3
"""How much faster the clock of this machine may run than the clock of a camera, in seconds per second."""
_JUMP_S = 10.0
"""A change of the delay that only a clock that is set can cause."""
_EARLY = 0.1
"""How much too early a frame may come, in periods, because frames do not arrive evenly."""
_LATE_S = 1.0
_TIMELY_S = 0.5
_LONGEST_SKIP_S = 2.0


class Pace:
    """Selects frames so that there are at most `rate` per second on average.

    Args:
        rate: frames per second; None: all frames.
    """

    def __init__(self, rate: float | None) -> None:
        self._period = None if rate is None else 1 / rate
        self._due = float("-inf")

    def is_due(self, seconds: float) -> bool:
        """Return whether to take the frame of this moment, and count it as taken."""
        if self._period is None:
            return True
        if seconds < self._due - _EARLY * self._period:
            return False
        next_due = self._due + self._period  # from the due moment, so that jitter does not lower the rate
        self._due = next_due if next_due > seconds else seconds + self._period
        return True


class KeyFrames:
    """Tells whether key frames come often enough for a rate, so that the other frames need not be decoded.

    In MJPEG every frame is a key frame.

    Args:
        rate: frames per second that are wanted; None: all frames.
    """

    def __init__(self, rate: float | None) -> None:
        self._longest = 0.0 if rate is None else (1 + _EARLY) / rate
        self._last: float | None = None
        self.suffice = False
        """Whether the last two key frames were about a period apart, or less."""

    def see(self, seconds: float) -> None:
        """Take the moment of a key frame."""
        self.suffice = self._last is not None and 0 < seconds - self._last <= self._longest
        self._last = seconds


class Backlog:
    """Tells when a live stream has fallen behind, so that packets are discarded up to a timely key frame.

    The delay of a packet is its arrival minus its time in the stream, relative to the least delay so far. The least
    delay grows slowly, since the clocks of the camera and of this machine differ.
    """

    def __init__(self) -> None:
        self._least: float | None = None
        self._last = (0.0, 0.0)
        self._skips_since: float | None = None

    def must_skip(self, arrival: float, stream: float | None, is_key: bool) -> bool:
        """Return whether to discard a packet.

        Args:
            arrival: monotonic time, in seconds.
            stream: time of the packet in the stream, in seconds; None if it has none.
            is_key: whether it is a key frame.
        """
        if stream is None:
            return self._skips_since is not None
        late = self._lateness(arrival, stream)
        if self._skips_since is None:
            if late > _LATE_S:
                self._skips_since = arrival
            else:
                return False
        if arrival - self._skips_since > _LONGEST_SKIP_S:
            # Discarding is much faster than a stream. The delay is in the network for good, not in a queue.
            self._least = arrival - stream
            late = 0.0
        if is_key and late < _TIMELY_S:
            self._skips_since = None
            return False
        return True

    def _lateness(self, arrival: float, stream: float) -> float:
        delay = arrival - stream
        last_arrival, last_delay = self._last
        if self._least is None or abs(delay - last_delay) > _JUMP_S:  # or: the camera has set its clock
            self._least = delay
        else:
            self._least = min(self._least + _FASTEST_DRIFT * (arrival - last_arrival), delay)
        self._last = (arrival, delay)
        return delay - self._least
