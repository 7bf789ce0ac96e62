"""Lowers element-wise functions and operators, reductions, and combinations of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from ai_edge_litert import schema_py_generated as schema

from ..graph.nodes import Binary, Function, Normalise, PRelu, Reduce, Shape, Softmax, Unary
from .ops import Ops
from .quantisation import SIGMOID_OUT
from .writer import Tensor

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
_OPERATORS = {"add": "ADD", "subtract": "SUB", "multiply": "MUL", "divide": "DIV"}
_CHOICES = {"maximum": "MAXIMUM", "minimum": "MINIMUM"}
_REDUCTIONS = {"mean": "MEAN", "sum": "SUM", "max": "REDUCE_MAX", "min": "REDUCE_MIN"}

_Write: TypeAlias = Callable[[Ops, str, Tensor, float], Tensor]
"""Ops, name of the result, operand, alpha → result."""


def unary(ops: Ops, node: Unary, _: Shape, x: Tensor) -> Tensor:
    """Apply an element-wise function."""
    return _FUNCTIONS[node.function](ops, node.name, x, node.alpha)


def _one_op(code: str, options: object | None = None) -> _Write:
    return lambda ops, name, x, _: ops.unary(code, name, x, options=options)


def _elu(ops: Ops, name: str, x: Tensor, alpha: float) -> Tensor:
    """Apply ELU; the op supports only the limit -1, so other limits multiply its negative part."""
    if alpha == 1:
        return ops.unary("ELU", name, x)
    return _leaky_relu(ops, name, ops.unary("ELU", f"{name}:unit", x), alpha)


def _leaky_relu(ops: Ops, name: str, x: Tensor, alpha: float) -> Tensor:
    return ops.unary("LEAKY_RELU", name, x, options=schema.LeakyReluOptionsT(alpha=alpha))


def _selu(ops: Ops, name: str, x: Tensor, _: float) -> Tensor:
    return ops.times(name, _elu(ops, f"{name}:elu", x, _SELU_ALPHA), _SELU_SCALE)


def _hard_sigmoid(ops: Ops, name: str, x: Tensor, _: float) -> Tensor:
    return ops.hard_sigmoid(name, x, 1 / 6)


def _hard_sigmoid_keras2(ops: Ops, name: str, x: Tensor, _: float) -> Tensor:
    return ops.hard_sigmoid(name, x, 0.2)


def _silu(ops: Ops, name: str, x: Tensor, _: float) -> Tensor:
    return ops.binary("MUL", name, x, ops.sigmoid(f"{name}:gate", x))


def _softplus(ops: Ops, name: str, x: Tensor, _: float) -> Tensor:
    """Compute max(x, 0) + log(1 + exp(-|x|)), which never overflows."""
    away = ops.unary("NEG", f"{name}:negative", ops.unary("ABS", f"{name}:absolute", x))
    more = ops.binary("ADD", f"{name}:more", ops.unary("EXP", f"{name}:power", away), ops.number(f"{name}/one", 1))
    return ops.binary("ADD", name, ops.unary("RELU", f"{name}:positive", x), ops.unary("LOG", f"{name}:rest", more))


def _mish(ops: Ops, name: str, x: Tensor, _: float) -> Tensor:
    return ops.binary("MUL", name, x, ops.tanh(f"{name}:gate", _softplus(ops, f"{name}:softplus", x, 0)))


def _softsign(ops: Ops, name: str, x: Tensor, _: float) -> Tensor:
    size = ops.binary("ADD", f"{name}:size", ops.unary("ABS", f"{name}:absolute", x), ops.number(f"{name}/one", 1))
    return ops.binary("DIV", name, x, size)


def _square(ops: Ops, name: str, x: Tensor, _: float) -> Tensor:
    return ops.binary("MUL", name, x, x)


def _negative(ops: Ops, name: str, x: Tensor, _: float) -> Tensor:
    return ops.times(name, x, -1) if ops.static else ops.unary("NEG", name, x)


_FUNCTIONS: Mapping[Function, _Write] = {
    "abs": _one_op("ABS"),
    "elu": _elu,
    "exp": _one_op("EXP"),
    "gelu": _one_op("GELU", schema.GeluOptionsT(approximate=False)),
    "gelu_tanh": _one_op("GELU", schema.GeluOptionsT(approximate=True)),
    "hard_sigmoid": _hard_sigmoid,
    "hard_sigmoid_keras2": _hard_sigmoid_keras2,
    "hard_silu": _one_op("HARD_SWISH"),
    "leaky_relu": _leaky_relu,
    "linear": lambda _ops, _name, x, _alpha: x,
    "log": _one_op("LOG"),
    "mish": _mish,
    "negative": _negative,
    "relu": _one_op("RELU"),
    "relu6": _one_op("RELU6"),
    "rsqrt": _one_op("RSQRT"),
    "selu": _selu,
    "sigmoid": lambda ops, name, x, _: ops.sigmoid(name, x),
    "silu": _silu,
    "softplus": _softplus,
    "softsign": _softsign,
    "sqrt": _one_op("SQRT"),
    "square": _square,
    "tanh": lambda ops, name, x, _: ops.tanh(name, x),
}


def prelu(ops: Ops, node: PRelu, shape: Shape, x: Tensor) -> Tensor:
    """Apply a slope below zero per channel or element."""
    slope = ops.fixed(f"{node.name}/slope", node.slope)
    return ops.op("PRELU", [x, slope], ops.result(node.name, shape))


def binary(ops: Ops, node: Binary, shape: Shape, a: Tensor, b: Tensor) -> Tensor:
    """Apply an operator to two values."""
    if node.operator in _OPERATORS:
        return ops.binary(_OPERATORS[node.operator], node.name, a, b, activation=node.activation)
    if ops.static:  # these ops compare integers; the calibrated range does what the activation would
        own = ops.quantisation(node.name)
        a, b = (ops.requantised(f"{node.name}:{place}", x, own) for place, x in (("first", a), ("second", b)))
    chosen = ops.result(node.name if ops.static or node.activation == "linear" else f"{node.name}:linear", shape)
    ops.op(_CHOICES[node.operator], [a, b], chosen, schema.MaximumMinimumOptionsT())
    if chosen.name == node.name:
        return chosen
    return _FUNCTIONS[node.activation](ops, node.name, chosen, 0)


def softmax(ops: Ops, node: Softmax, _: Shape, x: Tensor) -> Tensor:
    """Apply a softmax over the last axis."""
    return ops.unary("SOFTMAX", node.name, x, SIGMOID_OUT, schema.SoftmaxOptionsT(beta=1.0))


def reduce(ops: Ops, node: Reduce, shape: Shape, x: Tensor) -> Tensor:
    """Reduce some axes; a maximum or minimum keeps the quantisation of `x`."""
    chosen = node.mode in ("max", "min")
    result = ops.like(node.name, shape, x.quantisation) if chosen else ops.result(node.name, shape)
    axes = ops.integers(f"{node.name}/axes", *(axis + 1 for axis in node.axes))
    return ops.op(_REDUCTIONS[node.mode], [x, axes], result, schema.ReducerOptionsT(keepDims=node.keepdims))


def normalise(ops: Ops, node: Normalise, shape: Shape, x: Tensor) -> Tensor:
    """Subtract the mean, and divide by the root of the variance."""
    name = node.name
    narrow = tuple(1 if axis - 1 in node.axes else length for axis, length in enumerate(shape))

    def mean(of: str, values: Tensor) -> Tensor:
        return reduce(ops, Reduce(f"{name}:{of}", "mean", node.axes, keepdims=True), narrow, values)

    centred = ops.binary("SUB", f"{name}:centred", x, mean("mean", x))
    variance = mean("variance", ops.binary("MUL", f"{name}:square", centred, centred))
    safe = ops.binary("ADD", f"{name}:safe", variance, ops.number(f"{name}/epsilon", node.epsilon))
    return ops.binary("MUL", name, centred, ops.unary("RSQRT", f"{name}:rate", safe))
