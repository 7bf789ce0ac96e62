"""After a kill, the next process learns which images were being read, whatever is left of the file."""

from __future__ import annotations

import os
import queue
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_crnn.errors import OutputError
from edge_crnn.serve.arrivals import Arrival
from edge_crnn.serve.attempts import _LAZY, Attempts

ARRIVALS = [
    *(Arrival(n, name, n) for n, name in enumerate(["a.png", "b\nc.png", os.fsdecode(b"\xff.png"), '"d\\.png'])),
    Arrival(2**63, "x" * 255, 2**63),
]
MANY = [Arrival(n, f"{n}.png", 1) for n in range(100)]
STEPS = st.tuples(st.sampled_from(["begin", "end", "kill", "cut", "stop", "fail", "many"]), st.sampled_from(ARRIVALS))


def attempts_at(path: Path, closed: Sequence[Arrival] = ()) -> Attempts:
    return Attempts(path, lambda arrival: arrival not in closed)


def killed(attempts: Attempts) -> None:
    assert attempts._file is not None
    os.close(attempts._file)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=40))
def test_counts_match_those_of_a_table_in_memory(tmp_path: Path, steps: list[tuple[str, Arrival]]) -> None:
    """An image that ended just before a kill may still be counted, once; an open image is never forgotten."""
    path = tmp_path / "reading"
    path.unlink(missing_ok=True)
    now: Counter[Arrival] = Counter()
    before: Counter[Arrival] = Counter()
    lately: set[Arrival] = set()
    attempts = attempts_at(path, closed=MANY)
    for step, arrival in steps:
        if step == "begin":
            attempts.begin(arrival)
            now[arrival] += 1
        elif step == "end":
            if now[arrival]:
                lately.add(arrival)
            attempts.end(arrival)
            del now[arrival], before[arrival]
        elif step == "many":
            for other in MANY:
                attempts.begin(other)
                attempts.end(other)
            assert path.stat().st_size < 10_000 + 800 * sum(now.values())
        else:
            if step in ("stop", "fail"):
                attempts.close(orderly=step == "stop")
                now = Counter(before) if step == "stop" else now
                lately = set()
                assert path.exists() == bool(+now)
            else:
                killed(attempts)
            if step == "cut":
                with path.open("ab") as file:
                    file.write(b'[17, "half a na')
            attempts = attempts_at(path, closed=MANY)
            for arrival in ARRIVALS:
                assert now[arrival] <= attempts.count(arrival) <= now[arrival] + (arrival in lately)
            now = Counter({arrival: attempts.count(arrival) for arrival in ARRIVALS})
            before = Counter(now)
            lately = set()
        assert [attempts.count(arrival) for arrival in ARRIVALS] == [now[arrival] for arrival in ARRIVALS]
    attempts.close(orderly=True)


def test_image_with_a_line_is_forgotten(tmp_path: Path) -> None:
    attempts = attempts_at(tmp_path / "reading")
    for arrival in ARRIVALS[:2]:
        attempts.begin(arrival)
    killed(attempts)
    attempts = attempts_at(tmp_path / "reading", closed=(ARRIVALS[0],))
    assert [attempts.count(arrival) for arrival in ARRIVALS[:2]] == [0, 1]
    attempts.close(orderly=True)
    assert attempts_at(tmp_path / "reading").count(ARRIVALS[0]) == 0


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | st.sampled_from([b"\0" * 4096, b"[" * 100_000, b'[1, "a", 1, 1]\n', b'[true, "a", 1]\n', b"{}\n"]))
def test_foreign_content_counts_nothing(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "reading"
    path.write_bytes(data)
    attempts = attempts_at(path)
    assert path.read_bytes() == b""
    attempts.begin(ARRIVALS[0])
    assert attempts.count(ARRIVALS[0]) == 1
    attempts.close(orderly=True)
    assert not path.exists()


@pytest.mark.parametrize("name", ["none/reading", "x" * 300, "link", "folder"])
def test_unwritable_place_is_reported_and_counting_goes_on(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    attempts = attempts_at(tmp_path / name)
    assert attempts.trouble is not None
    assert "cannot be opened" in attempts.trouble
    attempts.begin(ARRIVALS[0])
    attempts.end(ARRIVALS[0])
    attempts.close(orderly=False)
    assert not (tmp_path / "elsewhere").exists()


def test_file_of_another_user_is_replaced__by_a_fake_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, to whom no file is closed."""
    path = tmp_path / "reading"
    path.write_bytes(b"another's")
    opened = os.open

    def refuse(name: object, *words: int) -> int:
        if path.exists():
            raise PermissionError(13, "Permission denied")
        return opened(name, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    attempts = attempts_at(path)
    assert attempts.trouble is None
    assert path.read_bytes() == b""


def test_full_disk_is_an_error__by_a_fake_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = attempts_at(tmp_path / "reading")
    attempts.begin(ARRIVALS[0])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\); make room"):
        attempts.begin(ARRIVALS[1])
    attempts.close(orderly=False)


def test_images_begin_in_one_thread_and_end_in_another(tmp_path: Path) -> None:
    path = tmp_path / "reading"
    attempts = attempts_at(path)
    waiting: queue.SimpleQueue[Arrival] = queue.SimpleQueue()

    def begin() -> None:
        for number in range(2_000):
            arrival = Arrival(number, f"{number}.png", 1)
            attempts.begin(arrival)
            waiting.put(arrival)

    thread = threading.Thread(target=begin)
    thread.start()
    for _ in range(1_999):
        attempts.end(waiting.get())
    thread.join()
    killed(attempts)
    last = waiting.get()
    after = attempts_at(path)
    assert after.count(last) == 1
    assert sum(after.count(Arrival(number, f"{number}.png", 1)) for number in range(2_000)) <= 2 * _LAZY
    after.close(orderly=False)
