"""Recurrent layers in TFLite: WHILE loops, or every step written out.

Loops are smaller and faster where they are possible: their body has one copy of the recurrent weights, whereas every
step written out packs its own. Static int8 has to be written out, since a quantised loop would need one quantisation
for all its values. The fused LSTM op is never used, because it keeps its state from one image to the next.

Both directions take their steps together where their cells are alike and small. The input of the backward direction is
reversed before its product, so that every loop runs forwards. `cells` defines what a step does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge_crnn.errors import ConversionError

from ..graph.cells import Cell
from ..graph.nodes import Recurrent, Shape
from .cells import STATES, alike, input_products, step_of
from .ops import Ops
from .writer import Subgraph, Tensor

_Directions: TypeAlias = Sequence[tuple[str, Cell]]
"""Name, forward or backward, and cell."""
_Kinds: TypeAlias = Mapping[str, tuple[Sequence[int], str]]
"""Shapes and types of a loop's values, by name."""

_LONGEST_LOOP = 8
"""Steps of a loop. A loop copies the results of all its steps twice in each step, so several short loops copy less."""
_CACHE_BYTES = 500_000
"""Most bytes of recurrent weights in a loop, which reads them in each step: a Cortex-A76 has a cache of 512 KiB.

Beyond the cache, two loops are faster than one: on an x86 with 2 MiB, a slimmed plate network in float32, whose layers
have 1.1 and 1.8 MB, took 1.15 times as long with both directions together.
"""


def recurrent(ops: Ops, node: Recurrent, _: Shape, x: Tensor) -> Tensor:
    """Write a recurrent layer: (N, T, in) → (N, T, out)."""
    steps = _swap(ops, f"{node.name}:steps", x)
    if ops.form == "unrolled":
        outputs = [_unrolled(ops, node.name, direction, steps) for direction in node.cells]
    elif ops.static:
        raise ConversionError(f"layer {node.name!r}: a loop cannot be static int8; use an unrolled form")
    elif _together(ops, [cell for _, cell in node.cells]):
        outputs = _looped(ops, node.name, node.cells, steps)
    else:
        outputs = [
            output
            for direction in node.cells
            for output in _looped(ops, f"{node.name}/{direction[0]}", [direction], steps)
        ]
    samples = [
        _swap(ops, f"{node.name}/{direction}/hidden:samples", output)
        for (direction, _), output in zip(node.cells, outputs, strict=True)
    ]
    return samples[0] if len(samples) == 1 else _merged(ops, node, samples)


def _merged(ops: Ops, node: Recurrent, samples: Sequence[Tensor]) -> Tensor:
    """Merge the hidden states (N, T, units) of two directions."""
    name = node.name
    if node.merge == "concat":
        return ops.concat(name, samples)
    first, second = samples
    if node.merge == "product":
        return ops.binary("MUL", name, first, second)
    if node.merge == "average":
        return ops.average(name, first, second)
    return ops.binary("ADD", name, first, second)


def _swap(ops: Ops, name: str, x: Tensor) -> Tensor:
    """Swap the first two axes: (N, T, C) ↔ (T, N, C)."""
    first, second, width = x.shape
    if 1 in (first, second):
        return ops.reshape(name, x, (second, first, width))
    return ops.transpose(name, x, (1, 0, 2))


def _order(direction: str, steps: int) -> range:
    return range(steps) if direction == "forward" else range(steps - 1, -1, -1)


# --- as loops --------------------------------------------------------------------------------------------------------


def _together(ops: Ops, cells: Sequence[Cell]) -> bool:
    weight_bytes = 1 if ops.precision == "dynamic" else 4
    return alike(cells) and sum(cell.recurrent.size for cell in cells) * weight_bytes <= _CACHE_BYTES


def _looped(ops: Ops, name: str, directions: _Directions, x: Tensor) -> list[Tensor]:
    """Return the hidden states (T, N, units) of each direction for an input (T, N, in); the cells must be `alike`.

    The last loop may run longer than the sequence, on copies of the last step, the results of which are not used.
    """
    steps, batch, _ = x.shape
    loops = -(-steps // _LONGEST_LOOP)
    length = -(-steps // loops)
    taken: dict[str, list[Tensor]] = {}
    for direction, cell in directions:
        order = [*_order(direction, steps)]
        order += order[-1:] * (loops * length - steps)
        ordered = _rows(ops, f"{name}/{direction}/ordered", x, order)
        for value, (kernel, bias) in input_products(cell).items():
            taken.setdefault(value, []).append(ops.product(f"{name}/{direction}/{value}", ordered, kernel, bias))
    products = {}
    for value, parts in taken.items():
        whole = _joined(ops, f"{name}/{value}", parts, 1)
        products[value] = [whole] if loops == 1 else ops.split(f"{name}/{value}", whole, loops, axis=0)
    hidden = _joined(ops, f"{name}/hidden", _loops(ops, name, [cell for _, cell in directions], products), 0)
    count = len(directions)
    rows = ops.reshape(f"{name}/hidden:rows", hidden, (loops * length * count, batch, hidden.shape[-1]))
    return [
        _rows(ops, f"{name}/{direction}/hidden", rows, [step * count + place for step in _order(direction, steps)])
        for place, (direction, _) in enumerate(directions)
    ]


def _rows(ops: Ops, name: str, x: Tensor, places: Sequence[int]) -> Tensor:
    """Return the entries of the first axis at these places."""
    if [*places] == [*range(x.shape[0])]:
        return x
    rows = ops.like(name, (len(places), *x.shape[1:]), x.quantisation)
    return ops.op("GATHER", [x, ops.integers(f"{name}/places", *places)], rows, schema.GatherOptionsT(axis=0))


def _joined(ops: Ops, name: str, parts: Sequence[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else ops.concat(name, parts, axis)


def _loops(ops: Ops, name: str, cells: Sequence[Cell], products: Mapping[str, Sequence[Tensor]]) -> list[Tensor]:
    """Return the hidden states (length, rows, units) of loops that go on from each other.

    Args:
        ops: where the loops are written.
        name: names the tensors.
        cells: share the rows, see `step_of`.
        products: the `input_products` of each loop, (length, rows, ·), in the order of the steps.
    """
    main, writer = ops.subgraph, ops.subgraph.writer
    length, rows, _ = products["projection"][0].shape
    units = cells[0].units
    states = STATES[type(cells[0])]
    kinds: _Kinds = {
        "step": ((1,), "int32"),
        "place": ((3,), "int32"),
        **dict.fromkeys(states, ((1, rows, units), "float32")),
        "outputs": ((length, rows, units), "float32"),
        **{value: (parts[0].shape, "float32") for value, parts in products.items()},
    }
    condition, body = writer.subgraph(f"{name}/condition"), writer.subgraph(f"{name}/body")
    _write_condition(condition, kinds, length)
    _write_body(Ops(body, ops.precision), f"{name}/{{}}".format, cells, kinds, [*products])
    options = schema.WhileOptionsT(condSubgraphIndex=condition.index, bodySubgraphIndex=body.index)
    first = {
        value: main.constant(f"{name}/{value}:first", np.zeros(shape, dtype))
        for value, (shape, dtype) in kinds.items()
        if value not in products
    }
    latest = first
    outputs = []
    for place, taken in enumerate(zip(*products.values(), strict=True)):
        values = {**first, **{state: latest[state] for state in states}, **dict(zip(products, taken, strict=True))}
        latest = {value: main.tensor(f"{name}/{value}:after {place}", *kind) for value, kind in kinds.items()}
        main.op("WHILE", [values[value] for value in kinds], [*latest.values()], options)
        outputs.append(latest["outputs"])
    return outputs


def _write_condition(condition: Subgraph, kinds: _Kinds, length: int) -> None:
    taken = {value: condition.tensor(value, *kind) for value, kind in kinds.items()}
    limit = condition.constant("limit", np.array([length], np.int32))
    goes_on = condition.tensor("goes_on", (1,), "bool")
    condition.op("LESS", [taken["step"], limit], [goes_on], schema.LessOptionsT())
    condition.bind([*taken.values()], [goes_on])


def _write_body(
    ops: Ops, name: Callable[[str], str], cells: Sequence[Cell], kinds: _Kinds, products: Iterable[str]
) -> None:
    body = ops.subgraph
    taken = {value: body.tensor(value, *kind) for value, kind in kinds.items()}
    now = {}
    for product in products:
        now[product] = body.tensor("now", (1, *kinds[product][0][1:]))
        body.op("GATHER", [taken[product], taken["step"]], [now[product]], schema.GatherOptionsT(axis=0))
    changed = step_of(cells, ops, name, now, {state: taken[state] for state in STATES[type(cells[0])]})
    changed["outputs"] = body.tensor("outputs:written", *kinds["outputs"])
    written = [taken["outputs"], changed["hidden"], taken["place"]]
    body.op("DYNAMIC_UPDATE_SLICE", written, [changed["outputs"]])
    for counter, stride in (("step", [1]), ("place", [1, 0, 0])):
        changed[counter] = body.tensor(f"{counter}:next", *kinds[counter])
        increment = body.constant(f"{counter}/stride", np.array(stride, np.int32))
        body.op("ADD", [taken[counter], increment], [changed[counter]], schema.AddOptionsT())
    body.bind([*taken.values()], [changed.get(value, tensor) for value, tensor in taken.items()])


# --- step by step ----------------------------------------------------------------------------------------------------


def _unrolled(ops: Ops, name: str, direction: tuple[str, Cell], x: Tensor) -> Tensor:
    """Return the hidden states (T, N, units) for an input (T, N, in), with every step written out."""
    main = ops.subgraph
    order, cell = direction
    prefix = f"{name}/{order}"
    steps, batch, _ = x.shape
    parts: dict[str, list[Tensor]] = {}
    for value, (kernel, bias) in input_products(cell).items():
        product = ops.product(f"{prefix}/{value}", x, kernel, bias)
        shape = (batch, product.shape[2])
        parts[value] = [
            main.tensor(f"{prefix}/{value}:{step}", shape, product.dtype, product.quantisation) for step in range(steps)
        ]
        main.op("UNPACK", [product], parts[value], schema.UnpackOptionsT(num=steps, axis=0), 2 if ops.static else 1)
    states: Mapping[str, Tensor] = {}
    outputs: dict[int, Tensor] = {}
    for step in _order(order, steps):
        now = {value: tensors[step] for value, tensors in parts.items()}
        states = step_of([cell], ops, f"{prefix}/{{}}:{step}".format, now, states)
        outputs[step] = states["hidden"]
    first = outputs[0]
    hidden = main.tensor(f"{prefix}/hidden", (steps, batch, cell.units), first.dtype, first.quantisation)
    ordered = [outputs[step] for step in range(steps)]
    main.op("PACK", ordered, [hidden], schema.PackOptionsT(valuesCount=steps, axis=0), 2 if ops.static else 1)
    return hidden
