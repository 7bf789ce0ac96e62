from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ImageFont

from edge_crnn.errors import DatasetError
from edge_crnn.training.layouts import HANGUL, KINDS, LAYOUTS, REGIONS, PlateKind
from edge_crnn.training.synthetic import Plate, Renderer, find_fonts, find_preset, generate


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


def digest(plates: list[Plate]) -> str:
    return hashlib.sha256(b"".join(p.label.encode() + p.image.tobytes() for p in plates)).hexdigest()


@pytest.mark.parametrize("preset", ["none", "mild", "heavy"])
def test_the_same_seed_draws_the_same_bytes(renderer: Renderer, preset: str):
    first = digest(list(generate(10, 4, preset, renderer=renderer)))
    assert digest(list(generate(10, 4, preset, renderer=Renderer()))) == first
    assert digest(list(generate(10, 5, preset, renderer=renderer))) != first


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
def test_each_kind_has_its_shape_and_colour(renderer: Renderer, kind: PlateKind):
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
def test_each_part_of_the_label_shows(renderer: Renderer, kind: PlateKind):
    """Changing one character of the label changes the picture in its slot and nowhere else."""
    layout = LAYOUTS[kind]
    label = "A18sk6897" if layout.has_region else "Z18sk6897"
    one = renderer.render(3, "none", kind, label).image.astype(int)
    for slot in layout.slots:
        other = {0: "P", 3: "dh"}.get(slot.first, "0")
        changed = label[: slot.first] + other + label[slot.first + slot.length :]
        two = renderer.render(3, "none", kind, changed).image.astype(int)
        rows, columns = np.nonzero(abs(one - two).sum(axis=2) > 40)
        assert len(rows) > 20
        scale = one.shape[1] / layout.width
        assert columns.min() >= slot.x * scale - 2
        assert columns.max() <= (slot.x + slot.width) * scale + 2
        assert rows.min() >= slot.y * scale - 2
        assert rows.max() <= (slot.y + slot.height) * scale + 2


def test_all_glyphs_of_a_font_differ(renderer: Renderer):
    for face in renderer._faces:
        parts = [*"0123456789", *HANGUL, *REGIONS]
        assert len({face(part, "", 48, 64).tobytes() for part in parts}) == len(parts)


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="no preset 'hevy': choose from none, mild, heavy"):
        find_preset("hevy")


def test_a_folder_without_fonts_is_refused(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"has no \.ttf"):
        find_fonts(tmp_path)


def test_a_font_without_hangul_is_refused(tmp_path: Path):
    font = ImageFont.load_default(20)
    assert isinstance(font, ImageFont.FreeTypeFont)
    path = tmp_path / "latin.ttf"
    path.write_bytes(font.font_bytes)
    with pytest.raises(DatasetError, match=r"latin\.ttf: has no glyph for .* use fonts with digits and Hangul"):
        Renderer(find_fonts(tmp_path))


def test_a_file_that_is_no_font_is_refused(tmp_path: Path):
    (tmp_path / "bad.ttf").write_bytes(b"no font")
    with pytest.raises(DatasetError, match=r"bad\.ttf: cannot be opened as a font"):
        Renderer(find_fonts(tmp_path))


def test_a_folder_of_fonts_draws_as_the_fonts_named_one_by_one(renderer: Renderer, tmp_path: Path):
    for font in find_fonts():
        (tmp_path / font.name).symlink_to(font)
    same = Renderer(find_fonts(tmp_path))
    assert digest(list(generate(5, 1, renderer=same))) == digest(list(generate(5, 1, renderer=renderer)))


def test_the_default_fonts_are_found_without_importing_their_package():
    code = (
        "import sys; from edge_crnn.training.synthetic import find_fonts; "
        "assert len(find_fonts()) == 3; assert 'koreanize_matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def glyphs(tmp_path: Path) -> Path:
    """A glyph folder whose every image is a block of ink as tall as its place in the list, on its plate's ground."""
    for suffix, ground, ink in (("", (255, 255, 255), 0), ("_g", (40, 166, 0), 255), ("_y", (0, 240, 255), 0)):
        groups = {"num": "0123456789", "char1": HANGUL, "region": REGIONS if suffix else ()}
        for group, parts in groups.items():
            folder = tmp_path / f"{group}{suffix}"
            folder.mkdir()
            for place, part in enumerate(parts):
                image = np.full((60, 40, 3), ground, np.uint8)
                image[4 : 10 + place, 4:36] = ink
                assert cv2.imwrite(str(folder / f"{part}.jpg"), image)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_a_glyph_folder_is_drawn_in_the_plate_s_colours(glyphs: Path, kind: PlateKind):
    renderer = Renderer(glyphs=glyphs)
    label = "P99wn9999" if LAYOUTS[kind].has_region else "Z99wn9999"
    bar = renderer.render(1, "none", kind, label).image.astype(int)
    thin = renderer.render(1, "none", kind, label[:5] + "0000").image.astype(int)
    assert bar.shape == thin.shape
    # More of the ink shows: dark on white and yellow, bright on green.
    assert (bar.mean() > thin.mean()) == kind.startswith("green")


def test_an_incomplete_glyph_folder_is_refused(glyphs: Path):
    (glyphs / "region_y" / "K.jpg").unlink()
    with pytest.raises(DatasetError, match=r"region_y/K\.jpg is missing"):
        Renderer(glyphs=glyphs)


def test_a_glyph_that_is_no_image_is_refused(glyphs: Path):
    (glyphs / "num_y" / "7.jpg").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"7\.jpg: cannot be read as an image"):
        Renderer(glyphs=glyphs).render(1, "none", "yellow-region", "A77sk7777")


def test_fonts_and_glyphs_together_are_refused(glyphs: Path):
    with pytest.raises(ValueError, match="not from both"):
        Renderer(find_fonts(), glyphs=glyphs)
