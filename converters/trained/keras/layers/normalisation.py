"""Normalisation with statistics from training, which is a scale and a shift, or with those of the sample itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ....graph.cells import Array
from ....graph.nodes import Affine, Normalise, Permute, Reduce, Reshape, Shape, Unary
from ..builder import Layer, Value, converts
from ..config import MAX_SIZE

_Float64 = npt.NDArray[np.float64]
_LEAST_DEVIATION = 1e-7
"""Keras' epsilon, below which the layer Normalization does not divide."""


# --- with statistics from training -----------------------------------------------------------------------------------


@converts("BatchNormalization", "SyncBatchNormalization")
def batch_normalisation(layer: Layer) -> Value:
    """Ioffe and Szegedy 2015, at inference: scale = gamma / sqrt(variance + epsilon), shift = beta - mean * scale.

    Batch renormalisation (`renorm`) computes the same at inference.
    """
    if layer.keras2 and layer.keywords.get("training"):  # Keras 3 overrides it at inference
        raise layer.unsupported(
            "is called with training=True, so an image would depend on the images beside it; leave it out"
        )
    layer.expect("virtual_batch_size", None)
    x = layer.x
    axes = _axes(layer, x)
    if len(axes) != 1:
        raise layer.error(f"axis {layer.get('axis')!r}; supported: one axis")
    length = x.shape[axes[0]]
    roles = {"gamma": layer.flag("scale"), "beta": layer.flag("center"), "moving_mean": True, "moving_variance": True}
    read = layer.read({role: (length,) for role, is_stored in roles.items() if is_stored})
    arrays = {role: array.astype(np.float64) for role, array in read.items()}
    variance = arrays["moving_variance"] + layer.number("epsilon")
    if not (variance > 0).all():
        raise layer.error("a variance is not positive; the file is damaged: save the model again")
    scale = arrays.get("gamma", np.ones(length)) / np.sqrt(variance)
    shift = arrays.get("beta", np.zeros(length)) - arrays["moving_mean"] * scale
    return scale_and_shift(layer, x, axes, scale, shift)


@converts("Normalization")
def normalisation(layer: Layer) -> Value:
    """`(x - mean) / deviation` with numbers from the configuration or from `adapt`; `invert` undoes it."""
    x = layer.x
    axes = _axes(layer, x) if layer.get("axis") not in ([], None) else ()
    kept: Shape = tuple(x.shape[axis] for axis in axes)
    if layer.settings.get("mean") is None:
        arrays = layer.read({"mean": kept, "variance": kept})
        mean, variance = arrays["mean"], arrays["variance"]
    else:
        mean, variance = (_numbers(layer, setting, kept) for setting in ("mean", "variance"))
    if (variance < 0).any():
        raise layer.error("a variance is negative; the file is damaged: save the model again")
    deviation = np.maximum(np.sqrt(variance.astype(np.float64)), _LEAST_DEVIATION)
    if layer.settings.get("invert"):
        return scale_and_shift(layer, x, axes, deviation, mean.astype(np.float64))
    return scale_and_shift(layer, x, axes, 1 / deviation, -mean / deviation)


def _numbers(layer: Layer, setting: str, shape: Shape) -> Array:
    """Read numbers in nested lists, aligned with the last axes of a shape and repeated along the others."""
    value = layer.get(setting)
    try:
        with np.errstate(over="ignore"):
            numbers = np.asarray(value, np.float32)
        fitting = numbers if numbers.size == 1 else np.broadcast_to(numbers, shape)
    except (OverflowError, ValueError, TypeError) as error:
        raise layer.error(f"{setting} {str(value)[:100]}, expected numbers of shape {shape}") from error
    if not np.isfinite(fitting).all():
        raise layer.error(f"{setting} {str(value)[:100]}, expected finite numbers")
    return np.broadcast_to(fitting.reshape(()) if fitting.size == 1 else fitting, shape)


# --- with the statistics of the sample -------------------------------------------------------------------------------


@converts("LayerNormalization")
def layer_normalisation(layer: Layer) -> Value:
    """Ba et al. 2016; with `rms_scaling` the mean is not subtracted, though the variance is the one about it."""
    x = layer.x
    axes = _axes(layer, x)
    if layer.settings.get("rms_scaling"):
        mean = layer.put(Reduce("mean", "mean", axes, keepdims=True), x)
        centred = layer.binary("centred", "subtract", x, mean)
        normed = over_root_mean_square(layer, "normalised", x, centred, axes, layer.number("epsilon"))
        roles = ["gamma"]
    else:
        roles = [role for role, setting in (("gamma", "scale"), ("beta", "center")) if layer.flag(setting)]
        part = "normalised" if roles else ""
        normed = layer.put(Normalise(part, axes, layer.number("epsilon")), x)
    return _with_weights(layer, normed, axes, roles)


@converts("RMSNormalization")
def rms_normalisation(layer: Layer) -> Value:
    """Zhang and Sennrich 2019."""
    x = layer.x
    axes = _axes(layer, x)
    if axes != tuple(range(len(x.shape) - len(axes), len(x.shape))):
        raise layer.error(f"axis {layer.get('axis')!r}; supported: the last axes, along which Keras scales")
    normed = over_root_mean_square(layer, "normalised", x, x, axes, layer.number("epsilon"))
    return _with_weights(layer, normed, axes, ["scale"])


@converts("GroupNormalization")
def group_normalisation(layer: Layer) -> Value:
    """Wu and He 2018; with as many groups as channels it is instance normalisation."""
    x = layer.x
    axes = _axes(layer, x)
    if len(axes) != 1:
        raise layer.error(f"axis {layer.get('axis')!r}; supported: one axis")
    (axis,) = axes
    channels = x.shape[axis]
    groups = channels if layer.get("groups") == -1 else layer.size("groups")
    if channels % groups:
        raise layer.error(f"groups {groups}, expected a divisor of {channels}, the number of channels")
    split = (*x.shape[:axis], groups, channels // groups, *x.shape[axis + 1 :])
    roles = [role for role, setting in (("gamma", "scale"), ("beta", "center")) if layer.flag(setting)]
    grouped = layer.put(Reshape("groups", split), x)
    others = tuple(other for other in range(len(split)) if other != axis)
    normed = layer.put(Normalise("normalised", others, layer.number("epsilon")), grouped)
    joined = layer.put(Reshape("joined" if roles else "", x.shape), normed)
    return _with_weights(layer, joined, axes, roles)


@converts("UnitNormalization")
def unit_normalisation(layer: Layer) -> Value:
    """`x` divided by its Euclidean length along some axes."""
    least = 1e-12 if layer.keras2 else 1e-24  # Keras 2 bounds the square of the length by 1e-12, Keras 3 the length
    return over_length(layer, layer.x, _axes(layer, layer.x), least)


def over_length(layer: Layer, x: Value, axes: tuple[int, ...], least: float) -> Value:
    """`x / sqrt(max(sum(x²), least))`, the sum over some axes."""
    square = layer.put(Unary("square", "square"), x)
    total = layer.put(Reduce("sum", "sum", axes, keepdims=True), square)
    bounded = layer.binary("bounded", "maximum", total, number_like(layer, "least", total, least))
    return layer.binary("", "multiply", x, layer.put(Unary("rsqrt", "rsqrt"), bounded))


def over_root_mean_square(
    layer: Layer, part: str, x: Value, measured: Value, axes: tuple[int, ...], epsilon: float
) -> Value:
    """`x / sqrt(mean(measured²) + epsilon)`, the mean over some axes."""
    square = layer.put(Unary("square", "square"), measured)
    mean = layer.put(Reduce("mean square", "mean", axes, keepdims=True), square)
    raised = layer.binary("raised", "add", mean, number_like(layer, "epsilon", mean, epsilon))
    return layer.binary(part, "multiply", x, layer.put(Unary("rsqrt", "rsqrt"), raised))


# --- shared ----------------------------------------------------------------------------------------------------------


def scale_and_shift(
    layer: Layer, x: Value, axes: tuple[int, ...], scale: npt.NDArray[np.floating], shift: npt.NDArray[np.floating]
) -> Value:
    """`x * scale + shift`, where the axes of both arrays are these of the sample; this is the layer's own value.

    Raises:
        ModelFileError: a number is too large for float32.
    """
    with np.errstate(over="ignore"):
        scale, shift = scale.astype(np.float32), shift.astype(np.float32)
    if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        raise layer.error("its weights are too large for float32; the file is damaged: save the model again")
    rank = len(x.shape)
    if not axes:
        scale, shift = (np.broadcast_to(array, x.shape[-1:]) for array in (scale, shift))
        axes = (rank - 1,)
    if axes == (rank - 1,):
        return layer.put(Affine("", scale, shift), x)
    if len(axes) == 1:
        order = (*(axis for axis in range(rank) if axis not in axes), *axes)
        moved = layer.put(Permute("channels last", order), x)
        normed = layer.put(Affine("scaled", scale, shift), moved)
        return layer.put(Permute("", tuple(map(order.index, range(rank)))), normed)
    shape = tuple(length if axis in axes else 1 for axis, length in enumerate(x.shape))
    scaled = layer.binary("scaled", "multiply", x, layer.constant("scale", scale.reshape(shape)))
    return layer.binary("", "add", scaled, layer.constant("shift", shift.reshape(shape)))


def number_like(layer: Layer, part: str, x: Value, number: float) -> Value:
    """Add a number as a constant with as many axes as a value."""
    return layer.constant(part, np.full((1,) * len(x.shape), number, np.float32))


def _with_weights(layer: Layer, x: Value, axes: tuple[int, ...], roles: Sequence[str]) -> Value:
    """`x` scaled and shifted by the layer's weights along some axes; `x` itself where it has none."""
    if not roles:
        return x
    shape: Shape = tuple(x.shape[axis] for axis in axes)
    if math.prod(shape) > MAX_SIZE:
        raise layer.error(f"weights of shape {shape}; at most {MAX_SIZE:,} values are read")
    arrays = layer.read(dict.fromkeys(roles, shape))
    scale = arrays.get("gamma", arrays.get("scale", np.ones(shape, np.float32)))
    return scale_and_shift(layer, x, axes, scale, arrays.get("beta", np.zeros(shape, np.float32)))


def _axes(layer: Layer, x: Value) -> tuple[int, ...]:
    """Read the axes of a sample in the setting `axis`, in the order in which Keras stores their weights."""
    value = layer.get("axis")
    axes = value if isinstance(value, list) else [value]
    samples = tuple(layer.sample_axis(axis, len(x.shape)) for axis in axes)
    if not samples or len(set(samples)) < len(samples):
        raise layer.error(f"axis {value!r}, expected different axes")
    return tuple(sorted(samples))
