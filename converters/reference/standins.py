"""Stand-ins for layers whose code is not run: Keras runs the behaviour that the user has declared instead.

A Lambda holds code, and a layer class of the user's own is known to nobody here. The graph has nodes for such a layer,
because the user has said what it does; its stand-in runs these nodes in NumPy. That the declaration is true, no
reference can tell: labelled images do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..graph import oracle
from ..graph.cells import Array
from ..trained.keras.builder import Fragment


def run(fragment: Fragment, *inputs: Array) -> Array:
    """Compute the value of a fragment for a batch of its inputs, each (N, ...)."""
    values = dict(zip(fragment.inputs, inputs, strict=True))
    for node in fragment.nodes:
        values[node.name] = oracle.evaluate(node, [values[name] for name in node.inputs])
    value = values[fragment.value.name]
    return np.ascontiguousarray(np.broadcast_to(value, (len(inputs[0]), *value.shape[1:])), np.float32)


def stand_in(tensorflow: Any, keras: Any, fragments: Mapping[str, Fragment]) -> Any:
    """Return a layer class of this Keras that stands in for any of these layers; `key` selects the layer."""

    class StandIn(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, key: str, **settings: Any) -> None:
            super().__init__(**settings)
            self._fragment = fragments[key]

        @tensorflow.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
        def call(self, inputs: Any, *more: Any, **_: Any) -> Any:
            tensors = tensorflow.nest.flatten([inputs, *more])
            result = tensorflow.numpy_function(self._run, tensors, tensorflow.float32)
            result.set_shape((tensors[0].shape[0], *self._fragment.value.shape))
            return result

        def _run(self, *inputs: Array) -> Array:
            return run(self._fragment, *(array.astype(np.float32) for array in inputs))

        def compute_output_shape(self, shape: Any, *_: Any, **__: Any) -> Any:
            first = shape
            while isinstance(first[0], list | tuple) or hasattr(first[0], "as_list"):
                first = first[0]
            return (first[0], *self._fragment.value.shape)

        def load_own_variables(self, store: Any) -> None:
            """Leave the layer's weights alone: the fragment has them."""

    return StandIn
