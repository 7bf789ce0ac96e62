"""Regions are kept in a file, and change while a finder looks in them."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.errors import InputError, OutputError
from edge_crnn.watch.finding.region import Region
from edge_crnn.watch.frame import Frame
from edge_crnn.watch.regions import Regions, as_json, parse
from edge_crnn.watch.sighting import Sighting
from tests.edge_crnn.watch.street import Seen, frame_of, sighting_of

SQUARE = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
GATE, EXIT = Region("gate", SQUARE, (20.0, 80.0), SQUARE), Region("출구", SQUARE)
NAMES = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=40)


class FakeFinder:
    """Reads the name of every region, without looking."""

    def __init__(self, regions: Sequence[Region]) -> None:
        if any(region.name == "refused" for region in regions):
            raise InputError("the finder refuses this region")
        self._names = [region.name for region in regions]

    def find(self, _frame: Frame) -> list[Sighting]:
        return [sighting_of(Seen(name, 100)) for name in self._names]


def found(regions: Regions) -> list[str]:
    return [sighting.reading.label for sighting in regions.find(frame_of(0, 0.0))]


@given(
    st.lists(NAMES, max_size=4, unique=True),
    st.sampled_from([(0.02, 0.2), (20.0, 80.0)]),
    st.none() | st.just(SQUARE),
)
def test_regions_survive_json(
    names: list[str], heights: tuple[float, float], corners: tuple[tuple[float, float], ...] | None
) -> None:
    regions = tuple(Region(name, SQUARE, heights, corners) for name in names)
    assert parse(json.dumps(as_json(regions)).encode(), "test") == regions


def body(*regions: Any) -> bytes:
    return json.dumps({"regions": regions}).encode()


def region(**changes: Any) -> dict[str, Any]:
    return {"name": "gate", "points": SQUARE, **changes}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "expected an object"),
        (b"{}", "'regions' is missing"),
        (b'{"regions": {}}', "regions"),
        (b'{"regions": [], "version": 2}', "version"),
        (body(*[region(name=str(number)) for number in range(17)]), "at most 16"),
        (body(region(), region()), "same name"),
        (body(region(), region(name=" gate ")), "same name"),
        (body(3), "expected an object"),
        (body(region(colour="red")), "colour"),
        (body(region(name="")), "name"),
        (body(region(name="a\nb")), "name"),
        (body(region(name="\udc80")), "name"),
        (body(region(name="x" * 41)), "longer than 40"),
        (body(region(points=SQUARE[:2])), "no area"),
        (body(region(points=SQUARE * 9)), "at most 32"),
        (body(region(points=[[0, 0], [0, 2], [1, 1]])), "share from 0 to 1"),
        (body(region(points=[[0, 0], [0, True], [1, 1]])), "True"),
        (body(region(points=[[0, 0], [0, float("nan")], [1, 1]])), "nan"),
        (body(region(points=[[0, 0], [0.5, 0.5], [1, 1]])), "no area"),
        (body(region(heights=[80, 20])), "heights"),
    ],
)
def test_what_is_no_region_is_refused_with_its_reason(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(content, "test")


def test_without_a_file_the_initial_regions_or_the_whole_frame_are_searched(tmp_path: Path) -> None:
    assert found(Regions(tmp_path / "regions.json", FakeFinder)) == ["frame"]
    assert found(Regions(tmp_path / "regions.json", FakeFinder, [GATE])) == ["gate"]
    assert not list(tmp_path.iterdir())


def test_saved_regions_are_searched_at_once_and_after_a_restart(tmp_path: Path) -> None:
    regions = Regions(tmp_path / "regions.json", FakeFinder, [GATE])
    regions.save([GATE, EXIT])
    assert found(regions) == ["gate", "출구"]
    again = Regions(tmp_path / "regions.json", FakeFinder)
    assert again.current == regions.current == (GATE, EXIT)
    again.save([])
    assert found(again) == ["frame"]
    assert Regions(tmp_path / "regions.json", FakeFinder, [GATE]).current == ()


@pytest.mark.parametrize("reason", ["refused", "folder"])
def test_regions_that_cannot_be_saved_change_nothing(tmp_path: Path, reason: str) -> None:
    path = tmp_path / "folder" / "regions.json"
    path.parent.mkdir()
    regions = Regions(path, FakeFinder, [GATE])
    regions.save([GATE])
    if reason == "folder":
        path.unlink()
        path.parent.rmdir()
    with pytest.raises((InputError, OutputError)):
        regions.save([Region("refused" if reason == "refused" else "gate", SQUARE), EXIT])
    assert regions.current == (GATE,)
    assert found(regions) == ["gate"]
    if reason == "refused":
        assert Regions(path, FakeFinder).current == (GATE,)


@pytest.mark.parametrize("content", [b"{", b"x" * (1 << 20)])
def test_a_file_of_something_else_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "regions.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"regions\.json"):
        Regions(path, FakeFinder)
    assert path.read_bytes() == content


def test_one_thread_finds_while_others_save(tmp_path: Path) -> None:
    path = tmp_path / "regions.json"
    regions = Regions(path, FakeFinder)
    sets = [[GATE], [EXIT], [GATE, EXIT]]
    threads = [threading.Thread(target=lambda own=own: [regions.save(own) for _ in range(5)]) for own in sets]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert found(regions) in (["frame"], ["gate"], ["출구"], ["gate", "출구"])
    assert Regions(path, FakeFinder).current == regions.current
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
