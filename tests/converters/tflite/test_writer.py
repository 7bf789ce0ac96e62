from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from converters.tflite.writer import Writer
from edge_crnn.model.spec import Quantisation

DTYPES = ["float32", "float16", "int32", "uint8", "int8", "bool"]


def sums(*constants: np.ndarray) -> bytes:
    """A file that adds constants to its input, one after the other."""
    writer = Writer("sums")
    main = writer.subgraph("main")
    taken = now = main.tensor("x", (2, 3))
    for index, constant in enumerate(constants):
        given_ = main.tensor(f"sum {index}", (2, 3))
        main.op("ADD", [now, main.constant(f"constant {index}", constant)], [given_], schema.AddOptionsT())
        now = given_
    main.bind([taken], [now])
    return writer.finish("add", {"x": taken}, {"sum": now})


def test_written_file_computes_its_operations() -> None:
    constants = np.float32([[1, 2, 3], [4, 5, 6]]), np.float32([10])
    payload = sums(*constants)
    assert payload[4:8] == b"TFL3"
    runner = Interpreter(model_content=payload).get_signature_runner("add")
    given_ = runner(x=np.ones((2, 3), np.float32))
    assert given_.keys() == {"sum"}
    np.testing.assert_array_equal(given_["sum"], constants[0] + 11)


def test_same_calls_same_bytes() -> None:
    assert sums(np.float32([1])) == sums(np.float32([1]))


@given(
    st.lists(
        st.sampled_from(DTYPES).flatmap(
            lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_side=5))
        ),
        min_size=1,
        max_size=6,
    )
)
def test_constants_are_whole_and_aligned(values: list[np.ndarray]) -> None:
    writer = Writer("constants")
    main = writer.subgraph("main")
    tensors = [main.constant(f"c{index}", value) for index, value in enumerate(values)]
    payload = writer.finish("none", {}, {})
    model = schema.Model.GetRootAs(payload)
    for tensor, value in zip(tensors, values, strict=True):
        stored = model.Subgraphs(0).Tensors(tensor.index)
        buffer = model.Buffers(stored.Buffer())
        assert tensor.shape == value.shape
        assert [stored.Shape(axis) for axis in range(stored.ShapeLength())] == list(value.shape)
        assert buffer.DataAsNumpy().tobytes() == value.tobytes()
        assert offset(buffer) % 16 == 0
        assert payload[offset(buffer) :].startswith(value.tobytes())


def offset(buffer: Any) -> int:
    """Return the offset in the file of a buffer's bytes: its field 0, behind the vector's length."""
    return int(buffer._tab.Vector(buffer._tab.Offset(4)))


def test_equal_constants_are_stored_once() -> None:
    constant = np.arange(6, dtype=np.float32).reshape(2, 3)
    thrice = sums(constant, constant.copy(), constant)
    once = sums(constant)
    assert len(schema.ModelT.InitFromPackedBuf(thrice, 0).buffers) == 2
    assert len(schema.ModelT.InitFromPackedBuf(once, 0).buffers) == 2
    assert len(schema.ModelT.InitFromPackedBuf(sums(constant, constant + 1), 0).buffers) == 3


def test_buffer_zero_is_empty_and_stands_for_computed_tensors() -> None:
    model = schema.ModelT.InitFromPackedBuf(sums(np.float32([1])), 0)
    assert model.buffers[0].data is None
    assert {tensor.name.decode(): tensor.buffer for tensor in model.subgraphs[0].tensors} == {
        "x": 0,
        "constant 0": 1,
        "sum 0": 0,
    }


def test_quantisation_is_stored() -> None:
    writer = Writer("q")
    main = writer.subgraph("main")
    main.tensor("whole", (2, 2), "int8", Quantisation(0.5, -3))
    main.constant("constant", np.int8([1, 2]), Quantisation(0.25, 7))
    main.channelwise("channels", np.ones((2, 3), np.int8), np.float32([1, 2, 3]), axis=1)
    tensors = schema.ModelT.InitFromPackedBuf(writer.finish("q", {}, {}), 0).subgraphs[0].tensors
    stored = [tensor.quantization for tensor in tensors]
    assert [(list(q.scale), list(q.zeroPoint), q.quantizedDimension) for q in stored] == [
        ([0.5], [-3], 0),
        ([0.25], [7], 0),
        ([1, 2, 3], [0, 0, 0], 1),
    ]


def test_operator_codes_are_listed_once_per_version_and_readable_by_old_readers() -> None:
    """Codes from 127 on live in a field of their own; the old one then says 127, as the schema asks."""
    writer = Writer("codes")
    codes = [("ADD", 1), ("RELU_0_TO_1", 1), ("ADD", 2), ("ADD", 1)]
    assert [writer.code(*code) for code in codes] == [0, 1, 2, 0]
    stored = schema.ModelT.InitFromPackedBuf(writer.finish("none", {}, {}), 0).operatorCodes
    assert [(code.builtinCode, code.deprecatedBuiltinCode, code.version) for code in stored] == [
        (0, 0, 1),
        (152, 127, 1),
        (0, 0, 2),
    ]


def test_an_input_may_be_left_out() -> None:
    writer = Writer("no bias")
    main = writer.subgraph("main")
    x = main.tensor("x", (1, 2))
    y = main.tensor("y", (1, 3))
    weight = main.constant("w", np.arange(6, dtype=np.float32).reshape(3, 2))
    main.op("FULLY_CONNECTED", [x, weight, None], [y], schema.FullyConnectedOptionsT())
    main.bind([x], [y])
    runner = Interpreter(model_content=writer.finish("f", {"x": x}, {"y": y})).get_signature_runner("f")
    np.testing.assert_array_equal(runner(x=np.float32([[1, 10]]))["y"], [[10, 32, 54]])


@pytest.mark.parametrize("name", ["NO_SUCH_OP", "ADD "])
def test_an_unknown_op_is_a_defect(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        Writer("w").code(name, 1)
