"""A client that records what a broker publishes."""

from __future__ import annotations

import json
import threading
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.edge_crnn.watch.sinks.waiting import until


class Listener:
    """Subscribes to all topics."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._is_subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._is_subscribed.set()
        self._client.on_message = lambda _client, _data, message: self.messages.append(
            (message.topic, message.payload, message.retain)
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._is_subscribed.wait(20)

    def publish(self, topic: str, payload: str) -> None:
        """Publish a message, as Home Assistant does."""
        self._client.publish(topic, payload, qos=1).wait_for_publish(20)

    def payloads(self, topic: str) -> list[bytes]:
        """Return what has been published on a topic so far, in order."""
        return [payload for name, payload, _ in list(self.messages) if name == topic]

    def texts(self, topic: str) -> list[str]:
        """Return the texts of the events on a topic so far, in order."""
        return [json.loads(payload)["text"] for payload in self.payloads(topic)]

    def wait_for(self, topic: str, count: int = 1) -> list[bytes]:
        """Wait for a number of messages on a topic, and return all of them."""
        until(lambda: len(self.payloads(topic)) >= count)
        return self.payloads(topic)

    def content(self, topic: str) -> Any:
        """Wait for a message on a topic, and return the newest as parsed JSON."""
        return json.loads(self.wait_for(topic)[-1])

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
