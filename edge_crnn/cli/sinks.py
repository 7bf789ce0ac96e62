"""The options of `edge-crnn watch` that say where events go, and the sinks that they describe."""

from __future__ import annotations

import argparse
import errno
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..errors import OutputError
from ..progress import note
from ..terminal import printable
from ..watch.event import Event
from ..watch.protocols import CLOSE_S, Sink
from ..watch.sinks import broker
from ..watch.sinks.form import as_json, dumps
from ..watch.sinks.frigate import Frigate, FrigateSettings
from ..watch.sinks.hashed import load_key
from ..watch.sinks.lines import Lines
from ..watch.sinks.mqtt import Mqtt, MqttSettings
from ..watch.sinks.snapshots import Snapshots
from ..watch.sinks.webhook import Webhook, parse_url
from .command import duration, parsed_by, size
from .streams import StdoutError, drop_output

WEBHOOK_TOKEN = "EDGE_CRNN_WEBHOOK_TOKEN"
"""Environment variable with the token that a webhook asks for."""

_note = partial(note, program="edge-crnn watch")


def add_sink_arguments(group: argparse._ArgumentGroup) -> None:
    """Add the arguments of `check_places` and `open_sinks`."""
    group.add_argument("--lines", type=Path, metavar="FILE", help="append events as JSON lines, a file per day")
    group.add_argument("--snapshots", type=Path, metavar="DIR", help="store the best crop of every passage")
    group.add_argument("--keep", type=duration, metavar="TIME", help="remove lines and snapshots after, such as 24h")
    group.add_argument("--most", type=size, metavar="SIZE", help="remove the oldest snapshots above, such as 500M")
    address = parsed_by(broker.parse_address)
    group.add_argument(
        "--mqtt", type=address, metavar="URL", help="publish for Home Assistant, such as mqtt://broker:1883"
    )
    group.add_argument("--frigate", type=address, metavar="URL", help="publish in the form of Frigate's events")
    group.add_argument("--credentials", type=Path, metavar="FILE.json", help="username, password, ca for the broker")
    group.add_argument(
        "--webhook",
        type=parsed_by(_webhook),
        metavar="URL",
        help=f"POST every event; {WEBHOOK_TOKEN} in the environment is its token",
    )
    group.add_argument(
        "--hash-key",
        type=Path,
        metavar="FILE",
        help="give salted hashes instead of plates; the key is created if missing",
    )


def _webhook(url: str) -> str:
    parse_url(url)
    return url


def check_places(arguments: argparse.Namespace) -> None:
    """Check that all files and folders that are missing can be created, without creating any.

    Raises:
        InputError: the key cannot be used.
        OutputError: a folder cannot be written.
    """
    of_page = (arguments.token_file, arguments.regions) if arguments.page else ()
    for file in filter(None, (arguments.lines, arguments.hash_key, *of_page)):
        if not file.exists():
            _check_folder(file.parent)
    if arguments.snapshots is not None:
        _check_folder(next(place for place in (arguments.snapshots, *arguments.snapshots.parents) if place.exists()))
    if arguments.hash_key is not None and arguments.hash_key.exists():
        load_key(arguments.hash_key)


def _check_folder(folder: Path) -> None:
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        number = errno.EACCES if folder.is_dir() else errno.ENOTDIR
        raise OutputError(
            number, f"{folder}: is not a folder that may be written; name another, or create it and allow it"
        )


def open_sinks(arguments: argparse.Namespace, camera: str) -> Iterator[Sink]:
    """Open the sinks one by one. Those that may refuse what they are given come before those that create files.

    Raises:
        BackendUnavailable: a package is not installed.
        InputError: the credentials or the token cannot be used.
        OutputError: a file cannot be written.
    """
    credentials = None
    if arguments.credentials is not None:
        credentials = broker.load_credentials(arguments.credentials, _note)
    if arguments.mqtt is not None:
        yield Mqtt(MqttSettings(arguments.mqtt, (camera,), credentials=credentials), _note)
    if arguments.frigate is not None:
        yield Frigate(FrigateSettings(arguments.frigate, credentials=credentials), _note)
    if arguments.webhook is not None:
        yield Webhook(arguments.webhook, token=os.environ.get(WEBHOOK_TOKEN), say=_note)
    if arguments.lines is not None:
        yield Lines(arguments.lines, rotate_daily=True, keep_s=arguments.keep, say=_note)
    if arguments.snapshots is not None:
        yield Snapshots(arguments.snapshots, keep_s=arguments.keep, most_bytes=arguments.most, say=_note)


class Printed:
    """Prints events on standard output.

    Args:
        form: `text` or `jsonl`.
        is_alone: whether events go nowhere else. If not, they still go there when standard output cannot be written.
    """

    def __init__(self, form: str, *, is_alone: bool) -> None:
        self.is_incomplete = False
        """Whether events are missing, other than because the reader of a pipe has gone."""
        self._form = form
        self._is_alone = is_alone

    def put(self, event: Event) -> None:
        """Print an event.

        Raises:
            BrokenPipeError: the reader has gone, and events go nowhere else.
            StdoutError: standard output cannot be written, and events go nowhere else.
        """
        try:
            print(self._line(event), flush=True)
        except (BrokenPipeError, StdoutError) as error:
            if self._is_alone:
                raise
            drop_output()
            self.is_incomplete = isinstance(error, StdoutError)
            reason = str(error) if self.is_incomplete else "the reader has gone"
            _note(f"standard output: {reason}; events only go to the other places now")

    def close(self, within_s: float = CLOSE_S) -> None:
        """Do nothing: every event is printed at once."""

    def _line(self, event: Event) -> str:
        if self._form == "jsonl":
            return dumps(as_json(event))
        direction = "" if event.direction is None else f"\t{event.direction}"
        listed = "" if event.listed == "unlisted" else f"\t{event.listed}"
        return f"{event.kind}\t{printable(event.text)}\t{event.confidence:.4f}{listed}{direction}"
