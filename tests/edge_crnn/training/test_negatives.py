from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib.util import find_spec

import cv2
import numpy as np
import PIL
import pytest

from edge_crnn.ctc.korean_plates import LabelSet
from edge_crnn.training.degrade import HEAVY
from edge_crnn.training.fonts import find_fonts
from edge_crnn.training.negatives import KINDS, OTHER_KINDS, NegativeRenderer, _cropped, _smeared, generate_negatives
from edge_crnn.training.plates.table import FORMS, NEGATIVES

if not all(map(find_spec, ("koreanize_matplotlib", "matplotlib"))):
    pytest.skip("the fonts come with edge-crnn[train]", allow_module_level=True)


@pytest.fixture(scope="module")
def renderer() -> NegativeRenderer:
    return NegativeRenderer()


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_seeded_and_differ_and_have_no_label(kind: str, renderer: NegativeRenderer) -> None:
    drawn = list(generate_negatives(3, 4, kind=kind, renderer=renderer))
    for plate in drawn:
        assert (plate.label, plate.kind, plate.image.dtype) == ("", kind, np.uint8)
        height, width, channels = plate.image.shape
        assert channels == 3
        assert min(height, width) >= 3
        assert height < width * 3 < 1800
    assert len({plate.image.tobytes() for plate in drawn}) == 3
    last = renderer.draw(kind, 4, 2)
    np.testing.assert_array_equal(last.image, drawn[2].image)
    assert not np.array_equal(renderer.draw(kind, 5, 2).image, last.image)
    assert not np.array_equal(renderer.draw(kind, 4, 2, "none").image, last.image)


@pytest.mark.skipif(
    (cv2.__version__, np.__version__, PIL.__version__) != ("5.0.0", "2.4.6", "13.0.0"),
    reason="other versions of OpenCV, NumPy or Pillow may round otherwise",
)
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("plain", "12075e672b98ec5b"),
        ("gradient", "2fa303b79d90401b"),
        ("noise", "013d95360f5a6a58"),
        ("cloud", "3c040bcfdb4d6b51"),
        ("courses", "629ed7d7ccc8deb8"),
        ("shapes", "3b0352ad5960bb01"),
        ("latin", "76e086a0e2e324f8"),
        ("hangul", "b0158295b59226c3"),
        ("numbers", "cf6b084d827d0f42"),
    ],
)
def test_the_first_nine_kinds_keep_their_pictures(kind: str, expected: str, renderer: NegativeRenderer) -> None:
    pictures = [plate.image.tobytes() for plate in generate_negatives(3, 4, kind=kind, renderer=renderer)]
    assert hashlib.sha256(b"".join(pictures)).hexdigest().startswith(expected)


def test_kinds_are_drawn_in_turn_and_a_picture_depends_on_its_index_alone(renderer: NegativeRenderer) -> None:
    run = list(generate_negatives(len(KINDS) + 2, 7, "mild", renderer=renderer))
    assert [plate.kind for plate in run] == [*KINDS, *KINDS[:2]]
    for index in (3, len(KINDS) - 1, len(KINDS) + 1):
        (again,) = generate_negatives(1, 7, "mild", start=index, renderer=renderer)
        np.testing.assert_array_equal(again.image, run[index].image)


@pytest.mark.parametrize("kind", ["sign", "badge", "latin", "tiny"])
def test_the_fonts_are_those_that_are_given(kind: str) -> None:
    bold = NegativeRenderer(find_fonts()[2:], kinds=[kind])
    images = [renderer.draw(kind, 2, 5, "mild").image for renderer in (bold, NegativeRenderer(kinds=[kind]))]
    assert images[0].shape != images[1].shape or not np.array_equal(*images)


@pytest.mark.parametrize("name", FORMS)
def test_a_crop_lacks_enough_of_a_plate_that_a_symbol_is_missing(name: str) -> None:
    form = FORMS[name]
    rng = np.random.default_rng(1)
    cuts = [_cropped(HEAVY, form, rng).cut for _ in range(200)]
    for cut in cuts:
        (side,) = np.flatnonzero(cut)
        assert (0.4 if side % 2 else 0.2) <= cut[side] <= (0.6 if side % 2 else 0.5)
        lines = [
            [cell.x / form.width, cell.y / form.height, cell.width / form.width, cell.height / form.height]
            for cell in form.cells
        ]
        hidden = [_hidden(side, cut[side], *line) for line in lines]
        assert max(hidden) >= 0.4 - 1e-9
    assert {int(np.flatnonzero(cut)[0]) for cut in cuts} == {0, 1, 2, 3}
    if isinstance(form.labels, LabelSet) and form.labels.digits == 3:
        # What is left of three digits is at most one: never the two of an older plate.
        second = form.cells[1]
        assert min(cut[0] for cut in cuts if cut[0]) * form.width >= second.x + second.width


def _hidden(side: int, share: float, x: float, y: float, width: float, height: float) -> float:
    """Return the share of a cell that a cut hides; all numbers are shares of the plate."""
    start, size = (y, height) if side % 2 else (x, width)
    if side >= 2:
        start = 1 - start - size
    return float(np.clip((share - start) / size, 0, 1))


def test_a_crop_shows_the_plate_but_for_the_cut(renderer: NegativeRenderer) -> None:
    areas = [np.prod(renderer.draw("cropped", 3, index, "none").image.shape[:2]) for index in range(30)]
    whole = [form.width * form.height * 0.5**2 for form in FORMS.values()]
    assert 0.4 * min(whole) * 0.95 <= min(areas)
    assert max(areas) <= 0.8 * max(whole) * 1.05


def test_a_tiny_plate_is_of_a_few_pixels(renderer: NegativeRenderer) -> None:
    widths = [renderer.draw("tiny", 3, index, "none").image.shape[1] for index in range(40)]
    assert 9 <= min(widths) <= max(widths) <= 32


def test_a_smeared_plate_moves_in_every_picture() -> None:
    preset = _smeared(HEAVY, FORMS["white-long"], np.random.default_rng(1))
    assert (preset.motion_chance, preset.motion_mm) == (1.0, (60.0, 150.0))
    assert replace(preset, motion_chance=HEAVY.motion_chance, motion_mm=HEAVY.motion_mm) == HEAVY


def test_a_kind_that_the_renderer_was_not_made_for_is_refused() -> None:
    with pytest.raises(ValueError, match="kind 'sign': this renderer renders plain"):
        NegativeRenderer(kinds=["plain"]).draw("sign", 1, 1)


def test_all_kinds_are_there() -> None:
    assert (*NEGATIVES, *OTHER_KINDS) == KINDS
    assert len(set(KINDS)) == len(KINDS) == 22
