"""Give an untrained network weights that look trained: seeded, normalised, and with texts that differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# Standard deviation of the logits over images and steps, each class centred: texts vary, and few steps are ties.
SPREAD = 2.0
UNIFORM = {
    "bias": (-0.2, 0.2),
    "beta": (-0.4, 0.4),
    "gamma": (0.6, 1.4),
    "alpha": (0.05, 0.4),
    "moving_mean": (-0.2, 0.2),
    "moving_variance": (0.5, 1.5),
    "renorm_mean": (-0.2, 0.2),
    "renorm_stddev": (0.7, 1.3),
    "mean": (-0.2, 0.2),
    "variance": (0.5, 1.5),
}


@dataclass(frozen=True)
class Network:
    """A built model: what is saved, and the part of it that predicts."""

    saved: Any
    prediction: Any
    # The layer that makes the logits, where it is not the last one with a kernel.
    head: str = ""
    # Called once the weights are random and before anything is measured.
    adjust: Callable[[], None] | None = None
    # Called last: brings the weights of `prediction` to `saved` where the two do not share them.
    share: Callable[[], None] | None = None


def finish(network: Network, images: Array, logits_of: Callable[[Array], Array], seed: int) -> float:
    """Set all weights, and return the factor that spread the logits."""
    random = np.random.default_rng(seed)
    for weight in network.prediction.weights:
        _draw(weight, random)
    for layer in network.prediction._flatten_layers():
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()  # a Normalization computes with copies of its weights
    if network.adjust:
        network.adjust()
    _normalise(network.prediction, images, random)
    _excite(network.prediction, images)
    factor = _spread(network, images, logits_of)
    if network.share:
        network.share()
    return factor


def _draw(weight: Any, random: np.random.Generator) -> None:
    role = weight.name.rpartition("/")[2].removesuffix(":0")
    shape = tuple(weight.shape)
    if role in UNIFORM:
        weight.assign(random.uniform(*UNIFORM[role], shape))
    elif role.endswith(("kernel", "embeddings")):
        depthwise = len(shape) == 4 and (shape[-1] == 1 or role == "depthwise_kernel")
        fan_in = int(np.prod(shape[:2] if depthwise else shape[:-1]))
        values = random.normal(0, (0.8 if role == "recurrent_kernel" else 1.4) / np.sqrt(fan_in), shape)
        if role == "kernel" and not depthwise and fan_in > 1:
            # What all inputs have in common, as the outputs of a relu do, would drown what tells images apart.
            values -= values.mean(axis=tuple(range(len(shape) - 1)))
        weight.assign(values)


def _normalise(model: Any, images: Array, random: np.random.Generator) -> None:
    """Let batch norms see the images once in training mode, then disturb what they saw: no batch is all images."""
    norms = [layer for layer in model._flatten_layers() if type(layer).__name__ == "BatchNormalization"]
    if not norms:
        return
    drops = [layer for layer in model._flatten_layers() if type(layer).__name__ == "Dropout"]
    settings = [(layer, name) for layer in norms for name in _momenta(layer)] + [(layer, "rate") for layer in drops]
    before = [getattr(layer, name) for layer, name in settings]
    for layer, name in settings:
        setattr(layer, name, 0.0)
    model(images, training=True)
    for (layer, name), value in zip(settings, before, strict=True):
        setattr(layer, name, value)
    for layer in norms:
        mean, variance = np.array(layer.moving_mean), np.array(layer.moving_variance)
        variance = np.maximum(variance, 0.02 * variance.mean() + 1e-4)
        layer.moving_mean.assign(mean + 0.1 * np.sqrt(variance) * random.normal(size=mean.shape))
        layer.moving_variance.assign(variance * random.uniform(0.8, 1.25, mean.shape))


def _momenta(layer: Any) -> list[str]:
    return ["momentum", "renorm_momentum"] if getattr(layer, "renorm", False) else ["momentum"]


def _excite(model: Any, images: Array) -> None:
    """Let all layers give something that varies, each as soon as it is called: one pass is enough.

    What reaches the gates of recurrent layers is brought to a common scale. Where there is no batch norm, so is what
    convolutions and Dense layers give.
    """
    normed = any(type(layer).__name__ == "BatchNormalization" for layer in model._flatten_layers())
    watched = {layer: layer.call for layer in model._flatten_layers() if _is_recurrent(layer) or _parts(layer)}
    if not normed:
        plain = [layer for layer in model._flatten_layers() if getattr(layer, "kernel", None) is not None]
        watched |= {layer: layer.call for layer in plain if not (hasattr(layer, "recurrent_kernel") or _is_head(layer))}
    for layer, call in watched.items():
        # Past the layer's own __setattr__, which would track it.
        layer.__dict__["call"] = _scaled(layer, call)
    model(images, training=False)
    for layer in watched:
        del layer.__dict__["call"]


def _scaled(layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
    def scaled_call(inputs: Any, *arguments: Any, **options: Any) -> Any:
        for part in _parts(layer) or [layer]:
            if _is_recurrent(part):
                kernel = np.array(part.cell.kernel)
                part.cell.kernel.assign(kernel * (1.5 / (np.array(inputs) @ kernel).std(axis=(0, 1)).mean()))
            else:
                factor = 0.7 / np.array(call(inputs, *arguments, **options)).std()
                for weight in (part.kernel, part.bias):
                    weight.assign(np.array(weight) * factor)
        return call(inputs, *arguments, **options)

    return scaled_call


def _parts(layer: Any) -> list[Any]:
    return [layer.forward_layer, layer.backward_layer] if hasattr(layer, "forward_layer") else []


def _is_head(layer: Any) -> bool:
    return getattr(getattr(layer, "activation", None), "__name__", "") == "softmax"


def _is_recurrent(layer: Any) -> bool:
    return hasattr(getattr(layer, "cell", None), "recurrent_kernel")


def _spread(network: Network, images: Array, logits_of: Callable[[Array], Array]) -> float:
    """Centre each class and scale all of them: a softmax cares for differences alone."""
    logits = logits_of(np.array(network.prediction(images, training=False)))
    logits = logits - logits.mean(axis=-1, keepdims=True)
    centres = logits.mean(axis=(0, 1))
    factor = SPREAD / float((logits - centres).std())
    kernel, bias = _head(network)
    kernel.assign(np.array(kernel) * factor)
    bias.assign((np.array(bias) - centres) * factor)
    return factor


def _head(network: Network) -> tuple[Any, Any]:
    layers = network.prediction.layers
    if network.head:
        layers = [network.prediction.get_layer(network.head)]
    for layer in reversed(layers):
        inner = getattr(layer, "layer", layer)
        for name in ("pointwise_kernel", "kernel", "_kernel"):
            if getattr(inner, name, None) is not None and getattr(inner, "bias", None) is not None:
                return getattr(inner, name), inner.bias
    raise ValueError(f"{network.prediction.name}: no layer with kernel and bias")
