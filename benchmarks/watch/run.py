"""`python -m benchmarks.watch`: what `edge_crnn.watch` reports of rendered street scenes, and what it costs.

Every passage is played as a recording, so that no frame is dropped. A vehicle is found if an event that began while it
was in view ends with its text. Every further event with that text is doubled, and an event with no such text is wrong.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge_crnn.binomial import binomial_interval
from edge_crnn.files import write_atomically
from edge_crnn.reader import DEFAULT_MODEL, Reader, open_reader
from edge_crnn.watch.event import Event
from edge_crnn.watch.frame import Pixels
from edge_crnn.watch.sources.pace import Pace
from edge_crnn.watch.watch import watch

from ..record import typed
from .scenes import CONDITIONS, Scene, empty, passage

_SLACK = 1.0
"""Seconds before and after a passage in which an event may still be the vehicle's."""
_RATES = (5.0, 10.0, 25.0)
_HEIGHTS = (720, 1080)


class SceneSource:
    """Plays a scene as a recording, and sums up the processor time that rendering takes.

    Args:
        scene: the scene.
        rate: frames per second that are looked at, at most; None: all.
    """

    is_live = False

    def __init__(self, scene: Scene, rate: float | None = None) -> None:
        self.name = f"scene {scene.seed}"
        self.rendering = 0.0
        """Seconds of the reading thread's processor time."""
        self._scene = scene
        self._pace = Pace(rate)
        self._frames: Iterator[Pixels] = iter(())
        self._number = 0

    def open(self) -> None:
        """Begin anew."""
        self._frames = self._scene.frames()
        self._number = 0

    def read(self) -> tuple[Pixels, float | None] | None:
        """Return the next frame and its time; None at the end."""
        start = time.thread_time()
        for pixels in self._frames:
            self._number += 1
            seconds = (self._number - 1) / self._scene.rate
            if self._pace.is_due(seconds):
                self.rendering += time.thread_time() - start
                return pixels, seconds
        return None

    def close(self) -> None:
        """Do nothing: the frames are in no file."""


@dataclass
class Tally:
    """What was reported of some scenes."""

    passages: int = 0
    found: int = 0
    doubled: int = 0
    wrong: int = 0
    delays: list[float] = field(default_factory=list)
    """Seconds from the arrival of a frame to the event `new`."""

    def add(self, scene: Scene, events: list[Event], start: float) -> None:
        """Compare the events of a scene, which began at `start` (seconds since the epoch), with its vehicles."""
        self.delays += [event.delay for event in events if event.kind == "new"]
        ends = [event for event in events if event.kind == "end"]
        for vehicle in scene.vehicles:
            for first, last in vehicle.visible:
                self.passages += 1
                own = [
                    event
                    for event in ends
                    if event.label == vehicle.label
                    and first - _SLACK <= event.first_seen - start
                    and event.first_seen - start <= last + _SLACK
                ]
                self.found += bool(own)
                self.doubled += max(len(own) - 1, 0)
        labels = {vehicle.label for vehicle in scene.vehicles}
        self.wrong += sum(event.label not in labels for event in ends)

    def figures(self) -> dict[str, object]:
        """Return the counts and their 95 % intervals."""
        return {
            "passages": self.passages,
            "found": self.found,
            "missed": self.passages - self.found,
            "doubled": self.doubled,
            "wrong": self.wrong,
            "found_interval": binomial_interval(self.found, self.passages),
            "delay_median_seconds": float(np.median(self.delays)) if self.delays else None,
        }


def play(scene: Scene, reader: Reader, rate: float | None = None) -> tuple[list[Event], float, float]:
    """Return the events of a scene, its start (seconds since the epoch), and cores per second of the scene's time."""
    starts: list[float] = []
    source = SceneSource(scene, rate)
    before = time.process_time()
    with watch(source, reader, on_frame=lambda frame, _: starts.append(frame.time - frame.seconds)) as events:
        reported = list(events)
    return reported, starts[0], (time.process_time() - before - source.rendering) / scene.seconds


def main() -> None:
    """Play the scenes, print the figures, and with `-o` write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--passages", type=int, default=200, help="scenes with vehicles (default: %(default)s)")
    parser.add_argument("--hours", type=float, default=1.0, help="of an empty scene (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=10.0, help="frames per second to look at (default: %(default)s)")
    parser.add_argument("--shares", action="store_true", help="also measure the processor share by rate and size")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    figures: dict[str, object] = {"command": typed("watch")}
    with open_reader(arguments.model) as reader:
        tallies = {condition: Tally() for condition in CONDITIONS}
        for seed in range(arguments.passages):
            scene = passage(seed, CONDITIONS[seed % len(CONDITIONS)])
            events, start, _ = play(scene, reader, arguments.rate)
            tallies[scene.condition].add(scene, events, start)
        figures["conditions"] = {condition: tally.figures() for condition, tally in tallies.items()}
        if arguments.hours:
            events, _, share = play(empty(0, 3600 * arguments.hours), reader, arguments.rate)
            false = len({event.identity for event in events})
            figures["empty"] = {"hours": arguments.hours, "false_events": false, "cores": share}
        if arguments.shares:
            figures["cores"] = {
                f"{name} {height}p {rate:g}/s": play(scene, reader, arguments.rate)[2]
                for height in _HEIGHTS
                for rate in _RATES
                for name, scene in (
                    ("empty", empty(1, 20, rate=rate, height=height)),
                    ("busy", passage(1, "day", motion="approaching", vehicles=2, rate=rate, height=height)),
                )
            }
    text = json.dumps(figures, indent=2)
    print(text)
    if arguments.output:
        write_atomically(arguments.output, (text + "\n").encode())
