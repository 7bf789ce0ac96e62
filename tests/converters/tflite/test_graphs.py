"""Networks that are more than a chain: what is joined, what is shared, and how often it is converted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from converters.graph import nodes as g
from converters.graph import oracle
from converters.graph.graph import INPUT, Graph
from converters.graph.ranges import calibrate
from converters.recipe import RECIPES, Recipe
from tests.budget import examples
from tests.converters.tflite.running import (
    CELLS,
    MAP,
    Maker,
    converted,
    ending,
    every_recipe,
    holds,
    noise,
    ops_of,
    read,
    tensors_of,
)

M = Maker(5)


def conv(name: str, taken: str, inside: int, out: int, size: int = 3, **options: object) -> g.Conv:
    pads = g.same_pads(MAP, (size, size), (1, 1))
    return replace(M.conv((size, size), inside, out, pads=pads, **options), name=name, inputs=(taken,))


def norm(name: str, taken: str, width: int) -> g.Affine:
    return replace(M.norm(width), name=name, inputs=(taken,))


def dense(name: str, taken: str, inside: int, out: int, activation: g.Activation = "linear") -> g.Dense:
    return replace(M.dense(inside, out, activation), name=name, inputs=(taken,))


def grouped(name: str, taken: str, groups: int, inside: int, out: int) -> g.Conv:
    return replace(conv(name, taken, inside // groups, out), groups=groups)


RESIDUAL = (
    conv("first", INPUT, 3, 4, activation="relu"),
    conv("second", "first", 4, 4),
    g.Binary("sum", "add", "relu", inputs=("second", "first")),
)
DENSE = (
    conv("stem", INPUT, 3, 4, activation="relu"),
    *(
        node
        for block, (before, width) in enumerate([("stem", 4), ("joined0", 7), ("joined1", 10)])
        for node in (
            norm(f"norm{block}", before, width),
            g.Unary(f"relu{block}", "relu", inputs=(f"norm{block}",)),
            conv(f"new{block}", f"relu{block}", width, 3),
            g.Concat(f"joined{block}", 2, inputs=(before, f"new{block}")),
        )
    ),
)
SQUEEZED = (
    conv("map", INPUT, 3, 4, activation="relu"),
    g.Reduce("mean", "mean", (0, 1), inputs=("map",)),
    dense("narrow", "mean", 4, 2, "relu"),
    dense("wide", "narrow", 2, 4),
    g.Unary("gate", "sigmoid", inputs=("wide",)),
    g.Reshape("gates", (1, 1, 4), inputs=("gate",)),
    g.Binary("scaled", "multiply", inputs=("map", "gates")),
)
MOBILE = (
    conv("expanded", INPUT, 3, 6, size=1),
    g.Unary("silu", "silu", inputs=("expanded",)),
    grouped("depthwise", "silu", 6, 6, 6),
    g.Normalise("normal", (2,), 1e-3, inputs=("depthwise",)),
    norm("scale", "normal", 6),
    g.Unary("gelu", "gelu", inputs=("scale",)),
    conv("projected", "gelu", 6, 3, size=1),
    g.Binary("sum", "add", inputs=("projected", INPUT)),
    grouped("groups", "sum", 3, 3, 6),
)
ATTENTION = (
    g.Reshape("rows", (9, 21), inputs=(INPUT,)),
    g.Constant("place", M.images(1, (9, 21))[0]),
    g.Binary("placed", "add", inputs=("rows", "place")),
    *(dense(name, "placed", 21, 8) for name in ("query", "key", "value")),
    *(g.Reshape(f"{name} heads", (9, 2, 4), inputs=(name,)) for name in ("query", "key", "value")),
    *(g.Permute(f"{name}s", (1, 0, 2), inputs=(f"{name} heads",)) for name in ("query", "key", "value")),
    g.MatMul("scores", transposed=True, inputs=("querys", "keys")),
    g.Softmax("weights", inputs=("scores",)),
    g.MatMul("mixed", inputs=("weights", "values")),
    g.Permute("together", (1, 0, 2), inputs=("mixed",)),
    g.Reshape("flattened", (9, 8), inputs=("together",)),
    dense("out", "flattened", 8, 21),
    g.Binary("residual", "add", inputs=("out", "placed")),
)
HAND_WIRED = (
    g.Reshape("rows", (9, 21), inputs=(INPUT,)),
    dense("entry", "rows", 21, 5, "relu"),
    g.Recurrent("forth", CELLS[0], None, inputs=("entry",)),
    g.Recurrent("back", None, CELLS[1], inputs=("entry",)),
    g.Reverse("not turned", 0, inputs=("back",)),
    g.Concat("both", 1, inputs=("forth", "not turned", "entry")),
)
SAMPLED = (
    conv("features", INPUT, 3, 2, activation="relu"),
    g.Reshape("all", (126,), inputs=("features",)),
    replace(dense("matrix", "all", 126, 6), bias=np.float32([0.8, 0.1, 0.05, 0, 0.9, -0.1])),
    g.SpatialTransform("sampled", inputs=(INPUT, "matrix")),
    conv("after", "sampled", 3, 4),
)
SAMPLED[2].kernel[:] *= 0.05
UNET = (
    conv("high", INPUT, 3, 4, activation="relu"),
    g.Slice("even", (0, 0, 0), (6, 8, 4), (1, 1, 1), inputs=("high",)),
    g.Pool("low", "max", (2, 2), (2, 2), inputs=("even",)),
    g.Resize("enlarged", (2, 2), "bilinear", inputs=("low",)),
    g.ConvTranspose("learned", M.weights(2, 2, 4, 4), M.weights(4), (2, 2), inputs=("low",)),
    g.Binary("largest", "maximum", inputs=("enlarged", "learned")),
    g.Concat("skipped", 2, inputs=("even", "largest")),
    g.Pad("back", ((0, 1), (1, 0), (0, 0)), inputs=("skipped",)),
)
NETWORKS: dict[str, tuple[g.Node, ...]] = {
    "residual": RESIDUAL, "dense": DENSE, "squeezed": SQUEEZED, "mobile": MOBILE, "attention": ATTENTION,
    "hand-wired": HAND_WIRED, "sampled": SAMPLED, "u-net": UNET,
}  # fmt: skip


@every_recipe
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("batch", [1, 2])
def test_networks_are_read_as_the_oracle_does(network: str, batch: int, recipe: Recipe) -> None:
    holds(recipe, ending(MAP, *NETWORKS[network]), batch)


@every_recipe
@pytest.mark.parametrize("network", NETWORKS)
def test_networks_after_folding(network: str, recipe: Recipe) -> None:
    holds(recipe, ending(MAP, *NETWORKS[network]).folded())


@every_recipe
@pytest.mark.parametrize("node", ["second", "sum", "first"])
def test_a_node_of_a_residual_stays_float(node: str, recipe: Recipe) -> None:
    holds(replace(recipe, float_layers=(node,)), ending(MAP, *RESIDUAL))


# --- how often values are converted ----------------------------------------------------------------------------------


def in_int8(graph: Graph) -> bytes:
    return converted(graph, "int8", calibrate(graph, [Maker(2).images(8, graph.input_shape)]))


CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


def conversions(payload: bytes) -> list[str]:
    return [code for code in ops_of(payload) if code in CONVERSIONS]


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("residual", ["QUANTIZE", "DEQUANTIZE"]),
        ("squeezed", ["QUANTIZE", "DEQUANTIZE"]),
        # Of a value that is normed as well as joined, a copy for the joint, unless they have the same range; what is
        # joined alone is written as the joint wants it.
        ("dense", ["QUANTIZE", "QUANTIZE", "QUANTIZE", "DEQUANTIZE"]),
        # Norm, scale and function are float32 side by side.
        ("mobile", ["QUANTIZE", "DEQUANTIZE", "QUANTIZE", "DEQUANTIZE"]),
        ("attention", ["QUANTIZE", "DEQUANTIZE", "DEQUANTIZE", "DEQUANTIZE", "QUANTIZE", "DEQUANTIZE"]),
    ],
)
def test_nothing_is_converted_without_need(network: str, expected: list[str]) -> None:
    assert conversions(in_int8(ending(MAP, *NETWORKS[network]).folded())) == expected


def test_a_value_enters_a_precision_once() -> None:
    """Taken by two nodes in int8 and by three in float32."""
    nodes = (
        conv("map", INPUT, 3, 4),
        *(g.Normalise(name, axes, 1e-3, inputs=("map",)) for name, axes in (("a", (2,)), ("b", (0,)), ("c", (1,)))),
        *(conv(f"of {name}", name, 4, 4, size=1) for name in ("a", "map", "b")),
        g.Concat("all", 2, inputs=("of a", "of map", "of b", "c", "map")),
    )
    counts = Counter(conversions(in_int8(ending(MAP, *nodes))))
    assert counts["DEQUANTIZE"] == 2  # the map, and the probabilities
    assert counts["QUANTIZE"] == 1 + 3 + 1  # the input; a, b and c; the map for the joint


def test_a_joint_and_its_operands_share_a_quantisation() -> None:
    nodes = (
        conv("narrow", INPUT, 3, 4),
        g.Affine("wide", np.full(3, 99, np.float32), np.zeros(3, np.float32), inputs=(INPUT,)),
        g.Reverse("turned", 1, inputs=("wide",)),
        g.Unary("gate", "sigmoid", inputs=("narrow",)),
        g.Concat("inner", 2, inputs=("turned", "gate")),
        g.Concat("outer", 2, inputs=("inner", "narrow")),
    )
    payload = in_int8(ending(MAP, *nodes))
    tensors = tensors_of(payload)
    scale = {
        name: float(tensors[name].quantization.scale[0]) for name in ("wide", "turned", "inner", "outer", "narrow")
    }
    assert scale["wide"] == scale["turned"] == scale["inner"] == scale["outer"] != scale["narrow"]
    assert conversions(payload) == [
        "QUANTIZE",
        "QUANTIZE",
        "QUANTIZE",
        "DEQUANTIZE",
    ]  # input, gate, narrow; result


def test_outputs_of_the_stack_keep_their_own_scale() -> None:
    graph = ending(MAP, *HAND_WIRED)
    ranges = calibrate(graph, [Maker(2).images(8, MAP)])
    for recipe in ("int8", "int8-full"):
        scale = float(tensors_of(converted(graph, recipe, ranges))["entry"].quantization.scale[0])
        assert scale == pytest.approx(ranges["entry"][1] / 255)


def test_transformations_are_float() -> None:
    """A step of int8 would move the map by a pixel and more."""
    for recipe in ("dynamic", "int8"):
        graph = ending(MAP, *SAMPLED)
        payload = converted(graph, recipe, calibrate(graph, [Maker(2).images(8, MAP)]))
        kernel = tensors_of(payload)["matrix/kernel"]
        assert (kernel.type, list(kernel.shape)) == (0, [6, 126])


# --- any graph -------------------------------------------------------------------------------------------------------

KINDS = ["conv", "depthwise", "norm", "function", "binary", "concat", "gate", "normal", "pool", "turned", "constant"]
SMOOTH = ["elu", "gelu", "hard_silu", "leaky_relu", "mish", "relu", "sigmoid", "silu", "softplus", "tanh"]


def woven(data: st.DataObject, make: Maker) -> Graph:
    """Up to eight nodes on 4×5 maps, which take any before them; all that nothing takes are joined."""
    rows, columns = 4, 5
    widths = {INPUT: 3}
    nodes: list[g.Node] = []

    def add(node: g.Node, width: int) -> None:
        nodes.append(node)
        widths[node.name] = width

    for place in range(data.draw(st.integers(2, 8))):
        name = f"node {place}"
        taken = data.draw(st.sampled_from(list(widths)))
        width = widths[taken]
        kind = data.draw(st.sampled_from(KINDS))
        alike = [other for other, channels in widths.items() if channels in (1, width)]
        match kind:
            case "conv" | "depthwise":
                groups, out = (width, width) if kind == "depthwise" else (1, data.draw(st.integers(1, 4)))
                kernel = make.weights(3, 3, width // groups, out)
                bias = make.weights(out, gain=0.3)
                add(g.Conv(name, kernel, bias, pads=((1, 1), (1, 1)), groups=groups, inputs=(taken,)), out)
            case "norm":
                add(replace(make.norm(width), name=name, inputs=(taken,)), width)
            case "function":
                add(g.Unary(name, data.draw(st.sampled_from(SMOOTH)), 1.0, inputs=(taken,)), width)
            case "binary":
                operator = data.draw(st.sampled_from(["add", "subtract", "multiply", "maximum", "minimum"]))
                add(g.Binary(name, operator, inputs=(taken, data.draw(st.sampled_from(alike)))), width)
            case "concat":
                other = data.draw(st.sampled_from(list(widths)))
                add(g.Concat(name, 2, inputs=(taken, other)), width + widths[other])
            case "gate":
                nodes.append(g.Reduce(f"{name} mean", "mean", (0, 1), keepdims=True, inputs=(taken,)))
                nodes.append(g.Unary(f"{name} gate", "sigmoid", inputs=(f"{name} mean",)))
                add(g.Binary(name, "multiply", inputs=(taken, f"{name} gate")), width)
            case "normal":
                add(g.Normalise(name, (0, 1, 2), 1e-2, inputs=(taken,)), width)
            case "pool":
                mode = data.draw(st.sampled_from(["max", "average"]))
                add(g.Pool(name, mode, (3, 3), (1, 1), ((1, 1), (1, 1)), inputs=(taken,)), width)
            case "turned":
                add(g.Reverse(name, data.draw(st.integers(0, 1)), inputs=(taken,)), width)
            case "constant":
                nodes.append(g.Constant(f"{name} constant", make.images(1, (rows, columns, width))[0]))
                add(g.Binary(name, "add", inputs=(taken, f"{name} constant")), width)
    used = {taken for node in nodes for taken in node.inputs}
    loose = [node.name for node in nodes if node.name not in used]
    return ending((rows, columns, 3), *nodes, g.Concat("joint", 2, inputs=tuple(loose)))


@settings(max_examples=examples(60), deadline=None)
@given(st.data(), st.integers(0, 2**16), st.booleans())
def test_any_graph(data: st.DataObject, seed: int, folded: bool) -> None:
    make = Maker(seed)
    graph = woven(data, make)
    graph = graph.folded() if folded else graph
    images = make.images(16, graph.input_shape)
    expected = oracle.run(graph, images)
    assume(expected.std(axis=0).max() > 0.1)  # not so of x - x
    np.testing.assert_allclose(read(converted(graph, "float32"), images), expected, atol=3e-5, rtol=0)
    values = read(converted(graph, RECIPES["int8"], calibrate(graph, [images])), images)
    assert noise(values, expected) < 0.2  # of a network that may be very sensitive; a fault makes it 1 and more
