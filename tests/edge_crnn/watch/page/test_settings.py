from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_crnn.errors import InputError
from edge_crnn.watch.page.settings import Settings


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.4", "board.local", ""])
def test_the_network_needs_a_token(host: str) -> None:
    with pytest.raises(InputError, match="token"):
        Settings(host=host)
    Settings(host=host, token_file=Path("token"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    Settings(host=host)


@pytest.mark.parametrize(
    "changes", [{"port": -1}, {"port": 65536}, {"live_rate": 0}, {"viewers": 0}, {"live_rate": float("nan")}]
)
def test_numbers_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        Settings(**changes)
