"""Reads a model's configuration into the calls of its layers, in the order in which they are computed.

Keras 2 and Keras 3 write calls differently; here both become arguments with a `Ref` for each tensor. The model is
walked from its output back, so layers that do not add to the output, such as a training head's inputs, are never
looked at. A nested model is a layer whose function walks its own configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from edge_crnn.errors import ModelFileError

from .builder import ConvertedLayer, GraphBuilder, Layer, Value, convert, converts, values_in
from .config import MAX_SIZE, LayerConfig, layer_config
from .file import Weights, layers_of
from .guesses import attempt

_MODELS = ("Functional", "Model", "Sequential")
_MAX_DEPTH = 16
_CONSTANT = "_CONSTANT_VALUE"
"""Keras 2 writes this instead of a layer's name if an argument is a number."""


@dataclass(frozen=True)
class Ref:
    """A tensor, identified by layer, call and result."""

    layer: str
    call: int = 0
    result: int = 0

    @property
    def whole(self) -> Ref:
        """The ref of the whole call, whichever its result."""
        return Ref(self.layer, self.call)


@dataclass(frozen=True)
class Call:
    """A use of a layer."""

    args: tuple[Any, ...]
    """Tensors are `Ref`, also within lists."""
    keywords: Mapping[str, Any]

    @property
    def refs(self) -> list[Ref]:
        """All input tensors, in order."""
        return list(_refs([*self.args, *self.keywords.values()]))


@dataclass(frozen=True)
class ModelConfig:
    """A model: its layers with their calls, its inputs and its outputs."""

    layers: Mapping[str, LayerConfig]
    calls: Mapping[str, tuple[Call, ...]]
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    entries: list[dict[str, Any]]
    """The layers as the file lists them."""
    counted_from_one: frozenset[str] = frozenset()
    """Layers that are models; their first call, which made them, is counted but not listed."""
    by_key: bool = False
    """Whether the inputs are a dictionary; its sorted keys give their order."""


def model_config(config: Mapping[str, Any], keras2: bool) -> ModelConfig:
    """Read the configuration of a functional or sequential model.

    Raises:
        ModelFileError: it is damaged, or a model of another class.
    """
    kind = config.get("class_name")
    if kind not in _MODELS:
        raise ModelFileError(f"model of class {kind!r}; supported: Functional, Sequential")
    entries = layers_of(config)
    layers: dict[str, LayerConfig] = {}
    for entry in entries:
        layer = layer_config(entry, keras2)
        if layer.name in layers:
            raise ModelFileError(f"two layers are named {layer.name!r}; save the model again")
        layers[layer.name] = layer
    if kind == "Sequential":
        return _sequential(layers, entries)
    names = frozenset(layers)
    calls = {str(entry["name"]): _calls(str(entry["name"]), entry.get("inbound_nodes"), names) for entry in entries}
    settings = config["config"]
    inputs, outputs = (_ends(settings.get(key), key) for key in ("input_layers", "output_layers"))
    models = frozenset(name for name, layer in layers.items() if _is_counted_from_one(layer))
    if not keras2:  # counts so in a model's outputs alone
        outputs = tuple(replace(ref, call=max(ref.call - (ref.layer in models), 0)) for ref in outputs)
        models = frozenset()
    by_key = isinstance(settings.get("input_layers"), dict)
    return ModelConfig(layers, calls, inputs, outputs, entries, models, by_key)


def _is_counted_from_one(layer: LayerConfig) -> bool:
    """Return whether Keras called the layer when it built it, because it is a model with an Input."""
    if layer.kind != "Sequential" or not layer.keras2:
        return layer.kind in ("Functional", "Model")
    first = layers_of({"config": layer.settings})[0]
    return "batch_input_shape" in first["config"]


def _sequential(layers: Mapping[str, LayerConfig], entries: list[dict[str, Any]]) -> ModelConfig:
    """Connect each layer to the layer before it; without an InputLayer, the first one takes the model's input."""
    names = list(layers)
    first = layers[names[0]]
    start = names[0] if first.kind == "InputLayer" else "(input)"
    before = [start, *(name for name in names if name != start)]
    calls = {name: (Call((Ref(source),), {}),) for source, name in pairwise(before)}
    return ModelConfig(layers, {start: (), **calls}, (Ref(start),), (Ref(names[-1]),), entries)


def _ends(value: object, key: str) -> tuple[Ref, ...]:
    """Read inputs or outputs: one as [name, call, result], several as a list, named ones as a dictionary."""
    match value:
        case [str(), int(), int()]:
            return (_ref(value),)
        case list() if value:
            return tuple(ref for part in value for ref in _ends(part, key))
        case dict() if value:
            return tuple(ref for name in sorted(value) for ref in _ends(value[name], key))  # as Keras flattens them
    raise ModelFileError(f"{key} {str(value)[:200]}, expected a list of tensors; the file is damaged: save it again")


def _ref(value: Sequence[Any]) -> Ref:
    layer, call, result = value[:3]
    if not (0 <= call < MAX_SIZE and 0 <= result < MAX_SIZE):
        raise ModelFileError(f"tensor {value!r} does not exist; the file is damaged: save the model again")
    return Ref(layer, call, result)


def _calls(layer: str, calls: object, names: frozenset[str]) -> tuple[Call, ...]:
    if calls is None:
        return ()
    if not isinstance(calls, list):
        raise ModelFileError(
            f"layer {layer!r}: inbound_nodes {str(calls)[:200]}, expected a list; save the model again"
        )
    return tuple(_keras3_call(call) if isinstance(call, dict) else _keras2_call(layer, call, names) for call in calls)


def _keras3_call(call: Mapping[str, Any]) -> Call:
    args, keywords = call.get("args") or [], call.get("kwargs") or {}
    if not isinstance(args, list) or not isinstance(keywords, dict):
        raise ModelFileError(f"a call {str(call)[:200]} has no arguments; the file is damaged: save the model again")
    return Call(tuple(map(_keras3_value, args)), {name: _keras3_value(value) for name, value in keywords.items()})


def _keras3_value(value: Any) -> Any:
    match value:
        case {"class_name": "__keras_tensor__", "config": {"keras_history": [str(), int(), int()] as history}}:
            return _ref(history)
        case {"class_name": "__slice__", "config": {"start": start, "stop": stop, "step": step}}:
            return slice(start, stop, step)
        case {"class_name": "__ellipsis__"}:
            return Ellipsis
        case {"class_name": "__tensor__" | "__numpy__", "config": {"value": numbers}}:
            return _numbers(numbers)
        case dict():
            return {key: _keras3_value(part) for key, part in value.items()}
        case list():
            return [_keras3_value(part) for part in value]
    return value


def _numbers(value: object) -> Any:
    try:
        with np.errstate(over="ignore"):
            return np.asarray(value, np.float32)
    except (OverflowError, ValueError, TypeError) as error:
        raise ModelFileError(f"a constant {str(value)[:100]} is no array of numbers; save the model again") from error


def _keras2_call(layer: str, call: object, names: frozenset[str]) -> Call:
    """Read [[layer, call, result, keywords], …]; an operation has its only tensor without the outer list."""
    match call:
        case [str(), int(), *_] as tensor:
            args, keywords = _keras2_tensor(tensor, names), _keras2_keywords(tensor, names)
            return Call((args,), keywords)
        case [[str(), int(), *_], *_] as tensors if all(isinstance(tensor, list) for tensor in tensors):
            values = [_keras2_tensor(tensor, names) for tensor in tensors]
            keywords = {key: value for tensor in tensors for key, value in _keras2_keywords(tensor, names).items()}
            return Call((values[0],) if len(values) == 1 else (values,), keywords)
    raise ModelFileError(f"layer {layer!r} takes {str(call)[:200]}, expected tensors; save the model again")


def _keras2_tensor(tensor: Any, names: frozenset[str]) -> Any:
    match tensor:
        case [str(name), int(), value, *_] if name == _CONSTANT and name not in names:
            return value
        case [str(), int(), int(), *_]:
            return _ref(tensor)
    raise ModelFileError(f"{str(tensor)[:200]} is no tensor; the file is damaged: save the model again")


def _keras2_keywords(tensor: Any, names: frozenset[str]) -> dict[str, Any]:
    keywords = tensor[3] if len(tensor) > 3 and isinstance(tensor[3], dict) else {}
    return {name: _keras2_value(value, names) for name, value in keywords.items()}


def _keras2_value(value: Any, names: frozenset[str]) -> Any:
    match value:
        case [str(name), int(), int()] if name in names:
            return _ref(value)
        case {"start": start, "stop": stop, "step": step}:
            return slice(start, stop, step)
        case list():
            return [_keras2_value(part, names) for part in value]
        case dict():
            return {key: _keras2_value(part, names) for key, part in value.items()}
    return value


def _refs(structure: object) -> Iterator[Ref]:
    if isinstance(structure, Ref):
        yield structure
    elif isinstance(structure, dict):
        yield from _refs(list(structure.values()))
    elif isinstance(structure, list | tuple):
        for part in structure:
            yield from _refs(part)


def order(model: ModelConfig) -> Iterator[Ref]:
    """List the calls that the model's outputs need in topological order; `result` is 0.

    Raises:
        ModelFileError: a layer feeds itself, or takes one that is not listed.
    """
    done: set[Ref] = set()
    for output in model.outputs:
        path: dict[Ref, Iterator[Ref]] = {}
        pending = [output.whole]
        while pending:
            ref = pending[-1]
            if ref in done:
                pending.pop()
                continue
            if ref not in path:
                path[ref] = iter({source.whole: None for source in call_of(model, ref).refs})
            source = next((source for source in path[ref] if source not in done), None)
            if source is None:
                done.add(pending.pop())
                del path[ref]
                yield ref
            elif source in path:
                raise ModelFileError(f"layer {source.layer!r} feeds itself; the file is damaged: save the model again")
            else:
                pending.append(source)


def call_of(model: ModelConfig, ref: Ref) -> Call:
    """Return the call that computes a tensor; the call of a model's input takes nothing.

    Raises:
        ModelFileError: the layer is not listed, or is not called as often.
    """
    layer = model.layers.get(ref.layer)
    calls = model.calls.get(ref.layer)
    if calls is None:
        raise ModelFileError(f"layer {ref.layer!r} is used but not listed; the file is damaged: save the model again")
    if layer is None or layer.kind == "InputLayer" or ref.whole in model.inputs:
        return Call((), {})
    counted = ref.layer in model.counted_from_one
    likely = (ref.call - counted, ref.call - (not counted))
    index = next((index for index in likely if 0 <= index < len(calls)), None)
    if index is None:
        raise ModelFileError(f"call {ref.call} of layer {ref.layer!r} is not listed; save the model again")
    return calls[index]


def evaluate(
    model: ModelConfig,
    inputs: Mapping[Ref, Value],
    builder: GraphBuilder,
    weights: Weights,
    *,
    scope: str = "",
    depth: int = 0,
) -> tuple[Value, ...]:
    """Put a model's layers into the graph.

    Args:
        model: to be evaluated.
        inputs: values of the model's input tensors.
        builder: of the graph.
        weights: of the model's layers.
        scope: prefix of the names of nodes.
        depth: how many models this one is nested in.

    Returns:
        The values of the model's outputs.

    Raises:
        ModelFileError: a layer cannot be converted, or the model needs an input that has no value.
    """
    if depth > _MAX_DEPTH:
        raise ModelFileError(f"models are nested more than {_MAX_DEPTH} deep, which is more than edge-crnn converts")
    values: dict[Ref, tuple[Value, ...]] = {ref: (value,) for ref, value in inputs.items()}
    for ref in order(model):
        if ref in values:
            continue
        config = model.layers[ref.layer]
        call = call_of(model, ref)
        settings = [value for name, value in config.settings.items() if name != "layers"]  # each is charged for itself
        builder.charge(_size([settings, call.args, call.keywords]))
        if config.kind == "InputLayer":
            raise config.error("a second input that the prediction depends on; a CRNN reads one image and nothing else")

        def bound(structure: Any) -> Any:
            return _bound(structure, values)

        layer = Layer(
            f"{scope}{config.name}", config.kind, config.settings, config.keras2,
            builder=builder, weights=weights, owner=config.name, depth=depth,
            args=tuple(bound(list(call.args))), keywords=bound(dict(call.keywords)),
        )  # fmt: skip
        results = convert(layer) if builder.obstacles is None else attempt(layer, config.built_for)
        values[ref] = results if isinstance(results, tuple) else (results,)
        if config.kind not in _MODELS:
            first = values[ref][0]
            builder.layers.append(ConvertedLayer(layer.name, config.kind, None if first.guessed else first.shape))
    return tuple(_bound(output, values) for output in model.outputs)


def _bound(structure: Any, values: Mapping[Ref, tuple[Value, ...]]) -> Any:
    """Replace refs in arguments by values."""
    if isinstance(structure, Ref):
        results = values[structure.whole]
        if structure.result >= len(results):
            if results[0].guessed:
                return results[0]
            raise ModelFileError(
                f"result {structure.result + 1} of layer {structure.layer!r} is used, which gives {len(results)} here;"
                " supported: a recurrent layer's sequence, not its states"
            )
        return results[structure.result]
    if isinstance(structure, dict):
        return {key: _bound(part, values) for key, part in structure.items()}
    if isinstance(structure, list | tuple):
        return [_bound(part, values) for part in structure]
    return structure


def _size(structure: object) -> int:
    """Count the elements of nested lists and dictionaries."""
    count = 0
    pending = [structure]
    while pending:
        part = pending.pop()
        if isinstance(part, dict | list | tuple):
            count += len(part)
            pending.extend(part.values() if isinstance(part, dict) else part)
    return count


def _taken(layer: Layer, model: ModelConfig) -> tuple[Value, ...]:
    """Return a nested model's arguments in the order of its inputs; a dictionary is matched by name."""
    argument = layer.args[0] if len(layer.args) == 1 else None
    if isinstance(argument, dict) and not model.by_key and all(ref.layer in argument for ref in model.inputs):
        return tuple(values_in([argument[ref.layer] for ref in model.inputs]))
    return layer.inputs


@converts(*_MODELS)
def nested(layer: Layer) -> tuple[Value, ...]:
    """A model within a model."""
    key = id(layer.settings)
    if key not in layer.builder.models:  # which keeps the settings, so that no others get their identity
        config = {"class_name": layer.kind, "config": layer.settings}
        layer.builder.models[key] = layer.settings, model_config(config, layer.keras2)
    model = layer.builder.models[key][1]
    taken = _taken(layer, model)
    if len(taken) != len(model.inputs):
        raise layer.error(f"takes {len(taken)} values, expected {len(model.inputs)}")
    return evaluate(
        model,
        dict(zip(model.inputs, taken, strict=True)),
        layer.builder,
        layer.weights.inside(layer.owner, model.entries),
        scope=f"{layer.name}/",
        depth=layer.depth + 1,
    )
