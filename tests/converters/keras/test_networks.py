"""Whole networks: written, read back, and loaded by Keras itself."""

from __future__ import annotations

import errno
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.graph import nodes as n
from converters.graph import oracle
from converters.graph.graph import Graph
from converters.keras import to_keras, write_keras
from converters.trained.keras.model import load_graph
from edge_crnn.errors import BackendUnavailable, ConversionError, OutputError
from edge_crnn.training.architectures import ARCHITECTURES
from tests.converters.keras.checks import assert_near, assert_written_as_the_oracle
from tests.converters.onnx.made import NETWORKS, Random

Variant = tuple[str, dict[str, Any]]

VARIANTS: tuple[Variant, ...] = (
    ("plates", {}),
    ("plates", {"rnn": "gru"}),
    ("digits", {"recurrent_activation": "hard_sigmoid"}),
    ("digits", {"rnn": "gru"}),
)


@pytest.fixture
def random() -> Random:
    return Random()


def kinds_of(graph: Graph) -> list[str]:
    """Return the classes of a model's layers and operations, without its input."""
    model = to_keras(graph)
    return [type(operation).__name__ for operation in model.operations if operation is not model.operations[0]]


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_networks_are_written_folded_and_not(network: Any, keras: Any, random: Random, tmp_path: Path) -> None:
    graph = network(random)
    assert_written_as_the_oracle(graph, tmp_path / "whole.keras")
    assert_written_as_the_oracle(graph.folded(), tmp_path / "folded.keras")


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_our_architectures_are_the_same_network_again(
    name: str, options: dict[str, Any], keras: Any, random: Random, tmp_path: Path
) -> None:
    model = ARCHITECTURES[name].build(5, width_px=24, height_px=32, width=0.03, **options)
    model.set_weights([np.abs(random(*weight.shape)) + np.float32(0.1) for weight in model.weights])
    model.save(tmp_path / "teacher.keras")
    teacher = load_graph(tmp_path / "teacher.keras").folded()
    write_keras(teacher, tmp_path / "student.keras")
    student = load_graph(tmp_path / "student.keras").folded()
    assert [(node.name, type(node)) for node in student.nodes] == [(node.name, type(node)) for node in teacher.nodes]
    images = random(2, *teacher.input_shape)
    expected = oracle.run(teacher, images)
    assert_near(oracle.run(student, images), expected)
    loaded = keras.saving.load_model(tmp_path / "student.keras", safe_mode=True)
    assert_near(np.asarray(loaded(images, training=False)), expected)


# --- ordinary layers -------------------------------------------------------------------------------------------------

MAP = (6, 8, 4)
SAME = ((1, 1), (1, 1))


@pytest.mark.parametrize(
    ("make", "shape", "kinds"),
    [
        (lambda random: random.conv("it", 4, 2, activation="relu"), MAP, ["Conv2D"]),
        (lambda random: n.Conv("it", random(3, 3, 4, 2), random(2)), MAP, ["Conv2D"]),
        (
            lambda random: n.Conv("it", random(3, 3, 4, 2), random(2), pads=((2, 0), (0, 0))),
            MAP,
            ["ZeroPadding2D", "Conv2D"],
        ),
        (lambda random: n.Conv("it", random(3, 3, 1, 8), random(8), pads=SAME, groups=4), MAP, ["DepthwiseConv2D"]),
        (lambda random: n.Conv("it", random(3, 3, 2, 8), random(8), groups=2), MAP, ["Conv2D"]),
        (lambda random: n.ConvTranspose("it", random(2, 2, 4, 3), random(3), (2, 2)), MAP, ["Conv2DTranspose"]),
        (lambda _: n.Pool("it", "max", (2, 2), (2, 2)), MAP, ["MaxPooling2D"]),
        (lambda _: n.Pool("it", "average", (2, 2), (1, 1), ((0, 1), (0, 1))), MAP, ["AveragePooling2D"]),
        (lambda _: n.Reduce("it", "mean", (0, 1)), MAP, ["GlobalAveragePooling2D"]),
        (lambda _: n.Reduce("it", "max", (0,)), (6, 4), ["GlobalMaxPooling1D"]),
        (lambda _: n.Pad("it", ((1, 0), (2, 3), (0, 0))), MAP, ["ZeroPadding2D"]),
        (lambda _: n.Resize("it", (2, 1), "nearest"), MAP, ["UpSampling2D"]),
        (lambda random: random.affine("it", 4, "relu"), MAP, ["BatchNormalization", "Activation"]),
        (lambda _: n.Normalise("it", (2,), 1e-3), MAP, ["LayerNormalization"]),
        (lambda random: n.PRelu("it", random(1, 1, 4)), MAP, ["PReLU"]),
        (lambda _: n.Unary("it", "leaky_relu", 0.1), MAP, ["LeakyReLU"]),
        (lambda _: n.Unary("it", "relu"), MAP, ["Activation"]),
        (lambda random: random.dense("it", 4, 2, "relu6"), (6, 4), ["Dense"]),
        (lambda random: n.Recurrent("it", random.cell(4, 3), random.cell(4, 3), "sum"), (6, 4), ["Bidirectional"]),
        (lambda random: n.Recurrent("it", random.cell(4, 3, kind="GRU"), None), (6, 4), ["GRU"]),
        (lambda random: n.Recurrent("it", None, random.cell(4, 3)), (6, 4), ["LSTM", "Flip"]),
        (
            lambda random: n.Recurrent("it", random.cell(4, 3), random.cell(4, 2)),
            (6, 4),
            ["LSTM", "LSTM", "Flip", "Concatenate"],
        ),
    ],
)
def test_a_node_is_the_usual_layer(
    make: Any, shape: tuple[int, ...], kinds: list[str], keras: Any, random: Random
) -> None:
    assert sorted(kinds_of(Graph.chain(shape, [make(random)]))) == sorted(kinds)


@pytest.mark.parametrize("shapes", [((4, 1), (1, 4)), ((4, 4), (4, 1)), ((4, 1), (4, 4)), ((4, 4), (1, 4))])
@pytest.mark.parametrize("constant", [None, 0, 1])
def test_a_sum_is_never_mistaken_for_a_bias(
    shapes: tuple[tuple[int, int], tuple[int, int]],
    constant: int | None,
    keras: Any,
    random: Random,
    tmp_path: Path,
) -> None:
    """Keras on TensorFlow adds a vector along the last axis if it is as long as that, wherever its own axis is."""
    operands: list[n.Node] = []
    for index, shape in enumerate(shapes):
        axes = tuple(axis for axis, length in enumerate(shape) if length == 1)
        if index == constant:
            operands.append(n.Constant(f"{index}", random(*shape)))
        elif axes:
            operands.append(n.Reduce(f"{index}", "max", axes, keepdims=True, inputs=("input",)))
        else:
            operands.append(n.Unary(f"{index}", "tanh", inputs=("input",)))
    graph = Graph((4, 4), (*operands, n.Binary("it", "add", inputs=("0", "1"))))
    assert_written_as_the_oracle(graph, tmp_path / "it.keras")


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "GRU as first published"])
def test_gates_of_keras_2_are_written_with_those_of_keras_3(
    kind: str, keras: Any, random: Random, tmp_path: Path
) -> None:
    cells = (random.cell(4, 3, "hard_sigmoid_keras2", kind), random.cell(4, 3, "hard_sigmoid_keras2", kind))
    read = assert_written_as_the_oracle(Graph.chain((5, 4), [n.Recurrent("it", *cells)]), tmp_path / "it.keras")
    (node,) = read.nodes
    assert isinstance(node, n.Recurrent)
    assert {cell.recurrent_activation for _, cell in node.cells} == {"hard_sigmoid_keras2"}


# --- names -----------------------------------------------------------------------------------------------------------


def test_names_are_those_of_the_nodes_made_valid_and_unique(keras: Any, random: Random) -> None:
    names = ["conv/1", "conv_1", "conv 1", "é", "conv_1_padding", "output"]
    nodes = [n.Conv(name, random(1, 1, 1, 1), random(1), pads=((1, 0), (0, 0))) for name in names]
    written = [operation.name for operation in to_keras(Graph.chain((4, 4, 1), nodes)).operations]
    assert [name for name in written if "padding" not in name or name == "conv_1_padding"] == [
        "input", "conv_1", "conv_1_2", "conv_1_3", "layer", "conv_1_padding", "output",
    ]  # fmt: skip
    assert len(set(written)) == len(written) == 2 * len(names) + 1


def test_an_operation_has_the_name_of_its_node(keras: Any) -> None:
    graph = Graph.chain((4, 4, 1), [n.Reverse("turned", 0), n.Unary("square", "square")])
    assert [operation.name for operation in to_keras(graph).operations] == ["input", "turned", "square"]


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_graph_always_gives_the_same_bytes(keras: Any, random: Random, tmp_path: Path) -> None:
    """Nothing in the file depends on the time, on the models before it, or on the settings of the user's Keras."""
    cells = (random.cell(8, 3), random.cell(8, 3), random.cell(6, 2, kind="GRU"))
    nodes = [
        random.conv("conv", 1, 2),
        n.Reshape("sequence", (4, 8)),
        n.Recurrent("both", *cells[:2]),
        n.Recurrent("one", None, cells[2]),
        n.Softmax("softmax"),
    ]
    graph = Graph.chain((4, 4, 1), nodes)
    write_keras(graph, tmp_path / "first.keras")
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        (tmp_path / "second.keras").write_bytes(b"an older file")
        write_keras(graph, tmp_path / "second.keras")
    finally:
        keras.config.set_image_data_format("channels_last")
        keras.config.set_dtype_policy("float32")
    assert (tmp_path / "first.keras").read_bytes() == (tmp_path / "second.keras").read_bytes()
    with zipfile.ZipFile(tmp_path / "first.keras") as archive:
        assert b"date" not in archive.read("metadata.json")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_constant_output_is_repeated_for_every_image(keras: Any, random: Random, tmp_path: Path) -> None:
    assert_written_as_the_oracle(Graph((2, 3, 1), (n.Constant("it", random(2, 3)),)), tmp_path / "it.keras")


def test_a_folder_that_is_missing_is_an_output_error(keras: Any, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "it.keras"
    with pytest.raises(OutputError, match=r"it\.keras"):
        write_keras(Graph.chain((4, 4, 1), [n.Reverse("it", 0)]), path)


def test_a_full_disk_leaves_the_older_file(keras: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def save(_: Any, path: Path) -> None:
        path.write_bytes(b"the first bytes")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keras.Model, "save", save)
    path = tmp_path / "it.keras"
    path.write_bytes(b"an older file")
    with pytest.raises(OutputError, match="No space left"):
        write_keras(Graph.chain((4, 4, 1), [n.Reverse("it", 0)]), path)
    assert path.read_bytes() == b"an older file"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_keras_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(BackendUnavailable, match="pip install"):
        to_keras(Graph((4,), ()))


# --- what cannot be written ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda random: n.Conv("odd", random(2, 2, 4, 2), random(2), (2, 2), dilation=(1, 2)), "dilation"),
        (lambda random: n.ConvTranspose("odd", random(2, 2, 4, 2), random(2), trims=((-1, 0), (0, 0))), "no input"),
        (lambda random: n.ConvTranspose("odd", random(2, 2, 4, 2), random(2), trims=((0, -1), (0, 0))), "no input"),
    ],
)
def test_a_node_that_keras_cannot_express_is_named(
    make: Any, reason: str, keras: Any, random: Random, tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match=f"'odd'.*{reason}"):
        write_keras(Graph.chain(MAP, [make(random)]), tmp_path / "it.keras")
    assert not list(tmp_path.iterdir())


def test_a_spatial_transformer_cannot_be_written(keras: Any, random: Random) -> None:
    matrix = [n.Reshape("flat", (6 * 8 * 4,)), random.dense("matrix", 6 * 8 * 4, 6)]
    nodes = [*matrix, n.SpatialTransform("odd", inputs=("input", "matrix"))]
    with pytest.raises(ConversionError, match=r"'odd'.*samples"):
        to_keras(Graph.chain(MAP, nodes))
