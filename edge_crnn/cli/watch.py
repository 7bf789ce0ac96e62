"""`edge-crnn watch`: from a camera to one event per vehicle."""

from __future__ import annotations

import argparse
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from ..board.threads import limit_opencv
from ..errors import InputError
from ..model.artifact import Artifact
from ..progress import note
from ..reader import Reader, load, open_reader
from ..reader.opening import NAMES
from ..serve.stop import Stop
from ..serve.systemd import Systemd
from ..watch.event import Event
from ..watch.finding.detector import Detector
from ..watch.finding.finder import RegionFinder
from ..watch.finding.region import Region
from ..watch.frame import Frame
from ..watch.line import Line
from ..watch.lists import Lists
from ..watch.newest import Newest
from ..watch.page import server
from ..watch.page.health import Health
from ..watch.page.settings import Settings
from ..watch.page.state import State
from ..watch.protocols import CLOSE_S, Sink
from ..watch.regions import Regions
from ..watch.sighting import Sighting
from ..watch.sinks.group import Group
from ..watch.sinks.hashed import Hashed, load_key
from ..watch.sources import open_source
from ..watch.watch import Watch, watch
from .command import Command, at_least, between, duration, parsed_by
from .configuration import add_config_argument
from .parser import UsageError
from .sinks import Printed, add_sink_arguments, check_places, open_sinks

_START_S = 2.0
"""Seconds to wait for a camera before files are created; a package that is missing shows at once."""
_TURN_S = 0.2
"""Seconds between two looks whether to stop, while a recording is being opened."""

_note = partial(note, program="edge-crnn watch")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `watch`."""
    parser.add_argument(
        "source",
        nargs="?",
        type=_place,
        metavar="SOURCE",
        help="rtsp:// or http:// address, /dev/video0, picamera://0, a video file, or a folder of frames; $NAME takes"
        " it from an environment variable, so that a password is in no list of processes",
    )
    add_config_argument(parser, "watch")
    parser.add_argument(
        "--model", type=_model, default="plates", metavar="MODEL", help="a converted model (default: plates)"
    )
    parser.add_argument("--camera", metavar="NAME", help="name of the camera in the events (default: the address)")
    parser.add_argument(
        "--format",
        choices=("text", "jsonl"),
        default="text",
        help="form of the events on standard output (default: %(default)s)",
    )
    finding = parser.add_argument_group("finding plates")
    finding.add_argument(
        "--region",
        action="append",
        type=parsed_by(Region.parse),
        default=[],
        metavar="NAME: X,Y …",
        help="polygon to look in, in shares of the frame, such as 'gate: 0,0.5 1,0.5 1,1 0,1'; may end with"
        " heights=20,80, the height of plates in pixels; may be repeated",
    )
    finding.add_argument(
        "--regions",
        type=Path,
        metavar="FILE.json",
        help="regions that can be edited on the page; the file is created when they are saved, and its regions replace"
        " those of --region",
    )
    finding.add_argument("--detector", type=Path, metavar="FILE.onnx", help="your own detector of plates")
    finding.add_argument(
        "--rate", type=between(0.1, 120), default=10.0, metavar="N", help="frames per second to look at (default: 10)"
    )
    events = parser.add_argument_group("events")
    events.add_argument(
        "--line",
        type=parsed_by(Line.parse),
        metavar="X,Y X,Y ONE OTHER",
        help="line to cross, and names for its sides",
    )
    events.add_argument("--allow", type=Path, metavar="FILE", help="allowed plates, one per line")
    events.add_argument("--block", type=Path, metavar="FILE", help="blocked plates, one per line")
    events.add_argument(
        "--agreement",
        type=at_least(1, 100),
        default=3,
        metavar="N",
        help="frames that must read the same text before an event (default: 3)",
    )
    events.add_argument(
        "--leave-after",
        type=duration,
        default=10.0,
        metavar="TIME",
        help="time without a vehicle after which its passage ends (default: 10s)",
    )
    add_sink_arguments(parser.add_argument_group("where events go"))
    page = parser.add_argument_group("page")
    page.add_argument("--page", action="store_true", help="serve a page with the live image and the events")
    page.add_argument("--host", default="127.0.0.1", help="address of the page (default: this machine alone)")
    page.add_argument("--port", type=at_least(0, 65535), default=8080, help="port of the page (default: 8080)")
    page.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="token for the page; needed on another --host; created if missing",
    )


def _place(text: str) -> Path | str:
    """Return a path, or the text if it is an address or names an environment variable."""
    return text if "://" in text or text.startswith("$") or not text else Path(text)


def _model(text: str) -> Path | str:
    """Return a path, or the text if it is the name of a model."""
    return text if text in NAMES else Path(text)


def run(arguments: argparse.Namespace) -> int:
    """Watch until the recording ends, or until SIGINT or SIGTERM; a second signal gives up waiting for sinks.

    Returns 1 if events are missing on standard output, else 0.
    """
    limit_opencv()
    if arguments.source is None:
        raise UsageError("found no SOURCE; name a camera or a recording, here or as `source` in the --config file")
    names = [region.name for region in arguments.region]
    if len(set(names)) < len(names):
        raise UsageError(f"regions are named {', '.join(names)}; give them different names")
    page = _page_settings(arguments) if arguments.page else None
    with Stop(interrupts=True) as stop:
        artifact = load(arguments.model)
        with open_reader(artifact, workers=1) as reader, Group() as sinks:
            loop = _Loop(arguments, artifact, reader, sinks)
            with loop.events as events:
                stop.then(loop.stop)
                loop.wait_for_start(stop)
                check_places(arguments)
                if page is not None:
                    server.check(page)
                for sink in open_sinks(arguments, loop.camera):
                    sinks.add(sink)
                if page is not None:
                    sinks.add(_PageSink(loop, page, arguments.keep))
                return _pass_on(events, sinks, arguments)


def _page_settings(arguments: argparse.Namespace) -> Settings:
    if arguments.hash_key is not None:
        raise UsageError("--page shows plates, which --hash-key hides; leave out one of the two")
    try:
        return Settings(arguments.host, arguments.port, arguments.token_file)
    except InputError as error:
        raise UsageError(str(error)) from error


def _pass_on(events: Iterable[Event], sinks: Group, arguments: argparse.Namespace) -> int:
    if arguments.hash_key is not None:  # standard output would show the plate
        hashed = Hashed(sinks, load_key(arguments.hash_key))
        for event in events:
            hashed.put(event)
        return 0
    printed = Printed(arguments.format, is_alone=not list(sinks))
    for event in events:
        sinks.put(event)
        printed.put(event)
    return 1 if printed.is_incomplete else 0


class _Loop:
    """The loop from the camera to events, with its health, which it reports to systemd at every turn."""

    def __init__(
        self, arguments: argparse.Namespace, artifact: Artifact, reader: Reader, sinks: Iterable[Sink]
    ) -> None:
        source = open_source(_address(arguments.source), rate=arguments.rate, note=_note)
        self.camera: str = arguments.camera or source.name
        self.show: Callable[[Frame, Sequence[Sighting]], None] | None = None
        """Takes every frame and what was read in it."""
        self._sinks = sinks
        self._frames: deque[float] = deque(maxlen=100)
        self._systemd = Systemd()
        self._is_ready = False
        lists = None
        if arguments.allow is not None or arguments.block is not None:
            lists = Lists.read(artifact.spec, arguments.allow, arguments.block)
        detector = None if arguments.detector is None else Detector(arguments.detector)
        make = partial(RegionFinder, reader, detector=detector)
        self.fixed: Sequence[Region] = arguments.region
        """The regions, unless there is a file of regions."""
        self.edited = None if arguments.regions is None else Regions(arguments.regions, make, arguments.region)
        """The regions that the page may change."""
        self.events: Watch = watch(
            source,
            reader,
            camera=self.camera,
            finder=self.edited or make(arguments.region or [Region()]),
            lists=lists,
            line=arguments.line,
            min_agreement=arguments.agreement,
            leave_after=arguments.leave_after,
            on_frame=self._on_frame,
        )
        self._newest: Newest = self.events.newest
        self._newest.on_take = self._tell_systemd

    def wait_for_start(self, stop: Stop) -> None:
        """Wait until the source has been opened, and not long for a camera, which may be away.

        Raises:
            SourceError: a recording cannot be read.
            BackendUnavailable: a package that the source needs is not installed.
        """
        until = time.monotonic() + _START_S
        is_live = self._newest.source.is_live
        while not (self._newest.wait_for_start(_TURN_S) or stop.asked or (is_live and time.monotonic() > until)):
            pass

    def stop(self) -> None:
        """Take no further frames, and end all open passages."""
        self.events.stop()
        self._systemd.stopping()

    def health(self) -> Health:
        """Return the health, for the page."""
        counts = self._newest.counts
        if not self._newest.has_started:
            return Health("starting")
        frames = list(self._frames)
        rate = (len(frames) - 1) / (frames[-1] - frames[0]) if len(frames) > 1 and frames[-1] > frames[0] else None
        queues = [getattr(sink, "queue", None) for sink in self._sinks]  # the page has none
        return Health(
            problem=counts.last_error if counts.connected_since is None else None,
            frames=counts.delivered,
            frames_per_second=rate,
            dropped=counts.dropped,
            reconnects=counts.reconnects,
            trouble={queue.name: queue.dropped + queue.refused for queue in queues if queue is not None},
        )

    def _on_frame(self, frame: Frame, sightings: Sequence[Sighting]) -> None:
        self._frames.append(time.monotonic())
        if self.show is not None:
            self.show(frame, sightings)

    def _tell_systemd(self) -> None:
        """Report readiness once the source has been tried, and a sign of life at every turn, also without frames."""
        counts = self._newest.counts
        status = f"{self.camera}: {counts.delivered:,} frames"
        if counts.connected_since is None and counts.last_error is not None:
            status += f"; {counts.last_error}"
        if not self._is_ready and self._newest.has_started:
            self._is_ready = True
            self._systemd.ready(status)
        self._systemd.alive(status)


class _PageSink:
    """Serves the page, which shows the frames and the events of a loop."""

    def __init__(self, loop: _Loop, settings: Settings, keep_s: float | None) -> None:
        edited = loop.edited
        self._state = State(
            loop.camera,
            health=loop.health,
            keep_s=keep_s,
            regions=lambda: loop.fixed if edited is None else edited.current,
            save_regions=None if edited is None else edited.save,
        )
        self._page = server.serve(self._state, settings)
        loop.show = self._state.show
        token = "" if settings.token_file is None else f"; its token is in {settings.token_file}"
        _note(f"the page is at {self._page.address}{token}")

    def put(self, event: Event) -> None:
        """Show an event."""
        self._state.put(event)

    def close(self, within_s: float = CLOSE_S) -> None:  # noqa: ARG002 - the page has its own limit, which is shorter
        """Stop serving."""
        self._page.close()


def _address(place: Path | str) -> str:
    """Return the address, perhaps from an environment variable."""
    text = str(place)
    if not text.startswith("$"):
        return text
    value = os.environ.get(text[1:])
    if not value:
        raise InputError(f"found SOURCE {text}, but the environment variable {text[1:]} is empty; set it to an address")
    return value


COMMAND = Command(
    "watch a camera and report one event per vehicle",
    add_arguments,
    run,
    details="A passage has an event new, events update as more is known, and an event end. Plates are found by reading:"
    " what the model rejects is no plate. The command ends with a recording, or with SIGINT or SIGTERM.",
    examples=(
        "watch rtsp://camera.local/stream --page",
        "watch gate.mp4 --format jsonl",
        "watch /dev/video0 --rate 5 --allow staff.txt --lines events.jsonl",
        "watch --config gate.toml",
    ),
)
