"""Recurrent layers in TFLite: a WHILE loop per direction, or every step written out.

The loop is smaller and faster wherever it can be had: its body has one copy of the recurrent weights, where every
step written out packs its own. Static int8 has to be written out, since a quantised loop would need one quantisation
for all that passes through it. The fused LSTM op is never used: it keeps its state from one image to the next.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge_crnn.errors import ConversionError

from .graph import Array, Cell, Recurrent
from .recipe import Form
from .tflite_ops import TANH_OUT, Ops
from .tflite_writer import Tensor, Writer

_GATE_ORDER = (0, 1, 3, 2)  # Keras' i, f, g, o → i, f, o, g: the three sigmoids side by side


def recurrent(ops: Ops, layer: Recurrent, x: Tensor, writer: Writer, form: Form) -> Tensor:
    """(N, T, in) → (N, T, out)."""
    steps, name = x.shape[1], layer.name
    outputs = []
    for direction, cell in layer.cells:
        prefix = f"{name}/{direction}"
        projection = ops.matmul(f"{prefix}/projection", x, _gates(cell.kernel), _gates(cell.bias))
        by_step = _swap(ops, f"{prefix}/projection:steps", projection)
        order = range(steps) if direction == "forward" else range(steps - 1, -1, -1)
        write = _loop if form == "loop" else _unrolled
        hidden = write(ops, prefix, cell, by_step, order, writer)
        outputs.append(_swap(ops, f"{prefix}/hidden:samples", hidden))
    if len(outputs) == 1:
        return outputs[0]
    if layer.merge == "concat":
        return ops.concat(name, outputs)
    first, second = outputs
    if layer.merge == "product":
        return ops.binary("MUL", name, first, second)
    if layer.merge == "average":
        return ops.average(name, first, second)
    return ops.binary("ADD", name, first, second)


def _swap(ops: Ops, name: str, x: Tensor) -> Tensor:
    """(N, T, C) ↔ (T, N, C)."""
    first, second, width = x.shape
    if 1 in (first, second):
        return ops.reshape(name, x, (second, first, width))
    return ops.transpose(name, x, (1, 0, 2))


def _gates(weights: Array) -> Array:
    parts = np.split(weights, 4, axis=-1)
    return np.concatenate([parts[part] for part in _GATE_ORDER], axis=-1)


def _step(
    ops: Ops,
    prefix: str,
    suffix: str,
    cell: Cell,
    projection: Tensor,
    hidden: Tensor | None,
    state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """One step of an LSTM, (N, 4 units) and two (N, units) → hidden and state; None stands for zeros.

    Values carry the names that the oracle gives them.
    """

    def name(value: str) -> str:
        return f"{prefix}/{value}{suffix}"

    def gate(value: str, x: Tensor) -> Tensor:
        if cell.recurrent_activation == "sigmoid":
            return ops.activate(name(value), "sigmoid", x)
        return ops.hard_sigmoid(name(value), x)

    gates = projection
    if hidden is not None:
        feedback = ops.matmul(name("feedback"), hidden, _gates(cell.recurrent), None)
        gates = ops.binary("ADD", name("gates"), projection, feedback)
    i, f, o, g = ops.split(name("gates"), gates, 4)
    i, o = gate("input", i), gate("output", o)
    g = ops.activate(name("candidate"), "tanh", g)
    state_ = ops.binary("MUL", name("written"), i, g)
    if state is not None:  # where there is nothing to forget, no gate: LiteRT before 2.1 crashes on a value of no use
        kept = ops.binary("MUL", name("kept"), gate("forget", f), state)
        state_ = ops.binary("ADD", name("state"), kept, state_)
    squashed = ops.activate(name("squashed"), "tanh", state_)
    # |hidden| < 1, and both directions must share a quantisation to be concatenated.
    return ops.binary("MUL", name("hidden"), o, squashed, TANH_OUT), state_


def _loop(ops: Ops, prefix: str, cell: Cell, projection: Tensor, order: range, writer: Writer) -> Tensor:
    """(T, N, 4 units) → hidden states (T, N, units), by WHILE over (step, hidden, state, outputs, projection)."""
    if ops.precision == "static":
        raise ConversionError(f"layer {prefix!r}: a loop cannot be static int8; use an unrolled form")
    main = ops.subgraph
    steps, batch, _ = projection.shape
    shapes = {
        "step": ((), "int32"),
        "hidden": ((batch, cell.units), "float32"),
        "state": ((batch, cell.units), "float32"),
        "outputs": ((steps, batch, cell.units), "float32"),
        "projection": (projection.shape, "float32"),
    }

    condition = writer.subgraph(f"{prefix}/condition")
    taken = [condition.tensor(name, *shape) for name, shape in shapes.items()]
    limit = condition.constant("limit", np.array(order.stop, np.int32))
    goes_on = condition.tensor("goes_on", (), "bool")
    if order.step > 0:
        condition.op("LESS", [taken[0], limit], [goes_on], schema.LessOptionsT())
    else:
        condition.op("GREATER", [taken[0], limit], [goes_on], schema.GreaterOptionsT())
    condition.bind(taken, [goes_on])

    body = writer.subgraph(f"{prefix}/body")
    taken = [body.tensor(name, *shape) for name, shape in shapes.items()]
    step, hidden, state, outputs, all_projections = taken
    inner = Ops(body, ops.precision, None)
    now = body.tensor("now", (batch, 4 * cell.units))
    body.op("GATHER", [all_projections, step], [now], schema.GatherOptionsT(axis=0))
    hidden, state = _step(inner, prefix, "", cell, now, hidden, state)
    zero = body.constant("zero", np.array(0, np.int32))
    place = body.tensor("place", (3,), "int32")
    body.op("PACK", [step, zero, zero], [place], schema.PackOptionsT(valuesCount=3, axis=0))
    written = body.tensor("outputs:written", outputs.shape)
    update = inner.reshape("update", hidden, (1, batch, cell.units))
    body.op("DYNAMIC_UPDATE_SLICE", [outputs, update, place], [written])
    following = body.tensor("following", (), "int32")
    stride = body.constant("stride", np.array(order.step, np.int32))
    body.op("ADD", [step, stride], [following], schema.AddOptionsT())
    body.bind(taken, [following, hidden, state, written, all_projections])

    zeros = main.constant(f"{prefix}/zeros", np.zeros((batch, cell.units), np.float32))
    initial = [
        main.constant(f"{prefix}/start", np.array(order.start, np.int32)),
        zeros,
        zeros,
        main.constant(f"{prefix}/outputs", np.zeros((steps, batch, cell.units), np.float32)),
        projection,
    ]
    given = [main.tensor(f"{prefix}/{name}:final", *shape) for name, shape in shapes.items()]
    options = schema.WhileOptionsT(condSubgraphIndex=condition.index, bodySubgraphIndex=body.index)
    main.op("WHILE", initial, given, options)
    return given[3]


def _unrolled(ops: Ops, prefix: str, cell: Cell, projection: Tensor, order: Iterable[int], _: Writer) -> Tensor:
    """(T, N, 4 units) → hidden states (T, N, units), every step written out."""
    main = ops.subgraph
    steps, batch, width = projection.shape
    parts = [
        main.tensor(f"{prefix}/projection:{step}", (batch, width), projection.dtype, projection.quantisation)
        for step in range(steps)
    ]
    static = ops.precision == "static"
    main.op("UNPACK", [projection], parts, schema.UnpackOptionsT(num=steps, axis=0), 2 if static else 1)
    hidden: Tensor | None = None
    state: Tensor | None = None
    outputs: dict[int, Tensor] = {}
    for step in order:
        hidden, state = _step(ops, prefix, f":{step}", cell, parts[step], hidden, state)
        outputs[step] = hidden
    first = outputs[0]
    given = main.tensor(f"{prefix}/hidden", (steps, batch, cell.units), first.dtype, first.quantisation)
    ordered = [outputs[step] for step in range(steps)]
    main.op("PACK", ordered, [given], schema.PackOptionsT(valuesCount=steps, axis=0), 2 if static else 1)
    return given
