from __future__ import annotations

import pickle
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from edge_crnn.training import folder
from edge_crnn.training.folder import Drawing, draw_files
from edge_crnn.training.fonts import find_fonts, find_line_fonts
from edge_crnn.training.layouts import KINDS
from edge_crnn.training.lines import generate_lines
from edge_crnn.training.negatives import KINDS as NEGATIVE
from edge_crnn.training.plates.table import FORMS
from edge_crnn.training.synthetic import generate

pytestmark = pytest.mark.thorough


@pytest.fixture
def plates() -> Drawing:
    return Drawing("plates", 3, "mild", tuple(find_fonts()))


@pytest.fixture
def lines() -> Drawing:
    return Drawing("lines", 3, "training", tuple(find_line_fonts()), named=False)


def contents(place: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in place.iterdir()}


def test_files_hold_the_pictures_in_their_order(tmp_path: Path, plates: Drawing):
    drawn = list(draw_files(plates, tmp_path, 6, 10))
    expected = list(generate(6, 3, "mild", start=10))
    assert [file.label for file in drawn] == [plate.label for plate in expected]
    for file, plate in zip(drawn, expected, strict=True):
        assert file.name == f"{plate.label}.png"
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / file.name)), plate.image)


def test_lines_are_numbered(tmp_path: Path, lines: Drawing):
    drawn = list(draw_files(lines, tmp_path, 3, 99))
    assert [file.name for file in drawn] == ["000099.png", "000100.png", "000101.png"]
    assert [file.label for file in drawn] == [line.label for line in generate_lines(3, 3, "training", start=99)]


@pytest.mark.parametrize("kind", ["plates", "lines"])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_any_number_of_processes_draws_the_same_files(
    tmp_path: Path,
    kind: str,
    suffix: Literal["png", "jpg"],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
):
    drawing = replace(request.getfixturevalue(kind), suffix=suffix)
    monkeypatch.setattr(folder, "_CHUNK", 3)
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    alone = list(draw_files(drawing, tmp_path / "1", 8, 5, workers=1))
    together = list(draw_files(drawing, tmp_path / "2", 8, 5, workers=2))
    assert alone == together
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert len(alone) == 8


def test_closing_ends_the_workers_and_an_interrupt_is_heard_again(tmp_path: Path, plates: Drawing):
    before = signal.getsignal(signal.SIGINT)
    with closing(draw_files(plates, tmp_path, 10_000, workers=2)) as files:
        next(files)
        assert signal.getsignal(signal.SIGINT) is before
    left = contents(tmp_path)
    assert 32 <= len(left) < 1000
    assert contents(tmp_path) == left


def test_an_error_of_a_worker_is_raised(tmp_path: Path, plates: Drawing):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        list(draw_files(plates, tmp_path / "nowhere", 2, workers=2))


def test_a_drawing_can_be_sent_to_another_process(lines: Drawing):
    assert pickle.loads(pickle.dumps(lines)) == lines


def test_pictures_of_each_sort(plates: Drawing, lines: Drawing):
    def label(drawing: Drawing) -> str:
        pictures: Iterator[object] = drawing.render(1)
        return next(pictures).label  # type: ignore[attr-defined]

    assert len(label(plates)) == 9
    assert label(replace(plates, chosen=("green",))).startswith("Z")
    assert label(replace(plates, chosen=("yellow-long-region",)))[0] in "ABCDEFGHIJKLMNOP"
    assert label(replace(plates, chosen=("negatives",))) == ""
    assert label(replace(plates, what="plates-2019"))[:3].isdecimal()
    assert set(label(replace(lines, alphabet="ab", length=(5, 5)))) <= set("ab")


@pytest.mark.parametrize(
    ("chosen", "kinds"),
    [
        ((), tuple(FORMS)),
        (("all-forms",), tuple(FORMS)),
        (("first-five",), KINDS),
        (("negatives",), NEGATIVE),
        (("green", "first-five", "white-long"), ("green", *KINDS[:-1], "white-long")),
    ],
)
def test_kinds_are_drawn_in_turn(plates: Drawing, chosen: tuple[str, ...], kinds: tuple[str, ...]):
    drawing = replace(plates, chosen=chosen)
    assert drawing.kinds == kinds
    pictures = drawing.render(3, start=3)
    assert [getattr(picture, "kind", None) for picture in pictures] == [kinds[3], kinds[4], kinds[5 % len(kinds)]]
    assert drawing.is_negative == (kinds == NEGATIVE)


def test_single_kind_is_drawn_like_among_all_kinds(plates: Drawing):
    alone = next(replace(plates, chosen=("white-long-2019",)).render(1, start=2))
    np.testing.assert_array_equal(alone.image, next(plates.render(1, start=2)).image)
