from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.errors import OutputError
from edge_crnn.watch.event import Event
from edge_crnn.watch.sinks.form import as_json, dumps, parse
from edge_crnn.watch.sinks.lines import LineFile, Lines
from tests.edge_crnn.watch.sinks.events import an_event, numbered
from tests.edge_crnn.watch.sinks.waiting import until

_FAST = (0.01, 0.05)


def _texts(path: Path) -> list[str]:
    return [parse(line, path.name).text for line in path.read_bytes().splitlines()]


def _write(path: Path, *events: Event, **settings: object) -> None:
    lines = Lines(path, **settings)  # type: ignore[arg-type]
    for event in events:
        lines.put(event)
    lines.close()


def test_lines_are_appended_in_order(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    _write(path, *numbered(3))
    _write(path, an_event("end"))
    assert _texts(path) == ["0", "1", "2", "서울 18 나 6897"]
    assert "서울" in path.read_text()


@given(data=st.data())
def test_wherever_a_kill_cuts_the_file_complete_lines_stay(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "events.jsonl"
    whole = [f"{dumps(as_json(event))}\n".encode() for event in numbered(4)]
    content = b"".join(whole)
    cut = data.draw(st.integers(0, len(content)))
    zeros = data.draw(st.sampled_from([0, 1, 700]))
    path.write_bytes(content[:cut] + bytes(zeros))
    said: list[str] = []
    _write(path, an_event(text="next"), say=said.append)
    complete = content[:cut].count(b"\n")
    is_whole = not zeros and content[:cut] == b"".join(whole[:complete])
    assert len(said) == (0 if is_whole else 1)
    assert _texts(path) == [*map(str, range(complete)), "next"]


@pytest.mark.parametrize(
    "content",
    [b"# notes\n", b'{"image": "a.jpg"}\n', b"x" * 100, b"\0\0\0\x18ftypisom", b'{"version": 1' + b"x" * (2 << 20)],
)
def test_a_file_of_something_else_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(content)
    with pytest.raises(OutputError, match="name another file"):
        Lines(path)
    assert path.read_bytes() == content


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = Lines(path)
    with pytest.raises(OutputError, match="locked"):
        Lines(path)
    lines.close()
    Lines(path).close()


@pytest.mark.parametrize("path", ["missing/events.jsonl", "."])
def test_a_place_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path, path: str) -> None:
    with pytest.raises(OutputError, match="cannot be opened"):
        Lines(tmp_path / path)


def test_a_device_is_refused() -> None:
    with pytest.raises(OutputError, match="device"):
        Lines(Path("/dev/null"))


def test_a_file_that_is_full_is_rotated_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    size = len(f"{dumps(as_json(numbered(1)[0]))}\n".encode())
    _write(path, *numbered(7, first_seen=0.0, last_seen=0.0), rotate_bytes=2 * size)
    older = sorted(tmp_path.glob("events-*.jsonl"), key=lambda file: _texts(file))
    assert [_texts(file) for file in older] == [["0", "1"], ["2", "3"], ["4", "5"]]
    assert _texts(path) == ["6"]
    assert all(file.stat().st_size <= 2 * size for file in older)


def test_a_new_file_begins_with_a_new_day(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    yesterday = time.time() - 86400
    _write(path, an_event(last_seen=yesterday, text="old"))
    _write(path, an_event(last_seen=time.time(), text="new"), rotate_daily=True)
    (older,) = tmp_path.glob("events-*.jsonl")
    stamp = datetime.fromtimestamp(yesterday, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    assert older.name == f"events-{stamp}.jsonl"
    assert (_texts(older), _texts(path)) == (["old"], ["new"])


@pytest.mark.parametrize("settings", [{"rotate_daily": True}, {"keep_s": 24 * 3600.0}])
@pytest.mark.parametrize("age_s", [3 * 86400, 7200, -3 * 86400])
def test_lines_that_come_late_or_early_share_files(tmp_path: Path, settings: dict[str, object], age_s: float) -> None:
    path = tmp_path / "events.jsonl"
    noon = datetime.now().replace(hour=12, minute=0, second=0).timestamp() - age_s
    seen = (noon + second for second in (20, 0, 40, 30, 60, 10))
    _write(path, *(an_event("end", last_seen=moment) for moment in seen), **settings)
    assert len(list(tmp_path.iterdir())) == 1


def test_lines_that_are_too_old_go_while_nothing_comes(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    now = datetime.now(timezone.utc)

    def named(age: timedelta) -> Path:
        return tmp_path / f"events-{now - age:%Y%m%dT%H%M%SZ}.jsonl"

    young, old, second = named(timedelta(hours=23)), named(timedelta(hours=25)), named(timedelta(hours=30))
    second = second.with_suffix(".1.jsonl")
    foreign = [
        tmp_path / name
        for name in ("events-old.jsonl", "other-20200101T000000Z.jsonl", "events-20209901T000000Z.jsonl")
    ]
    for file in (young, old, second, *foreign):
        file.write_text("x")
    _write(path, an_event(last_seen=time.time() - 25 * 3600))
    lines = Lines(path, keep_s=24 * 3600.0, rest_s=0.05)
    until(lambda: not old.exists() and path.stat().st_size == 0)
    lines.close()
    assert {file.name for file in tmp_path.iterdir()} == {path.name, young.name, *(file.name for file in foreign)}


def test_a_file_that_was_moved_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = Lines(path)
    lines.put(an_event(text="1"))
    until(lambda: lines.queue.delivered == 1)
    path.rename(tmp_path / "moved")
    lines.put(an_event(text="2"))
    lines.close()
    assert (_texts(tmp_path / "moved"), _texts(path)) == (["1"], ["2"])


def test_a_file_that_was_emptied_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    first, second = (f"{dumps(as_json(event))}\n".encode() for event in numbered(2))
    file = LineFile(path, rotate_bytes=None, rotate_daily=False, keep_s=None)
    file.append(first)
    path.write_bytes(b"")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OutputError, match="No space left"):
            file.append(second)
    file.append(second)
    file.close()
    assert path.read_bytes() == second


def test_a_line_that_cannot_be_written_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    file = LineFile(path, rotate_bytes=None, rotate_daily=False, keep_s=None)
    file.append(f"{dumps(as_json(an_event()))}\n".encode())
    before = path.read_bytes()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OutputError, match="No space left"):
            file.append(b'{"version": 1}\n')
    assert path.read_bytes() == before
    file.close()


def test_a_line_whose_part_cannot_be_removed_is_repaired_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    lines = [f"{dumps(as_json(event))}\n".encode() for event in numbered(3)]
    file = LineFile(path, rotate_bytes=None, rotate_daily=False, keep_s=None)
    file.append(lines[0])
    write = os.write

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    def write_part(handle: int, data: bytes) -> int:
        write(handle, data[:20])
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_part)
        patch.setattr(os, "ftruncate", fail)
        with pytest.raises(OutputError, match="Input/output error"):
            file.append(lines[1])
    for line in lines[1:]:
        file.append(line)
    file.close()
    assert path.read_bytes() == b"".join(lines)


_FULL = """
import json, resource, sys, time
from pathlib import Path
from edge_crnn.watch.sinks.lines import Lines
from tests.edge_crnn.watch.sinks.events import numbered
from tests.edge_crnn.watch.sinks.waiting import until

path = Path(sys.argv[1])
said = []
lines = Lines(path, pauses=(0.01, 0.05), say=said.append, most_bytes=int(sys.argv[2]))
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
for event in numbered(20):
    lines.put(event)
until(lambda: lines.queue.trouble is not None)
time.sleep(0.2)
full = path.read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
until(lambda: len(lines.queue) == 0)
lines.close()
print(json.dumps({"said": said, "full": full.decode(), "dropped": lines.queue.dropped}))
"""


@pytest.mark.thorough
@pytest.mark.parametrize("most_bytes", [1 << 20, 8 * 2048])
def test_while_the_disk_is_full_lines_wait_in_memory(tmp_path: Path, most_bytes: int) -> None:
    path = tmp_path / "events.jsonl"
    run = subprocess.run(
        [sys.executable, "-c", _FULL, str(path), str(most_bytes)], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    assert seen["full"].endswith("}\n"), "a part of a line"
    assert len([line for line in seen["said"] if "make room" in line]) == 1
    assert any(line.endswith("works again") for line in seen["said"])
    texts = [int(text) for text in _texts(path)]
    assert texts == sorted(texts)
    assert len(texts) + seen["dropped"] == 20
    assert texts[-1] == 19, "the newest are kept"
    assert (seen["dropped"] > 0) == (most_bytes == 8 * 2048)


_ENDLESS = """
import itertools, sys, time
from pathlib import Path
from edge_crnn.watch.sinks.lines import Lines
from tests.edge_crnn.watch.sinks.events import an_event

lines = Lines(Path(sys.argv[1]), rotate_bytes=20_000)
for n in itertools.count(int(sys.argv[2])):
    lines.put(an_event(text=str(n)))
    if n % 20 == 0:
        print(n, flush=True)
        while len(lines.queue) > 20:
            time.sleep(0.001)
"""


@pytest.mark.thorough
def test_a_kill_loses_nothing_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    first = 0
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", _ENDLESS, str(path), str(first)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            while int(process.stdout.readline()) < first + 80:
                pass
            process.send_signal(signal.SIGKILL)
        _write(path)
        texts = [int(text) for file in tmp_path.iterdir() for text in _texts(file)]
        assert sorted(texts) == list(range(len(texts)))
        assert len(texts) > first
        first = len(texts)


def test_an_event_that_is_no_json_is_given_up_and_the_next_is_written(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "events.jsonl"
    _write(path, an_event(confidence=float("nan")), an_event(text="next"), say=said.append)
    assert _texts(path) == ["next"]
    assert len(said) == 1
