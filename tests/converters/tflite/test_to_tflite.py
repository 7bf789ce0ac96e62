"""Whole networks in every recipe, and the file around them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from converters.graph.graph import Graph, Ranges
from converters.graph.nodes import (
    Affine,
    Conv,
    Dense,
    Node,
    Permute,
    Pool,
    Reshape,
    Slice,
    Softmax,
    Unary,
    same_pads,
)
from converters.graph.ranges import calibrate
from converters.recipe import RECIPES, Recipe
from converters.tflite.quantisation import SIGMOID_OUT
from converters.tflite.to_tflite import to_tflite
from edge_crnn.errors import ConversionError
from edge_crnn.model.spec import InputSpec
from tests.converters.tflite.running import (
    KINDS,
    MAP,
    RECURRENT,
    SEQUENCE,
    Maker,
    converted,
    ending,
    every_form,
    every_kind,
    every_recipe,
    holds,
    read,
)

M = Maker(5)


def same(node: Conv, shape: tuple[int, ...] = MAP) -> Conv:
    return replace(node, pads=same_pads(shape, node.kernel.shape, node.strides))


FUNCTIONS = ("relu", "relu6", "tanh", "sigmoid", "linear", "silu", "elu", "softplus")
NETWORKS: dict[str, tuple[Node, ...]] = {
    "nothing": (),
    "conv same": (same(M.conv((3, 3), 3, 4)),),
    "conv strided": (same(M.conv((3, 3), 3, 4, strides=(2, 3))),),
    "conv even": (same(M.conv((2, 4), 3, 4)),),
    "conv relu": (same(M.conv((3, 3), 3, 4, activation="relu")),),
    "conv relu6": (same(replace(M.conv((3, 3), 3, 4, activation="relu6"), kernel=M.weights(3, 3, 3, 4, gain=8))),),
    "max pool": (Pool("pool", "max", (2, 3), (2, 3)),),
    "average pool same": (Pool("pool", "average", (3, 2), (2, 2), same_pads(MAP, (3, 2), (2, 2))),),
    "norm after relu": (
        same(M.conv((3, 3), 3, 4, activation="relu")),
        M.norm(4),
        replace(same(M.conv((3, 3), 4, 4)), name="b"),
    ),
    "turned": (Permute("turned", (1, 0, 2)), M.conv((2, 2), 3, 4)),
    "channels first": (Permute("turned", (2, 0, 1)),),
    "reshaped": (same(M.conv((2, 2), 3, 4)), Reshape("sequence", (7, 36)), M.dense(36, 5, "relu")),
    "norm of a sequence": (Reshape("sequence", (9, 21)), M.norm(21)),
    "softmax inside": (Reshape("sequence", (9, 21)), M.dense(21, 4), Softmax("inside")),
    **{name: (same(M.conv((3, 3), 3, 4)), Unary("f", name, 1.0)) for name in FUNCTIONS},  # type: ignore[arg-type]
}


@every_recipe
@pytest.mark.parametrize("network", NETWORKS)
def test_networks(network: str, recipe: Recipe) -> None:
    holds(recipe, ending(MAP, *NETWORKS[network]))


@every_form
def test_a_batch_reads_as_its_images_alone(recipe: Recipe) -> None:
    graph = ending(MAP, same(M.conv((3, 3), 3, 4)), Reshape("sequence", (7, 36)), M.dense(36, 5), *RECURRENT["concat"])
    images = Maker(4).images(8, MAP)
    alone, four = (converted(graph, recipe, calibrate(graph, [images]), batch) for batch in (1, 4))
    np.testing.assert_allclose(read(four, images), read(alone, images), atol=1e-6)


@every_form
@pytest.mark.parametrize("kept", [("dense",), ("conv", "dense"), ("last",)])
def test_layers_that_stay_float(kept: tuple[str, ...], recipe: Recipe) -> None:
    nodes = same(M.conv((3, 3), 3, 4, activation="relu")), Reshape("sequence", (7, 36)), M.dense(36, 5)
    holds(replace(recipe, float_layers=kept), ending(MAP, *nodes, *RECURRENT["sum"]))


# --- the file, and what cannot be ------------------------------------------------------------------------------------


def seen(graph: Graph) -> Ranges:
    return calibrate(graph, [Maker(2).images(4, graph.input_shape)])


@every_form
@every_kind
def test_the_same_graph_is_the_same_bytes(kind: str, recipe: Recipe) -> None:
    graph = ending(SEQUENCE, *RECURRENT[KINDS[kind]])
    assert converted(graph, recipe, seen(graph)) == converted(graph, recipe, seen(graph))


ENDS: dict[str, tuple[Node, ...]] = {
    "softmax": (),
    "sliced": (Slice("cut", (0, 1), (1, 5), (1, 1)),),
    "reshaped": (Reshape("long", (2, 3)),),
}


@every_recipe
@pytest.mark.parametrize("layers", [(), RECURRENT["concat"]], ids=["without head", "with head"])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kept", [(), ("softmax",)], ids=["", "float softmax"])
def test_signature_describes_input_and_output(
    kept: tuple[str, ...], end: str, layers: tuple[Node, ...], recipe: Recipe
) -> None:
    """int8 comes out of a head in int8 alone, at the scale that the spec promises, whatever follows the softmax."""
    whole = ending(SEQUENCE, *layers)
    graph = Graph.chain(SEQUENCE, (*whole.nodes, *ENDS[end]))
    recipe = replace(recipe, float_layers=kept)
    payload = converted(graph, recipe, seen(graph), 2)
    interpreter = Interpreter(model_content=payload)
    assert interpreter.get_signature_list() == {"read": {"inputs": ["image"], "outputs": ["probabilities"]}}
    ((taken,), (result,)) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (taken["dtype"], tuple(taken["shape"])) == (np.float32, (2, *SEQUENCE))
    integer = recipe.head == "static"
    assert (result["dtype"], tuple(result["shape"])) == (np.int8 if integer else np.float32, (2, *graph.output_shape))
    if integer:
        assert result["quantization"] == (SIGMOID_OUT.scale, SIGMOID_OUT.zero_point)
    holds(recipe, graph, batch=2)


@every_form
@pytest.mark.parametrize("layers", [name for name in RECURRENT if "two layers" in name])
def test_every_value_is_of_use(layers: str, recipe: Recipe) -> None:
    """LiteRT 1.1 to 2.0 crash in XNNPACK on an op whose result nobody takes."""
    stack = same(M.conv((3, 3), 3, 4)), Reshape("sequence", (7, 36)), M.dense(36, 5)
    graph = ending(MAP, *stack, *RECURRENT[layers])
    model = schema.ModelT.InitFromPackedBuf(converted(graph, recipe, seen(graph)), 0)
    for subgraph in model.subgraphs:
        taken = {int(index) for op in subgraph.operators for index in op.inputs} | set(map(int, subgraph.outputs))
        for op in subgraph.operators:
            assert taken & set(map(int, op.outputs)), subgraph.tensors[op.outputs[0]].name


def test_missing_calibration_is_requested() -> None:
    with pytest.raises(ConversionError, match="recipe int8 needs calibration images; give --calibration DIR"):
        converted(ending(SEQUENCE), "int8")


def test_an_image_of_another_shape_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"input is \(5, 8, 1\), the network takes \(8, 5, 1\)"):
        to_tflite(ending((8, 5, 1)), InputSpec(8, 5, "HWC", 1.0, 0.0), RECIPES["float32"])


def test_a_loop_cannot_be_static() -> None:
    graph = ending(SEQUENCE, *RECURRENT["forward"])
    with pytest.raises(ConversionError, match="a loop cannot be static int8; use an unrolled form"):
        holds(replace(RECIPES["int8-full"], form="loop"), graph)


def test_weights_beyond_float16_are_refused() -> None:
    dense = M.dense(5, 4)
    dense.kernel[1, 2] = 70_000
    with pytest.raises(ConversionError, match="weight 'dense/kernel' exceeds float16; use --recipe float32 or dynamic"):
        converted(ending(SEQUENCE, dense), "float16")


def test_more_axes_than_litert_supports_are_refused() -> None:
    graph = Graph.chain((2, 2, 2), [Reshape("split", (2, 1, 2, 1, 2, 1)), Softmax("softmax")])
    with pytest.raises(ConversionError, match="layer 'split' gives 7 axes with the batch, and LiteRT takes 6"):
        converted(graph, "float32")


def test_an_emptied_channel_keeps_its_bias() -> None:
    """Weight decay leaves channels with next to no kernel, and the shift of the norm that was folded into them."""
    dense = Dense("dense", np.float32([[1e-12, 1], [0, -1]]), np.float32([0.7, 0.1]))
    graph = ending((6, 2), dense, Affine("apart", np.float32([1, 1]), np.float32([-0.7, 0])))
    images = Maker(2).images(16, (6, 2))
    middle = Graph.chain((6, 2), [dense, Softmax("softmax")])
    values = read(converted(middle, "int8", calibrate(middle, [images])), images)
    expected = read(converted(middle, "float32"), images)
    np.testing.assert_allclose(values, expected, atol=0.01)
    holds(RECIPES["int8"], graph)
