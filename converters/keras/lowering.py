"""Lowers a graph node by node to the layers of a Keras model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from ..graph import oracle
from ..graph.graph import INPUT, Graph
from ..graph.nodes import (
    Affine,
    Binary,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    MatMul,
    Node,
    Normalise,
    Pad,
    Permute,
    Pool,
    PRelu,
    Recurrent,
    Reduce,
    Reshape,
    Resize,
    Reverse,
    Slice,
    Softmax,
    SpatialTransform,
    Unary,
)
from . import elements, maps, moves, recurrent
from .place import Names, Operand, Place, Tensor

Lowering: TypeAlias = Callable[..., Tensor]
"""Takes the place, the node and its operands; gives its value."""

LOWERINGS: Mapping[type[Node], Lowering] = {
    Affine: elements.affine,
    Binary: elements.binary,
    Concat: moves.concat,
    Conv: maps.conv,
    ConvTranspose: maps.conv_transpose,
    Dense: elements.dense,
    MatMul: elements.matmul,
    Normalise: elements.normalise,
    Pad: moves.pad,
    Permute: moves.permute,
    Pool: maps.pool,
    PRelu: elements.prelu,
    Recurrent: recurrent.recurrent,
    Reduce: elements.reduce,
    Reshape: moves.reshape,
    Resize: maps.resize,
    Reverse: moves.reverse,
    Slice: moves.slice_,
    Softmax: elements.softmax,
    SpatialTransform: maps.spatial_transform,
    Unary: elements.unary,
}
"""All primitives except `Constant`: what depends on no image is computed here, and stored where it is used."""


def lower(keras: Any, graph: Graph) -> Any:
    """Return a `keras.Model` of a graph.

    Raises:
        ConversionError: Keras cannot express a node.
        ModelFileError: the graph is not valid.
    """
    shapes = graph.shapes
    names = Names((INPUT, *(node.name for node in graph.nodes)))
    image = keras.Input(graph.input_shape, dtype="float32", name=names.of(INPUT))
    values: dict[str, Operand] = {INPUT: image}
    for node in graph.nodes:
        operands = [values[name] for name in node.inputs]
        if all(isinstance(operand, np.ndarray) for operand in operands):
            with np.errstate(all="ignore"):  # what is not finite shows when the model runs
                values[node.name] = np.asarray(oracle.evaluate(node, [operand[None] for operand in operands])[0])
        else:
            place = Place(keras, names, image, node.name, graph.input_shapes(node), shapes[node.name])
            values[node.name] = LOWERINGS[type(node)](place, node, *operands)
    end = Place(keras, names, image, graph.output, (), graph.output_shape)
    return keras.Model(image, end.per_sample(values[graph.output], "repeated"), name="crnn")
