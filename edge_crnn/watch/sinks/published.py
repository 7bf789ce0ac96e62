"""What the sinks share that publish events at an MQTT broker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from ...errors import InputError
from ..event import Event
from ..protocols import CLOSE_S
from .broker import Broker, Message
from .queued import Queued, detached, size_of


class Published(ABC):
    """Publishes events in order, and keeps them while the broker is away.

    Args:
        broker: the connection, which is closed with the sink.
        name: what the events go to, for notes.
        say: takes notes for the user.
    """

    def __init__(self, broker: Broker, name: str, say: Callable[[str], None]) -> None:
        self._broker = broker
        self.queue: Queued[Event] = Queued(name, self._publish, say=say)

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

    @abstractmethod
    def _messages(self, event: Event) -> Iterable[Message]:
        """Return the messages of an event, in order."""


def check_topic(topic: str) -> None:
    """Raise InputError unless a text can be the start of a topic."""
    if not topic or topic.startswith(("/", "$")) or topic.endswith("/") or set(topic) & set("+#\0"):
        raise InputError(f"found topic {topic[:80]!r}, expected names with / between them, without + and #")
