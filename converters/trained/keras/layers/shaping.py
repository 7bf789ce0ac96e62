"""Layers that move values, that act in training alone, or that work on every step."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ....graph.nodes import Permute, Reshape
from ..builder import Layer, Value, convert, converts
from ..config import MAX_SIZE
from ..file import Part
from .nesting import only, part_of
from .steps import on_every_step

_MAX_RANK = 16


@converts("Reshape")
def reshape(layer: Layer) -> Value:
    """The value in another shape, in which one length may be left open."""
    target = layer.get("target_shape")
    sizes = target if isinstance(target, list) else [target]
    whole = len(sizes) <= _MAX_RANK and all(type(size) is int and -1 <= size <= MAX_SIZE and size for size in sizes)
    if not whole or sizes.count(-1) > 1:
        raise layer.error(f"target_shape {str(target)[:100]}, expected positive whole numbers and -1 once at most")
    rest = math.prod(layer.x.shape) // math.prod(size for size in sizes if size > 0)
    return layer.put(Reshape("", tuple(rest if size == -1 else size for size in sizes)), layer.x)


@converts("Permute")
def permute(layer: Layer) -> Value:
    """The value with its axes in another order."""
    return layer.put(Permute("", tuple(axis - 1 for axis in layer.sizes("dims", len(layer.x.shape)))), layer.x)


@converts("Flatten")
def flatten(layer: Layer) -> Value:
    """All values in one axis, channels last."""
    layer.expect("data_format", "channels_last", "channels_first", None)
    x = layer.x
    if layer.settings.get("data_format") == "channels_first" and len(x.shape) > 1:
        x = layer.put(Permute("channels last", (*range(1, len(x.shape)), 0)), x)
    return layer.put(Reshape("", (math.prod(x.shape),)), x)


@converts("RepeatVector")
def repeat_vector(layer: Layer) -> Value:
    """The same values at every step."""
    steps = layer.constant("steps", np.zeros((layer.size("n"), 1), np.float32))
    return layer.binary("", "add", layer.reshape("one step", layer.x, (1, *layer.x.shape)), steps)


@converts("Masking")
def masking(layer: Layer) -> Value:
    """Rejected, because masks are not supported."""
    raise layer.unsupported(
        "masks are not supported, and it would mask every step that is"
        f" {layer.settings.get('mask_value', 0)!r} throughout; the steps of an image are all there: take it out, and"
        " save the model again"
    )


@converts(
    "ActivityRegularization", "AlphaDropout", "AugMix", "CutMix", "Dropout", "Equalization", "GaussianDropout",
    "GaussianNoise", "Identity", "MixUp", "RandAugment", "RandomBrightness", "RandomColorDegeneration",
    "RandomColorJitter", "RandomContrast", "RandomElasticTransform", "RandomErasing", "RandomFlip",
    "RandomGaussianBlur", "RandomGrayscale", "RandomHeight", "RandomHue", "RandomInvert", "RandomPerspective",
    "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation",
    "RandomWidth", "RandomZoom", "Solarization", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
)  # fmt: skip
def act_in_training(layer: Layer) -> Value:
    """Nothing, outside training."""
    if layer.keras2 and layer.keywords.get("training") is True:
        raise layer.unsupported(
            "called with training=True, so that it changes values at random even at inference; call it without, and"
            " save the model again"
        )
    return layer.x


@converts("TimeDistributed")
def time_distributed(layer: Layer) -> Value:
    """A layer or model, applied to every step."""
    x = layer.x
    if len(x.shape) < 2:
        raise layer.error(f"takes {x.shape}, expected steps and at least one more axis")
    config = layer.wrapped("layer")
    wrapped = part_of(layer, config, Part("layer", config.name), layer.name)
    keywords = {name: value for name, value in layer.keywords.items() if name == "training"}
    builder = layer.builder.inner(x.shape[1:], guessed=x.guessed)
    result = only(layer, convert(replace(wrapped, builder=builder, args=(builder.input,), keywords=keywords)))
    layer.builder.fragments.update(builder.fragments)
    return on_every_step(layer.builder, builder.graph(result), x)
