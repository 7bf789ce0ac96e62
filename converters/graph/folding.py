"""Work that can be done before any image is seen: the same function with fewer nodes.

A rule looks at one node and at the nodes that it takes, and says what takes its place, or nothing. Every rule is a few
lines, holds for all inputs, and has a property test that compares a graph before and after. To add one, write it and
list it in `RULES`.
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
"""Most elements of a constant that is computed here."""


@dataclass(frozen=True)
class Place:
    """A node, and what it takes."""

    node: Node
    before: tuple[Node | None, ...]
    """The nodes whose values it takes; None for the graph's input."""
    shapes: tuple[Shape, ...]
    """Shapes of these values."""
    alone: tuple[bool, ...]
    """Whether nothing else takes them."""

    @property
    def first(self) -> Node | None:
        """The first of the nodes before."""
        return self.before[0] if self.before else None

    @property
    def only(self) -> Node | None:
        """The node before, if its value goes nowhere else."""
        return self.before[0] if len(self.before) == 1 and self.alone[0] else None


Rule: TypeAlias = Callable[[Place], Sequence[Node] | str | None]
"""What replaces the node: other nodes, of which the last gives the value; the name of a value; None for no change.

A new node may have the name of the node itself, or of one before it that nothing else takes.
"""


def fold(graph: Graph) -> Graph:
    """The graph after all rules, until none applies, without nodes that do not add to the output."""
    graph = _alive(graph, graph.output)
    while (changed := _pass(graph)) is not None:
        graph = changed
    return graph


def _alive(graph: Graph, output: str) -> Graph:
    """Without nodes that do not add to the output, which is the last one then."""
    needed = {output}
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return Graph(graph.input_shape, tuple(node for node in graph.nodes if node.name in needed))


def _pass(graph: Graph) -> Graph | None:
    """The graph with every node looked at once; None if no rule applies."""
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
    """Remove what changes nothing."""
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
    """Reverse twice along one axis: the value as it was."""
    match place.node, place.first:
        case Reverse(axis=axis), Reverse(axis=other) as first if axis == other:
            return first.inputs[0]
    return None


def join_moves(place: Place) -> Sequence[Node] | None:
    """Two permutations are one, and so are two reshapes."""
    match place.node, place.first:
        case Permute() as node, Permute() as first:
            return [replace(node, axes=tuple(first.axes[axis] for axis in node.axes), inputs=first.inputs)]
        case Reshape() as node, Reshape() as first:
            return [replace(node, inputs=first.inputs)]
    return None


def compute_constant(place: Place) -> Sequence[Node] | None:
    """What is made of constants alone is a constant."""
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
    """Let a permutation or reshape pass a node that works on elements or on the last axis, to meet its inverse."""
    node, first = place.node, place.only
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
    """Let equal permutations of all operands pass the node that joins them."""
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
    """Let the node before apply the function."""
    match place.node, place.only:
        case (
            Unary(function="relu" | "relu6" as function),
            Conv() | ConvTranspose() | Dense() | Affine() | Binary() as first,
        ) if first.activation == "linear":
            return [replace(first, activation=function)]
    return None


def fuse_norm(place: Place) -> Sequence[Node] | None:
    """Scale the weights of the linear node before."""
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
    """Scale the input weights of the node after.

    Not of a padded convolution: the padding is zero after the shift and must not be before it.
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
    """The layer for an input that the norm has not seen."""
    shift = (norm.shift @ layer.kernel).reshape(-1, layer.bias.size).sum(axis=0)  # a convolution's over its window
    return replace(layer, kernel=norm.scale[:, None] * layer.kernel, bias=layer.bias + shift)


def _absorbed_by_groups(norm: Affine, node: Conv) -> Conv:
    if node.groups == 1:
        return _absorbed(norm, node)
    inside, out = node.kernel.shape[2:]
    scale, shift = (_by_output(values, node.groups, inside, out) for values in (norm.scale, norm.shift))
    return replace(node, kernel=scale * node.kernel, bias=node.bias + (shift * node.kernel).sum(axis=(0, 1, 2)))


def _by_output(values: Array, groups: int, inside: int, out: int) -> Array:
    """Per input channel → (in / groups, out)."""
    return np.repeat(values.reshape(groups, inside).T, out // groups, axis=1)


def constant_to_affine(place: Place) -> Sequence[Node] | None:
    """An operator whose other operand is one number, or one for each channel, is a norm."""
    node = place.node
    if not isinstance(node, Binary) or node.operator not in ("add", "subtract", "multiply", "divide"):
        return None
    places = [index for index, first in enumerate(place.before) if isinstance(first, Constant)]
    if len(places) != 1:
        return None
    constant = place.before[places[0]]
    assert isinstance(constant, Constant)
    value, shape = constant.value, place.shapes[1 - places[0]]
    if (
        not shape
        or not value.shape
        or value.size > shape[-1]
        or value.size != value.shape[-1]
        or node.shape(*place.shapes) != shape
    ):
        return None
    number = np.broadcast_to(value.reshape(-1), shape[-1:]).astype(np.float32)
    one, zero = np.ones_like(number), np.zeros_like(number)
    match node.operator, places[0]:
        case "add", _:
            scale, shift = one, number
        case "subtract", 1:
            scale, shift = one, -number
        case "subtract", 0:
            scale, shift = -one, number
        case "multiply", _:
            scale, shift = number, zero
        case "divide", 1 if number.all():
            scale, shift = np.reciprocal(number), zero
        case _:
            return None
    return [Affine(node.name, scale, shift, node.activation, inputs=(node.inputs[1 - places[0]],))]


# --- padding and recurrence ------------------------------------------------------------------------------------------


def absorb_pad(place: Place) -> Sequence[Node] | None:
    """Let a convolution add the zeros itself."""
    match place.node, place.first:
        case Conv() as node, Pad(value=0.0, pads=(rows, columns, (0, 0))) as pad:
            above, left = ((a + c, b + d) for (a, b), (c, d) in zip((rows, columns), node.pads, strict=True))
            return [replace(node, pads=(above, left), inputs=pad.inputs)]
    return None


def join_directions(place: Place) -> Sequence[Node] | None:
    """A forward and a backward recurrent node on one value, merged, are one node in both directions."""
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
