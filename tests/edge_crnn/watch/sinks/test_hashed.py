from __future__ import annotations

import hashlib
import hmac
import os
import re
from pathlib import Path

import pytest

from edge_crnn.errors import InputError, OutputError
from edge_crnn.watch.event import Event
from edge_crnn.watch.protocols import CLOSE_S
from edge_crnn.watch.sinks.form import as_json, dumps
from edge_crnn.watch.sinks.hashed import Hashed, hash_of, hashed, load_key
from tests.edge_crnn.watch.sinks.events import an_event


class _Kept:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_closed = False

    def put(self, event: Event) -> None:
        self.events.append(event)

    def close(self, within_s: float = CLOSE_S) -> None:
        self.is_closed = True


def test_text_label_and_crop_are_replaced_and_nothing_else() -> None:
    event, sink = an_event(), _Kept()
    through = Hashed(sink, b"k" * 32)
    through.put(event)
    through.close()
    (got,) = sink.events
    assert sink.is_closed
    assert re.fullmatch(r"[0-9a-f]{32}", got.text)
    assert got.text == got.label
    assert got.crop.size == 0
    assert "6897" not in dumps(as_json(got))
    same = {name: value for name, value in as_json(event).items() if name not in ("text", "label")}
    assert same.items() <= as_json(got).items()


def test_a_hash_is_that_of_the_standard_and_depends_on_plate_and_key() -> None:
    expected = hmac.new(b"k" * 32, "A18나".encode(), hashlib.sha256).hexdigest()
    assert hash_of("A18나", b"k" * 32) == expected[:32]
    assert len({hash_of(label, key) for label in ("1", "2") for key in (b"a" * 32, b"b" * 32)}) == 4
    assert hashed(an_event(), b"k" * 32).text == hashed(an_event("end"), b"k" * 32).text


def test_a_missing_key_is_created_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = load_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(key) == 64
    assert load_key(path) == key
    assert load_key(tmp_path / "other") != key
    assert sorted(file.name for file in tmp_path.iterdir()) == ["key", "other"]


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    load_key(path)
    path.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        load_key(path)


@pytest.mark.parametrize("content", [b"", b"short\n", b"x" * 2000])
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(InputError, match="expected a key"):
        load_key(path)


def test_a_key_without_a_folder_cannot_be_created(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no key can be created"):
        load_key(tmp_path / "missing" / "key")


def test_a_key_that_another_process_creates_first_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    link = os.link

    def slow(source: Path, target: Path) -> None:
        target.write_bytes(b"f" * 64)
        target.chmod(0o600)
        link(source, target)

    monkeypatch.setattr(os, "link", slow)
    assert load_key(path) == b"f" * 64
