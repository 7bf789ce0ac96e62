"""What is being read is found by who comes after an untimely end, whatever that left of the file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_crnn.errors import OutputError
from edge_crnn.serve.arrivals import Arrival
from edge_crnn.serve.attempts import Attempts

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
def test_a_count_is_never_higher_than_a_table_s_and_alone_it_is_the_same(
    tmp_path: Path, steps: list[tuple[str, Arrival]]
) -> None:
    """What has ended may be told of still, once, when a kill comes soon after; what is open is never forgotten."""
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
                now, lately = (Counter(before), set()) if step == "stop" else (now, set())
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
            before, lately = Counter(now), set()
        assert [attempts.count(arrival) for arrival in ARRIVALS] == [now[arrival] for arrival in ARRIVALS]
    attempts.close(orderly=True)


def test_what_has_a_line_or_is_gone_is_forgotten(tmp_path: Path) -> None:
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
def test_what_is_none_of_ours_counts_nothing(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "reading"
    path.write_bytes(data)
    attempts = attempts_at(path)
    assert path.read_bytes() == b""
    attempts.begin(ARRIVALS[0])
    assert attempts.count(ARRIVALS[0]) == 1
    attempts.close(orderly=True)
    assert not path.exists()


@pytest.mark.parametrize("name", ["none/reading", "x" * 300, "link", "folder"])
def test_where_there_can_be_no_file_it_says_so_and_counts_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    attempts = attempts_at(tmp_path / name)
    assert attempts.trouble is not None
    assert "cannot be had" in attempts.trouble
    attempts.begin(ARRIVALS[0])
    attempts.end(ARRIVALS[0])
    attempts.close(orderly=False)
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_of_another_user_is_made_anew__by_a_fake_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests run as root, whom no file refuses."""
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


def test_a_full_disk_is_an_error_and_ends_as_it_was__by_a_fake_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = attempts_at(tmp_path / "reading")
    attempts.begin(ARRIVALS[0])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\); make room"):
        attempts.begin(ARRIVALS[1])
    attempts.close(orderly=False)
