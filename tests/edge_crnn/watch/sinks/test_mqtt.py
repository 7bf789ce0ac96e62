from __future__ import annotations

import json
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from edge_crnn import __version__
from edge_crnn.errors import InputError
from edge_crnn.watch.sinks.broker import Address
from edge_crnn.watch.sinks.form import as_json
from edge_crnn.watch.sinks.hashed import Hashed
from edge_crnn.watch.sinks.mqtt import Mqtt, MqttSettings
from tests.edge_crnn.watch.sinks.events import an_event, numbered
from tests.edge_crnn.watch.sinks.waiting import until

pytest.importorskip("paho.mqtt", reason="paho-mqtt is not installed; it comes with edge-crnn[watch]")

from tests.edge_crnn.watch.sinks.listener import Listener
from tests.edge_crnn.watch.sinks.mosquitto import Mosquitto

pytestmark = pytest.mark.thorough

_BASE = "edge-crnn/gate"
_SENSOR = "homeassistant/sensor/gate/front_plate/config"


@pytest.fixture
def listener(mosquitto: Mosquitto) -> Iterator[Listener]:
    listener = Listener(mosquitto.port)
    yield listener
    listener.close()


def _settings(mosquitto: Mosquitto) -> MqttSettings:
    return MqttSettings(Address("127.0.0.1", mosquitto.port, False), ("front",), node="gate")


def test_home_assistant_gets_every_field_that_it_needs(mosquitto: Mosquitto, listener: Listener) -> None:
    sink = Mqtt(_settings(mosquitto))
    sensor = listener.content(_SENSOR)
    image = listener.content("homeassistant/image/gate/front_image/config")
    connection = listener.content("homeassistant/binary_sensor/gate/connection/config")
    listener.wait_for(f"{_BASE}/status")
    sink.close()

    device = {
        "identifiers": ["gate"],
        "name": "Plates (gate)",
        "manufacturer": "edge-crnn",
        "model": "edge-crnn watch",
        "sw_version": __version__,
    }
    common = {"device": device, "origin": {"name": "edge-crnn", "sw_version": __version__}}
    status = f"{_BASE}/status"
    available = {"availability": [{"topic": status, "payload_available": "online", "payload_not_available": "offline"}]}
    assert sensor == {
        **common,
        **available,
        "unique_id": "gate_front_plate",
        "name": "front plate",
        "icon": "mdi:car",
        "state_topic": f"{_BASE}/front/plate",
        "value_template": "{{ value_json.text }}",
        "json_attributes_topic": f"{_BASE}/front/plate",
    }
    assert image == {
        **common,
        **available,
        "unique_id": "gate_front_image",
        "name": "front image",
        "image_topic": f"{_BASE}/front/image",
        "content_type": "image/jpeg",
    }
    assert connection == {
        **common,
        "unique_id": "gate_connection",
        "name": "Connection",
        "state_topic": status,
        "payload_on": "online",
        "payload_off": "offline",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
    }


def test_configurations_plate_and_image_are_retained_but_events_are_not(mosquitto: Mosquitto) -> None:
    sink = Mqtt(_settings(mosquitto))
    event = an_event()
    sink.put(event)
    until(lambda: sink.queue.delivered == 1)
    late = Listener(mosquitto.port)
    late.wait_for(_SENSOR)
    assert late.content(f"{_BASE}/front/plate") == as_json(event)
    (image,) = late.wait_for(f"{_BASE}/front/image")
    assert late.wait_for(f"{_BASE}/status") == [b"online"]
    assert not late.payloads(f"{_BASE}/events")
    late.close()
    sink.close()
    pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape == event.crop.shape


def test_events_come_in_order(mosquitto: Mosquitto, listener: Listener) -> None:
    sink = Mqtt(_settings(mosquitto))
    for event in numbered(30):
        sink.put(event)
    sink.close()
    until(lambda: len(listener.texts(f"{_BASE}/events")) == 30)
    assert listener.texts(f"{_BASE}/events") == [str(n) for n in range(30)]


def test_the_configurations_are_published_again_when_home_assistant_starts(
    mosquitto: Mosquitto, listener: Listener
) -> None:
    sink = Mqtt(_settings(mosquitto))
    listener.wait_for(_SENSOR)
    until(lambda: sink._broker.is_connected)
    time.sleep(0.2)  # the subscription
    listener.publish("homeassistant/status", "offline")
    listener.publish("homeassistant/status", "online")
    first, second = listener.wait_for(_SENSOR, 2)
    assert first == second
    sink.close()
    assert len(listener.payloads(_SENSOR)) == 2


def test_a_clean_end_and_a_lost_client_are_offline(mosquitto: Mosquitto, listener: Listener) -> None:
    sink = Mqtt(_settings(mosquitto))
    listener.wait_for(f"{_BASE}/status")
    sink.close()
    assert listener.wait_for(f"{_BASE}/status", 2) == [b"online", b"offline"]

    lost = Mqtt(_settings(mosquitto))
    listener.wait_for(f"{_BASE}/status", 3)
    lost._broker._is_closing = True
    lost._broker._client.reconnect_delay_set(60, 60)
    socket = lost._broker._client.socket()
    assert socket is not None
    socket.shutdown(2)  # without a word to the broker, as when the power fails
    assert listener.wait_for(f"{_BASE}/status", 4)[-1] == b"offline"
    lost.close()


def test_two_programs_with_a_camera_each_leave_each_other_alone(mosquitto: Mosquitto, listener: Listener) -> None:
    said: list[str] = []
    address = Address("127.0.0.1", mosquitto.port, False)
    front, back = (Mqtt(MqttSettings(address, (camera,)), say=said.append) for camera in ("front", "back"))
    for sink in (front, back):
        sink.put(an_event())
        until(lambda sink=sink: sink.queue.delivered == 1)  # type: ignore[misc]
    time.sleep(0.2)
    front.close()
    assert listener.wait_for("edge-crnn/front/status", 2) == [b"online", b"offline"]
    assert listener.payloads("edge-crnn/back/status") == [b"online"]
    back.close()
    assert not said


def test_events_wait_in_order_while_the_broker_is_away(mosquitto: Mosquitto) -> None:
    said: list[str] = []
    sink = Mqtt(_settings(mosquitto), say=said.append)
    events = numbered(12)
    for event in events[:4]:
        sink.put(event)
    until(lambda: sink.queue.delivered == 4)
    mosquitto.stop()
    for event in events[4:]:
        sink.put(event)
    until(lambda: any("lost" in line for line in said))
    time.sleep(0.5)
    assert len(sink.queue) == 8
    mosquitto.start()
    listener = Listener(mosquitto.port)
    until(lambda: sink.queue.delivered == 12)
    texts = listener.texts(f"{_BASE}/events")
    assert listener.content(f"{_BASE}/front/plate")["text"] == "11"
    assert listener.wait_for(_SENSOR), "published again, because the broker has kept nothing"
    listener.close()
    sink.close()
    # The listener may come after the first of them; what it has is complete and in order.
    assert texts == [str(n) for n in range(12 - len(texts), 12)]
    assert sink.queue.dropped == 0
    assert len([line for line in said if "lost" in line]) == 1
    assert len([line for line in said if "connected" in line]) == 1


def test_a_broker_that_comes_later_gets_everything(mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    said: list[str] = []
    sink = Mqtt(_settings(mosquitto), say=said.append)
    sink.put(an_event())
    until(lambda: bool(said))
    assert "cannot be reached" in said[0]
    mosquitto.start()
    until(lambda: sink.queue.delivered == 1)
    sink.close()


def test_an_end_without_a_broker_is_quick_and_says_what_is_left(mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    said: list[str] = []
    sink = Mqtt(_settings(mosquitto), say=said.append)
    sink.put(an_event())
    begin = time.perf_counter()
    sink.queue.close(0.3)
    sink.close()
    assert time.perf_counter() - begin < 5
    assert any("1 not delivered" in line for line in said)


def test_a_hashed_plate_is_nowhere(mosquitto: Mosquitto, listener: Listener) -> None:
    sink = Hashed(Mqtt(_settings(mosquitto)), b"k" * 32)
    sink.put(an_event())
    sink.close()
    listener.wait_for(f"{_BASE}/status", 2)
    assert not any(b"6897" in payload for _, payload, _ in listener.messages)
    assert not listener.payloads(f"{_BASE}/front/image")
    assert len(json.loads(listener.wait_for(f"{_BASE}/front/plate")[0])["text"]) == 32


@pytest.mark.parametrize("topic", ["", "/a", "a/", "a+b", "a/#", "$SYS"])
def test_what_is_no_topic_is_refused(topic: str) -> None:
    with pytest.raises(InputError, match="topic"):
        Mqtt(MqttSettings(Address("127.0.0.1", 1, False), (), base=topic))
