"""Finds the prediction part of a model that was saved with its loss.

Such a training head is a Lambda around `ctc_batch_cost`, or a layer of the user's own class. Its code is never looked
at. It must take more than the prediction and be recognisable as a loss: by its name or class, by giving one number per
image, or because the user declares it. Whatever else ends a model computes its output, and stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from edge_crnn.errors import ModelFileError

from .builder import LAYERS
from .file import layers_of
from .lambdas import LOSS

_Layers: TypeAlias = Mapping[str, Mapping[str, Any]]
_Tensor: TypeAlias = tuple[str, int, int]
"""Name of a layer, number of its call, number of the call's result."""

_LOSS_NAME = re.compile("ctc|loss", re.IGNORECASE)
_NUMBERS_PER_IMAGE: tuple[list[int | None], ...] = ([], [1], [None, 1])
"""Output shapes of a Lambda that gives one number per image."""
_OPERATIONS = (
    "IntegerLookup", "Lambda", "SlicingOpLambda", "StringLookup", "TFOpLambda", "TextVectorization",
)  # fmt: skip
"""Classes that compute the lengths for a loss, or turn its labels into numbers."""
_OWN = (
    "Add", "AdditiveAttention", "Attention", "Average", "Concatenate", "Dot", "Maximum", "Minimum",
    "MultiHeadAttention", "Multiply", "SlicingOpLambda", "Subtract", "TFOpLambda",
)  # fmt: skip
"""Keras' own classes that take several inputs; not every file states the module of a class."""


def prediction(
    config: Mapping[str, Any], lambdas: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], str | None]:
    """Remove the training head and what only it needs from a configuration; return that and the head's name.

    Args:
        config: of the whole model.
        lambdas: what the user says of layers, by name; `LOSS` declares a training head.

    Raises:
        ModelFileError: the model has several outputs, or it is not clear which input of its head is the prediction.
    """
    listed = layers_of(config)
    layers = {layer["name"]: layer for layer in listed}
    outputs = [tensor for tensor in _tensors(config["config"].get("output_layers")) if tensor[0] in layers]
    heads = [layers[name] for name, *_ in outputs if _is_loss(layers[name], layers, lambdas or {})]
    predictions = {_prediction(head, layers) for head in heads}
    if len(outputs) > 1 and (len(heads) < len(outputs) or len(predictions) > 1):
        names = ", ".join(name for name, *_ in outputs)
        raise ModelFileError(
            f"the model has {len(outputs)} outputs, {names}; expected one, the prediction: save keras.Model(image,"
            " prediction)"
        )
    if not heads:
        return dict(config), None
    head = heads[0]
    ((name, call, result),) = predictions
    if layers[name]["class_name"] == "Functional" and isinstance(head["inbound_nodes"][0], dict):
        call += 1  # Keras 3 counts the call that made a model where it is an output, but not where it is an argument
    needed = _needed(name, layers)
    kept = [layer for layer in listed if layer["name"] in needed]
    inputs = [[layer["name"], 0, 0] for layer in kept if layer["class_name"] == "InputLayer"]
    settings = {**config["config"], "layers": kept, "input_layers": inputs, "output_layers": [name, call, result]}
    return {**config, "config": settings}, ", ".join(head["name"] for head in heads)


def _is_loss(layer: Mapping[str, Any], layers: _Layers, lambdas: Mapping[str, str]) -> bool:
    if lambdas.get(layer["name"]) == LOSS:
        return True
    if not _has_code(layer) or len(_sources(layer, layers)) < 2:
        return False
    named = any(_LOSS_NAME.search(name) for name in (layer["name"], layer["class_name"]))
    return named or (layer["class_name"] == "Lambda" and layer["config"].get("output_shape") in _NUMBERS_PER_IMAGE)


def _has_code(layer: Mapping[str, Any]) -> bool:
    """Return whether a layer is a Lambda or of a class that is not Keras' own."""
    kind, module = layer["class_name"], layer.get("module")
    if kind == "Lambda":
        return True
    if module is None:
        return not {kind, f"ops.{kind}"} & {*_OWN, *LAYERS}
    return str(module).split(".")[0] not in ("keras", "tf_keras")


def _prediction(head: Mapping[str, Any], layers: _Layers) -> _Tensor:
    """Find the input of the head that is neither labels nor lengths."""
    taken = _sources(head, layers)
    computed = [tensor for tensor in taken if layers[tensor[0]]["class_name"] != "InputLayer"]
    likely = [tensor for tensor in computed if not _is_operation(layers[tensor[0]])]
    candidates = computed if len(computed) == 1 else likely
    if len(candidates) != 1:
        takes = ", ".join(f"{name} ({layers[name]['class_name']})" for name, *_ in taken)
        raise ModelFileError(
            f"layer {head['name']!r} ({head['class_name']}): ends the model as its loss and takes {takes}; expected one"
            " prediction beside Inputs: save keras.Model(image, prediction)"
        )
    return candidates[0]


def _is_operation(layer: Mapping[str, Any]) -> bool:
    kind, module = layer["class_name"], layer.get("module")
    unnamed = module is None and f"ops.{kind}" in LAYERS and kind not in LAYERS
    return kind in _OPERATIONS or unnamed or str(module).startswith("keras.src.ops")


def _needed(name: str, layers: _Layers) -> set[str]:
    """Collect a layer and everything that it depends on."""
    needed = {name}
    pending = [name]
    while pending:
        sources = {source for source, *_ in _sources(layers[pending.pop()], layers)} - needed
        needed |= sources
        pending += sources
    return needed


def _sources(layer: Mapping[str, Any], layers: _Layers) -> list[_Tensor]:
    """List the tensors among a layer's arguments, without duplicates."""
    tensors = dict.fromkeys(_tensors(layer.get("inbound_nodes")))
    return [tensor for tensor in tensors if tensor[0] in layers]


def _tensors(value: object) -> Iterator[_Tensor]:
    match value:
        case [str(name), int(call), int(result), *more]:  # in Keras 2, keywords are the fourth
            yield name, call, result
            yield from _tensors(more)
        case dict() | list():
            for part in value.values() if isinstance(value, dict) else value:
                yield from _tensors(part)
