from __future__ import annotations

import hashlib

import cv2
import numpy as np
import PIL
import pytest

from edge_crnn.errors import AlphabetError
from edge_crnn.training.degrade import Preset, find_preset
from edge_crnn.training.layouts import KINDS, KINDS_2019, LAYOUTS
from edge_crnn.training.plates.table import FORMS, ROAD
from edge_crnn.training.synthetic import Plate, Renderer, generate


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(kinds=KINDS)


def digest(plates: list[Plate]) -> str:
    return hashlib.sha256(b"".join(p.label.encode() + p.image.tobytes() for p in plates)).hexdigest()


@pytest.mark.parametrize("preset", ["none", "mild", "heavy", "training"])
def test_the_same_seed_draws_the_same_bytes(renderer: Renderer, preset: str):
    first = digest(list(generate(10, 4, preset, renderer=renderer)))
    assert digest(list(generate(10, 4, preset, renderer=Renderer(kinds=KINDS)))) == first
    assert digest(list(generate(10, 5, preset, renderer=renderer))) != first


@pytest.mark.skipif(
    (cv2.__version__, np.__version__, PIL.__version__) != ("5.0.0", "2.4.6", "13.0.0"),
    reason="other versions of OpenCV, NumPy or Pillow may round otherwise",
)
@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("none", "d71c860e0ad38d99"),
        ("mild", "acdc8819485e0ce1"),
        ("heavy", "c21af38830468932"),
        ("training", "ff506c70d532966"),
    ],
)
def test_the_pictures_of_kinds_are_those_that_they_have_always_been(preset: str, expected: str):
    plates = list(generate(12, 4, preset, renderer=Renderer(kinds=(*KINDS, *KINDS_2019))))
    assert digest(plates).startswith(expected)


def test_a_plate_depends_on_seed_and_index_alone(renderer: Renderer):
    run = list(generate(23, 4, "heavy", renderer=renderer))
    assert digest(list(generate(7, 4, "heavy", renderer=renderer))) == digest(run[:7])
    assert digest(list(generate(7, 4, "heavy", start=16, renderer=renderer))) == digest(run[16:])


def test_kinds_rotate_and_labels_differ(renderer: Renderer):
    plates = list(generate(50, 1, "mild", renderer=renderer))
    assert [plate.kind for plate in plates] == list(KINDS) * 10
    assert len({plate.label for plate in plates}) == 50


def test_the_preset_changes_the_picture_and_not_the_label(renderer: Renderer):
    plates = [next(generate(1, 9, preset, renderer=renderer)) for preset in ("none", "mild", "heavy")]
    assert len({plate.label for plate in plates}) == 1
    assert len({plate.image.tobytes() for plate in plates}) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_shape_and_colour(renderer: Renderer, kind: str):
    layout = LAYOUTS[kind]
    for plate in generate(5, 2, "none", kind=kind, renderer=renderer):
        assert plate.kind == kind
        assert plate.image.dtype == np.uint8
        height, width, channels = plate.image.shape
        assert channels == 3
        assert width / height == pytest.approx(layout.width / layout.height, rel=0.03)
        ground = np.median(plate.image.reshape(-1, 3), axis=0)
        blue, green, red = ground.astype(int)
        if kind.endswith("white"):
            assert min(blue, green, red) > 180
        elif kind.startswith("yellow"):
            assert min(green, red) > blue + 80
        else:
            assert green > max(blue, red) + 25


@pytest.mark.parametrize("kind", KINDS)
def test_each_part_of_the_label_shows(renderer: Renderer, kind: str):
    """Changing one character of the label changes the image in its slot and nowhere else."""
    layout = LAYOUTS[kind]
    label = "A18sk6897" if layout.has_region else "Z18sk6897"
    first = renderer.render(3, "none", kind, label).image.astype(int)
    for slot in layout.slots:
        other = {0: "P", 3: "dh"}.get(slot.first, "0")
        changed = label[: slot.first] + other + label[slot.first + slot.length :]
        two = renderer.render(3, "none", kind, changed).image.astype(int)
        rows, columns = np.nonzero(abs(first - two).sum(axis=2) > 40)
        assert len(rows) > 20
        scale = first.shape[1] / layout.width
        assert columns.min() >= slot.x * scale - 2
        assert columns.max() <= (slot.x + slot.width) * scale + 2
        assert rows.min() >= slot.y * scale - 2
        assert rows.max() <= (slot.y + slot.height) * scale + 2


def test_plates_of_2019_are_long_and_white_and_show_each_part(renderer: Renderer):
    new = Renderer(kinds=KINDS_2019)
    first = new.render(3, "none", label="152rk3108")
    assert first.kind == "long-white-2019"
    assert first.image.shape[1] / first.image.shape[0] == pytest.approx(520 / 110, rel=0.03)
    others = [new.render(3, "none", label=label).image for label in ("952rk3108", "152qo3108", "152rk3109")]
    assert len({image.tobytes() for image in (first.image, *others)}) == 4
    assert digest(list(generate(4, 1, "heavy", kind="long-white-2019"))) == digest(
        list(generate(4, 1, "heavy", renderer=new))
    )


def test_a_kind_that_the_renderer_was_not_made_for_is_refused(renderer: Renderer):
    with pytest.raises(ValueError, match="kind 'long-white-2019': this renderer renders long-white, short-white"):
        renderer.render(1, "none", "long-white-2019")


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="no preset 'hevy': choose from none, mild, heavy"):
        find_preset("hevy")


@pytest.mark.parametrize("label", ["A18sk6897", "Z18hg6897", "Z18sk689", "Z18sk68978", "Z1ask6897", "Z1８sk6897"])
def test_a_label_of_no_such_plate_is_refused(renderer: Renderer, label: str):
    with pytest.raises(AlphabetError, match="is no label of a green plate, expected one like Z18sk6897"):
        renderer.render(1, "none", "green", label)


@pytest.fixture(scope="module")
def road() -> Renderer:
    return Renderer(kinds=tuple(ROAD))


@pytest.mark.parametrize("kind", ROAD)
def test_each_form_has_its_shape(road: Renderer, kind: str):
    form = ROAD[kind]
    for plate in generate(2, 2, "none", kind=kind, renderer=road):
        assert plate.kind == kind
        assert plate.image.shape[1] / plate.image.shape[0] == pytest.approx(form.width / form.height, rel=0.03)


@pytest.mark.parametrize("preset", ["none", "heavy"])
def test_a_form_depends_on_seed_and_index_alone(road: Renderer, preset: str):
    kinds = tuple(FORMS)
    run = list(generate(20, 4, preset))
    assert [plate.kind for plate in run] == [kinds[index % len(kinds)] for index in range(20)]
    assert digest(list(generate(3, 4, preset, start=17, renderer=Renderer(kinds=kinds)))) == digest(run[17:])
    alone = next(generate(1, 4, preset, kind=run[5].kind, start=5, renderer=road))
    assert digest([alone]) == digest(run[5:6])
    assert len({plate.label for plate in run}) == 20


def test_forms_have_margins_up_to_a_quarter_of_their_height_but_for_none(road: Renderer):
    form = FORMS["white-long"]
    level = Preset("level", margin=(0.0, 0.08))
    plates = list(generate(40, 1, level, kind="white-long", renderer=road))
    heights = [plate.image.shape[0] / (form.height * 0.5) for plate in plates]
    assert 1.35 < max(heights) < 1.52
    none = next(generate(1, 1, "none", kind="white-long", renderer=road))
    assert none.image.shape[0] == pytest.approx(form.height * 0.5, abs=1)


def test_a_label_that_the_law_does_not_allow_is_not_drawn(road: Renderer):
    with pytest.raises(AlphabetError, match="is no label of a white-long plate"):
        road.render(1, "none", "white-long", "Z18qk6897")
