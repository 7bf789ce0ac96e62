"""The table of the ten networks: their training, and the conventions to measure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_crnn.model.spec import InputSpec
from edge_crnn.training.degrade import Image

from . import networks, preparation
from .lines import Style

DIGITS = Style()

_IMAGENET_SCALE = 1 / (255 * 0.229), 1 / (255 * 0.224), 1 / (255 * 0.225)
_IMAGENET_OFFSET = -0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225


@dataclass(frozen=True)
class Network:
    """A network with its training and its convention."""

    build: Callable[[int], Any]
    prepare: Callable[[Image], preparation.Tensor]
    input: InputSpec
    blank: int
    classes: int
    unused: tuple[int, ...] = ()
    skip_steps: int = 0
    style: Style = DIGITS
    logits: bool = False
    """Whether the network returns logits instead of probabilities."""
    lines: int = 12_000
    """The number of lines to train with."""
    steps: int = 700
    """The number of batches to train with."""
    rate: float = 3e-3
    """The highest learning rate of AdamW."""

    @property
    def classes_of_symbols(self) -> list[int]:
        """The class of each letter of the alphabet."""
        return [index for index in range(self.classes) if index != self.blank and index not in self.unused]

    def encode(self, label: str) -> list[int]:
        """Return the classes of a label."""
        classes = self.classes_of_symbols
        return [classes[self.style.alphabet.index(letter)] for letter in label]

    def truth(self) -> dict[str, Any]:
        """Return the convention by the fields of `ModelSpec`."""
        return {
            "symbols": self.style.alphabet,
            "blank": self.blank,
            "unused": list(self.unused),
            "skip_steps": self.skip_steps,
            "classes": self.classes,
            "input": dataclasses.asdict(self.input),
        }


NETWORKS = {
    "captcha": Network(
        networks.captcha,
        preparation.captcha,
        InputSpec(100, 32, "WHC", scale=1 / 255, offset=0.0),
        blank=19,
        classes=20,
        unused=(0,),
        style=Style("0123456789ABCDEFGH"),
        lines=20_000,
        steps=1800,
    ),
    "handwriting": Network(
        networks.handwriting,
        preparation.handwriting,
        InputSpec(
            128,
            32,
            "HWC",
            scale=1 / 255,
            offset=0.0,
            resize="fit",
            align="centre",
            odd_pixel="before",
            padding=0,
            rotate=90,
        ),
        blank=12,
        classes=13,
        unused=(0, 11),
        steps=1500,
    ),
    "image_ocr": Network(
        networks.image_ocr,
        preparation.image_ocr,
        InputSpec(112, 32, "WHC", scale=1 / 255, offset=0.0, invert=True),
        blank=10,
        classes=11,
        skip_steps=2,
    ),
    "residual": Network(
        networks.residual,
        preparation.residual,
        InputSpec(
            100,
            32,
            "HWC",
            scale=_IMAGENET_SCALE,
            offset=_IMAGENET_OFFSET,
            colour="rgb",
        ),
        blank=0,
        classes=11,
        style=Style(two_inks=True),
    ),
    "mobile": Network(
        networks.mobile,
        preparation.mobile,
        InputSpec(128, 32, "HWC", scale=1.0, offset=0.0, colour="bgr", resize="fit", align="centre", padding=114),
        blank=0,
        classes=11,
        style=Style(two_inks=True),
    ),
    "dense": Network(
        networks.dense,
        preparation.dense,
        InputSpec(
            128,
            32,
            "HWC",
            scale=1 / 127.5,
            offset=-1.0,
            resize="height",
            rounding="up",
            interpolation="pil-bicubic",
            padding="edge",
        ),
        blank=0,
        classes=11,
        logits=True,
        steps=1200,
    ),
    "gated": Network(
        networks.gated,
        preparation.gated,
        InputSpec(
            128,
            32,
            "WHC",
            scale=1.0,
            offset=0.0,
            resize="fit",
            align_vertical="top",
            rounding="down",
            padding=255,
            standardise=True,
        ),
        blank=10,
        classes=11,
    ),
    "kaggle": Network(
        networks.kaggle,
        preparation.kaggle,
        InputSpec(
            160, 32, "HWC", scale=1 / 255, offset=0.0, resize="paste", align_vertical="top", padding=255, rotate=90
        ),
        blank=10,
        classes=11,
        skip_steps=2,
        style=Style(length=(3, 6), px_per_mm=(0.22, 0.34)),
        steps=1200,
    ),
    "transformer": Network(
        networks.transformer,
        preparation.transformer,
        InputSpec(128, 32, "HWC", scale=1 / 255, offset=0.0, colour="rgb", interpolation="area"),
        blank=10,
        classes=11,
        style=Style(two_inks=True, px_per_mm=(0.9, 1.5), noise=(10.0, 30.0)),
        rate=2e-3,
    ),
    "one_way": Network(
        networks.one_way,
        preparation.one_way,
        InputSpec(100, 32, "HWC", scale=1.0, offset=0.0, invert=True),
        blank=20,
        classes=21,
        style=Style("1234567890ACEHKMPTXY"),
        steps=1200,
    ),
}
