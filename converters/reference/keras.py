"""The reference of verification: the model as Keras itself runs it."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Any

from edge_crnn.errors import ModelFileError

from ..trained.keras.head import prediction
from ..trained.keras.model import ADDED_SOFTMAX, KINDS, load_graph
from ..trained.keras.weights import Structure, open_model
from .engine import import_keras
from .tensorflow import TensorFlowReference

_KERAS2_GATE = "hard_sigmoid_keras2"
_PARTS = ("Flatten", "GRUCell", "InputLayer", "LSTMCell", "StackedRNNCells")
"""Layers of Keras that are inside others, or before all."""
_TRUSTED_MODULES = (
    "keras",
    "keras.constraints",
    "keras.initializers",
    "keras.layers",
    "keras.regularizers",
    "keras.src.models.functional",
    "keras.src.models.sequential",
    "keras.src.ops.numpy",
)
"""What a configuration may name: Keras imports what stands there, and old versions call whatever they find in it."""


class KerasReference(TensorFlowReference):
    """A trained model run by Keras, in batches of one fixed size; a model that ends in logits gets a softmax.

    Keras builds the model and reads its weights itself. Code in the file is not run: a Lambda that turns a backward
    LSTM round is replaced by a layer that does so, a training head is left out, and any other Lambda is refused.

    Raises:
        BackendUnavailable: TensorFlow or Keras is not installed, or Keras runs on another engine.
        ModelFileError: `converters.trained.keras.model.load_graph` refuses the file, or Keras does.
    """

    def __init__(self, path: Path, structure: Structure | None = None, batch: int = 32) -> None:
        graph = load_graph(path, structure)
        tensorflow, keras = import_keras()
        model = _load(path, structure, keras)
        has_logits = graph.layers[-1].name == ADDED_SOFTMAX

        def call(images: Any) -> Any:
            (given,) = tensorflow.nest.flatten(model(images, training=False))
            given = tensorflow.cast(given, tensorflow.float32)
            return tensorflow.nn.softmax(given) if has_logits else given

        precision = "+".join(sorted({each.dtype_policy.name for each in model.layers}))
        super().__init__(tensorflow, call, graph, batch, name="keras", version=keras.__version__, precision=precision)


def _load(path: Path, structure: Structure | None, keras: Any) -> Any:
    """The model without training head, with stand-ins for what Keras 3 would not run, or not as Keras 2 did."""
    with open_model(path, structure) as file:
        config, _ = prediction(file.config)
        keras2 = file.keras2
    settings = _safe(config["config"], keras2, set(dir(keras.layers)) - {*KINDS, *_PARTS})
    turn = _turn(keras)
    # In HDF5 Keras' own Flip does not say where it is from, and is not found.
    stand_ins = {"Turn": turn, "Flip": turn, _KERAS2_GATE: _keras2_gate(keras)}
    kind = keras.Sequential if config["class_name"] == "Sequential" else keras.Model
    try:
        # Not load_model, in which a custom object cannot stand in for a class of Keras' own.
        with keras.saving.custom_object_scope(stand_ins):  # which reaches wrapped layers, the argument the others
            model = kind.from_config(settings, custom_objects=stand_ins)
        model.load_weights(path)
    except (ValueError, TypeError, KeyError, AttributeError, ImportError, OSError, RuntimeError) as error:
        first = str(error).partition("\n")[0][:500]
        raise ModelFileError(f"{path}: Keras {keras.__version__} cannot load it ({first}); save it anew") from error
    return model


def _safe(config: Any, keras2: bool, refused: Set[str]) -> Any:
    """A layer's or model's settings with stand-ins.

    `load_graph` looked at what it converts, and let pass only Lambdas that turn a sequence round. Keras would build
    whatever else there is: what names a module outside of Keras is refused, and so are its layers that no model here
    needs, among which are some that read files or run code.
    """
    if isinstance(config, list):
        return [_safe(each, keras2, refused) for each in config]
    if not isinstance(config, dict):
        return config
    module, kind = config.get("module"), config.get("class_name")
    if module is not None and module not in _TRUSTED_MODULES:
        raise ModelFileError(f"its configuration names module {module!r}, which is not loaded; save the model anew")
    if kind == "Lambda":
        settings = {"name": config["config"]["name"]}
        return {**config, "module": None, "class_name": "Turn", "registered_name": "Turn", "config": settings}
    if kind == "__lambda__" or str(kind).rpartition(".")[2] in refused:
        raise ModelFileError(f"its configuration holds {kind!r}, which is not loaded; save the model anew")
    safe = {key: _safe(each, keras2, refused) for key, each in config.items()}
    return _as_keras3(safe) if keras2 else safe


def _as_keras3(settings: dict[str, Any]) -> dict[str, Any]:
    """Keras 2's settings of a layer in the words of Keras 3."""
    settings.pop("time_major", None)  # `load_graph` let pass only False
    match settings:
        case {"axis": [axis]}:
            settings["axis"] = axis
        case {"recurrent_activation": "hard_sigmoid"}:
            function = {"module": None, "class_name": "function", "config": _KERAS2_GATE}
            settings["recurrent_activation"] = {**function, "registered_name": _KERAS2_GATE}
    return settings


def _turn(keras: Any) -> Any:
    """A layer that turns the steps of a sequence round."""

    class Turn(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, name: str, **_: object) -> None:
            super().__init__(name=name)

        def call(self, x: Any, **_: object) -> Any:
            return keras.ops.flip(x, axis=1)

        def compute_output_shape(self, shape: Any, **_: object) -> Any:
            return shape

    return Turn


def _keras2_gate(keras: Any) -> Any:
    """What `hard_sigmoid` was in Keras 2; in Keras 3 the name stands for relu6(x + 3) / 6."""

    def hard_sigmoid_keras2(x: Any) -> Any:
        return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)

    return hard_sigmoid_keras2
