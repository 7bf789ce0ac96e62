"""Events over MQTT, with entities for Home Assistant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ...progress import note
from .. import jpeg
from ..event import Event
from ..opencv import opencv
from . import discovery
from .broker import Address, Broker, Credentials, Message, slug
from .form import as_json, dumps
from .published import Published, check_topic

_BASE: Final = "edge-crnn"


@dataclass(frozen=True)
class MqttSettings:
    """Where events go, and under which topics."""

    address: Address
    cameras: tuple[str, ...]
    """Names of all cameras, for people."""
    node: str | None = None
    """Name of this device. Programs at one broker need different names, or they disconnect each other. None: the names
    of the cameras."""
    base: str = _BASE
    """The start of all topics; the node follows."""
    prefix: str = discovery.PREFIX
    """The prefix that Home Assistant listens to."""
    credentials: Credentials | None = None

    @property
    def device(self) -> str:
        """The name of this device in topics."""
        return slug("-".join(self.cameras) if self.node is None else self.node)

    @property
    def topics(self) -> str:
        """The start of this device's topics."""
        return f"{self.base}/{self.device}"


class Mqtt(Published):
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
        broker = Broker(
            settings.address,
            discovery.status_topic(self._topics),
            credentials=settings.credentials,
            client_id=f"edge-crnn-{settings.device}",
            greeting=lambda: discovery.configs(settings.device, self._topics, settings.cameras, settings.prefix),
            birth=discovery.birth_topic(settings.prefix),
            say=say,
        )
        super().__init__(broker, str(settings.address), say)

    def _messages(self, event: Event) -> Iterator[Message]:
        content = dumps(as_json(event))
        yield Message(f"{self._topics}/events", content)
        if event.crop.size:
            yield Message(discovery.image_topic(self._topics, event.camera), jpeg.encode(event.crop), retain=True)
        yield Message(discovery.plate_topic(self._topics, event.camera), content, retain=True)
