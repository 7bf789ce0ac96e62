from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_crnn.serve import systemd as module
from edge_crnn.serve.systemd import Systemd


@pytest.fixture(params=["a path", "an abstract name"])
def heard(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The other end of the socket that the environment names."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = f"edge-crnn-test-{os.getpid()}"
        place = str(tmp_path / "notify") if request.param == "a path" else f"@{name}"
        manager.bind(place if request.param == "a path" else f"\0{name}")
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", place)
        yield manager


def test_ready_signs_of_life_and_the_end(heard: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000000")
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    systemd = Systemd()
    assert systemd.patience_s == 20
    systemd.ready("starting")
    assert heard.recv(999) == b"READY=1\nSTATUS=starting"
    for now in (100.0, 104.9, 105.0, 109.9):  # noqa: B007 - the clock above
        systemd.alive("1 read")
    systemd.stopping()
    assert [heard.recv(999) for _ in range(3)] == [*[b"WATCHDOG=1\nSTATUS=1 read"] * 2, b"STOPPING=1"]
    with pytest.raises(BlockingIOError):
        heard.recv(999)


def test_no_sign_of_life_where_none_is_waited_for(heard: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert Systemd().patience_s is None
    monkeypatch.setenv("WATCHDOG_USEC", "20000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))  # of whoever started us
    systemd = Systemd()
    assert systemd.patience_s is None
    systemd.alive("1 read")
    with pytest.raises(BlockingIOError):
        heard.recv(999)


def test_nobody_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000000")
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Systemd().ready("here")
    assert Systemd().patience_s is None
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    Systemd().alive("here")
    Systemd().stopping()
