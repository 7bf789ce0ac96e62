"""The messages that make Home Assistant create entities.

The form is that of Home Assistant's MQTT discovery: `<prefix>/<component>/<node>/<object>/config`, retained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from ... import __version__
from .broker import OFFLINE, ONLINE, Message, slug
from .form import dumps

PREFIX: Final = "homeassistant"


def birth_topic(prefix: str = PREFIX) -> str:
    """Return the topic on which Home Assistant says `online` when it starts."""
    return f"{prefix}/status"


def status_topic(base: str) -> str:
    """Return the topic that is `online` while this program is connected, and `offline` otherwise."""
    return f"{base}/status"


def plate_topic(base: str, camera: str) -> str:
    """Return the topic of the last plate: an event as JSON."""
    return f"{base}/{slug(camera)}/plate"


def image_topic(base: str, camera: str) -> str:
    """Return the topic of the last crop: a JPEG file."""
    return f"{base}/{slug(camera)}/image"


def configs(node: str, base: str, cameras: Iterable[str], prefix: str = PREFIX) -> Iterator[Message]:
    """Yield the messages for one device with a sensor of its connection, and a sensor and an image for every camera.

    Args:
        node: the identifier of this device, a slug.
        base: the start of this device's topics.
        cameras: names of cameras, for people.
        prefix: the prefix that Home Assistant listens to.
    """
    common = {
        "device": {
            "identifiers": [node],
            "name": f"Plates ({node})",
            "manufacturer": "edge-crnn",
            "model": "edge-crnn watch",
            "sw_version": __version__,
        },
        "origin": {"name": "edge-crnn", "sw_version": __version__},
    }
    availability = {
        "availability": [{"topic": status_topic(base), "payload_available": ONLINE, "payload_not_available": OFFLINE}]
    }
    # The connection has no availability: it would be unavailable exactly when it has something to say.
    yield _config(
        prefix,
        "binary_sensor",
        node,
        "connection",
        {
            **common,
            "name": "Connection",
            "state_topic": status_topic(base),
            "payload_on": ONLINE,
            "payload_off": OFFLINE,
            "device_class": "connectivity",
            "entity_category": "diagnostic",
        },
    )
    for camera in cameras:
        yield _config(
            prefix,
            "sensor",
            node,
            f"{slug(camera)}_plate",
            {
                **common,
                **availability,
                "name": f"{camera} plate",
                "icon": "mdi:car",
                "state_topic": plate_topic(base, camera),
                "value_template": "{{ value_json.text }}",
                "json_attributes_topic": plate_topic(base, camera),
            },
        )
        yield _config(
            prefix,
            "image",
            node,
            f"{slug(camera)}_image",
            {
                **common,
                **availability,
                "name": f"{camera} image",
                "image_topic": image_topic(base, camera),
                "content_type": "image/jpeg",
            },
        )


def _config(prefix: str, component: str, node: str, name: str, content: dict[str, Any]) -> Message:
    unique = {"unique_id": f"{node}_{name}"}
    return Message(f"{prefix}/{component}/{node}/{name}/config", dumps({**unique, **content}), retain=True)
