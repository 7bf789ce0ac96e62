"""Work done before any image is seen: rewrites a graph into the same function with fewer nodes.

A rule looks at one node and its inputs, and returns a replacement or nothing. Every rule is a few lines long, holds for
all inputs, and has a property test that compares a graph before and after. To add a rule, write it and list it in
`RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import numpy as np

from . import oracle
from .cells import Array, Cell
from .graph import Graph
from .nodes import (
    NO_PADS,
    Affine,
    Binary,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    Merge,
    Node,
    Pad,
    Permute,
    Recurrent,
    Reshape,
    Reverse,
    Shape,
    Slice,
    Unary,
)

_MAX_CONSTANT = 1 << 22
"""Largest number of elements of a constant that folding computes."""


@dataclass(frozen=True)
class Place:
    """A node and its inputs."""

    node: Node
    before: tuple[Node | None, ...]
    """The nodes that compute its inputs; None stands for the graph's input."""
    shapes: tuple[Shape, ...]
    """Shapes of its inputs."""
    alone: tuple[bool, ...]
    """Per input, whether no other node uses it."""

    @property
    def first(self) -> Node | None:
        """The node that computes its first input."""
        return self.before[0] if self.before else None

    @property
    def only(self) -> Node | None:
        """The node that computes its first input, if no other node uses that value."""
        return self.before[0] if len(self.before) == 1 and self.alone[0] else None


Rule: TypeAlias = Callable[[Place], Sequence[Node] | str | None]
"""The replacement of a node: other nodes, the last of which computes the value; the name of a value; or None for no
change.

A new node may reuse the name of the node itself, or of an input that no other node uses.
"""


def fold(graph: Graph) -> Graph:
    """Apply all rules until none applies, and drop the nodes that the output does not depend on."""
    graph = _alive(graph, graph.output)
    while (changed := _pass(graph)) is not None:
        graph = changed
    return graph


def _alive(graph: Graph, output: str) -> Graph:
    """Drop the nodes that the output does not depend on; the output then comes last."""
    needed = {output}
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return Graph(graph.input_shape, tuple(node for node in graph.nodes if node.name in needed))


def _pass(graph: Graph) -> Graph | None:
    """Visit every node once and return the new graph; None if no rule applies."""
    nodes: dict[str, Node] = {}
    shapes = dict(graph.shapes)
    uses = {name: len(consumers) for name, consumers in graph.consumers.items()}
    uses[graph.output] += 1
    values: dict[str, str] = {}
    for original in graph.nodes:
        node = replace(original, inputs=tuple(values.get(name, name) for name in original.inputs))
        place = Place(
            node,
            tuple(nodes.get(name) for name in node.inputs),
            tuple(shapes[name] for name in node.inputs),
            tuple(uses[name] == 1 for name in node.inputs),
        )
        change = next((change for rule in RULES if (change := rule(place)) is not None), None)
        if change is None:
            nodes[node.name] = node
            continue
        consumers = uses[node.name]
        if isinstance(change, str):
            values[node.name] = change
            uses[change] += consumers
            continue
        for new in change:
            nodes.pop(new.name, None)
            nodes[new.name] = new
            shapes[new.name] = new.shape(*(shapes[name] for name in new.inputs))
            uses[new.name] = 1
        values[node.name] = change[-1].name
        uses[change[-1].name] = consumers
    if not values:
        return None
    return _alive(Graph(graph.input_shape, tuple(nodes.values())), values.get(graph.output, graph.output))


# --- nothing to do ---------------------------------------------------------------------------------------------------


def drop_identity(place: Place) -> str | None:
    """Remove nodes that change nothing."""
    match place.node:
        case Unary(function="linear"):
            same = True
        case Reshape(target=target):
            same = target == place.shapes[0]
        case Permute(axes=axes):
            same = axes == tuple(range(len(axes)))
        case Pad(pads=pads):
            same = not any(map(any, pads))
        case Slice():
            same = place.node.shape(*place.shapes) == place.shapes[0]
        case Concat():
            same = len(place.node.inputs) == 1
        case _:
            same = False
    return place.node.inputs[0] if same else None


def cancel_reverse(place: Place) -> str | None:
    """Remove two reversals along the same axis."""
    match place.node, place.first:
        case Reverse(axis=axis), Reverse(axis=other) as first if axis == other:
            return first.inputs[0]
    return None


def join_moves(place: Place) -> Sequence[Node] | None:
    """Join two permutations, or two reshapes, into one."""
    match place.node, place.first:
        case Permute() as node, Permute() as first:
            return [replace(node, axes=tuple(first.axes[axis] for axis in node.axes), inputs=first.inputs)]
        case Reshape() as node, Reshape() as first:
            return [replace(node, inputs=first.inputs)]
    return None


def compute_constant(place: Place) -> Sequence[Node] | None:
    """Compute a node whose inputs are all constants."""
    constants = [node.value for node in place.before if isinstance(node, Constant)]
    if not constants or len(constants) < len(place.before):
        return None
    if int(np.prod(place.node.shape(*place.shapes))) > _MAX_CONSTANT:
        return None
    with np.errstate(all="ignore"):  # what is not finite shows when the graph runs
        value = oracle.evaluate(place.node, [value[None] for value in constants])[0]
    return [Constant(place.node.name, np.asarray(value, np.float32, order="C"))]


# --- moves sink ------------------------------------------------------------------------------------------------------


def sink_move(place: Place) -> Sequence[Node] | None:
    """Move a permutation or reshape past a node that works on elements or on the last axis, towards its inverse."""
    node = place.node
    first = place.only
    if not isinstance(first, Permute | Reshape):
        return None
    (source,) = first.inputs
    match node, first:
        case Unary(), _:
            pass
        case Affine(), Permute(axes=axes) if axes[-1] == len(axes) - 1:
            pass
        case _:
            return None
    return [replace(node, inputs=(source,)), replace(first, inputs=(node.name,))]


def sink_equal_moves(place: Place) -> Sequence[Node] | None:
    """Move equal permutations of all operands past the node that joins the operands."""
    node = place.node
    if not isinstance(node, Binary | Concat) or not all(place.alone) or len(set(node.inputs)) < 2:
        return None
    moves = [first for first in place.before if isinstance(first, Permute)]
    if len(moves) < len(node.inputs) or len({move.axes for move in moves}) > 1:
        return None
    joined = replace(node, inputs=tuple(move.inputs[0] for move in moves))
    if isinstance(joined, Concat):
        joined = replace(joined, axis=moves[0].axes[joined.axis])
    return [joined, replace(moves[0], inputs=(node.name,))]


# --- norms and activations -------------------------------------------------------------------------------------------


def fuse_activation(place: Place) -> Sequence[Node] | None:
    """Fuse the function into the node before it."""
    match place.node, place.only:
        case (
            Unary(function="relu" | "relu6" as function),
            Conv() | ConvTranspose() | Dense() | Affine() | Binary() as first,
        ) if first.activation == "linear":
            return [replace(first, activation=function)]
    return None


def fuse_norm(place: Place) -> Sequence[Node] | None:
    """Fold the norm into the weights of the linear node before it."""
    norm = place.node
    if not isinstance(norm, Affine):
        return None
    match place.only:
        case Conv(activation="linear") | ConvTranspose(activation="linear") | Dense(activation="linear") as first:
            kernel, bias = first.kernel * norm.scale, first.bias * norm.scale + norm.shift
            return [replace(first, kernel=kernel, bias=bias, activation=norm.activation)]
        case Affine(activation="linear") as first:
            scale, shift = first.scale * norm.scale, first.shift * norm.scale + norm.shift
            return [replace(first, scale=scale, shift=shift, activation=norm.activation)]
    return None


def absorb_norm(place: Place) -> Sequence[Node] | None:
    """Fold a norm into the input weights of the node after it.

    A padded convolution is left alone: its padding is zero after the shift, which no padding before it equals.
    """
    norm = place.only
    if not isinstance(norm, Affine) or norm.activation != "linear":
        return None
    match place.node:
        case Dense() as node:
            return [replace(_absorbed(norm, node), inputs=norm.inputs)]
        case Conv(pads=pads) as node if pads == NO_PADS:
            return [replace(_absorbed_by_groups(norm, node), inputs=norm.inputs)]
        case Recurrent() as node:
            forward, backward = (cell and _absorbed(norm, cell) for cell in (node.forward, node.backward))
            return [replace(node, forward=forward, backward=backward, inputs=norm.inputs)]
    return None


_Linear = TypeVar("_Linear", bound=Conv | Dense | Cell)


def _absorbed(norm: Affine, layer: _Linear) -> _Linear:
    """Return the layer for the input before the norm."""
    shift = (norm.shift @ layer.kernel).reshape(-1, layer.bias.size).sum(axis=0)  # a convolution's over its window
    return replace(layer, kernel=norm.scale[:, None] * layer.kernel, bias=layer.bias + shift)


def _absorbed_by_groups(norm: Affine, node: Conv) -> Conv:
    if node.groups == 1:
        return _absorbed(norm, node)
    inside, out = node.kernel.shape[2:]
    scale, shift = (_by_output(values, node.groups, inside, out) for values in (norm.scale, norm.shift))
    return replace(node, kernel=scale * node.kernel, bias=node.bias + (shift * node.kernel).sum(axis=(0, 1, 2)))


def _by_output(values: Array, groups: int, inside: int, out: int) -> Array:
    """Expand values per input channel to (in / groups, out)."""
    return np.repeat(values.reshape(groups, inside).T, out // groups, axis=1)


def constant_to_affine(place: Place) -> Sequence[Node] | None:
    """Turn an operator whose other operand is one number, or one per channel, into a norm."""
    node = place.node
    if not isinstance(node, Binary) or node.operator not in ("add", "subtract", "multiply", "divide"):
        return None
    places = [index for index, first in enumerate(place.before) if isinstance(first, Constant)]
    if len(places) != 1:
        return None
    constant = place.before[places[0]]
    assert isinstance(constant, Constant)
    value = constant.value
    shape = place.shapes[1 - places[0]]
    if (
        not shape
        or not value.shape
        or value.size > shape[-1]
        or value.size != value.shape[-1]
        or node.shape(*place.shapes) != shape
    ):
        return None
    number = np.broadcast_to(value.reshape(-1), shape[-1:]).astype(np.float32)
    scale = np.ones_like(number)
    shift = np.zeros_like(number)
    match node.operator, places[0]:
        case "add", _:
            shift = number
        case "subtract", 1:
            shift = -number
        case "subtract", 0:
            scale, shift = -scale, number
        case "multiply", _:
            scale = number
        case "divide", 1 if number.all():
            scale = np.reciprocal(number)
        case _:
            return None
    return [Affine(node.name, scale, shift, node.activation, inputs=(node.inputs[1 - places[0]],))]


# --- padding and recurrence ------------------------------------------------------------------------------------------


def absorb_pad(place: Place) -> Sequence[Node] | None:
    """Fuse zero padding into the convolution after it."""
    match place.node, place.first:
        case Conv() as node, Pad(value=0.0, pads=(rows, columns, (0, 0))) as pad:
            above, left = ((a + c, b + d) for (a, b), (c, d) in zip((rows, columns), node.pads, strict=True))
            return [replace(node, pads=(above, left), inputs=pad.inputs)]
    return None


def join_directions(place: Place) -> Sequence[Node] | None:
    """Join a forward and a backward recurrent node on the same value into one bidirectional node."""
    node = place.node
    if len(place.before) != 2 or not all(place.alone):
        return None
    merge: Merge
    match node:
        case Concat(axis=1):
            merge = "concat"
        case Binary(operator="add", activation="linear"):
            merge = "sum"
        case Binary(operator="multiply", activation="linear"):
            merge = "product"
        case _:
            return None
    match place.before:
        case Recurrent(backward=None) as forward, Recurrent(forward=None) as backward:
            pass
        case Recurrent(forward=None) as backward, Recurrent(backward=None) as forward if merge != "concat":
            pass
        case _:
            return None
    if forward.inputs != backward.inputs or (merge != "concat" and place.shapes[0] != place.shapes[1]):
        return None
    return [Recurrent(node.name, forward.forward, backward.backward, merge, inputs=forward.inputs)]


RULES: tuple[Rule, ...] = (
    drop_identity,
    cancel_reverse,
    join_moves,
    compute_constant,
    fuse_activation,
    fuse_norm,
    absorb_norm,
    constant_to_affine,
    absorb_pad,
    join_directions,
    sink_move,
    sink_equal_moves,
)
