from __future__ import annotations

import json

import pytest

from edge_crnn.watch.sinks.broker import Address
from edge_crnn.watch.sinks.frigate import Frigate, FrigateSettings, state_of
from tests.edge_crnn.watch.sinks.events import START, an_event

pytest.importorskip("paho.mqtt", reason="paho-mqtt is not installed; it comes with edge-crnn[watch]")

from tests.edge_crnn.watch.sinks.listener import Listener
from tests.edge_crnn.watch.sinks.mosquitto import Mosquitto


def test_a_state_has_frigates_fields() -> None:
    state = state_of(an_event(), "car")
    assert state["id"] == f"{START}-k3v9q2"
    assert state["box"] == [9, 20, 110, 52]
    assert state["area"] == 101 * 32
    assert state["ratio"] == round(101 / 32, 2)
    assert (state["start_time"], state["end_time"], state["frame_time"]) == (START, None, START + 1.5)
    assert (state["label"], state["sub_label"], state["false_positive"]) == ("car", None, False)
    assert (state["recognized_license_plate"], state["score"]) == ("서울 18 나 6897", 0.98)
    assert state["current_zones"] == state["entered_zones"] == ["gate"]
    ended = state_of(an_event("end"), "car")
    assert (ended["end_time"], ended["active"], ended["current_zones"]) == (START + 1.5, False, [])


@pytest.mark.thorough
def test_a_passage_is_told_as_frigate_does(mosquitto: Mosquitto) -> None:
    listener = Listener(mosquitto.port)
    sink = Frigate(FrigateSettings(Address("127.0.0.1", mosquitto.port, False), prefix="plates"))
    sink.put(an_event("new", "1"))
    sink.put(an_event("update", "12"))
    sink.put(an_event("end", "12"))
    sink.put(an_event("new", "3", identity="1796088250.00-aaaaaa"))
    sink.close()
    messages = [json.loads(payload) for payload in listener.wait_for("plates/events", 4)]
    assert listener.wait_for("plates/available", 2) == [b"online", b"offline"]
    snapshots = listener.wait_for("plates/front/license_plate/snapshot", 3)
    listener.close()
    assert [message["type"] for message in messages] == ["new", "update", "end", "new"]
    plates = [
        (message["before"]["recognized_license_plate"], message["after"]["recognized_license_plate"])
        for message in messages
    ]
    assert plates == [("1", "1"), ("1", "12"), ("12", "12"), ("3", "3")]
    assert all(snapshot.startswith(b"\xff\xd8") for snapshot in snapshots)
    assert not sink._states.keys() - {"1796088250.00-aaaaaa"}
