from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.errors import OutputError
from edge_crnn.serve.arrivals import Arrival
from edge_crnn.serve.journal import Journal
from tests.budget import examples


def line(arrival: Arrival, **more: str) -> tuple[Arrival, str]:
    fields = {"time": "now", "size": arrival.size, "mtime_ns": arrival.mtime_ns, "image": f"in/{arrival.name}", **more}
    return arrival, json.dumps(fields)


IMAGES = [
    Arrival(1790000000123456789 + n, name, 10 + n) for n, name in enumerate(["a.jpg", "서울.jpg", "c\udcff\n.png"])
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal that has `IMAGES`."""
    path = tmp_path / "readings.jsonl"
    with Journal(path) as journal:
        assert len(journal) == 0
        journal.append([line(IMAGES[0])])
        journal.append([line(arrival) for arrival in IMAGES[1:]])
        assert all(arrival in journal for arrival in IMAGES)
    return path


def test_what_it_says_was_read_is_known_when_it_is_opened_again(path: Path) -> None:
    before = path.read_bytes()
    assert before.count(b"\n") == 3
    with Journal(path) as journal:
        assert len(journal) == 3
        assert all(arrival in journal for arrival in IMAGES)
        for name, size, mtime_ns in [("b.jpg", 10, 0), ("a.jpg", 11, 0), ("a.jpg", 10, 1)]:
            assert Arrival(IMAGES[0].mtime_ns + mtime_ns, name, size) not in journal
        journal.append([])
    assert path.read_bytes() == before


@settings(max_examples=examples(60), deadline=None)
@given(lost=st.integers(0, 300), zeros=st.integers(0, 300))
def test_wherever_a_kill_or_a_power_cut_falls_whole_lines_stay(
    tmp_path_factory: pytest.TempPathFactory, lost: int, zeros: int
) -> None:
    """A power cut may leave the length and not the content, which then is zeros."""
    path = tmp_path_factory.mktemp("journal") / "readings.jsonl"
    data = [f"{line(arrival)[1]}\n".encode() for arrival in IMAGES]
    whole = b"".join(data)
    kept = whole[: max(len(whole) - lost, 0)]
    path.write_bytes(kept + b"\0" * min(zeros, lost))
    with Journal(path) as journal:
        left = path.read_bytes()
        assert whole.startswith(left)
        assert left == b"".join(data[: len(journal)])
        assert len(kept) - len(left) < len(data[0] + data[1])
        assert left.count(b"\n") == kept.count(b"\n")
        assert [arrival in journal for arrival in IMAGES] == [n < len(journal) for n in range(3)]
        journal.append([line(arrival) for arrival in IMAGES if arrival not in journal])
    assert path.read_bytes() == whole


def test_a_hole_in_the_lines_that_were_written_last(path: Path) -> None:
    data = bytearray(path.read_bytes())
    second, third = (data.index(name) for name in (b"\\uc11c", b"\\udcff"))
    data[second - 30 : second + 5] = bytes(35)
    path.write_bytes(data)
    assert third > second
    with Journal(path) as journal:
        assert [arrival in journal for arrival in IMAGES] == [True, False, False]
        assert path.read_bytes().count(b"\n") == 1


FOREIGN = {
    "text": b"dear diary\n",
    "a line of text without end": b"dear diary",
    "other readings": b'{"image": "a.jpg", "text": ""}\n',
    "other readings with a time": b'{"time": "now", "image": "a.jpg"}\n',
    "other JSON": b"[1]\n",
    "an image": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    "zeros and more": b"\x00\x00\x00\x18ftypmp42",
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_another_s_file_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "diary"
    path.write_bytes(content)
    with pytest.raises(OutputError, match=r"line 1 is .*, expected a reading of serve-folder; name another file"):
        Journal(path)
    assert path.read_bytes() == content


def test_a_damaged_line_is_reported(path: Path) -> None:
    first, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"oops\n" + b"".join(others))
    with pytest.raises(OutputError, match="line 2 is b'oops"):
        Journal(path)


def test_a_hole_before_the_last_write_is_reported(path: Path) -> None:
    first, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"\0" * 50 + b"\n" + b"".join(others) * 50_000)
    before = path.stat().st_size
    with pytest.raises(OutputError, match=r"line 2 is b'.x00"):
        Journal(path)
    assert path.stat().st_size == before


def test_an_empty_line_is_reported(path: Path) -> None:
    path.write_bytes(b"\n" + path.read_bytes())
    with pytest.raises(OutputError, match="line 1 is "):
        Journal(path)


def test_one_process_at_a_time(path: Path) -> None:
    with Journal(path), pytest.raises(OutputError, match="another process"):
        Journal(path)
    Journal(path).close()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks__by_a_fake_lock(path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """sysdiagnose#92: the message blamed another process. A second writer is detected when it writes."""

    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with Journal(path) as first, Journal(path) as second:
        assert first.trouble is not None
        assert "has no locks" in first.trouble
        first.append([line(Arrival(1, "new.jpg", 2))])
        with pytest.raises(OutputError, match="another process"):
            second.append([line(Arrival(2, "newer.jpg", 2))])
    assert path.read_bytes().count(b"\n") == 4


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_lock_that_fails_is_no_other_process__by_a_fake_lock(
    path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OutputError, match=os.strerror(number)) as caught:
        Journal(path)
    assert "another process" not in str(caught.value)


def test_images_in_subfolders_have_their_path_and_old_lines_stay_valid(path: Path) -> None:
    first = Arrival(1, "2026/11/a.jpg", 2)
    second = Arrival(1, '2026/"12"\udcff/a.jpg', 2)
    for arrival in (first, second):
        with Journal(path) as journal:
            fields = {"time": "now", "size": 2, "mtime_ns": 1, "name": arrival.name, "image": f"in/{arrival.name}"}
            journal.append([(arrival, json.dumps(fields))])
    with Journal(path) as journal:
        assert len(journal) == 5
        assert all(arrival in journal for arrival in [*IMAGES, first, second])
        assert Arrival(1, "a.jpg", 2) not in journal
        assert Arrival(1, "2026/12/a.jpg", 2) not in journal


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("/dev/null", "is a device or a pipe"),
        (".", "cannot be opened .Is a directory"),
        ("missing/readings.jsonl", "cannot be opened .No such file"),
    ],
)
def test_places_where_nothing_can_be_kept(tmp_path: Path, place: str, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        Journal(tmp_path / place)


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_that_is_moved_away_is_not_written_to(path: Path, how: str) -> None:
    with Journal(path) as journal:
        away = path.rename(path.with_name("old.jsonl"))
        before = away.read_bytes()
        if how == "replaced":
            path.touch()
        with pytest.raises(OutputError, match="was moved or removed while it was in use"):
            journal.append([line(Arrival(1, "new.jpg", 2))])
        assert Arrival(1, "new.jpg", 2) not in journal
    assert away.read_bytes() == before


def test_no_room_leaves_it_whole_and_the_images_unknown(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    write = os.write

    def short(file: int, data: memoryview) -> int:
        """Write a part and then nothing more, like a full disk."""
        if len(data) < 300:
            raise OSError(28, "No space left on device")
        return write(file, data[: len(data) - 250])

    new = Arrival(1, "new.jpg", 2)
    with Journal(path) as journal:
        monkeypatch.setattr(os, "write", short)
        with pytest.raises(
            OutputError, match=r"No space left on device.; make room and start again: it has 3 complete readings"
        ):
            journal.append([line(new, text="x" * 400)])
        assert new not in journal
        assert path.read_bytes() == before
        monkeypatch.undo()
        journal.append([line(new)])
    assert path.read_bytes() == before + line(new)[1].encode() + b"\n"
