from __future__ import annotations

import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.errors import BackendUnavailable, InputError
from edge_crnn.watch import jpeg
from edge_crnn.watch.event import Event
from edge_crnn.watch.sinks.hashed import Hashed
from edge_crnn.watch.sinks.snapshots import Snapshots
from tests.budget import examples
from tests.edge_crnn.watch.sinks.events import an_event
from tests.edge_crnn.watch.sinks.waiting import until

_HOUR = 3600.0


def _event_of(age_s: float, letters: str = "k3v9q2", kind: str = "new") -> Event:
    """Return an event of a passage that began `age_s` seconds ago."""
    begun = round(time.time() - age_s, 2)
    return an_event(kind, identity=f"{begun:.2f}-{letters}", first_seen=begun, last_seen=begun)


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_crop_of_a_passage_is_replaced_by_its_updates(tmp_path: Path) -> None:
    sink = Snapshots(tmp_path / "new" / "shots")
    event = _event_of(0)
    sink.put(event)
    better = an_event("update", identity=event.identity, crop=np.full((40, 120, 3), 90, np.uint8))
    sink.put(better)
    sink.close()
    path = sink.path_of(event)
    assert _files(sink.folder) == {str(path.relative_to(sink.folder))}
    pixels = cv2.imread(str(path))
    assert pixels is not None
    assert pixels.shape == (40, 120, 3)
    assert abs(int(pixels.mean()) - 90) <= 1


def test_the_frame_is_beside_the_crop_but_not_that_of_the_end(tmp_path: Path) -> None:
    frames = iter([np.full((72, 128, 3), 10, np.uint8), None])
    sink = Snapshots(tmp_path, frame_of=lambda _: next(frames))
    first, second = _event_of(0), _event_of(5, "other")
    for event in (first, second, _event_of(9, "ended", "end")):
        sink.put(event)
    sink.close()
    frame = sink.path_of(first).with_name(f"{sink.path_of(first).stem}-frame.jpg")
    assert cv2.imread(str(frame)).shape == (72, 128, 3)
    assert len(_files(tmp_path)) == 4


def test_a_hashed_event_has_no_snapshot(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, frame_of=lambda _: np.zeros((72, 128, 3), np.uint8))
    sink = Hashed(snapshots, b"k" * 32)
    sink.put(an_event())
    sink.close()
    assert not _files(tmp_path)


def test_what_is_too_old_goes_at_the_start(tmp_path: Path) -> None:
    sink = Snapshots(tmp_path)
    old, young = _event_of(25 * _HOUR), _event_of(23 * _HOUR)
    sink.put(old)
    sink.put(young)
    sink.close()
    Snapshots(tmp_path, keep_s=24 * _HOUR).close()
    assert _files(tmp_path) == {str(sink.path_of(young).relative_to(tmp_path))}
    assert sink.path_of(old).parent == sink.path_of(young).parent or not sink.path_of(old).parent.exists()


def test_what_becomes_too_old_goes_while_nothing_happens(tmp_path: Path) -> None:
    sink = Snapshots(tmp_path, keep_s=0.3, rest_s=0.05)
    event = _event_of(0)
    sink.put(event)
    until(sink.path_of(event).exists)
    until(lambda: not sink.path_of(event).exists())
    sink.close()


def test_the_oldest_go_when_the_total_is_too_large(tmp_path: Path) -> None:
    sink = Snapshots(tmp_path)
    events = [_event_of(1000 - n) for n in range(10)]
    for event in events:
        sink.put(event)
    sink.close()
    size = max(path.stat().st_size for path in tmp_path.rglob("*.jpg"))
    limited = Snapshots(tmp_path, most_bytes=5 * size, rest_s=1e6)
    newest = _event_of(1)
    for event in (_event_of(3), _event_of(2), newest):
        limited.put(event)
    limited.close()
    left = sorted(path for path in tmp_path.rglob("*.jpg"))
    assert sum(path.stat().st_size for path in left) <= 5 * size
    assert len(left) >= 4
    assert limited.path_of(newest) == left[-1]
    assert not any(sink.path_of(event).exists() for event in events[:8])


def test_a_file_that_cannot_be_removed_keeps_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    sink = Snapshots(tmp_path)
    stuck, other = _event_of(30 * _HOUR), _event_of(29 * _HOUR)
    for event in (stuck, other):
        sink.put(event)
    sink.close()
    unlink = Path.unlink

    def fail(path: Path, missing_ok: bool = False) -> None:
        if path == sink.path_of(stuck):
            raise PermissionError(1, "Operation not permitted")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", fail)
    Snapshots(tmp_path, keep_s=24 * _HOUR, say=said.append).close()
    assert _files(tmp_path) == {str(sink.path_of(stuck).relative_to(tmp_path))}
    assert "not permitted" in said[0]


def _foreign(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


_names = st.sampled_from(
    [
        "2020-01-01/notes.txt",
        "2020-01-01/093000.jpg",
        "2020-01-01/IMG-1577871000.00-k3v9q2.jpg",
        "holiday/093000-1577871000.00-k3v9q2.jpg",
        "093000-1577871000.00-k3v9q2.jpg",
        "2020-01-01/deeper/093000-1577871000.00-k3v9q2.jpg",
        "2020-01-01/093000-1577871000.00-k3v9q2.jpg",
        "2020-01-01/093000-1577871000.00-k3v9q2-frame.jpg",
        "2020-01-01/093000-1577871000.00-k3v9q2.png",
    ]
) | st.from_regex(r"\A2020-01-0[1-9]/[0-9]{5,7}-[0-9]{9,10}(\.[0-9]{2})?-[a-z]{0,6}(-frame)?\.(jpg|jpeg|txt)\Z")


@settings(max_examples=examples(30))
@given(_names, st.booleans())
def test_what_it_has_not_written_is_never_removed(
    tmp_path_factory: pytest.TempPathFactory, name: str, is_image: bool
) -> None:
    folder = tmp_path_factory.mktemp("shots")
    content = jpeg.encode(an_event().crop) if is_image else b"notes"
    theirs = _foreign(folder, name, content)
    sink = Snapshots(folder)
    ours = _event_of(10**7)
    sink.put(ours)
    sink.close()
    Snapshots(folder, keep_s=1.0, most_bytes=1).close()
    assert theirs.read_bytes() == content
    assert not sink.path_of(ours).exists()


def test_a_renamed_or_linked_snapshot_is_not_ours(tmp_path: Path) -> None:
    sink = Snapshots(tmp_path / "shots")
    event = _event_of(10**7)
    sink.put(event)
    sink.close()
    path = sink.path_of(event)
    renamed = path.with_name("000000-1000000000.00-mine.jpg")
    path.rename(renamed)
    outside = _foreign(tmp_path, "outside.jpg", renamed.read_bytes())
    path.symlink_to(outside)
    (tmp_path / "shots" / "2020-01-01").symlink_to(path.parent)
    Snapshots(tmp_path / "shots", keep_s=1.0, most_bytes=1).close()
    assert renamed.exists()
    assert path.is_symlink()
    assert outside.exists()


def test_parts_of_killed_writers_go(tmp_path: Path) -> None:
    old = _foreign(tmp_path, "2020-01-01/.093000-1577871000.00-k3v9q2.jpg.4242.0123abcd.partial", b"")
    new = _foreign(tmp_path, f"2020-01-01/.093000-{time.time():.2f}-k3v9q2.jpg.4242.0123abcd.partial", b"")
    Snapshots(tmp_path).close()
    assert not old.exists()
    assert new.exists()


def test_a_folder_that_cannot_be_written_now_is_waited_for(tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "shots"
    sink = Snapshots(folder, pauses=(0.01, 0.05), say=said.append)
    event = _event_of(0)
    day = sink.path_of(event).parent
    day.write_text("in the way")
    sink.put(event)
    until(lambda: sink.queue.trouble is not None)
    day.unlink()
    until(sink.path_of(event).exists)
    sink.close()
    assert len([line for line in said if "cannot be created" in line]) == 1


@pytest.mark.parametrize("identity", ["../../etc/passwd", "", "1-a/b", "1-a\n"])
def test_an_identity_cannot_lead_out_of_the_folder(tmp_path: Path, identity: str) -> None:
    said: list[str] = []
    sink = Snapshots(tmp_path / "shots", say=said.append)
    sink.put(an_event(identity=identity))
    sink.close()
    assert sink.queue.refused == 1
    assert "identity" in said[0]
    assert not _files(tmp_path)


def test_a_comment_is_found_again_and_the_image_is_the_same() -> None:
    crop = an_event().crop
    plain = jpeg.encode(crop)
    marked = jpeg.with_comment(plain, b"hello")
    assert jpeg.comment_of(marked[:512]) == b"hello"
    assert jpeg.comment_of(plain) is None
    decoded = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in (plain, marked)]
    assert np.array_equal(*decoded)
    without_first_segment = b"\xff\xd8\xff\xdb"
    assert jpeg.comment_of(jpeg.with_comment(without_first_segment, b"x")) == b"x"
    assert jpeg.comment_of(b"") is None


def test_missing_opencv_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(BackendUnavailable, match=r"edge-crnn\[opencv\]"):
        Snapshots(tmp_path / "shots")
    assert not (tmp_path / "shots").exists()


@pytest.mark.parametrize("shape", [(0, 0, 3), (1, 70_000, 3)])
def test_what_jpeg_cannot_hold_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="an image of shape"):
        jpeg.encode(np.zeros(shape, np.uint8))
