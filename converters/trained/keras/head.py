"""A model that was saved as it was trained ends in its loss; what is converted is its prediction part.

Such a training head, a Lambda around `ctc_batch_cost` or a layer class of the user's own, is recognised by its place:
it ends the model and takes the prediction, and otherwise Inputs alone (labels, lengths). Its code is never looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge_crnn.errors import ModelFileError

from .file import layers_of

_MERGES = (
    "Add", "AdditiveAttention", "Attention", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply",
    "MultiHeadAttention", "Subtract",
)  # fmt: skip
"""Keras' own layers that take several inputs; what ends in one of them computes with all of these."""


def prediction(config: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """A model's configuration without its training head and the Inputs that feed it alone, and the head's name.

    Raises:
        ModelFileError: the model ends in a layer that takes several inputs and is no training head.
    """
    listed = layers_of(config)
    layers = {layer["name"]: layer for layer in listed}
    name = _output(config["config"])
    head = layers.get(name) if name is not None else None
    if head is None or not _has_code(head):
        return dict(config), None
    taken = _sources(head, layers)
    predictions = [each for each in taken if layers[each]["class_name"] != "InputLayer"]
    if len(taken) < 2:
        return dict(config), None
    if len(predictions) != 1:
        takes = ", ".join(f"{each} ({layers[each]['class_name']})" for each in taken)
        raise ModelFileError(
            f"layer {name!r} ({head['class_name']}): ends the model and takes {takes}; supported: a training head,"
            " which takes the prediction and otherwise Inputs; save keras.Model(image, prediction) instead"
        )
    others = [each for each in listed if each is not head]
    used = {source for each in others for source in _sources(each, layers)}
    kept = [each for each in others if each["name"] not in taken or each["name"] in {*used, *predictions}]
    inputs = [[each["name"], 0, 0] for each in kept if each["class_name"] == "InputLayer"]
    ends = {"input_layers": inputs, "output_layers": [*predictions, 0, 0]}
    return {**config, "config": {**config["config"], "layers": kept, **ends}}, name


def _output(settings: Mapping[str, Any]) -> str | None:
    match settings.get("output_layers"):
        case [str(name), 0, 0] | [[str(name), 0, 0]]:
            return name
    return None


def _has_code(layer: Mapping[str, Any]) -> bool:
    """Whether a layer is a Lambda or of a class that is not Keras' own; Keras 2 does not tell the latter's module."""
    kind, module = layer["class_name"], layer.get("module")
    own = kind in _MERGES if module is None else str(module).split(".")[0] in ("keras", "tf_keras")
    return kind == "Lambda" or not own


def _sources(layer: Mapping[str, Any], layers: Mapping[str, Any]) -> list[str]:
    """Names of the layers whose outputs a layer takes, in whichever argument; each once."""
    return list(dict.fromkeys(_named(layer.get("inbound_nodes"), layers)))


def _named(value: object, layers: Mapping[str, Any]) -> Iterator[str]:
    match value:
        case [str(name), int(), int(), *more]:  # in Keras 2, keywords are the fourth
            if name in layers:
                yield name
            yield from _named(more, layers)
        case dict() | list():
            for each in value.values() if isinstance(value, dict) else value:
                yield from _named(each, layers)
