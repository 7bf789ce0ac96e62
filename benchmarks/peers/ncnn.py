"""The network in ncnn's own format: `.param`, a line for each layer, and `.bin`, the weights in their order.

It is written directly, since the network that pnnx converts reads other texts. It is quantised like ncnn's own tools
do: symmetric and per channel, activations by their largest magnitude on the calibration images, recurrent weights by
row.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.graph.cells import LstmCell
from converters.graph.graph import Graph, Ranges
from converters.graph.nodes import NO_PADS, Conv, Dense, Pool, Recurrent, Reshape, Softmax
from edge_crnn.backends import Probabilities

from .rounds import Engine, Infer
from .source import Source

Array = npt.NDArray[np.float32]

_MAGIC = "7767517"
_FLOAT32, _INT8 = 0, 0x000D4B38
_RELU = 1
_INT8_TERM, _GIVES_INT8 = 2, 100
"""Flags: a scale for each channel, and a scale of the output, so that the output is int8."""


def engine(source: Source, name: str, file: str, ranges: Ranges | None = None) -> Engine:
    """Make an engine of ncnn: int8 if `ranges` has the ranges of the graph's values, by name, else float32."""
    path = source.work / file
    nodes = source.graph.nodes
    largest = {node.name: float(np.abs(ranges[node.inputs[0]]).max()) for node in nodes} if ranges else None
    write(source.graph, path, largest)
    size = path.stat().st_size + path.with_suffix(".bin").stat().st_size
    return Engine(name, open_ncnn, path, source.spec.input, size)


def write(graph: Graph, param: Path, largest: Mapping[str, float] | None = None) -> None:
    """Write PARAM and the .bin beside it.

    Args:
        graph: a folded chain of the kinds of nodes that the plate model has.
        param: the file to write.
        largest: the largest magnitude of the input of a layer, by its name; with it, the file is int8.
    """
    net = _Net(largest)
    net.line("Input", "image", "")
    following = [*graph.nodes[1:], None]
    for layer, after in zip(graph.nodes, following, strict=True):
        shape = graph.shapes[layer.name]
        match layer:
            case Conv(strides=(1, 1), dilation=(1, 1), groups=1, activation="relu"):
                net.conv(layer, after.name if isinstance(after, Conv) else None)
            case Pool(mode="max", size=(height, width), pads=pads) if layer.size == layer.strides and pads == NO_PADS:
                net.line("Pooling", layer.name, f"0=0 1={width} 11={height} 2={width} 12={height} 5=1")
            case Reshape():  # from channels, height, width to height, width, channels
                net.line("Permute", f"{layer.name}:permuted", "0=3")
                net.line("Reshape", layer.name, f"0={shape[1]} 1={shape[0]}")
            case Dense():
                net.dense(layer)
            case Recurrent(merge="concat" | "sum"):
                net.recurrent(layer)
            case Softmax():
                net.line("Softmax", layer.name, "0=1 1=1")
            case _:
                raise NotImplementedError(f"{layer.name}: {type(layer).__name__}")
    param.write_text("\n".join([_MAGIC, f"{len(net.lines)} {net.blobs}", *net.lines, ""]), encoding="utf-8")
    param.with_suffix(".bin").write_bytes(b"".join(net.weights))


def open_ncnn(path: Path, threads: int) -> Infer:
    """Open a file in ncnn: float32 files in float32, int8 files with float16 where ncnn chooses it."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    if "int8" not in path.stem:
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(str(path)) or net.load_model(str(path.with_suffix(".bin"))):
        raise ValueError(f"{path}: ncnn cannot load it; make it again")
    last = net.output_names()[0]

    def infer(image: npt.NDArray[Any]) -> Probabilities:
        planes = np.ascontiguousarray(
            image[0].transpose(2, 0, 1)
        )  # a name, since the Mat does not keep the array alive
        with net.create_extractor() as extractor:
            extractor.input("image", ncnn.Mat(planes))
            return np.array(extractor.extract(last)[1])[np.newaxis]

    return infer


class _Net:
    """The lines and weights of a chain of layers."""

    def __init__(self, largest: Mapping[str, float] | None) -> None:
        self.lines: list[str] = []
        self.weights: list[bytes] = []
        self.blobs = 0
        self._last: list[str] = []
        self._largest = largest

    def line(self, kind: str, name: str, settings: str, gives: tuple[str, ...] = ()) -> None:
        gives = gives or (name,)
        self.lines.append(" ".join([kind, name, f"{len(self._last)} {len(gives)}", *self._last, *gives, settings]))
        self._last, self.blobs = list(gives), self.blobs + len(gives)

    def conv(self, layer: Conv, after: str | None) -> None:
        """Add a convolution; `after` names the convolution that directly follows it."""
        height, width, _, channels = layer.kernel.shape
        (top, bottom), (left, right) = layer.pads
        self.line(
            "Convolution", layer.name,
            f"0={channels} 1={width} 11={height} 4={left} 14={top} 15={right} 16={bottom} 5=1 6={layer.kernel.size}"
            f" 9={_RELU}{self._term(_GIVES_INT8 if after else 0)}",
        )  # fmt: skip
        rows = layer.kernel.transpose(3, 2, 0, 1).reshape(channels, -1)
        self._matrix(rows, layer.bias, layer.name, *filter(None, [after]))

    def dense(self, layer: Dense) -> None:
        units = layer.kernel.shape[1]
        relu = f" 9={_RELU}" if layer.activation == "relu" else ""
        self.line("InnerProduct", layer.name, f"0={units} 1=1 2={layer.kernel.size}{relu}{self._term()}")
        self._matrix(layer.kernel.T, layer.bias, layer.name)

    def recurrent(self, layer: Recurrent) -> None:
        cells = [cell for cell in (layer.forward, layer.backward) if isinstance(cell, LstmCell)]
        assert [cell.recurrent_activation for cell in cells] == ["sigmoid", "sigmoid"]
        size = cells[0].recurrent.shape[0]
        kernels = [_gates(cell.kernel.T, size) for cell in cells]
        recurrents = [_gates(cell.recurrent.T, size) for cell in cells]
        name = layer.name if layer.merge == "concat" else f"{layer.name}:both"
        self.line("LSTM", name, f"0={size} 1={sum(kernel.size for kernel in kernels)} 2=2{self._term()}")
        scales_x = self._tensor(np.concatenate(kernels))
        self._floats(_FLOAT32, np.concatenate([_gates(cell.bias[:, np.newaxis], size) for cell in cells]))
        scales_h = self._tensor(np.concatenate(recurrents))
        for scales in (scales_x, scales_h):
            if scales is not None:
                self._floats(None, scales)
        if layer.merge == "sum":
            self.line("Slice", f"{layer.name}:sliced", "-23300=2,-233,-233 1=1", (f"{layer.name}:f", f"{layer.name}:b"))
            self.line("BinaryOp", layer.name, "0=0")

    def _term(self, more: int = 0) -> str:
        return "" if self._largest is None else f" 8={_INT8_TERM + more}"

    def _matrix(self, rows: Array, bias: Array, *takers: str) -> None:
        """Add weights, bias and the input scales of `takers`: this layer and, for int8 output, the next one."""
        scales = self._tensor(rows)
        self._floats(None, bias)
        if scales is not None and self._largest is not None:
            self._floats(None, scales)
            for name in takers:
                self._floats(None, np.array([127 / self._largest[name]]))

    def _tensor(self, rows: Array) -> Array | None:
        """Weights, a row for each output; in int8, their scales."""
        if self._largest is None:
            self._floats(_FLOAT32, rows)
            return None
        scales: Array = 127 / np.maximum(np.abs(rows).max(axis=1), 1e-9)
        values = np.rint(rows * scales[:, np.newaxis]).astype(np.int8).tobytes()
        self.weights += [np.uint32(_INT8).tobytes(), values, bytes(-len(values) % 4)]
        return scales

    def _floats(self, tag: int | None, values: Array) -> None:
        self.weights += [b"" if tag is None else np.uint32(tag).tobytes(), np.asarray(values, "<f4").tobytes()]


def _gates(rows: Array, size: int) -> Array:
    """Reorder the gates from Keras' order, i f c o, to ncnn's, i f o c."""
    i, f, c, o = (rows[gate * size : (gate + 1) * size] for gate in range(4))
    return np.concatenate([i, f, o, c])
