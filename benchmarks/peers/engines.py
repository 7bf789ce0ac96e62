"""The engines that are compared: how their files are made from the trained model, and how they are opened.

Every peer gets its best settings on a CPU: graph optimisation, one stream, as many threads as cores, weights quantised
per channel, and recurrent layers in its cheapest precision.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.artifact import make_onnx
from converters.recipe import ONNX_RECIPES, RECIPES
from converters.trained.keras.model import load_graph
from edge_crnn.backends import Probabilities, open_backend
from edge_crnn.model.artifact import load_sidecar, save
from edge_crnn.records.engines import REFERENCE

from . import ncnn
from .rounds import Engine, Infer
from .source import Source, size_of


def open_keras(path: Path, threads: int) -> Infer:  # noqa: ARG001 - TensorFlow takes the threads from the environment
    """Open the trained model in Keras, in a `tf.function`."""
    from converters.reference.keras import KerasReference

    return KerasReference(path, batch=1).infer


def open_onnxruntime(path: Path, threads: int) -> Infer:
    """Open a file in ONNX Runtime, on its CPU provider."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})[0]


def open_openvino(path: Path, threads: int) -> Infer:
    """Open a file in OpenVINO, on its CPU plugin, with float32 where nothing is quantised."""
    import openvino

    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(_single_image(core.read_model(path)), "CPU", settings).create_infer_request()
    return lambda image: request.infer({0: image}, share_inputs=True, share_outputs=True)[0]


def open_torch(path: Path, threads: int) -> Infer:
    """Open the network in PyTorch, on a CPU, in float32, channels last and without autograd."""
    import torch

    from ..gpu.texts import layers_of
    from .torch import network

    torch.set_num_threads(threads)
    spec = load_sidecar(path)
    layers = layers_of(load_graph(path).folded(), spec.input, np.float32)[1:]  # without the layer that converts pixels
    with torch.inference_mode():
        run = network(layers, torch, "cpu", torch.float32)

    def infer(image: npt.NDArray[Any]) -> Probabilities:
        with torch.inference_mode():
            probabilities: Probabilities = run(torch.from_numpy(image)).numpy()
            return probabilities

    return infer


def open_tensorrt(path: Path, threads: int) -> Infer:
    """Open a file in the runtime's own backend on a GPU; the first call builds the engine and keeps it."""
    return open_backend(path, threads, "tensorrt").infer


def keras(source: Source) -> Engine:
    """Return the trained model itself, in Keras."""
    return Engine(REFERENCE, open_keras, source.path, source.spec.input, size_of(source.path))


def onnxruntime_float32(source: Source) -> Engine:
    """Make the engine of ONNX Runtime in float32."""
    return _peer(source, "ONNX Runtime float32", open_onnxruntime, source.onnx)


def onnxruntime_int8(source: Source) -> Engine:
    """Make the engine of ONNX Runtime in int8, including the recurrent layers by `DynamicQuantizeLSTM`."""
    from onnxruntime import quantization

    path = source.work / "int8.onnx"
    quantization.quantize_dynamic(
        source.qdq, path, op_types_to_quantize=["LSTM"], weight_type=quantization.QuantType.QInt8
    )
    note = "static per-channel QDQ, DynamicQuantizeLSTM"
    return _peer(source, "ONNX Runtime int8", open_onnxruntime, path, note)


def openvino_float32(source: Source) -> Engine:
    """Make the engine of OpenVINO in float32."""
    return _peer(source, "OpenVINO float32", open_openvino, source.onnx)


def openvino_int8(source: Source) -> Engine:
    """Make the engine of OpenVINO in int8 by its own quantiser, which leaves recurrent layers in float32."""
    import nncf
    import openvino

    nncf.set_log_level(logging.ERROR)
    core = openvino.Core()
    with contextlib.redirect_stdout(io.StringIO()):  # it draws progress bars
        model = nncf.quantize(
            _single_image(core.read_model(source.onnx)),
            nncf.Dataset([image[np.newaxis] for image in source.images]),
            subset_size=len(source.images),
            ignored_scope=nncf.IgnoredScope(types=["LSTMSequence"]),
        )
    path = source.work / "nncf.xml"
    openvino.save_model(model, path, compress_to_fp16=False)
    return _peer(source, "OpenVINO int8 (NNCF)", open_openvino, path, "static, LSTM float32")


def openvino_qdq(source: Source) -> Engine:
    """Make the engine of OpenVINO on the int8 ONNX file of ONNX Runtime's quantiser."""
    return _peer(source, "OpenVINO int8 (QDQ)", open_openvino, source.qdq, "static per-channel QDQ, LSTM float32")


def ncnn_float32(source: Source) -> Engine:
    """Make the engine of ncnn in float32."""
    return ncnn.engine(source, "ncnn float32", "ncnn-float32.param")


def ncnn_int8(source: Source) -> Engine:
    """Make the engine of ncnn in int8, including the recurrent layers."""
    return ncnn.engine(source, "ncnn int8", "ncnn-int8.param", source.ranges)


def torch_float32(source: Source) -> Engine:
    """Make the engine of PyTorch in float32, with the same weights in its own layers."""
    return _peer(source, "PyTorch float32", open_torch, source.path)


def tensorrt_float16(source: Source) -> Engine:
    """Make the engine of TensorRT in float16 from our own ONNX file, which takes pixels."""
    path = source.work / "float16.onnx"
    conversion = make_onnx(path, source.graph, source.spec, ONNX_RECIPES["float16"], source.sha256)
    saved = save(path, conversion.payload, conversion.spec)
    return Engine("TensorRT float16", open_tensorrt, path, saved.spec.input, size_of(path), note="on the GPU")


PEERS: Mapping[str, Callable[[Source], Engine]] = {
    "Keras": keras,
    "ONNX Runtime float32": onnxruntime_float32,
    "ONNX Runtime int8": onnxruntime_int8,
    "OpenVINO float32": openvino_float32,
    "OpenVINO int8 (NNCF)": openvino_int8,
    "OpenVINO int8 (QDQ)": openvino_qdq,
    "ncnn float32": ncnn_float32,
    "ncnn int8": ncnn_int8,
    "PyTorch float32": torch_float32,
    "TensorRT float16": tensorrt_float16,
}
OURS: Mapping[str, Callable[[Source], Engine]] = {
    f"edge-crnn {name}": lambda source, recipe=recipe: source.artifact(recipe)  # type: ignore[misc]
    for name, recipe in RECIPES.items()
}


def build(source: Source, makers: Mapping[str, Callable[[Source], Engine]]) -> tuple[list[Engine], dict[str, str]]:
    """Make the files of the engines, and return the reasons why others are absent, by name."""
    engines, absent = [], {}
    for name, make in makers.items():
        try:
            engines.append(make(source))
        except ImportError as error:
            absent[name] = str(error)
    return engines, absent


def _peer(source: Source, name: str, opener: Callable[[Path, int], Infer], path: Path, note: str = "") -> Engine:
    return Engine(name, opener, path, source.spec.input, size_of(path), note=note)


def _single_image(model: Any) -> Any:
    model.reshape([1, *list(model.input(0).partial_shape)[1:]])
    return model
