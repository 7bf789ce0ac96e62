"""Health: whether frames come in and are read, how fast, and what the board says."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...board import heat

_BOARD_EVERY_S = 10.0
"""A Raspberry Pi starts a program to answer, so it is not asked more often."""


@dataclass(frozen=True)
class Health:
    """What the loop reports about itself."""

    problem: str | None = None
    """Why nothing is read now, for a person; None: all is well."""
    frames: int = 0
    """Frames that were looked at."""
    frames_per_second: float | None = None
    """Over the last seconds; None: not known."""
    delay: float | None = None
    """Seconds from the arrival of the newest frame to its result; None: not known."""
    dropped: int = 0
    """Frames that nobody took in time."""
    reconnects: int = 0
    """Times that the camera came back after an outage."""
    trouble: Mapping[str, int] = field(default_factory=dict)
    """Name of a sink → number of events that it could not take."""


@dataclass(frozen=True)
class BoardHealth:
    """What the board reports about itself."""

    celsius: float | None
    """Highest temperature; None: the board reports none."""
    slowed_by: tuple[str, ...]
    """Reasons for which the board slows down now."""


class BoardWatch:
    """Asks the board for its health at most every 10 seconds. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = -math.inf
        self._answer = BoardHealth(None, ())

    def __call__(self) -> BoardHealth:
        """Return the latest answer of the board."""
        with self._lock:
            if time.monotonic() - self._asked >= _BOARD_EVERY_S:
                throttling = heat.throttling()
                self._answer = BoardHealth(
                    max((zone.celsius for zone in heat.zones()), default=None), throttling.now if throttling else ()
                )
                self._asked = time.monotonic()
            return self._answer


def checked(health: Callable[[], Health]) -> Health:
    """Return what the loop reports; a report that fails is a problem."""
    try:
        return health()
    except Exception as error:
        return Health(problem=f"the health of the loop cannot be read ({error})")


def as_json(health: Health, board: BoardHealth, frame_age: float | None) -> dict[str, Any]:
    """Return the health for the page. `frame_age` is in seconds; None: there was no frame yet."""
    return {
        "problem": health.problem,
        "frames": health.frames,
        "frames_per_second": _finite(health.frames_per_second),
        "delay": _finite(health.delay),
        "dropped": health.dropped,
        "reconnects": health.reconnects,
        "trouble": dict(health.trouble),
        "celsius": _finite(board.celsius),
        "slowed_by": list(board.slowed_by),
        "frame_age": _finite(frame_age),
    }


def as_metrics(health: Health, board: BoardHealth, events: Mapping[str, int], camera: str) -> str:
    """Return the health in Prometheus' text format. `events`: kind of event → number since the start.

    Source of the format: Prometheus documentation, "Exposition formats", version 0.0.4.
    """
    families: list[tuple[str, str, str, list[tuple[dict[str, str], float | None]]]] = [
        ("up", "gauge", "1 if frames are read, 0 if there is a problem.", [({}, health.problem is None)]),
        ("frames_total", "counter", "Frames that were looked at.", [({}, health.frames)]),
        ("frames_per_second", "gauge", "Frames looked at per second.", [({}, health.frames_per_second)]),
        ("delay_seconds", "gauge", "Time from the arrival of a frame to its result.", [({}, health.delay)]),
        ("frames_dropped_total", "counter", "Frames that nobody took in time.", [({}, health.dropped)]),
        ("reconnects_total", "counter", "Times that the camera came back.", [({}, health.reconnects)]),
        ("events_total", "counter", "Events.", [({"kind": kind}, count) for kind, count in events.items()]),
        (
            "sink_trouble_total",
            "counter",
            "Events that a sink could not take.",
            [({"sink": name}, count) for name, count in health.trouble.items()],
        ),
        ("temperature_celsius", "gauge", "Highest temperature of the board.", [({}, board.celsius)]),
        ("slowed", "gauge", "1 if the board slows down to protect itself.", [({}, bool(board.slowed_by))]),
    ]
    lines: list[str] = []
    for name, kind, help_text, samples in families:
        known = [(labels, value) for labels, value in samples if value is not None and math.isfinite(value)]
        if known:
            lines += [f"# HELP edge_crnn_watch_{name} {help_text}", f"# TYPE edge_crnn_watch_{name} {kind}"]
        lines += [
            f"edge_crnn_watch_{name}{_labels({'camera': camera, **labels})} {value:.12g}" for labels, value in known
        ]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
