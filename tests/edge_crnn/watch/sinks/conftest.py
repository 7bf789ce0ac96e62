"""A real broker for the tests of MQTT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge_crnn.watch.sinks.mosquitto import Mosquitto


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """Start a broker."""
    with Mosquitto(tmp_path) as broker:
        yield broker
