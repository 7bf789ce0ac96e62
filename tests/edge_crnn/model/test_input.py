from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from edge_crnn.model.input import InputSpec, Preprocessing, problem_of

GREY = InputSpec(8, 4, "HWC", 1 / 255, 0.0)
COLOUR = replace(GREY, colour="rgb")
FUNCTION = Preprocessing("binarised", "0" * 64)

RIGHT = {
    "grey": GREY,
    "per channel": replace(COLOUR, scale=(1.0, 2.0, -3.0), offset=(0.0, 1.0, 2.0), padding=(0, 128, 255)),
    "one scale, three offsets": replace(COLOUR, offset=(0.0, 1.0, 2.0)),
    "edge": replace(GREY, padding="edge"),
    "reduced": replace(GREY, reduce="area", resize="fit"),
    "filters": replace(GREY, filters=("clahe 2 8", "resize", "otsu"), dtype="uint8"),
    "standardised": replace(GREY, standardise=True, invert=True),
    "function": replace(COLOUR, function=FUNCTION),
}


@pytest.mark.parametrize("image", RIGHT.values(), ids=RIGHT)
def test_valid_specs(image: InputSpec) -> None:
    assert problem_of(image) is None


WRONG: dict[str, tuple[InputSpec, dict[str, Any], str]] = {
    "three scales for grey": (GREY, {"scale": (1.0, 1.0, 1.0)}, "scale has 3 numbers; the grey tensor has 1 channel"),
    "three offsets for grey": (GREY, {"offset": (1.0, 1.0, 1.0)}, "offset has 3 numbers; the grey"),
    "three paddings for grey": (GREY, {"padding": (1, 2, 3)}, "padding has 3 numbers; the grey"),
    "two scales": (COLOUR, {"scale": (1.0, 1.0)}, "scale has 2 numbers; the rgb tensor has 3 channel"),
    "one scale of 0": (COLOUR, {"scale": (1.0, 0.0, 1.0)}, "expected a scale of 1e-30"),
    "endless offset": (COLOUR, {"offset": (1.0, float("inf"), 1.0)}, "an offset of at most"),
    "padding": (COLOUR, {"padding": (0, 0, 256)}, r"padding \(0, 0, 256\); a level is 0 to 255"),
    "negative padding": (GREY, {"padding": -1}, "padding -1; a level is 0 to 255"),
    "filter": (GREY, {"filters": ("sharpen",)}, "filters: filter 'sharpen': expected a list of"),
    "filter of colour": (COLOUR, {"filters": ("otsu",)}, "filters otsu; they take a grey image, and colour is rgb"),
    "standardised pixels": (GREY, {"standardise": True, "dtype": "uint8"}, "standardise with dtype uint8; it gives fl"),
    "function of pixels": (GREY, {"function": FUNCTION, "dtype": "uint8"}, "a function with dtype uint8; it gives"),
    "function and steps": (
        GREY,
        {"function": FUNCTION, "invert": True, "resize": "fit"},
        "function binarised replaces all steps; leave out resize, invert",
    ),
    "no name": (GREY, {"function": Preprocessing("<lambda>", "0" * 64)}, "'<lambda>'; expected the name of a function"),
    "no hash": (GREY, {"function": Preprocessing("f", "0A")}, "sha256 '0A'; expected 64 hexadecimal digits"),
}


@pytest.mark.parametrize(("image", "changes", "message"), WRONG.values(), ids=WRONG)
def test_invalid_specs_are_refused(image: InputSpec, changes: dict[str, Any], message: str) -> None:
    problem = problem_of(replace(image, **changes))
    assert problem is not None
    assert re.search(message, problem)


@pytest.mark.parametrize(
    ("rotate", "axes", "shape"),
    [(0, "HWC", (4, 8, 1)), (90, "HWC", (8, 4, 1)), (180, "WHC", (8, 4, 1)), (270, "WHC", (4, 8, 1))],
)
def test_the_shape_is_of_the_turned_canvas(rotate: Any, axes: Any, shape: tuple[int, ...]) -> None:
    assert replace(GREY, rotate=rotate, axes=axes).shape == shape


def test_scaling_includes_the_inversion() -> None:
    assert GREY.scaling == (1 / 255, 0.0)
    assert replace(GREY, invert=True).scaling == (-1 / 255, 1.0)
    colours = replace(COLOUR, scale=(1.0, 2.0, 4.0), offset=-1.0)
    assert colours.scaling == ((1.0, 2.0, 4.0), -1.0)
    assert replace(colours, invert=True).scaling == ((-1.0, -2.0, -4.0), (254.0, 509.0, 1019.0))
    assert replace(COLOUR, scale=(2.0, 2.0, 2.0), offset=(1.0, 1.0, 1.0)).scaling == (2.0, 1.0)


def test_headline_names_unusual_steps() -> None:
    assert GREY.headline == "grey 8 × 4, stretch, HWC float32, pixel · 0.00392157 +0"
    many = replace(GREY, filters=("otsu", "resize"), interpolation="area", rotate=90, invert=True, standardise=True)
    assert "stretch, reduced by area" in replace(GREY, reduce="area").headline
    assert "stretch, area, filters otsu, resize, turned by 90°, inverted, standardised, HWC float32" in many.headline
    assert replace(COLOUR, offset=(1.0, 0.5, -2.0)).headline.endswith("pixel · 0.00392157 (+1, +0.5, -2)")
    assert replace(COLOUR, function=FUNCTION).headline.startswith("function binarised (SHA-256 0000000000000000…), (4,")
