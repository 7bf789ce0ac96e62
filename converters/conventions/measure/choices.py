"""Ways of preparing an image that are tried: a few usual choices in every dimension, written as changes of the spec.

`reduce` is not among them: labelled images of the usual size do not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from edge_crnn.model.spec import InputSpec

from ..scales import SCALES, reversed_channels

Dimension = Literal[
    "pixels", "invert", "orientation", "colour", "resize", "padding", "interpolation", "rounding", "odd pixel"
]

_COMMON = (
    ("fit", "left", "centre"),
    ("fit", "centre", "centre"),
    ("height", "left", "centre"),
    ("paste", "left", "top"),
)
"""Ways of placing an image that keep its aspect ratio, tried from the beginning."""


@dataclass(frozen=True)
class Choice:
    """A way of preparing images in one dimension."""

    name: str
    settings: Mapping[str, Any]
    """Fields of `InputSpec` and their values."""
    coarse: bool = True
    """True if it is tried from the beginning, False if only beside the best."""


def apply(image: InputSpec, choice: Choice) -> InputSpec:
    """Return the spec after a choice."""
    if "axes" in choice.settings:
        return oriented(image, choice.settings["axes"], choice.settings["rotate"])
    if choice.settings.get("colour", image.colour) != image.colour:  # the numbers of a channel move with it
        image = replace(image, scale=reversed_channels(image.scale), offset=reversed_channels(image.offset))
    return replace(image, **choice.settings)


def oriented(image: InputSpec, axes: Literal["HWC", "WHC"], rotate: Literal[0, 90, 180, 270]) -> InputSpec:
    """Return the spec of a tensor of the same shape with another meaning of its axes; the canvas may swap its sides."""
    first, second, _ = image.shape
    turned = rotate in (90, 270)
    width, height = (second, first) if (axes == "HWC") != turned else (first, second)
    return replace(image, axes=axes, rotate=rotate, width=width, height=height)


def choices(dimension: Dimension, image: InputSpec, step_axis: int | None) -> Sequence[Choice]:
    """Return the choices that are tried in a dimension.

    Args:
        dimension: a dimension of the preparation.
        image: a spec of the network's shape; per-channel numbers follow its colours.
        step_axis: 0 or 1: the axis of the tensor along which the steps run; None: unknown.
    """
    match dimension:
        case "pixels":
            return [
                Choice(name, scale.settings(image.colour))
                for name, scale in SCALES.items()
                if image.channels == 3 or not scale.needs_colour
            ]
        case "invert":
            return [Choice("no", {"invert": False}), Choice("yes", {"invert": True})]
        case "orientation":
            return list(_orientations(step_axis))
        case "colour":
            return [Choice(name, {"colour": name}) for name in (("bgr", "rgb") if image.channels == 3 else ("grey",))]
        case "resize":
            return sorted(_placements(), key=lambda choice: not choice.coarse)
        case "padding":
            return [
                Choice("black", {"padding": 0}),
                Choice("white", {"padding": 255}),
                Choice("edge", {"padding": "edge"}),
                Choice("grey", {"padding": 127}, coarse=False),
                Choice("grey 114", {"padding": 114}, coarse=False),
            ]
        case "interpolation":
            return [
                Choice(name, {"interpolation": name}, coarse=name == "linear")
                for name in ("linear", "area", "pil-bilinear", "pil-bicubic")
            ]
        case "rounding":
            return [Choice(name, {"rounding": name}, coarse=False) for name in ("nearest", "half-even", "down", "up")]
        case "odd pixel":
            return [Choice(name, {"odd_pixel": name}, coarse=False) for name in ("after", "before")]


def _orientations(step_axis: int | None) -> Iterator[Choice]:
    """Yield the upright image first, then those mirror images and turns whose text runs along the steps."""
    names = {
        ("HWC", 0): "as it is",
        ("WHC", 0): "transposed",
        ("HWC", 90): "turned clockwise",
        ("HWC", 270): "turned anticlockwise",
        ("HWC", 180): "upside down",
        ("WHC", 90): "upside down and mirrored",
        ("WHC", 180): "transposed across the other diagonal",
        ("WHC", 270): "mirrored",
    }
    for (axes, rotate), name in names.items():
        along = 1 if (axes == "HWC") != (rotate in (90, 270)) else 0
        if step_axis in (None, along):
            yield Choice(name, {"axes": axes, "rotate": rotate})


def _placements() -> Iterator[Choice]:
    filled = {"align": "left", "align_vertical": "centre", "padding": 0, "rounding": "nearest", "odd_pixel": "after"}
    yield Choice("stretch", {"resize": "stretch", **filled})
    for resize in ("fit", "height", "paste"):
        for align in ("left", "centre", "right"):
            for align_vertical in ("top", "centre", "bottom"):
                if resize == "height" and align_vertical != "centre":
                    continue  # it fills the height
                coarse = (resize, align, align_vertical) in _COMMON
                yield Choice(
                    f"{resize} {align}" + ("" if resize == "height" else f" {align_vertical}"),
                    {"resize": resize, "align": align, "align_vertical": align_vertical},
                    coarse,
                )
