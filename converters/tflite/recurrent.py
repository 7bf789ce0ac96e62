"""Recurrent layers in TFLite: a WHILE loop per direction, or every step written out.

The loop is smaller and faster where it is possible: its body has one copy of the recurrent weights, whereas every step
written out packs its own. Static int8 has to be written out, since a quantised loop would need one quantisation for all
its values. The fused LSTM op is never used, because it keeps its state from one image to the next. `cells` defines what
a step does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge_crnn.errors import ConversionError

from ..graph.cells import Cell
from ..graph.nodes import Recurrent, Shape
from .cells import STATES, input_products, step_of
from .ops import Ops
from .writer import Tensor


def recurrent(ops: Ops, node: Recurrent, _: Shape, x: Tensor) -> Tensor:
    """(N, T, in) → (N, T, out)."""
    steps = x.shape[1]
    name = node.name
    outputs = []
    for direction, cell in node.cells:
        prefix = f"{name}/{direction}"
        products = {
            name: _swap(ops, f"{prefix}/{name}:steps", ops.product(f"{prefix}/{name}", x, kernel, bias))
            for name, (kernel, bias) in input_products(cell).items()
        }
        order = range(steps) if direction == "forward" else range(steps - 1, -1, -1)
        write = _loop if ops.form == "loop" else _unrolled
        hidden = write(ops, prefix, cell, products, order)
        outputs.append(_swap(ops, f"{prefix}/hidden:samples", hidden))
    if len(outputs) == 1:
        return outputs[0]
    if node.merge == "concat":
        return ops.concat(name, outputs)
    first, second = outputs
    if node.merge == "product":
        return ops.binary("MUL", name, first, second)
    if node.merge == "average":
        return ops.average(name, first, second)
    return ops.binary("ADD", name, first, second)


def _swap(ops: Ops, name: str, x: Tensor) -> Tensor:
    """(N, T, C) ↔ (T, N, C)."""
    first, second, width = x.shape
    if 1 in (first, second):
        return ops.reshape(name, x, (second, first, width))
    return ops.transpose(name, x, (1, 0, 2))


def _loop(ops: Ops, prefix: str, cell: Cell, products: Mapping[str, Tensor], order: range) -> Tensor:
    """Products (T, N, ·) → hidden states (T, N, units), by WHILE over (step, *states, outputs, *products)."""
    if ops.static:
        raise ConversionError(f"layer {prefix!r}: a loop cannot be static int8; use an unrolled form")
    main, writer = ops.subgraph, ops.subgraph.writer
    states = STATES[type(cell)]
    steps, batch, _ = products["projection"].shape
    shapes = {
        "step": ((), "int32"),
        **dict.fromkeys(states, ((batch, cell.units), "float32")),
        "outputs": ((steps, batch, cell.units), "float32"),
        **{name: (product.shape, "float32") for name, product in products.items()},
    }

    condition = writer.subgraph(f"{prefix}/condition")
    taken = {name: condition.tensor(name, *shape) for name, shape in shapes.items()}
    limit = condition.constant("limit", np.array(order.stop, np.int32))
    goes_on = condition.tensor("goes_on", (), "bool")
    if order.step > 0:
        condition.op("LESS", [taken["step"], limit], [goes_on], schema.LessOptionsT())
    else:
        condition.op("GREATER", [taken["step"], limit], [goes_on], schema.GreaterOptionsT())
    condition.bind([*taken.values()], [goes_on])

    body = writer.subgraph(f"{prefix}/body")
    taken = {name: body.tensor(name, *shape) for name, shape in shapes.items()}
    inner = Ops(body, ops.precision)
    now = {}
    for name, product in products.items():
        now[name] = body.tensor("now", (batch, product.shape[2]))
        body.op("GATHER", [taken[name], taken["step"]], [now[name]], schema.GatherOptionsT(axis=0))
    after = step_of(cell, inner, f"{prefix}/{{}}".format, now, {name: taken[name] for name in states})
    zero = body.constant("zero", np.array(0, np.int32))
    place = body.tensor("place", (3,), "int32")
    body.op("PACK", [taken["step"], zero, zero], [place], schema.PackOptionsT(valuesCount=3, axis=0))
    written = body.tensor("outputs:written", (steps, batch, cell.units))
    update = inner.reshape("update", after["hidden"], (1, batch, cell.units))
    body.op("DYNAMIC_UPDATE_SLICE", [taken["outputs"], update, place], [written])
    following = body.tensor("following", (), "int32")
    stride = body.constant("stride", np.array(order.step, np.int32))
    body.op("ADD", [taken["step"], stride], [following], schema.AddOptionsT())
    changed = {"step": following, **after, "outputs": written}
    body.bind([*taken.values()], [changed.get(name, tensor) for name, tensor in taken.items()])

    zeros = main.constant(f"{prefix}/zeros", np.zeros((batch, cell.units), np.float32))
    initial = {
        "step": main.constant(f"{prefix}/start", np.array(order.start, np.int32)),
        **dict.fromkeys(states, zeros),
        "outputs": main.constant(f"{prefix}/outputs", np.zeros((steps, batch, cell.units), np.float32)),
        **products,
    }
    final = {name: main.tensor(f"{prefix}/{name}:final", *shape) for name, shape in shapes.items()}
    options = schema.WhileOptionsT(condSubgraphIndex=condition.index, bodySubgraphIndex=body.index)
    main.op("WHILE", [*initial.values()], [*final.values()], options)
    return final["outputs"]


def _unrolled(ops: Ops, prefix: str, cell: Cell, products: Mapping[str, Tensor], order: Iterable[int]) -> Tensor:
    """Products (T, N, ·) → hidden states (T, N, units), every step written out."""
    main = ops.subgraph
    parts: dict[str, list[Tensor]] = {}
    for name, product in products.items():
        steps, batch, width = product.shape
        parts[name] = [
            main.tensor(f"{prefix}/{name}:{step}", (batch, width), product.dtype, product.quantisation)
            for step in range(steps)
        ]
        main.op("UNPACK", [product], parts[name], schema.UnpackOptionsT(num=steps, axis=0), 2 if ops.static else 1)
    states: Mapping[str, Tensor] = {}
    outputs: dict[int, Tensor] = {}
    for step in order:
        now = {name: tensors[step] for name, tensors in parts.items()}
        states = step_of(cell, ops, f"{prefix}/{{}}:{step}".format, now, states)
        outputs[step] = states["hidden"]
    first = outputs[0]
    hidden = main.tensor(f"{prefix}/hidden", (steps, batch, cell.units), first.dtype, first.quantisation)
    ordered = [outputs[step] for step in range(steps)]
    main.op("PACK", ordered, [hidden], schema.PackOptionsT(valuesCount=steps, axis=0), 2 if ops.static else 1)
    return hidden
