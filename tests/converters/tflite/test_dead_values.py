"""Values that were 0 on all calibration images: the file must load wherever a small bias comes after them."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from converters.graph.graph import Graph
from converters.graph.nodes import Affine, Conv, Dense, Reshape, Softmax
from converters.graph.ranges import calibrate
from converters.recipe import RECIPES
from converters.tflite.to_tflite import to_tflite
from edge_crnn.model.spec import InputSpec


@pytest.mark.parametrize("bias", [0.0, 1e-7, 1e-5, 1e-3, 1.0])
@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_a_small_bias_behind_dead_values(bias: float, kind: str) -> None:
    random = np.random.default_rng(0)
    unit = np.ones(1, np.float32)
    shift = np.full(1, -3, np.float32)
    biases = random.normal(0, bias, 5).astype(np.float32)
    kernel = random.normal(size=(3, 3, 1, 5)).astype(np.float32)
    layers = {
        "dense": [Reshape("rows", (10, 5)), Dense("dense", kernel[0, 0].repeat(5, axis=0), biases)],
        "conv": [Conv("conv", kernel, biases, pads=((1, 1), (1, 1))), Reshape("rows", (50, 5))],
    }
    graph = Graph.chain((5, 10, 1), [Affine("dead", unit, shift, "relu"), *layers[kind], Softmax("softmax")])
    images = random.random((2, 5, 10, 1)).astype(np.float32)
    payload = to_tflite(graph, InputSpec(10, 5, "HWC", 1 / 255, 0.0), RECIPES["int8"], calibrate(graph, [images]))
    interpreter = Interpreter(model_content=payload, num_threads=1)
    read = interpreter.get_signature_runner("read")
    for image in images:
        output = read(image=image[None])["probabilities"]
        np.testing.assert_allclose(output.sum(axis=-1), 1, atol=0.02)
