from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from edge_crnn.bench.session import REFRESH, WARM_UP, Session
from edge_crnn.errors import ImageError
from edge_crnn.files import sha256
from edge_crnn.model.artifact import Artifact
from tests.edge_crnn.bench.made import FakeClock, SlowEngine, artifact_file, opener, pictures


def _session(folder: Path, *engines: SlowEngine, images: int = 7) -> Session:
    paths = pictures(folder, images)
    return Session(artifact_file(folder), paths, open_engine=opener(engines), clock=engines[0].clock)


def test_a_reading_falls_into_its_stages(tmp_path: Path) -> None:
    clock = FakeClock(tick=1)
    session = _session(tmp_path, SlowEngine(clock, itertools.repeat(500)))
    before = clock.ns
    reading, stages = session.streams(1)[0].read(session.take(3)[2])
    assert reading.text == "2"
    assert stages == (1, 1, 501, 1)  # load, preprocess, infer, decode
    assert clock.ns - before == REFRESH * 505 + 505


def test_loading_and_warming_up_are_kept_apart(tmp_path: Path) -> None:
    clock = FakeClock()
    engine = SlowEngine(clock, itertools.chain([9000], itertools.repeat(100)))

    requests = []

    def open_slowly(artifact: Artifact, threads: int, name: str | None) -> SlowEngine:
        requests.append((threads, name))
        clock.advance(70_000)
        return engine

    images = pictures(tmp_path, 7)
    session = Session(artifact_file(tmp_path), images, 2, "fake", open_engine=open_slowly, clock=clock)
    opened = session.opened
    assert opened.load_ns == 70_000
    assert opened.warm_up_ns == (9000, *(100,) * (WARM_UP - 1))
    assert opened.texts_sha256 == sha256("\n".join(str(index % 7) for index in range(WARM_UP)).encode())
    assert (opened.recipe, opened.backend, opened.engine, opened.threads) == ("float32", "fake", "1", 2)
    assert not opened.control
    assert requests == [(2, "fake")]
    assert opened.rss_bytes is not None
    assert opened.rss_bytes > 1 << 20


def test_images_come_in_order_and_the_warm_up_skips_none(tmp_path: Path) -> None:
    session = _session(tmp_path, SlowEngine(FakeClock()), images=3)
    assert [path.stem for path in session.take(4)] == ["0", "1", "2", "0"]
    assert [path.stem for path in session.take(4)] == ["1", "2", "0", "1"]


def test_engines_are_opened_when_they_are_needed_and_shared(tmp_path: Path) -> None:
    clock = FakeClock()
    engines = [SlowEngine(clock) for _ in range(3)]
    session = _session(tmp_path, *engines)
    assert not engines[1].seen
    session.streams(2)
    assert engines[1].seen == [*range(REFRESH)]  # warm
    assert not engines[2].seen
    reader = session.pool(3)
    assert session.pool(3) is reader
    images = session.take(7)
    assert [reading.text for reading in reader.read_batch(images)] == list("0123456")
    session.close()
    assert all(engine.closed for engine in engines)


def test_a_file_that_is_not_an_image_is_an_error(tmp_path: Path) -> None:
    (bad := tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"bad\.png: 10 bytes"):
        Session(artifact_file(tmp_path), [bad], open_engine=opener([SlowEngine(FakeClock())]), clock=FakeClock())
