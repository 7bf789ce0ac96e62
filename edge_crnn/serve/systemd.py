"""Notifies systemd over the socket that it provides, if any; see sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import socket
import time


class Systemd:
    """The service manager that started this process, if one did."""

    patience_s: float | None
    """Seconds without a sign of life after which systemd kills this process; None: never."""

    def __init__(self) -> None:
        place = os.environ.get("NOTIFY_SOCKET", "")
        self._place = f"\0{place[1:]}" if place.startswith("@") else place  # @ stands for Linux's abstract names
        is_meant = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = os.environ.get("WATCHDOG_USEC", "") if is_meant and place else ""
        self.patience_s = int(microseconds) / 1e6 if microseconds.isdigit() else None
        self._alive_at = 0.0

    def ready(self, status: str) -> None:
        """Report that the service has started."""
        self._tell(f"READY=1\nSTATUS={status}")

    def alive(self, status: str) -> None:
        """Send a sign of life as often as needed, however often this is called."""
        now = time.monotonic()
        if self.patience_s is not None and now >= self._alive_at + self.patience_s / 4:
            self._alive_at = now
            self._tell(f"WATCHDOG=1\nSTATUS={status}")

    def stopping(self) -> None:
        """Report that the service is stopping as requested."""
        self._tell("STOPPING=1")

    def _tell(self, message: str) -> None:
        if not self._place:
            return
        # If a message is lost, systemd kills and restarts this process, as it does when none is sent.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto(message.encode("utf-8", "replace"), self._place)
