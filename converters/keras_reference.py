"""The reference of verification: the model as Keras itself runs it. The only module that imports TensorFlow."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_crnn.backends.base import BackendFacts, Probabilities, check_batch
from edge_crnn.errors import BackendError, BackendUnavailable, ModelFileError

from .keras_file import open_keras_file
from .keras_model import ADDED_SOFTMAX, load_graph

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


class KerasReference:
    """A trained model run by Keras, in batches of one fixed size; a model that ends in logits gets a softmax.

    Code in the file is not run: a Lambda that turns a backward LSTM round is replaced by a layer that does so, and any
    other is refused.

    Raises:
        BackendUnavailable: TensorFlow or Keras is not installed, or Keras runs on another engine.
        ModelFileError: `converters.keras_model.load_graph` refuses the file, or Keras does.
    """

    def __init__(self, path: Path, batch: int = 32) -> None:
        graph = load_graph(path)
        self._steps_classes = graph.output_shape
        self._tensorflow, keras = import_keras()
        self._model = model = _load(path, keras)
        self.facts = BackendFacts(
            name="keras",
            version=keras.__version__,
            precision="+".join(sorted({each.dtype_policy.name for each in model.layers})),
            input_shape=(graph.input_shape[0], graph.input_shape[1], graph.input_shape[2]),
            input_dtype="float32",
            max_batch=batch,
        )
        has_logits = graph.layers[-1].name == ADDED_SOFTMAX
        tensorflow = self._tensorflow

        def call(images: Any) -> Any:
            given = tensorflow.cast(model(images, training=False), tensorflow.float32)
            return tensorflow.nn.softmax(given) if has_logits else given

        signature = [tensorflow.TensorSpec((batch, *graph.input_shape), tensorflow.float32)]
        self._call = tensorflow.function(call, input_signature=signature).get_concrete_function()

    def infer(self, batch: npt.NDArray[np.generic]) -> Probabilities:
        """See `edge_crnn.backends.base.Backend.infer`."""
        check_batch(batch, self.facts)
        if self._model is None:
            raise BackendError("keras: used after close(); open the model again")
        size = self.facts.max_batch or 1
        parts = [np.zeros((0, *self._steps_classes), np.float32)]
        for start in range(0, len(batch), size):
            images = batch[start : start + size]
            padded = np.zeros((size, *self.facts.input_shape), np.float32)
            padded[: len(images)] = images
            try:
                parts.append(self._call(self._tensorflow.constant(padded)).numpy()[: len(images)])
            except self._tensorflow.errors.OpError as error:
                raise BackendError(f"keras: inference failed ({error.message})") from error
        return np.concatenate(parts)

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        self._model = self._call = None


def import_keras() -> tuple[Any, Any]:
    """TensorFlow, and Keras on top of it, without their chatter.

    Raises:
        BackendUnavailable: one is not installed, or Keras runs on another engine.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        with contextlib.nullcontext() if "tensorflow" in sys.modules else _silent_stderr():
            tensorflow, keras = (importlib.import_module(name) for name in ("tensorflow", "keras"))
    except ImportError as error:
        raise BackendUnavailable(
            f"running the trained model needs {error.name}: pip install 'edge-crnn[convert]'"
        ) from error
    if keras.backend.backend() != "tensorflow":
        raise BackendUnavailable(f"Keras runs on {keras.backend.backend()}; set KERAS_BACKEND=tensorflow")
    return tensorflow, keras


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """TensorFlow's libraries greet on file descriptor 2 before any log level counts."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _load(path: Path, keras: Any) -> Any:
    """The model, with Lambdas (`load_graph` let pass only those that turn a sequence round) replaced."""
    with open_keras_file(path) as file:
        config = file.config
    turn = _turn(keras)
    replaced = _without_lambdas(config["config"])
    try:
        if path.suffix in (".h5", ".hdf5"):
            turns = {"Flip": turn, "Lambda": turn}
            return keras.saving.load_model(path, custom_objects=turns, compile=False, safe_mode=True)
        # Not load_model, in which a custom object cannot stand in for a class of Keras' own.
        clean = {"module": config.get("module"), "class_name": config["class_name"], "config": replaced}
        model = keras.saving.deserialize_keras_object(clean, custom_objects={"Turn": turn}, safe_mode=True)
        model.load_weights(path)
    except (ValueError, TypeError, KeyError, AttributeError, ImportError, OSError, RuntimeError) as error:
        first = str(error).partition("\n")[0][:500]
        raise ModelFileError(f"{path}: Keras {keras.__version__} cannot load it ({first}); save it anew") from error
    return model


def _without_lambdas(config: Any) -> Any:
    """A layer's or model's configuration with each Lambda as Turn; refuses what names a module outside of Keras."""
    if isinstance(config, list):
        return [_without_lambdas(each) for each in config]
    if not isinstance(config, dict):
        return config
    module = config.get("module")
    if module is not None and module not in _TRUSTED_MODULES:
        raise ModelFileError(f"its configuration names module {module!r}, which is not loaded; save the model anew")
    if config.get("class_name") == "Lambda":
        settings = {"name": config["config"]["name"]}
        return {**config, "module": None, "class_name": "Turn", "registered_name": "Turn", "config": settings}
    return {key: _without_lambdas(each) for key, each in config.items()}


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
