"""InputSpec: the steps that turn an image into the tensor that a network takes."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .. import bounds
from . import filters

_FACTORS = (1e-30, 1e30)
"""The least and the greatest size of a scale, and the greatest of an offset: float32 holds their products."""

PerChannel: TypeAlias = float | tuple[float, float, float]
"""A number for all channels, or three numbers in the order of the tensor's channels."""


@dataclass(frozen=True)
class Preprocessing:
    """A function of the user that turns pixels into the network's input."""

    function: str
    """Name of the function."""
    sha256: str
    """SHA-256 of the source file that defines it."""


@dataclass(frozen=True)
class InputSpec:
    """The steps that turn an image into the tensor that the network takes.

    The steps, in order: grey or colour; `reduce`; `filters`; `resize` into a canvas of `width` × `height`, the rest
    `padding`; `rotate`; transposition if `axes` is WHC; `invert`; `standardise`; `scale` and `offset`. A `function`
    replaces them.
    """

    width: int
    """Width in pixels of the canvas, before `rotate`."""
    height: int
    """Height in pixels of the canvas, before `rotate`."""
    axes: Literal["HWC", "WHC"]
    """Axis order of one image in the tensor, after `rotate`: HWC row-major, WHC transposed."""
    scale: PerChannel
    """The network sees `pixel * scale + offset`."""
    offset: PerChannel
    """The network sees `pixel * scale + offset`."""
    colour: Literal["grey", "bgr", "rgb"] = "grey"
    """Channels of the tensor."""
    resize: Literal["stretch", "fit", "height", "paste"] = "stretch"
    """stretch: to width × height; fit: keep the aspect ratio; height: scale to the height, keep the aspect ratio unless
    the image becomes wider than the canvas, then squeeze it to the width; paste: do not scale, crop what exceeds."""
    align: Literal["left", "centre", "right"] = "left"
    """Place of an image that does not fill the canvas; paste crops the opposite side, or both."""
    align_vertical: Literal["top", "centre", "bottom"] = "centre"
    """The same in height."""
    odd_pixel: Literal["after", "before"] = "after"
    """Side of a centred image that gets the odd pixel of padding: after (right, below) or before (left, above)."""
    rounding: Literal["nearest", "half-even", "down", "up"] = "nearest"
    """Rounding of the scaled side of a fitted image; nearest rounds half a pixel up."""
    interpolation: Literal["linear", "area", "pil-bilinear", "pil-bicubic"] = "linear"
    """linear: as OpenCV's INTER_LINEAR and tf.image.resize; area: as OpenCV's INTER_AREA; pil-…: as Pillow's, which
    average when they shrink."""
    reduce: Literal["area"] | None = None
    """area: an image that is more than twice as wide or as high as what `resize` makes of it is first averaged over
    whole blocks of pixels, until it is at most twice as large; null: only `interpolation` decides."""
    padding: int | tuple[int, int, int] | Literal["edge"] = 0
    """Pixels around the image: a level (0 to 255), a level for every channel of the tensor, or the edge pixels."""
    rotate: Literal[0, 90, 180, 270] = 0
    """Degrees clockwise by which the canvas is turned."""
    filters: tuple[str, ...] = ()
    """Filters of the uint8 image, in order, such as "otsu", "adaptive mean 11 2", "clahe 2 8"; see
    `edge_crnn.preprocess.filters`. They come before resizing, except those after the word "resize"."""
    invert: bool = False
    """The network sees (255 - pixel) in place of pixel."""
    standardise: bool = False
    """Subtract the mean of an image and divide by its standard deviation (at least 1/sqrt(n) for n values, as
    tf.image.per_image_standardization) before scale and offset."""
    dtype: Literal["float32", "uint8"] = "float32"
    """uint8: the artifact takes pixels as they are, and inverts, scales and shifts them itself."""
    function: Preprocessing | None = None
    """A function that replaces all steps."""

    @property
    def channels(self) -> int:
        """Number of channels: 1 for grey, 3 for colour."""
        return 1 if self.colour == "grey" else 3

    @property
    def affine(self) -> bool:
        """True if pixels are only scaled and shifted, which an artifact can do itself."""
        return not self.standardise and self.function is None

    @property
    def headline(self) -> str:
        """Summary of the steps, for a person."""
        taken = f"{self.axes} {self.dtype}"
        if self.function is not None:
            return f"function {self.function.function} (SHA-256 {self.function.sha256[:16]}…), {self.shape} {taken}"
        steps = {
            f"{self.interpolation}": self.interpolation != "linear",
            f"reduced by {self.reduce}": self.reduce,
            f"filters {', '.join(self.filters)}": self.filters,
            f"turned by {self.rotate}°": self.rotate,
            "inverted": self.invert,
            "standardised": self.standardise,
        }
        more = "".join(f", {step}" for step, done in steps.items() if done)
        return (
            f"{self.colour} {self.width} × {self.height}, {self.resize}{more}, {taken},"
            f" pixel · {_numbers(self.scale, '.6g')} {_numbers(self.offset, '+.6g')}"
        )

    @property
    def scaling(self) -> tuple[PerChannel, PerChannel]:
        """Scale and offset that include `invert`: the network sees `pixel * scale + offset` of the image's own pixel.

        One number, if it is the same for all channels.
        """
        if not isinstance(self.scale, tuple) and not isinstance(self.offset, tuple):
            return _inverted(self.scale, self.offset) if self.invert else (self.scale, self.offset)
        pairs = list(zip(per_channel(self.scale), per_channel(self.offset), strict=True))
        scales, offsets = zip(*(_inverted(*pair) if self.invert else pair for pair in pairs), strict=True)
        return _joined(scales), _joined(offsets)

    @property
    def turned(self) -> tuple[int, int]:
        """Width and height of the canvas after `rotate`."""
        return (self.height, self.width) if self.rotate in (90, 270) else (self.width, self.height)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image in the tensor, without the batch axis."""
        width, height = self.turned
        return (height, width, self.channels) if self.axes == "HWC" else (width, height, self.channels)


def per_channel(value: PerChannel) -> tuple[float, float, float]:
    """Return the numbers of the three channels."""
    return value if isinstance(value, tuple) else (value, value, value)


def _numbers(value: PerChannel, form: str) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(format(number, form) for number in value)})"
    return format(value, form)


def _inverted(scale: float, offset: float) -> tuple[float, float]:
    return -scale, offset + 255 * scale


def _joined(values: tuple[float, float, float]) -> PerChannel:
    return values[0] if len(set(values)) == 1 else values


def problem_of(image: InputSpec) -> str | None:
    """Return the problem with the values of a spec's input; None: there is none."""
    for side, pixels in (("width", image.width), ("height", image.height)):
        if (problem := bounds.SIDE.problem(side, pixels)) is not None:
            return f"input: {problem}"
    if not bounds.PIXELS.allow(image.width * image.height):
        return f"input of {image.width} × {image.height} pixels; expected at most {bounds.PIXELS.most:,} in all"
    for name, value in (("scale", image.scale), ("offset", image.offset), ("padding", image.padding)):
        if isinstance(value, tuple) and len(value) != image.channels:
            return f"{name} has {len(value)} numbers; the {image.colour} tensor has {image.channels} channel(s)"
    scales, offsets = (value if isinstance(value, tuple) else (value,) for value in (image.scale, image.offset))
    least, most = _FACTORS
    if not (all(least <= abs(scale) <= most for scale in scales) and all(abs(offset) <= most for offset in offsets)):
        return (
            f"scale {image.scale} and offset {image.offset}; expected a scale of {least:g} to {most:g}, or of"
            f" {-most:g} to {-least:g}, and an offset of at most {most:g} either way"
        )
    levels = image.padding if isinstance(image.padding, tuple) else (image.padding,)
    if not all(level == "edge" or 0 <= level <= 255 for level in levels):
        return f"padding {image.padding}; a level is 0 to 255"
    try:
        filters.parse_all(image.filters)
    except ValueError as error:
        return f"filters: {error}"
    if image.filters and image.channels != 1:
        return f"filters {', '.join(image.filters)}; they take a grey image, and colour is {image.colour}"
    if image.dtype == "uint8" and not image.affine:
        cause = "standardise" if image.function is None else "a function"
        return f"{cause} with dtype uint8; it gives float32"
    return None if image.function is None else _function_problem(image, image.function)


def _function_problem(image: InputSpec, function: Preprocessing) -> str | None:
    if not function.function.isidentifier():
        return f"function {function.function!r}; expected the name of a function"
    if not re.fullmatch("[0-9a-f]{64}", function.sha256):
        return f"function {function.function}: sha256 {function.sha256!r}; expected 64 hexadecimal digits"
    steps = [
        field.name
        for field in dataclasses.fields(image)
        if field.name not in ("colour", "dtype", "function")
        and field.default is not dataclasses.MISSING
        and getattr(image, field.name) != field.default
    ]
    if steps:
        return f"function {function.function} replaces all steps; leave out {', '.join(steps)}"
    return None
