from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ImageFont

from edge_crnn.errors import DatasetError
from edge_crnn.training.fonts import find_fonts
from edge_crnn.training.glyphs import _glyph_file, folder_faces, font_face
from edge_crnn.training.layouts import HANGUL, HANGUL_2019, KINDS, KINDS_2019, LAYOUTS
from edge_crnn.training.plates.form import CAPITALS, REGIONS, SYLLABLES
from edge_crnn.training.plates.table import FORMS, ROAD
from edge_crnn.training.synthetic import Renderer, generate


def test_all_glyphs_of_a_font_differ():
    for face in (font_face(font, KINDS) for font in find_fonts()):
        texts = [*"0123456789", *CAPITALS, *SYLLABLES.values(), *REGIONS.values()]
        # I and 1 are the same bar in some fonts.
        assert len({face(text, "", 48, 64).tobytes() for text in texts}) >= len(texts) - 1


def test_a_folder_without_fonts_is_refused(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"has no \.ttf"):
        find_fonts(tmp_path)


def test_a_font_without_hangul_is_refused(tmp_path: Path):
    font = ImageFont.load_default(20)
    assert isinstance(font, ImageFont.FreeTypeFont)
    path = tmp_path / "latin.ttf"
    path.write_bytes(font.font_bytes)
    with pytest.raises(DatasetError, match=r"latin\.ttf: has no glyph for .* use fonts that have all"):
        Renderer(find_fonts(tmp_path))


def test_a_file_that_is_no_font_is_refused(tmp_path: Path):
    (tmp_path / "bad.ttf").write_bytes(b"no font")
    with pytest.raises(DatasetError, match=r"bad\.ttf: cannot be opened as a font"):
        Renderer(find_fonts(tmp_path))


def test_a_folder_of_fonts_draws_as_the_same_fonts_elsewhere(tmp_path: Path):
    for font in find_fonts():
        (tmp_path / font.name).symlink_to(font)
    for plate, same in zip(generate(5, 1), generate(5, 1, renderer=Renderer(find_fonts(tmp_path))), strict=True):
        np.testing.assert_array_equal(plate.image, same.image)


def test_the_default_fonts_are_found_without_importing_their_package():
    code = (
        "import sys; from edge_crnn.training.fonts import find_fonts; "
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
def test_a_glyph_folder_is_drawn_in_the_plate_s_colours(glyphs: Path, kind: str):
    renderer = Renderer(glyphs=glyphs, kinds=KINDS)
    label = "P99wn9999" if LAYOUTS[kind].has_region else "Z99wn9999"
    bar = renderer.render(1, "none", kind, label).image.astype(int)
    thin = renderer.render(1, "none", kind, label[:5] + "0000").image.astype(int)
    assert bar.shape == thin.shape
    # More of the ink shows: dark on white and yellow, bright on green.
    assert (bar.mean() > thin.mean()) == kind.startswith("green")


def test_an_incomplete_glyph_folder_is_refused(glyphs: Path):
    (glyphs / "region_y" / "K.jpg").unlink()
    with pytest.raises(DatasetError, match=r"region_y/K\.jpg is missing"):
        Renderer(glyphs=glyphs, kinds=KINDS)


def test_a_glyph_folder_draws_plates_of_2019_once_it_has_their_syllables(glyphs: Path):
    with pytest.raises(DatasetError, match=r"char1/gh\.jpg and 2 more are missing: .* or add fonts"):
        Renderer(glyphs=glyphs, kinds=KINDS_2019)
    for keys in set(HANGUL_2019) - set(HANGUL):
        (glyphs / "char1" / f"{keys}.jpg").write_bytes((glyphs / "char1" / "gj.jpg").read_bytes())
    assert Renderer(glyphs=glyphs, kinds=KINDS_2019).render(1, "none", label="152qo3108").kind == "long-white-2019"


def test_a_glyph_that_is_no_image_is_refused(glyphs: Path):
    (glyphs / "num_y" / "7.jpg").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"7\.jpg: cannot be read as an image"):
        Renderer(glyphs=glyphs, kinds=KINDS).render(1, "none", "yellow-region", "A77sk7777")


def test_fonts_draw_the_glyphs_that_a_folder_lacks(glyphs: Path):
    fonts = find_fonts()
    images = folder_faces(glyphs, KINDS)[0]
    written = [font_face(font, list(ROAD)) for font in fonts]
    faces = folder_faces(glyphs, list(ROAD), written)
    for face, font in zip(faces, written, strict=True):
        for text, suffix, source in (
            ("7", "_y", images),
            ("가", "", images),
            ("하", "", font),
            ("육", "", font),
            ("A", "", font),
        ):
            np.testing.assert_array_equal(face(text, suffix, 40, 60), source(text, suffix, 40, 60))
    renderer = Renderer(fonts, glyphs, list(ROAD))
    assert (
        len({renderer.render(seed, "none", "white-long-rental", "Z18gk6897").image.tobytes() for seed in range(9)}) == 9
    )


def test_a_complete_folder_is_drawn_alike_with_and_without_fonts(glyphs: Path):
    alone, with_fonts = (Renderer(fonts, glyphs, KINDS) for fonts in (None, find_fonts()))
    for plate, same in zip(generate(5, 1, renderer=alone), generate(5, 1, renderer=with_fonts), strict=True):
        np.testing.assert_array_equal(plate.image, same.image)


def test_a_folder_alone_must_have_all_glyphs_of_all_forms(glyphs: Path):
    with pytest.raises(DatasetError, match=r"char1/gh\.jpg and 1 more are missing"):
        Renderer(glyphs=glyphs)
    for keys in ("gh", "gk"):
        (glyphs / "char1" / f"{keys}.jpg").write_bytes((glyphs / "char1" / "gj.jpg").read_bytes())
    assert Renderer(glyphs=glyphs).kinds == tuple(FORMS)


def test_capitals_are_as_tall_as_digits_and_keep_their_widths():
    face = font_face(find_fonts()[0], ["foreign-france"])
    tall, narrow, wide = (np.argwhere(face(text, "", 60, 80) > 127) for text in "8IM")
    heights = [np.ptp(ink[:, 0]) for ink in (tall, narrow, wide)]
    assert max(heights) - min(heights) <= 3
    assert np.ptp(narrow[:, 1]) < np.ptp(wide[:, 1]) / 2


def test_a_glyph_folder_stacks_the_halves_of_a_region(glyphs: Path):
    path = glyphs / "region_y" / "I.jpg"  # 울산
    image = cv2.imread(str(path))
    assert image is not None
    image[:] = 0, 240, 255
    image[5:55, 2:18] = 0
    assert cv2.imwrite(str(path), image)
    (face,) = folder_faces(glyphs, ["yellow-long-region"])
    assert face("울", "_y", 20, 60).mean() > 100
    assert face("산", "_y", 20, 60).mean() < 20
    own = folder_faces(glyphs, KINDS)[0]("서", "_y", 20, 60)  # of 서울, and a syllable by itself
    np.testing.assert_array_equal(face("서", "_y", 20, 60), own)
    label = "A18qk6897"
    assert Renderer(glyphs=glyphs, kinds=["yellow-long-region"]).render(1, "none", label=label).label == label


@pytest.mark.parametrize(("kind", "missing"), [("military-long", "char1/dbr"), ("foreign-france", "num/A")])
def test_a_glyph_folder_may_have_the_glyphs_of_any_plate(glyphs: Path, kind: str, missing: str):
    with pytest.raises(DatasetError, match=rf"{missing}\.jpg and [0-9]+ more are missing"):
        folder_faces(glyphs, [kind])
    for text, suffix in ((text, ROAD[kind].suffix) for text in ROAD[kind].glyphs):
        path = glyphs / _glyph_file(text, suffix)
        path.write_bytes((glyphs / "num" / "8.jpg").read_bytes())
    assert Renderer(glyphs=glyphs, kinds=[kind]).render(1, "none").kind == kind


def test_a_font_draws_every_form():
    face = font_face(find_fonts()[0], list(ROAD))
    assert all(face(text, "", 30, 40).any() for form in ROAD.values() for text in form.glyphs)
