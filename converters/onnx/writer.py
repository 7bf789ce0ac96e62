"""Collects the parts of an ONNX file, and the forms that a value has in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from ..graph.half import to_half
from ..graph.nodes import Shape
from .layouts import TO_FIRST, TO_LAST, file_axis

IMAGE = "image"
"""Name of the file's input."""
PROBABILITIES = "probabilities"
"""Name of the file's output."""
FLOAT = onnx.TensorProto.FLOAT
HALF = onnx.TensorProto.FLOAT16


class Writer:
    """The operations and constants so far; an operation and its only result have the same name, NODE/OPERATION."""

    def __init__(self) -> None:
        self.operations: list[Any] = []
        self.constants: list[Any] = []
        self._used: set[str] = set()

    def add(self, operation: str, node: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append an operation, and return the name of its result."""
        name = self._name(f"{node}/{operation}")
        self.operations.append(onnx.helper.make_node(operation, inputs, [name], name, **attributes))
        return name

    def constant(self, node: str, role: str, value: npt.NDArray[Any]) -> str:
        """Append a constant without converting it, and return its name."""
        name = self._name(f"{node}/{role}")
        self.constants.append(onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(self, node: str, role: str, value: npt.NDArray[Any], half: bool) -> str:
        """Append a constant in float16 or float32, and return its name."""
        return self.constant(node, role, to_half(f"{node}/{role}", value) if half else value.astype(np.float32))

    def integers(self, node: str, role: str, values: Sequence[int]) -> str:
        """Append integers, and return their name."""
        return self.constant(node, role, np.array(values, np.int64))

    def _name(self, wish: str) -> str:
        name = wish
        number = 2
        while name in self._used:
            name = f"{wish}:{number}"
            number += 1
        self._used.add(name)
        return name


@dataclass(frozen=True)
class Form:
    """The precision and layout of a tensor."""

    half: bool = False
    """Whether it is float16 rather than float32."""
    first: bool = False
    """Whether it is channels first."""


@dataclass
class Value:
    """A value of the graph in the file: a tensor for every form in which nodes take it."""

    origin: Form
    """The form in which it was computed."""
    tensors: dict[Form, str]
    per_sample: bool = True
    """Whether it depends on the image; otherwise its batch axis has length 1."""
    constant: npt.NDArray[Any] | None = None
    """The value of a `Constant`, which is stored in the forms that nodes take."""

    def take(self, writer: Writer, node: str, form: Form, name: str) -> str:
        """Return the tensor of a form, which `node` takes; `name` is the value's name."""
        if form not in self.tensors:
            self.tensors[form] = self._make(writer, node, form, name)
        return self.tensors[form]

    def _make(self, writer: Writer, node: str, form: Form, name: str) -> str:
        if self.constant is not None:
            stored = self.constant[None]
            return writer.weight(name, "value", stored.transpose(TO_FIRST) if form.first else stored, form.half)
        turned = Form(self.origin.half, form.first)
        if form.half != self.origin.half and turned in self.tensors:
            return writer.add("Cast", node, [self.tensors[turned]], to=HALF if form.half else FLOAT)
        straight = self.take(writer, node, Form(form.half, self.origin.first), name)
        return writer.add("Transpose", node, [straight], perm=TO_FIRST if form.first else TO_LAST)


@dataclass(frozen=True)
class Place:
    """A node that is being lowered: the file that it goes to, and its precision and layout."""

    writer: Writer
    name: str
    shapes: tuple[Shape, ...]
    """Shapes of its inputs, in the graph's axes."""
    half: bool
    """Whether it is computed in float16."""
    first: bool
    """Whether its inputs are channels first."""
    gives_first: bool
    """Whether its value is channels first."""

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """Append an operation, and return the name of its result."""
        return self.writer.add(operation, self.name, inputs, **attributes)

    def weight(self, role: str, value: npt.ArrayLike) -> str:
        """Append a constant in the node's precision, and return its name."""
        return self.writer.weight(self.name, role, np.asarray(value), self.half)

    def integers(self, role: str, *values: int) -> str:
        """Append integers, and return their name."""
        return self.writer.integers(self.name, role, values)

    def axis(self, axis: int) -> int:
        """Return the axis in the file of a sample's axis."""
        return file_axis(axis, self.first)
