"""Decides which nodes are computed in integers where their part of the graph is static int8.

Every int8 op below was run by LiteRT 1.1 to 2.3: it is correct to the rounding of its result.

| primitive | in static int8 |
|---|---|
| Conv, Dense | one scale per output channel; groups are split, and depthwise kernels have an op |
| Affine | a 1×1 DEPTHWISE_CONV_2D, one scale per channel |
| Binary add, subtract, multiply | ADD, SUB, MUL, each operand at its own scale |
| Binary maximum, minimum | MAXIMUM, MINIMUM of operands requantised to the result's scale |
| Unary elu (limit -1), exp, gelu, leaky_relu, sigmoid, tanh | their ops |
| Unary silu; square, negative; hard_sigmoid | LOGISTIC, MUL; MUL; MUL, ADD |
| Reduce mean, sum | MEAN, SUM |
| Reduce max, min; Pool; Resize; Pad with 0 | their ops, at the scale of what they take |
| Softmax | SOFTMAX, at 1/256 |
| Concat | operands at the result's scale: written so, or else requantised |
| Permute, Reshape, Reverse, Slice | bytes move |
| Recurrent | every step written out |
| ConvTranspose, PRelu, Unary abs, hard_silu, relu, relu6 | their ops where all is int8, else float32 |
| Binary divide, MatMul, Normalise, SpatialTransform, and what makes its matrix | float32 |
| Unary elu (other limits), log, mish, rsqrt, selu, softplus, softsign, sqrt | float32 |

What is float32 has no int8 op in every LiteRT, one that fails where a quantised value is 0, or (BATCH_MATMUL in LiteRT
2.0) one that miscalculates. The last but two are slow: XNNPACK does not know them, and RELU takes 1.1 ms for 64×64×32
values where DEQUANTIZE, RELU and QUANTIZE take 0.01. A float32 value stays so up to what multiplies by weights, which
takes it as int8 again. A value is converted once in each direction, however many nodes take it.
"""

from __future__ import annotations

from ..graph.graph import Graph
from ..graph.nodes import (
    Binary,
    Conv,
    ConvTranspose,
    Dense,
    Function,
    MatMul,
    Node,
    Normalise,
    PRelu,
    Recurrent,
    SpatialTransform,
    Unary,
)
from ..recipe import Recipe

_WEIGHS = (Conv, ConvTranspose, Dense, Recurrent)
_SLOW: frozenset[Function] = frozenset({"abs", "hard_silu", "relu", "relu6"})
_FLOATING: frozenset[Function] = frozenset({"log", "mish", "rsqrt", "selu", "softplus", "softsign", "sqrt"})


def floating(graph: Graph, recipe: Recipe) -> frozenset[str]:
    """Return the nodes that stay float32 whatever the recipe of their part is."""
    matrices = {node.inputs[1] for node in graph.nodes if isinstance(node, SpatialTransform)}
    names = set(recipe.float_layers)
    for node in reversed(graph.nodes):
        part = recipe.head if node.name in graph.head else recipe.stack
        if node.name in matrices:  # int8 would move the map by whole pixels
            matrices.update(() if isinstance(node, _WEIGHS) else node.inputs)
            if part in ("static", "dynamic"):
                names.add(node.name)
        if part == "static" and not _is_for_integers(node, recipe):
            names.add(node.name)
    return frozenset(names)


def follows(node: Node) -> bool:
    """Return whether a node is float32 as long as all its inputs are."""
    return not isinstance(node, _WEIGHS)


def _is_for_integers(node: Node, recipe: Recipe) -> bool:
    match node:
        case MatMul() | Normalise() | SpatialTransform() | Binary(operator="divide"):
            return False
        case ConvTranspose() | PRelu():
            return _has_integers_alone(recipe)
        case Unary(function="elu", alpha=alpha):
            return alpha == 1
        case Unary(function=function):
            return function not in _FLOATING and (function not in _SLOW or _has_integers_alone(recipe))
        case _:
            return True


def _has_integers_alone(recipe: Recipe) -> bool:
    return recipe.stack == recipe.head == "static"
