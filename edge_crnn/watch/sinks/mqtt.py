"""Events over MQTT, with entities for Home Assistant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ...errors import InputError
from ...progress import note
from .. import jpeg
from ..event import Event
from ..opencv import opencv
from ..protocols import CLOSE_S
from . import discovery
from .broker import Address, Broker, Credentials, Message, slug
from .form import as_json, dumps
from .queued import Queued, detached, size_of

_BASE: Final = "edge-crnn"


@dataclass(frozen=True)
class MqttSettings:
    """Where events go, and under which topics."""

    address: Address
    cameras: tuple[str, ...]
    """Names of all cameras, for people."""
    node: str = "edge_crnn"
    """Name of this device; different devices at one broker need different names."""
    base: str = _BASE
    """The start of all topics; the node follows."""
    prefix: str = discovery.PREFIX
    """The prefix that Home Assistant listens to."""
    credentials: Credentials | None = None

    @property
    def topics(self) -> str:
        """The start of this device's topics."""
        return f"{self.base}/{slug(self.node)}"


class Mqtt:
    """Publishes events with QoS 1, and keeps them in order while the broker is away.

    Topics below `edge-crnn/NODE`: `status` (online or offline, retained), `events` (every event as JSON), and for
    every camera `CAMERA/plate` (the newest event as JSON, retained) and `CAMERA/image` (its crop, retained).

    Args:
        settings: where events go.
        say: takes notes for the user.

    Raises:
        BackendUnavailable: paho-mqtt or OpenCV is not installed.
        InputError: the base or the prefix cannot be part of a topic, or a certificate cannot be read.
    """

    def __init__(self, settings: MqttSettings, say: Callable[[str], None] = note) -> None:
        opencv()
        check_topic(settings.base)
        check_topic(settings.prefix)
        self._topics = settings.topics
        node = slug(settings.node)
        self._broker = Broker(
            settings.address,
            discovery.status_topic(self._topics),
            credentials=settings.credentials,
            client_id=f"edge-crnn-{node}",
            greeting=lambda: discovery.configs(node, self._topics, settings.cameras, settings.prefix),
            birth=discovery.birth_topic(settings.prefix),
            say=say,
        )
        self.queue: Queued[Event] = Queued(str(settings.address), self._publish, say=say)

    def put(self, event: Event) -> None:
        """Take an event."""
        event = detached(event)
        self.queue.put(event, size_of(event))

    def close(self, within_s: float = CLOSE_S) -> None:
        """Publish what is left, and disconnect."""
        self.queue.close(within_s)
        self._broker.close()

    def _publish(self, event: Event) -> None:
        self._broker.publish(list(self._messages(event)), lambda: self.queue.is_late)

    def _messages(self, event: Event) -> Iterator[Message]:
        content = dumps(as_json(event))
        yield Message(f"{self._topics}/events", content)
        if event.crop.size:
            yield Message(discovery.image_topic(self._topics, event.camera), jpeg.encode(event.crop), retain=True)
        yield Message(discovery.plate_topic(self._topics, event.camera), content, retain=True)


def check_topic(topic: str) -> None:
    """Raise InputError unless a text can be the start of a topic."""
    if not topic or topic.startswith(("/", "$")) or topic.endswith("/") or set(topic) & set("+#\0"):
        raise InputError(f"found topic {topic[:80]!r}, expected names with / between them, without + and #")
