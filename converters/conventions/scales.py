"""Usual ways of turning pixels from 0 to 255 into numbers, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_crnn.model.spec import PerChannel

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Means and deviations of red, green, blue from 0 to 1, as in torchvision and `keras.applications` (mode "torch")."""
_CAFFE_MEAN = (123.68, 116.779, 103.939)
"""Means for red, green and blue from 0 to 255, as `keras.applications` (mode "caffe") has them."""


@dataclass(frozen=True)
class Scale:
    """A way of scaling: the network sees `pixel * scale + offset`; per-channel numbers are for red, green, blue."""

    meaning: str
    scale: PerChannel = 1.0
    offset: PerChannel = 0.0
    standardise: bool = False

    @property
    def needs_colour(self) -> bool:
        """True if the channels differ."""
        return isinstance(self.offset, tuple)

    def settings(self, colour: str) -> dict[str, Any]:
        """Return the fields of `InputSpec` for channels in the order grey, bgr or rgb."""
        scale = self.scale
        offset = self.offset
        if colour == "bgr":
            scale = reversed_channels(scale)
            offset = reversed_channels(offset)
        return {"scale": scale, "offset": offset, "standardise": self.standardise}


def reversed_channels(number: PerChannel) -> PerChannel:
    """Return the numbers of red, green and blue in the order blue, green, red, and the other way round."""
    return (number[2], number[1], number[0]) if isinstance(number, tuple) else number


def _per_channel(numbers: list[float]) -> tuple[float, float, float]:
    red, green, blue = numbers
    return red, green, blue


SCALES: Mapping[str, Scale] = {
    "x/255": Scale("0 to 1", 1 / 255),
    "x/127.5-1": Scale("-1 to 1", 1 / 127.5, -1.0),
    "x/255-0.5": Scale("-0.5 to 0.5", 1 / 255, -0.5),
    "raw": Scale("0 to 255"),
    "standardised": Scale("mean 0 and deviation 1 in each image", standardise=True),
    "imagenet": Scale(
        "ImageNet's mean and deviation of each channel",
        _per_channel([1 / (255 * deviation) for deviation in _IMAGENET_DEVIATION]),
        _per_channel([-mean / sigma for mean, sigma in zip(_IMAGENET_MEAN, _IMAGENET_DEVIATION, strict=True)]),
    ),
    "caffe": Scale("0 to 255 less ImageNet's mean of each channel", 1.0, _per_channel([-mean for mean in _CAFFE_MEAN])),
}
"""Scales by name. Keras and TensorFlow tutorials use the first four; `keras.applications` use all but the third
and the fifth."""
