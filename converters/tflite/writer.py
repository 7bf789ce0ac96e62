"""Writes a TFLite file tensor by tensor and op by op, in schema version 3, which every TFLite and LiteRT uses.

Writing it ourselves keeps TensorFlow out of the conversion, makes the same model the same bytes, and leaves every
tensor with the name of the graph's value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edge_crnn.errors import ConversionError
from edge_crnn.model.spec import Quantisation

AnyArray = npt.NDArray[Any]

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int32": schema.TensorType.INT32,
    "uint8": schema.TensorType.UINT8,
    "int8": schema.TensorType.INT8,
    "bool": schema.TensorType.BOOL,
}
_ALIGNMENT = 16  # which the schema requires of constants (force_align), and NEON loads prefer


@dataclass(frozen=True)
class Tensor:
    """A tensor of one subgraph."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    quantisation: Quantisation | None = None


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose bytes start at a multiple of 16: the generated code aligns to single bytes."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - the generated code's name
        data = self.data
        if data is not None:
            builder.StartVector(1, len(data), _ALIGNMENT)
            builder.head = builder.Head() - len(data)
            builder.Bytes[builder.Head() : builder.Head() + len(data)] = data.tobytes()
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))


class Subgraph:
    """Tensors and ops of one subgraph under construction; index 0 is the model's own."""

    def __init__(self, writer: Writer, name: str, index: int) -> None:
        self.index = index
        self.writer = writer
        self.table = schema.SubGraphT(name=name, tensors=[], operators=[], inputs=[], outputs=[])

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "float32",
        quantisation: Quantisation | None = None,
    ) -> Tensor:
        """Add a tensor that an op or the caller fills."""
        parameters = None
        if quantisation is not None:
            parameters = _quantisation([quantisation.scale], [quantisation.zero_point], 0)
        return self._add(name, shape, dtype, 0, parameters, quantisation)

    def constant(self, name: str, value: AnyArray, quantisation: Quantisation | None = None) -> Tensor:
        """Add a constant tensor."""
        parameters = None
        if quantisation is not None:
            parameters = _quantisation([quantisation.scale], [quantisation.zero_point], 0)
        buffer = self.writer.buffer(value)
        return self._add(name, value.shape, value.dtype.name, buffer, parameters, quantisation)

    def channelwise(self, name: str, value: AnyArray, scales: AnyArray, axis: int) -> Tensor:
        """Add a constant tensor with one scale per index of `axis` and zero points 0."""
        parameters = _quantisation(scales.tolist(), [0] * len(scales), axis)
        return self._add(name, value.shape, value.dtype.name, self.writer.buffer(value), parameters, None)

    def op(
        self,
        code: str,
        inputs: Sequence[Tensor | None],
        outputs: Sequence[Tensor],
        options: object | None = None,
        version: int = 1,
    ) -> None:
        """Append an op; None stands for an omitted input."""
        operator = schema.OperatorT(
            opcodeIndex=self.writer.code(code, version),
            inputs=[-1 if tensor is None else tensor.index for tensor in inputs],
            outputs=[tensor.index for tensor in outputs],
        )
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        self.table.operators.append(operator)

    def bind(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Set the inputs and outputs of the subgraph."""
        self.table.inputs = [tensor.index for tensor in inputs]
        self.table.outputs = [tensor.index for tensor in outputs]

    def _add(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str,
        buffer: int,
        parameters: object | None,
        quantisation: Quantisation | None,
    ) -> Tensor:
        sizes = [int(size) for size in shape]
        self.table.tensors.append(
            schema.TensorT(
                name=name,
                shape=sizes,
                type=_TYPES[dtype],
                buffer=buffer,
                quantization=parameters,
                hasRank=True,
            )
        )
        return Tensor(len(self.table.tensors) - 1, name, tuple(sizes), dtype, quantisation)


class Writer:
    """A TFLite model under construction."""

    def __init__(self, description: str) -> None:
        # Buffer 0 is empty by the schema's rule: tensors that are no constants point at it.
        self._model = schema.ModelT(
            version=3, description=description, operatorCodes=[], subgraphs=[], buffers=[schema.BufferT()]
        )
        self._codes: dict[tuple[str, int], int] = {}
        self._buffers: dict[bytes, int] = {}

    def subgraph(self, name: str) -> Subgraph:
        """Add a subgraph; the first one is the model's main subgraph."""
        subgraph = Subgraph(self, name, len(self._model.subgraphs))
        self._model.subgraphs.append(subgraph.table)
        return subgraph

    def buffer(self, value: AnyArray) -> int:
        """Return the index of a buffer with these bytes; equal constants share one."""
        data = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        key = data.tobytes()
        if key not in self._buffers:
            self._buffers[key] = len(self._model.buffers)
            self._model.buffers.append(schema.BufferT(data=data))
        return self._buffers[key]

    def code(self, name: str, version: int) -> int:
        """Return the index of an op code."""
        if (name, version) not in self._codes:
            self._codes[name, version] = len(self._codes)
            number = getattr(schema.BuiltinOperator, name)
            self._model.operatorCodes.append(
                schema.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=min(number, 127), version=version)
            )
        return self._codes[name, version]

    def finish(self, signature: str, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> bytes:
        """Return the file's bytes, with one signature on the main subgraph.

        Raises:
            ConversionError: they are more than the format can hold.
        """
        self._model.signatureDefs = [
            schema.SignatureDefT(
                signatureKey=signature,
                subgraphIndex=0,
                inputs=[schema.TensorMapT(name=name, tensorIndex=tensor.index) for name, tensor in inputs.items()],
                outputs=[schema.TensorMapT(name=name, tensorIndex=tensor.index) for name, tensor in outputs.items()],
            )
        ]
        try:
            return pack(self._model)
        except flatbuffers.builder.BuilderSizeError as error:
            raise ConversionError("the file would exceed 2 GiB; convert with a smaller --batch") from error


def pack(model: Any) -> bytes:
    """Return the file's bytes for a `schema.ModelT`, with aligned constants."""
    model.buffers = [_AlignedBuffer(data=buffer.data) for buffer in model.buffers]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _quantisation(scales: list[float], zero_points: list[int], axis: int) -> object:
    return schema.QuantizationParametersT(scale=scales, zeroPoint=zero_points, quantizedDimension=axis)
