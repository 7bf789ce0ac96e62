"""`edge-crnn watch`: from a camera to one event per vehicle."""

from __future__ import annotations

import argparse
import os
import re
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

from ..board.threads import limit_opencv
from ..errors import BackendUnavailable, InputError
from ..progress import note
from ..reader import Reader, load, open_reader
from ..terminal import printable
from ..watch.event import Event
from ..watch.finding.detector import Detector
from ..watch.finding.finder import RegionFinder
from ..watch.finding.region import Region
from ..watch.frame import Frame
from ..watch.line import Line
from ..watch.lists import Lists
from ..watch.newest import Newest
from ..watch.page.health import Health
from ..watch.page.state import State
from ..watch.protocols import Sink
from ..watch.sighting import Sighting
from ..watch.sinks import broker
from ..watch.sinks.form import as_json, dumps
from ..watch.sinks.frigate import Frigate, FrigateSettings
from ..watch.sinks.hashed import Hashed, load_key
from ..watch.sinks.lines import Lines
from ..watch.sinks.mqtt import Mqtt, MqttSettings
from ..watch.sinks.snapshots import Snapshots
from ..watch.sinks.webhook import Webhook
from ..watch.sources import open_source
from ..watch.watch import Watch, watch
from .command import Command, at_least, between

WEBHOOK_TOKEN = "EDGE_CRNN_WEBHOOK_TOKEN"
"""Environment variable with the token that a webhook asks for."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}

_note = partial(note, program="edge-crnn watch")


def duration(text: str) -> float:
    """Parse a duration such as `24h` into seconds."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None or not int(match[1]):
        raise argparse.ArgumentTypeError(f"{text} is not a duration such as 90s, 15m, 24h or 7d")
    return float(int(match[1]) * _UNITS[match[2]])


def size(text: str) -> int:
    """Parse a size such as `500M` into bytes."""
    match = re.fullmatch(r"(\d{1,6})([KMG])", text)
    if match is None or not int(match[1]):
        raise argparse.ArgumentTypeError(f"{text} is not a size such as 500M or 2G")
    return int(match[1]) * _SIZES[match[2]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `watch`."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="rtsp:// or http:// address, /dev/video0, picamera://0, a video file, or a folder of frames; $NAME takes"
        " it from an environment variable, so that a password is in no list of processes",
    )
    parser.add_argument("--model", default="plates", metavar="MODEL", help="a converted model (default: plates)")
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
        default=[],
        metavar="NAME: X,Y …",
        help="polygon to look in, in shares of the frame, such as 'gate: 0,0.5 1,0.5 1,1 0,1'; may end with"
        " heights=20,80, the height of plates in pixels; may be repeated",
    )
    finding.add_argument("--detector", type=Path, metavar="FILE.onnx", help="your own detector of plates")
    finding.add_argument(
        "--rate", type=between(0.1, 120), metavar="N", help="frames per second to look at, at most (default: all)"
    )
    events = parser.add_argument_group("events")
    events.add_argument("--line", metavar="X,Y X,Y ONE OTHER", help="line to cross, and names for its sides")
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
    _add_sink_arguments(parser.add_argument_group("where events go"))
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


def _add_sink_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--lines", type=Path, metavar="FILE", help="append events as JSON lines, a file per day")
    group.add_argument("--snapshots", type=Path, metavar="DIR", help="store the best crop of every passage")
    group.add_argument("--keep", type=duration, metavar="TIME", help="remove lines and snapshots after, such as 24h")
    group.add_argument("--most", type=size, metavar="SIZE", help="remove the oldest snapshots above, such as 500M")
    group.add_argument("--mqtt", metavar="URL", help="publish for Home Assistant, such as mqtt://broker:1883")
    group.add_argument("--frigate", metavar="URL", help="publish in the form of Frigate's events")
    group.add_argument("--credentials", type=Path, metavar="FILE.json", help="username, password, ca for the broker")
    group.add_argument(
        "--webhook", metavar="URL", help=f"POST every event; {WEBHOOK_TOKEN} in the environment is its token"
    )
    group.add_argument(
        "--hash-key",
        type=Path,
        metavar="FILE",
        help="give salted hashes instead of plates; the key is created if missing",
    )


def run(arguments: argparse.Namespace) -> int:
    """Watch until the recording ends, or until SIGINT or SIGTERM."""
    limit_opencv()
    if arguments.page and arguments.hash_key is not None:
        raise InputError("--page shows plates, which --hash-key hides; leave out one of the two")
    artifact = load(arguments.model)
    source = open_source(_address(arguments.source), rate=arguments.rate, note=_note)
    camera = arguments.camera or source.name
    lists = None
    if arguments.allow is not None or arguments.block is not None:
        lists = Lists.read(artifact.spec, arguments.allow, arguments.block)
    line = None if arguments.line is None else Line.parse(arguments.line)
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(artifact, workers=1))
        finder = _finder(arguments, reader)
        sinks = [stack.enter_context(_closing(sink)) for sink in _sinks(arguments, camera)]
        health = _HealthOf(sinks)
        show = _page(arguments, camera, health, sinks, stack) if arguments.page else None

        def on_frame(frame: Frame, sightings: Sequence[Sighting]) -> None:
            health.frames.append(time.monotonic())
            if show is not None:
                show(frame, sightings)

        events = watch(
            source,
            reader,
            camera=camera,
            finder=finder,
            lists=lists,
            line=line,
            min_agreement=arguments.agreement,
            leave_after=arguments.leave_after,
            on_frame=on_frame,
        )
        with events, _stopped_by_signals(events):
            health.newest = events.newest
            for event in events:
                _report(event, arguments.format, sinks, arguments.hash_key)
    return 0


def _address(text: str) -> str:
    """Return the address, perhaps from an environment variable."""
    if not text.startswith("$"):
        return text
    value = os.environ.get(text[1:])
    if not value:
        raise InputError(f"found SOURCE {text}, but the environment variable {text[1:]} is empty; set it to an address")
    return value


def _finder(arguments: argparse.Namespace, reader: Reader) -> RegionFinder:
    regions = [Region.parse(text) for text in arguments.region] or [Region()]
    detector = None if arguments.detector is None else Detector(arguments.detector)
    return RegionFinder(reader, regions, detector=detector)


def _sinks(arguments: argparse.Namespace, camera: str) -> Iterator[Sink]:
    key = None if arguments.hash_key is None else load_key(arguments.hash_key)

    def hidden(sink: Sink) -> Sink:
        return sink if key is None else Hashed(sink, key)

    if arguments.lines is not None:
        yield hidden(Lines(arguments.lines, rotate_daily=True, keep_s=arguments.keep, say=_note))
    if arguments.snapshots is not None:
        yield hidden(Snapshots(arguments.snapshots, keep_s=arguments.keep, most_bytes=arguments.most, say=_note))
    credentials = None if arguments.credentials is None else broker.load_credentials(arguments.credentials)
    if arguments.mqtt is not None:
        address = broker.parse_address(arguments.mqtt)
        yield hidden(Mqtt(MqttSettings(address, (camera,), credentials=credentials), _note))
    if arguments.frigate is not None:
        address = broker.parse_address(arguments.frigate)
        yield hidden(Frigate(FrigateSettings(address, credentials=credentials), _note))
    if arguments.webhook is not None:
        yield hidden(Webhook(arguments.webhook, token=os.environ.get(WEBHOOK_TOKEN), say=_note))


@contextmanager
def _closing(sink: Sink) -> Iterator[Sink]:
    try:
        yield sink
    finally:
        sink.close()


def _page(
    arguments: argparse.Namespace, camera: str, health: Callable[[], Health], sinks: list[Sink], stack: ExitStack
) -> Callable[[Frame, Sequence[Sighting]], None]:
    """Serve the page, add it to the sinks, and return what shows a frame on it."""
    from ..watch.page.settings import Settings

    try:
        from ..watch.page.server import serve
    except ModuleNotFoundError as error:
        raise BackendUnavailable(f"--page: {error.name} is not installed; pip install 'edge-crnn[watch]'") from error
    settings = Settings(host=arguments.host, port=arguments.port, token_file=arguments.token_file)
    state = State(camera, health=health, keep_s=arguments.keep)
    page = stack.enter_context(serve(state, settings))
    sinks.append(state)
    token = "" if arguments.token_file is None else f"; its token is in {arguments.token_file}"
    _note(f"the page is at {page.address}{token}")
    return state.show


class _HealthOf:
    """The health of the loop, for the page."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.frames: deque[float] = deque(maxlen=100)
        self.newest: Newest | None = None
        self._sinks = sinks

    def __call__(self) -> Health:
        if self.newest is None:
            return Health("starting")
        counts = self.newest.counts
        frames = list(self.frames)
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


@contextmanager
def _stopped_by_signals(events: Watch) -> Iterator[None]:
    """Let SIGINT and SIGTERM end the loop in order, so that open passages end and sinks are emptied."""

    def stop(_: int, __: FrameType | None) -> None:
        events.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report(event: Event, form: str, sinks: Sequence[Sink], hash_key: Path | None) -> None:
    for sink in sinks:
        sink.put(event)
    if hash_key is not None:
        return  # standard output would show the plate
    if form == "jsonl":
        print(dumps(as_json(event)), flush=True)
    else:
        direction = "" if event.direction is None else f"\t{event.direction}"
        listed = "" if event.listed == "unlisted" else f"\t{event.listed}"
        print(f"{event.kind}\t{printable(event.text)}\t{event.confidence:.4f}{listed}{direction}", flush=True)


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
    ),
)
