"""Every lowering against the oracle, run by LiteRT."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.graph import oracle
from converters.graph.layers import (
    Activation,
    Affine,
    Array,
    Cell,
    Conv,
    Dense,
    Gate,
    Graph,
    GruCell,
    Layer,
    LstmCell,
    Permute,
    Pool,
    Recurrent,
    Reshape,
)
from converters.graph.ranges import Ranges, calibrate
from converters.recipe import RECIPES, Recipe
from converters.tflite.ops import SIGMOID_OUT
from converters.tflite.to_tflite import to_tflite
from edge_crnn.errors import ConversionError
from edge_crnn.model.spec import InputSpec

EVERY_FORM = [
    replace(recipe, name=f"{recipe.name}-{form}", form=form)
    for recipe in RECIPES.values()
    for form in ("loop", "unrolled")
    if form == "unrolled" or recipe.head != "static"
]
every_form = pytest.mark.parametrize("recipe", EVERY_FORM, ids=lambda recipe: recipe.name)
every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)


class Own:
    """The network's own input, of any shape: an `InputSpec` knows images only."""

    dtype = "float32"

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


class Maker:
    """Seeded layers whose output depends strongly on all of their input."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def weights(self, *shape: int, gain: float = 1.5) -> Array:
        return self.random.normal(0, gain / np.sqrt(max(np.prod(shape[:-1]), 1)), shape).astype(np.float32)

    def conv(self, size: tuple[int, int], width: int, channels: int, **settings: object) -> Conv:
        kernel, bias = self.weights(*size, width, channels), self.weights(channels, gain=0.5)
        return Conv("conv", kernel, bias, **settings)  # type: ignore[arg-type]

    def dense(self, width: int, channels: int, function: str = "linear") -> Dense:
        return Dense("dense", self.weights(width, channels), self.weights(channels, gain=0.5), function)  # type: ignore[arg-type]

    def norm(self, width: int) -> Affine:
        return Affine("norm", self.random.uniform(-2, 2, width).astype(np.float32), self.weights(width, gain=0.5))

    def cell(self, width: int, units: int, gates: Gate = "sigmoid", kind: str = "lstm") -> Cell:
        if kind == "lstm":
            kernel, recurrent, bias = self.weights(width, 4 * units, gain=3), self.weights(units, 4 * units), 4 * units
            return LstmCell(kernel, recurrent, self.weights(bias), gates)
        kernel, recurrent, bias = self.weights(width, 3 * units, gain=3), self.weights(units, 3 * units), 3 * units
        return GruCell(kernel, recurrent, self.weights(bias), self.weights(units) if kind == "gru" else None, gates)


def ending(shape: tuple[int, ...], *layers: Layer, images: np.ndarray | None = None) -> Graph:
    """The layers, and a tail that makes probabilities of what they give, far apart for different images."""
    make = Maker(6)
    if images is None:
        images = make.random.uniform(-1, 1, (64, *shape)).astype(np.float32)
    values = oracle.run(Graph(shape, layers), images).reshape(len(images), -1)
    kernel = make.weights(values.shape[1], 6)
    kernel *= 3 / (values @ kernel).std(axis=0)
    last = Dense("last", kernel, -(values @ kernel).mean(axis=0))
    return Graph(shape, (*layers, Reshape("flat", (1, len(kernel))), last, Activation("softmax", "softmax")))


def read(payload: bytes, images: np.ndarray) -> np.ndarray:
    """Probabilities, one interpreter for all images, batch by batch."""
    interpreter = Interpreter(model_content=payload, num_threads=1)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    size = taken["shape"][0]
    parts = []
    for first in range(0, len(images), size):
        interpreter.set_tensor(taken["index"], images[first : first + size])
        interpreter.invoke()
        parts.append(interpreter.get_tensor(given["index"]))
    found = np.concatenate(parts)
    if found.dtype == np.int8:
        found = (found.astype(np.float32) - SIGMOID_OUT.zero_point) * SIGMOID_OUT.scale
    return found


def noise(found: np.ndarray, expected: np.ndarray) -> float:
    """Power of the error over power of what tells the images apart."""
    return float(np.sum((found - expected) ** 2) / np.sum((expected - expected.mean(axis=0)) ** 2))


LARGEST = {"float32": 1e-5, "float16": 1e-2}
NOISE = {"dynamic": 5e-3, "int8": 5e-3, "int8-full": 2e-2}


def check(recipe: Recipe, found: np.ndarray, expected: np.ndarray) -> None:
    """Floating point: by the largest difference of a probability; int8: by the power of noise over that of signal."""
    assert expected.std(axis=0).max() > 0.2  # the images are told apart
    name = recipe.name.removesuffix("-loop").removesuffix("-unrolled")
    if name in LARGEST:
        np.testing.assert_allclose(found, expected, atol=LARGEST[name], rtol=0)
    else:
        assert noise(found, expected) < NOISE[name]


def holds(recipe: Recipe, graph: Graph, batch: int = 1) -> None:
    """LiteRT reads images as the oracle does, 16 through one interpreter."""
    images = np.random.default_rng(9).uniform(-1, 1, (16, *graph.input_shape)).astype(np.float32)
    ranges = calibrate(graph, [images]) if recipe.needs_calibration else None
    payload = to_tflite(graph, Own(graph.input_shape), recipe, ranges, batch)  # type: ignore[arg-type]
    check(recipe, read(payload, images), oracle.run(graph, images))


def holds_for_pixels(
    recipe: Recipe, layers: tuple[Layer, ...], image: InputSpec, levels: tuple[int, int] = (0, 256), batch: int = 1
) -> None:
    """The same for a file that takes pixels: uint8, height before width, whatever the network takes."""
    pixels = np.random.default_rng(8).integers(*levels, (32, image.height, image.width, image.channels), np.uint8)
    images = (pixels * image.scale + image.offset).astype(np.float32)
    if image.axes == "WHC":
        images = images.swapaxes(1, 2)
    graph = ending(image.shape, *layers, images=images).folded()
    ranges = calibrate(graph, [images]) if recipe.needs_calibration else None
    payload = to_tflite(graph, replace(image, dtype="uint8"), recipe, ranges, batch)
    check(recipe, read(payload, pixels), oracle.run(graph, images))


# --- layers ----------------------------------------------------------------------------------------------------------

MAP, SEQUENCE = (7, 9, 3), (6, 5)
M = Maker(5)
ON_MAPS: dict[str, tuple[Layer, ...]] = {
    "nothing": (),
    "conv same": (M.conv((3, 3), 3, 4),),
    "conv valid": (M.conv((3, 2), 3, 4, padding="valid"),),
    "conv strided": (M.conv((3, 3), 3, 4, strides=(2, 3)),),
    "conv valid strided": (M.conv((2, 3), 3, 4, strides=(3, 2), padding="valid"),),
    "conv even": (M.conv((2, 4), 3, 4),),
    "conv even strided": (M.conv((4, 2), 3, 4, strides=(2, 2)),),
    "conv relu": (M.conv((3, 3), 3, 4, activation="relu"),),
    "conv relu6": (replace(M.conv((3, 3), 3, 4, activation="relu6"), kernel=M.weights(3, 3, 3, 4, gain=8)),),
    "max pool": (Pool("pool", "max", (2, 3), (2, 3)),),
    "max pool same": (Pool("pool", "max", (3, 2), (2, 2), "same"),),
    "average pool": (Pool("pool", "average", (2, 2), (1, 2)),),
    "average pool same": (Pool("pool", "average", (3, 2), (2, 2), "same"),),
    "norm after relu": (M.conv((3, 3), 3, 4, activation="relu"), M.norm(4), replace(M.conv((3, 3), 4, 4), name="b")),
    "turned": (Permute("turned", (1, 0, 2)), M.conv((2, 2), 3, 4)),
    "channels first": (Permute("turned", (2, 0, 1)),),
    "reshaped": (M.conv((2, 2), 3, 4), Reshape("sequence", (7, 36)), M.dense(36, 5, "relu")),
    **{name: (M.conv((3, 3), 3, 4), Activation("f", name)) for name in ("relu", "relu6", "tanh", "sigmoid", "linear")},  # type: ignore[arg-type]
}
ON_SEQUENCES: dict[str, tuple[Layer, ...]] = {
    "dense": (M.dense(5, 4),),
    "dense relu6": (M.dense(5, 4, "relu6"),),
    "norm of a sequence": (M.norm(5),),
    "softmax": (M.dense(5, 4), Activation("f", "softmax")),
}
CELLS = M.cell(5, 4), M.cell(5, 4)
RECURRENT: dict[str, tuple[Layer, ...]] = {
    "forward": (Recurrent("lstm", CELLS[0], None),),
    "backward": (Recurrent("lstm", None, CELLS[1]),),
    **{merge: (Recurrent("lstm", *CELLS, merge),) for merge in ("concat", "sum", "average", "product")},  # type: ignore[arg-type]
    "two widths": (Recurrent("lstm", M.cell(5, 3), M.cell(5, 7)),),
    "two layers": (Recurrent("lstm1", *CELLS, "sum"), M.norm(4), Recurrent("lstm2", M.cell(4, 3), M.cell(4, 3))),
}
for kind in ("gru", "gru as first published"):
    GRUS = M.cell(5, 4, kind=kind), M.cell(5, 4, kind=kind)
    RECURRENT[f"{kind} forward"] = (Recurrent("gru", GRUS[0], None),)
    RECURRENT[f"{kind} backward"] = (Recurrent("gru", None, GRUS[1]),)
    RECURRENT[f"{kind} sum"] = (Recurrent("gru", *GRUS, "sum"),)
    RECURRENT[f"{kind} two layers"] = (
        Recurrent("gru1", *GRUS),
        M.norm(8),
        Recurrent("gru2", M.cell(8, 3, kind=kind), M.cell(8, 6, kind=kind)),
    )
    RECURRENT[f"lstm and {kind}"] = (Recurrent("pair", CELLS[0], GRUS[1]),)
RECURRENT["gru without inner bias"] = (Recurrent("gru", replace(GRUS[0], inner_bias=np.zeros(4, np.float32)), None),)


@every_recipe
@pytest.mark.parametrize("layers", ON_MAPS)
def test_layers_of_maps(layers: str, recipe: Recipe) -> None:
    holds(recipe, ending(MAP, *ON_MAPS[layers]))


@every_recipe
@pytest.mark.parametrize("layers", ON_SEQUENCES)
def test_layers_of_sequences(layers: str, recipe: Recipe) -> None:
    holds(recipe, ending(SEQUENCE, *ON_SEQUENCES[layers]))


@every_form
@pytest.mark.parametrize("layers", RECURRENT)
@pytest.mark.parametrize("batch", [1, 4])
def test_recurrent_layers(layers: str, recipe: Recipe, batch: int) -> None:
    holds(recipe, ending(SEQUENCE, *RECURRENT[layers]), batch)


KINDS = {"lstm": "concat", "gru": "gru sum", "gru as first published": "gru as first published sum"}
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_form
@every_kind
def test_recurrence_of_one_step(kind: str, recipe: Recipe) -> None:
    holds(recipe, ending((1, 5), *RECURRENT[KINDS[kind]]), batch=2)


@pytest.mark.parametrize("other", get_args(Gate))
@every_form
@every_kind
def test_hard_gates(kind: str, other: Gate, recipe: Recipe) -> None:
    """Wide open and shut, so that the clipping counts."""
    hard = M.cell(5, 4, "hard_sigmoid_keras2", kind)
    pair = Recurrent("pair", replace(hard, kernel=3 * hard.kernel), replace(hard, recurrent_activation=other))
    holds(recipe, ending(SEQUENCE, pair))


@every_form
@every_kind
def test_an_interpreter_keeps_nothing_between_images(kind: str, recipe: Recipe) -> None:
    graph = ending(SEQUENCE, *RECURRENT[KINDS[kind]])
    images = np.random.default_rng(4).uniform(-1, 1, (5, *SEQUENCE)).astype(np.float32)
    payload = to_tflite(graph, Own(SEQUENCE), recipe, calibrate(graph, [images]))  # type: ignore[arg-type]
    fresh = np.concatenate([read(payload, images[index : index + 1]) for index in range(5)])
    assert np.ptp(fresh, axis=0).max() > 0.2
    np.testing.assert_array_equal(read(payload, images), fresh)
    np.testing.assert_array_equal(read(payload, images[::-1]), fresh[::-1])


@every_form
def test_a_batch_reads_as_its_images_alone(recipe: Recipe) -> None:
    graph = ending(MAP, M.conv((3, 3), 3, 4), Reshape("sequence", (7, 36)), M.dense(36, 5), *RECURRENT["concat"])
    images = np.random.default_rng(4).uniform(-1, 1, (8, *MAP)).astype(np.float32)
    ranges = calibrate(graph, [images])
    alone, four = (to_tflite(graph, Own(MAP), recipe, ranges, batch) for batch in (1, 4))  # type: ignore[arg-type]
    np.testing.assert_allclose(read(four, images), read(alone, images), atol=1e-6)


# --- any graph -------------------------------------------------------------------------------------------------------

PAIRS = st.tuples(st.integers(1, 4), st.integers(1, 4))
STEPS = st.tuples(st.integers(1, 3), st.integers(1, 3))
PADDINGS = st.sampled_from(["same", "valid"])
FUNCTIONS = st.sampled_from(["linear", "relu", "relu6", "tanh", "sigmoid", "softmax"])
PLANS = st.lists(
    st.one_of(
        st.tuples(st.just("conv"), PAIRS, STEPS, PADDINGS, FUNCTIONS, st.integers(1, 9)),
        st.tuples(st.just("pool"), PAIRS, STEPS, PADDINGS, st.sampled_from(["max", "average"])),
        st.tuples(st.just("activation"), FUNCTIONS),
        st.tuples(st.just("norm")),
        st.tuples(st.just("permute"), st.permutations([0, 1, 2])),
        st.tuples(st.just("dense"), FUNCTIONS),
    ),
    min_size=1,
    max_size=3,
)


def planned(plan: list[tuple[Any, ...]], shape: tuple[int, ...], make: Maker) -> tuple[Layer, ...]:
    """The layers of a plan as far as they fit."""
    layers: tuple[Layer, ...] = ()
    for index, (kind, *wishes) in enumerate(plan):
        now = Graph(shape, layers).output_shape if layers else shape
        layer: Layer
        if kind == "conv":
            size, strides, padding, function, channels = wishes
            layer = make.conv(size, now[-1], channels, strides=strides, padding=padding, activation=function)
        elif kind == "pool":
            size, strides, padding, of = wishes
            layer = Pool("pool", of, size, strides, padding)
        elif kind == "activation":
            layer = Activation("activation", *wishes)
        elif kind == "norm":
            layer = make.norm(now[-1])
        elif kind == "permute":
            layer = Permute("permute", tuple(wishes[0]))
        else:
            layer = make.dense(now[-1], 5, *wishes)
        layer = replace(layer, name=f"{index}:{layer.name}")
        if isinstance(layer, Conv | Pool) and layer.padding == "valid" and min(np.subtract(now[:2], wishes[0])) < 0:
            continue
        layers = (*layers, layer)
    return layers


@settings(max_examples=100, deadline=None)
@given(PLANS, st.integers(0, 2**32 - 1), st.booleans())
def test_any_stack_in_float32(plan: list[tuple[Any, ...]], seed: int, folded: bool) -> None:
    make = Maker(seed)
    last = make.dense(6, 6), Activation("softmax", "softmax")
    layers = planned(plan, MAP, make)
    flat = int(np.prod(Graph(MAP, layers).output_shape)) if layers else int(np.prod(MAP))
    graph = Graph(MAP, (*layers, Reshape("flat", (1, flat)), replace(make.dense(flat, 6), name="6"), *last))
    graph = graph.folded() if folded else graph
    images = make.random.uniform(-1, 1, (3, *MAP)).astype(np.float32)
    payload = to_tflite(graph, Own(MAP), RECIPES["float32"])  # type: ignore[arg-type]
    np.testing.assert_allclose(read(payload, images), oracle.run(graph, images), atol=2e-5, rtol=0)


# --- pixels ----------------------------------------------------------------------------------------------------------

SCALES = {
    "-1 to 1": (1 / 127.5, -1.0),
    "0 to 1": (1 / 255, 0.0),
    "around 127": (1.0, -127.0),
    "raw": (1.0, 0.0),
    "beyond pixels above": (1 / 255, 0.5),
    "beyond pixels below": (1 / 100, -4.0),
    "negative": (-1 / 255, 1.0),
}
FIRST: dict[str, tuple[Layer, ...]] = {
    "conv": (M.conv((2, 3), 1, 4, padding="valid", activation="relu"),),
    "padded conv": (M.conv((2, 3), 1, 4, activation="relu"),),
    "norm": (M.norm(1), Activation("f", "relu")),
    "pool": (Pool("pool", "max", (2, 2), (1, 1), "same"), M.conv((2, 3), 1, 4, padding="valid")),
    "dense": (M.dense(1, 4, "relu"),),
    "function": (Activation("f", "relu"),),
    "lstm": (Reshape("rows", (8, 5)), Recurrent("lstm", M.cell(5, 4), None)),
}


@every_recipe
@pytest.mark.parametrize("values", SCALES)
@pytest.mark.parametrize("first", FIRST)
def test_pixels_of_any_scale_before_any_layer(first: str, values: str, recipe: Recipe) -> None:
    scale, offset = SCALES[values]
    # To -1..1, as the layers like it; folded into some of them.
    norm = Affine(
        "norm", np.float32([1 / 127.5 / abs(scale)]), np.float32([-(127.5 * scale + offset) / 127.5 / abs(scale)])
    )
    holds_for_pixels(recipe, (norm, *FIRST[first]), InputSpec(8, 5, "WHC", scale, offset))


@every_recipe
@pytest.mark.parametrize("first", sorted(FIRST.keys() - {"padded conv"}))
def test_half_a_level_is_not_lost(first: str, recipe: Recipe) -> None:
    """Zero lies between two pixels, where int8 cannot have it; with few levels this shows in whatever comes first."""
    layers = FIRST[first]
    if first == "lstm":  # its gates are open wide for a bright image, and shut for a dark one
        layers = (layers[0], Recurrent("lstm", replace(M.cell(5, 4), kernel=0.5 * np.ones((5, 16), np.float32)), None))
    holds_for_pixels(recipe, layers, InputSpec(8, 5, "WHC", 1.0, -127.5), levels=(126, 130))


@every_recipe
@pytest.mark.parametrize("axes", ["WHC", "HWC"])
@pytest.mark.parametrize("colour", ["grey", "bgr", "rgb"])
@pytest.mark.parametrize("batch", [1, 4])
def test_pixels_of_any_layout(axes: str, colour: str, batch: int, recipe: Recipe) -> None:
    image = InputSpec(8, 5, axes, 1 / 127.5, -1.0, colour)  # type: ignore[arg-type]
    layers = (M.conv((2, 3), image.channels, 4), Pool("pool", "max", (2, 2), (2, 2)))
    holds_for_pixels(recipe, layers, image, batch=batch)


# --- the file, and what cannot be ------------------------------------------------------------------------------------


def seen(graph: Graph) -> Ranges:
    return calibrate(graph, [np.random.default_rng(2).uniform(-1, 1, (4, *graph.input_shape)).astype(np.float32)])


@every_form
@every_kind
def test_the_same_graph_is_the_same_bytes(kind: str, recipe: Recipe) -> None:
    graph = ending(SEQUENCE, *RECURRENT[KINDS[kind]])
    first, second = (to_tflite(graph, Own(SEQUENCE), recipe, seen(graph)) for _ in range(2))  # type: ignore[arg-type]
    assert first == second


@every_recipe
@pytest.mark.parametrize("layers", [(), RECURRENT["concat"]], ids=["without head", "with head"])
def test_signature_tells_what_goes_in_and_out(layers: tuple[Layer, ...], recipe: Recipe) -> None:
    """int8 comes out of a head in int8 alone; a network without recurrent layer gives what its recipe's head gives."""
    graph = ending(SEQUENCE, *layers)
    payload = to_tflite(graph, Own(SEQUENCE), recipe, seen(graph), 2)  # type: ignore[arg-type]
    interpreter = Interpreter(model_content=payload)
    assert interpreter.get_signature_list() == {"read": {"inputs": ["image"], "outputs": ["probabilities"]}}
    ((taken,), (given,)) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (taken["dtype"], tuple(taken["shape"])) == (np.float32, (2, *SEQUENCE))
    whole = recipe.head == "static"
    assert (given["dtype"], tuple(given["shape"])) == (np.int8 if whole else np.float32, (2, 1, 6))
    if whole:
        assert given["quantization"] == (SIGMOID_OUT.scale, SIGMOID_OUT.zero_point)


@every_form
@pytest.mark.parametrize("layers", [name for name in RECURRENT if "two layers" in name])
def test_every_value_is_of_use(layers: str, recipe: Recipe) -> None:
    """LiteRT 1.1 to 2.0 crash in XNNPACK on an op whose result nobody takes."""
    stack = M.conv((3, 3), 3, 4), Reshape("sequence", (7, 36)), M.dense(36, 5)
    graph = ending(MAP, *stack, *RECURRENT[layers])
    model = schema.ModelT.InitFromPackedBuf(to_tflite(graph, Own(MAP), recipe, seen(graph)), 0)  # type: ignore[arg-type]
    for subgraph in model.subgraphs:
        taken = {int(index) for op in subgraph.operators for index in op.inputs} | set(map(int, subgraph.outputs))
        for op in subgraph.operators:
            assert taken & set(map(int, op.outputs)), subgraph.tensors[op.outputs[0]].name


def test_calibration_is_asked_for() -> None:
    graph = ending(SEQUENCE)
    with pytest.raises(ConversionError, match="recipe int8 needs calibration images; give --calibration DIR"):
        to_tflite(graph, Own(SEQUENCE), RECIPES["int8"])  # type: ignore[arg-type]


def test_an_image_of_another_shape_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"input is \(5, 8, 1\), the network takes \(8, 5, 1\)"):
        to_tflite(ending((8, 5, 1)), InputSpec(8, 5, "HWC", 1.0, 0.0), RECIPES["float32"])


def test_a_loop_cannot_be_static() -> None:
    graph = ending(SEQUENCE, *RECURRENT["forward"])
    with pytest.raises(ConversionError, match="a loop cannot be static int8; use an unrolled form"):
        holds(replace(RECIPES["int8-full"], form="loop"), graph)


@pytest.mark.parametrize(
    "layer", [M.conv((3, 3), 3, 4, activation="tanh"), M.dense(3, 4, "sigmoid")], ids=["conv", "dense"]
)
def test_int8_wants_unfusable_functions_apart(layer: Layer) -> None:
    """Calibration sees what comes out of a layer, not what its function takes."""
    graph = ending(MAP, layer)
    holds(RECIPES["dynamic"], graph)
    with pytest.raises(ConversionError, match=r"int8 needs its (tanh|sigmoid) as a layer of its own"):
        holds(RECIPES["int8"], graph)


def test_weights_beyond_float16_are_refused() -> None:
    dense = M.dense(5, 4)
    dense.kernel[1, 2] = 70_000
    with pytest.raises(ConversionError, match="weight 'dense/kernel' exceeds float16; use --recipe float32 or dynamic"):
        to_tflite(ending(SEQUENCE, dense), Own(SEQUENCE), RECIPES["float16"])  # type: ignore[arg-type]
