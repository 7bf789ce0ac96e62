"""The reference of verification: the model that the user saved, as the Keras that saved it runs it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from edge_crnn.errors import ModelFileError

from ..graph.nodes import Shape
from ..trained.keras.builder import LAYERS
from ..trained.keras.config import is_operation
from ..trained.keras.head import prediction
from ..trained.keras.layers.operations import TENSORFLOW_OPERATIONS
from ..trained.keras.model import Ends, Network, load_network
from ..trained.keras.weights import SeedStructure, Structure, open_model
from .engine import import_keras, import_keras2
from .standins import stand_in
from .tensorflow import TensorFlowReference

_STAND_IN = "EdgeCrnnStandIn"
_KERAS2_GATE = "hard_sigmoid_keras2"
_MODELS = ("Functional", "Model", "Sequential")
_PARTS = ("GRUCell", "InputLayer", "LSTMCell", "StackedRNNCells")
"""Keras' layers that are inside other layers, or come first."""
_TRUSTED_MODULES = (
    "keras",
    "keras.activations",
    "keras.constraints",
    "keras.initializers",
    "keras.layers",
    "keras.regularizers",
    "keras.src.models.functional",
    "keras.src.models.sequential",
)
"""Modules that a configuration may name: Keras imports them, and old versions call whatever they contain."""
_KERAS2_MODELS = re.compile(r"(tf_)?keras\.(src\.)?engine\.(functional|sequential)")
"""Modules with the classes of models in the versions of Keras 2."""
_OPERATIONS = ("keras.src.ops.core", "keras.src.ops.math", "keras.src.ops.nn", "keras.src.ops.numpy")
_SCOPE = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
"""Names that TensorFlow takes as the outermost name scope."""
_CUDNN = {
    "CuDNNGRU": {"class_name": "GRU", "settings": {"recurrent_activation": "sigmoid", "reset_after": True}},
    "CuDNNLSTM": {"class_name": "LSTM", "settings": {"recurrent_activation": "sigmoid"}},
}
"""Layers that run only on a GPU → layers that compute the same anywhere and read their weights."""


class KerasReference(TensorFlowReference):
    """A trained model run by Keras, in batches of one fixed size; a model that ends in logits gets a softmax.

    Keras builds the model and reads its weights itself: Keras 2 what Keras 2 has saved, Keras 3 all else. Code in the
    file is not run: a training head is left out, and what the user has declared stands in for Lambdas, and for layers
    of the user's own unless their classes are given.

    Raises:
        BackendUnavailable: TensorFlow or Keras is not installed, or Keras runs on another engine.
        ModelFileError: `load_network` refuses the file, or Keras does.
    """

    def __init__(
        self,
        path: Path,
        structure: Structure | None = None,
        network: Network | None = None,
        *,
        lambdas: Mapping[str, str] | None = None,
        classes: Mapping[str, Any] | None = None,
        batch: int = 32,
    ) -> None:
        """Load a model.

        Args:
            path: a `.keras` or `.h5` file.
            structure: the structure that a weights-only file lacks.
            network: result of `load_network` with the user's declarations; None: without declarations.
            lambdas: meanings of Lambdas in the spec.
            classes: Keras classes of the user's own layers, by name.
            batch: images per call.
        """
        network = network or load_network(path, structure)
        with open_model(path, structure) as file:
            config, _ = prediction(file.config, lambdas or {})
            keras2 = file.keras2 and not isinstance(structure, SeedStructure)  # which Keras 3 has built
        tensorflow, keras = import_keras2() if keras2 else import_keras()
        rewrite = _Rewrite(tensorflow, keras, network, classes or {}, file.keras2, keras2)
        model = rewrite.load(path, config)
        if len(model.inputs) > 1:  # labels and lengths that nothing takes
            model = keras.Model(model.get_layer(network.ends.image).output, model.outputs)
        if not keras2:
            _make_scopable(model)
        ends = network.ends
        shape = network.graph.output_shape

        def call(images: Any) -> Any:
            (output,) = tensorflow.nest.flatten(model(_as_taken(tensorflow, images, ends), training=False))
            return _as_given(tensorflow, output, ends, (batch, *shape))

        precision = "+".join(sorted({_policy(layer) for layer in model.layers}))
        super().__init__(
            tensorflow, call, network.graph, batch,
            name="tf-keras" if keras2 else "keras", version=keras.__version__, precision=precision,
        )  # fmt: skip


def _make_scopable(model: Any) -> None:
    """Rename layers whose names TensorFlow rejects as name scopes, such as 'layer 1'.

    Keras 3 builds and saves layers with any name, but TensorFlow cannot run them.
    """
    for number, layer in enumerate(model._flatten_layers()):
        if not _SCOPE.fullmatch(layer.name):
            layer.name = f"layer_{number}"


def _policy(layer: Any) -> str:
    policy = getattr(layer, "dtype_policy", None)
    return str(policy.name if policy is not None else layer.dtype)


def _as_taken(tensorflow: Any, images: Any, ends: Ends) -> Any:
    """Convert images from the graph's form, channels last, to the model's."""
    match ends.axes:
        case "channels first":
            return tensorflow.transpose(images, (0, 3, 1, 2))
        case "no channels":
            return images[..., 0]
        case _:
            return images


def _as_given(tensorflow: Any, output: Any, ends: Ends, shape: Shape) -> Any:
    """Convert the model's output to probabilities of this shape."""
    output = tensorflow.cast(output, tensorflow.float32)
    if ends.time_major:
        output = tensorflow.transpose(output, (1, 0, 2))
    output = tensorflow.reshape(output, shape)
    return tensorflow.nn.softmax(output) if ends.softmax else output


class _Rewrite:
    """Rewrites a model's configuration: drops what must not be loaded, and adds stand-ins for what Keras cannot run."""

    def __init__(
        self,
        tensorflow: Any,
        keras: Any,
        network: Network,
        classes: Mapping[str, Any],
        written_by_keras2: bool,
        run_by_keras2: bool,
    ) -> None:
        self._keras = keras
        self._network = network
        self._classes = classes
        self._by_keras2 = written_by_keras2
        self._translate = written_by_keras2 and not run_by_keras2
        self._refused: Set[str] = set(dir(keras.layers)) - {*LAYERS, *_PARTS, *_MODELS}
        self._objects = {
            _STAND_IN: stand_in(tensorflow, keras, network.fragments),
            **({_KERAS2_GATE: _keras2_gate(keras)} if self._translate else {}),
            **classes,
        }

    def load(self, path: Path, config: Mapping[str, Any]) -> Any:
        """Load the model with its weights."""
        keras = self._keras
        settings = self._safe(config["config"], "")
        kind = keras.Sequential if config["class_name"] == "Sequential" else keras.Model
        by_name = {"by_name": True} if path.suffix in (".h5", ".hdf5") and self._has_weighted_stand_ins() else {}
        try:
            # Not load_model, in which a custom object cannot stand in for a class of Keras' own.
            with keras.saving.custom_object_scope(self._objects):  # reaches wrapped layers; the argument, the others
                model = kind.from_config(settings, custom_objects=self._objects)
            model.load_weights(path, **by_name)
        except (ValueError, TypeError, KeyError, AttributeError, ImportError, OSError, RuntimeError) as error:
            first = str(error).partition("\n")[0][:500]
            raise ModelFileError(
                f"{path}: Keras {keras.__version__} cannot load it ({first}); save it again"
            ) from error
        return model

    def _has_weighted_stand_ins(self) -> bool:
        """Return whether the file has weights for layers whose stand-ins have none."""
        fragments = self._network.fragments.items()
        return any(node.weights for name, fragment in fragments if name not in self._classes for node in fragment.nodes)

    def _safe(self, config: Any, scope: str) -> Any:
        """Return the settings of a model, a layer or a part of one, after checking them.

        `load_network` has checked what it converts, but Keras would build everything else, too. So whatever names a
        module outside Keras is rejected, and so are layers that no model needs here, some of which read files or run
        code.
        """
        if isinstance(config, list):
            return [self._safe(part, scope) for part in config]
        if not isinstance(config, dict):
            return config
        kind = config.get("class_name")
        if kind is not None and (stand_in_config := self._stand_in(config, scope)) is not None:
            return stand_in_config
        module = config.get("module")
        if model := _KERAS2_MODELS.fullmatch(str(module)):
            module = f"keras.src.models.{model[3]}"
            config = {**config, "module": module if self._translate else f"tf_keras.src.engine.{model[3]}"}
        operation = module in _OPERATIONS and f"ops.{kind}" in LAYERS
        if module is not None and not operation and module not in _TRUSTED_MODULES:
            raise ModelFileError(
                f"its configuration names module {module!r}, which is not loaded; save the model again"
            )
        if kind in ("Lambda", "__lambda__") or str(kind).rpartition(".")[2] in self._refused:
            raise ModelFileError(f"its configuration holds {kind!r}, which is not loaded; save the model again")
        if kind in ("SlicingOpLambda", "TFOpLambda"):
            function = (config.get("config") or {}).get("function")
            if function not in TENSORFLOW_OPERATIONS:
                raise ModelFileError(f"its configuration calls TensorFlow's {function!r}; save the model without it")
        inside = f"{scope}{config.get('name', '')}/" if kind in _MODELS and "name" in config else scope
        safe = {key: self._safe(part, inside) for key, part in config.items()}
        if kind in _CUDNN:
            settings = {**safe["config"], **_CUDNN[kind]["settings"]}  # type: ignore[dict-item]
            safe = {**safe, "class_name": _CUDNN[kind]["class_name"], "config": settings}
        if "module" not in config and (module := self._operation_module(config)) is not None:
            safe |= {"module": module, "registered_name": None}
        return _as_keras3(safe) if self._translate else safe

    def _operation_module(self, config: dict[str, Any]) -> str | None:
        """Return the module of an operation of `keras.ops`, which an `.h5` of Keras 3 does not state."""
        settings, kind = config.get("config"), str(config.get("class_name"))
        if self._by_keras2 or not isinstance(settings, dict) or not is_operation(kind, settings):
            return None
        return next((name for name in _OPERATIONS if hasattr(sys.modules.get(name), kind)), None)

    def _stand_in(self, config: dict[str, Any], scope: str) -> dict[str, Any] | None:
        """Return what replaces a declared layer: the user's own class, or a layer that runs its part of the graph."""
        settings = config.get("config")
        if not isinstance(settings, dict):
            return None
        name = str(config.get("name") or settings.get("name"))
        kind = str(config["class_name"]).rpartition(">")[2]
        if kind in self._classes:
            return {**config, "module": None, "class_name": kind, "registered_name": kind}
        if f"{scope}{name}" not in self._network.fragments:
            return None
        # Another name, by which no weights are found in the file: the fragment has them.
        replaced = {"name": f"{name}_stand_in", "key": f"{scope}{name}"}
        return {**config, "module": None, "class_name": _STAND_IN, "registered_name": _STAND_IN, "config": replaced}


def _as_keras3(settings: dict[str, Any]) -> dict[str, Any]:
    """Translate a layer's settings from Keras 2 to Keras 3, for weights-only files."""
    settings.pop("time_major", None)  # `load_network` let pass only False
    match settings:
        case {"axis": [axis]}:
            settings["axis"] = axis
        case {"recurrent_activation": "hard_sigmoid"}:
            function = {"module": None, "class_name": "function", "config": _KERAS2_GATE}
            settings["recurrent_activation"] = {**function, "registered_name": _KERAS2_GATE}
    return settings


def _keras2_gate(keras: Any) -> Any:
    """Return Keras 2's `hard_sigmoid`; in Keras 3 the name stands for relu6(x + 3) / 6."""

    def hard_sigmoid_keras2(x: Any) -> Any:
        return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)

    return hard_sigmoid_keras2
