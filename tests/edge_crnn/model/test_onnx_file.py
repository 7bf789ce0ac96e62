from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.errors import ArtifactError, ModelSpecError
from edge_crnn.files import sha256
from edge_crnn.model import onnx_file
from edge_crnn.model.artifact import load, save
from edge_crnn.model.spec import ArtifactFacts, InputSpec, ModelSpec, OutputSpec
from tests.budget import examples

SPEC = ModelSpec(
    "tiny",
    tuple("01나"),
    3,
    InputSpec(8, 4, "HWC", 1.0, 0.0),
    OutputSpec(6, 4),
    artifact=ArtifactFacts("onnx", "float16", 1, "", "ab" * 32),
)


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def field(number: int, value: bytes | int) -> bytes:
    """Return a protobuf field: a tag, then an integer, or a length and so many bytes (protobuf.dev, Encoding)."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(key: bytes, value: bytes) -> bytes:
    return field(14, field(1, key) + field(2, value))


IR = field(1, 8)
GRAPH = field(7, field(2, b"crnn"))
OPSET = field(8, field(2, 17))
MODEL = IR + GRAPH + OPSET


@pytest.mark.parametrize("spec", [b"", b"{}", "번호판".encode(), bytes(127), bytes(128), bytes(300_000)])
def test_split_inverts_join(spec: bytes) -> None:
    assert onnx_file.split(onnx_file.join(MODEL, spec)) == (MODEL, [spec], [sha256(spec).encode()])
    assert onnx_file.split(MODEL) == (MODEL, [], [])


def test_metadata_is_found_wherever_it_is() -> None:
    data = entry(b"author", b"one") + IR + entry(b"edge_crnn", b"first") + GRAPH + OPSET + entry(b"edge_crnn", b"2nd")
    assert onnx_file.split(data) == (MODEL, [b"first", b"2nd"], [])


def test_fields_of_a_newer_onnx_are_kept() -> None:
    newer = varint(90 << 3 | 1) + bytes(8) + varint(91 << 3 | 5) + bytes(4) + field(92, 1 << 63) + field(14, 3)
    assert onnx_file.split(newer + entry(b"edge_crnn", b"x") + MODEL) == (newer + MODEL, [b"x"], [])


def test_last_of_repeated_fields_counts() -> None:
    """Every protobuf parser takes the last value of a repeated field."""
    repeated = field(2, b"wrong") + field(1, b"author") + field(9, 1) + field(1, b"edge_crnn") + field(2, b"right")
    assert onnx_file.split(MODEL + field(14, repeated)) == (MODEL, [b"right"], [])
    assert onnx_file.split(MODEL + field(14, field(1, b"edge_crnn"))) == (MODEL, [b""], [])
    assert onnx_file.split(MODEL + field(14, b"")) == (MODEL, [], [])


BAD = {
    "nothing": (b"", "it has no graph"),
    "no graph": (IR + OPSET, "it has no graph"),
    "a graph that is a number": (field(7, 1), "it has no graph"),
    "text": (b"# a text", "byte 0: wire type 3"),
    "a group": (IR + b"\x1b\x1c", "byte 2: wire type 3"),
    "field 0": (MODEL + b"\0\0", "field 0 ends"),
    "longer than the file": (GRAPH[:-1], "byte 0: field 7 ends at byte 8 of 7"),
    "far longer": (b"\x3a" + varint(1 << 62), "field 7 ends at byte"),
    "an integer cut short": (GRAPH + b"\x08\x80", "an integer without an end"),
    "an integer of eleven bytes": (GRAPH + b"\x08" + b"\x80" * 10 + b"\x01", "an integer without an end"),
    "eight bytes cut short": (GRAPH + varint(9 << 3 | 1) + bytes(7), "field 9 ends"),
    "an entry that is none": (MODEL + field(14, b"\x0a\x7f"), "field 1 ends"),
    "a graph that is none": (field(7, b"\x0a\x7f"), "field 1 ends"),
}


@pytest.mark.parametrize(("data", "message"), BAD.values(), ids=BAD)
def test_file_that_is_no_model_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        onnx_file.split(data)


def test_number_of_fields_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "_MOST_FIELDS", 99)
    assert onnx_file.split(GRAPH + 40 * IR)[1] == []
    for many in (GRAPH + 99 * IR, field(7, 99 * IR), GRAPH + field(14, 99 * IR)):
        with pytest.raises(ValueError, match="more than 99 fields"):
            onnx_file.split(many)


def test_graphs_in_graphs_take_no_stack() -> None:
    graph = field(2, b"innermost")
    for _ in range(2000):
        graph = field(1, field(5, field(6, graph)))
    assert onnx_file.split(field(7, graph))[1] == []


EXTERNAL = field(14, 1)
FIELDS = field(13, field(1, b"location") + field(2, b"/etc/passwd"))
ELSEWHERE = {
    "initialiser": lambda tensor: field(7, field(5, tensor)),
    "constant": lambda tensor: field(7, field(1, field(5, field(5, tensor)))),
    "constants": lambda tensor: field(7, field(1, field(5, field(10, tensor)))),
    "sparse": lambda tensor: field(7, field(15, field(2, tensor))),
    "sparse constant": lambda tensor: field(7, field(1, field(5, field(22, field(1, tensor))))),
    "inside a loop": lambda tensor: field(7, field(1, field(5, field(6, field(5, tensor))))),
    "function": lambda tensor: GRAPH + field(25, field(7, field(5, field(5, tensor)))),
    "default of a function": lambda tensor: GRAPH + field(25, field(11, field(5, tensor))),
}


@pytest.mark.parametrize("tensor", [EXTERNAL, FIELDS, FIELDS + EXTERNAL], ids=["flag", "place", "both"])
@pytest.mark.parametrize("wrap", ELSEWHERE.values(), ids=ELSEWHERE)
def test_weights_in_another_file_are_refused(wrap: Any, tensor: bytes) -> None:
    """The hash of the file would not cover them."""
    with pytest.raises(ValueError, match=r"byte \d+: a tensor whose values are in another file"):
        onnx_file.split(wrap(field(1, 3) + tensor))
    assert onnx_file.split(wrap(field(1, 3) + field(14, 0)))[1] == []


SAVED = onnx_file.join(MODEL, b'{"version": 1}')


@pytest.mark.thorough
@settings(max_examples=examples(300), deadline=None)
@given(st.dictionaries(st.integers(0, 5000), st.integers(0, 255), min_size=1, max_size=6), st.integers(0, 40))
def test_any_damage_is_one_error(tmp_path_factory: pytest.TempPathFactory, changes: dict[int, int], cut: int) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    good = save(path, MODEL, SPEC)
    data = bytearray(path.read_bytes())
    for place, value in changes.items():
        data[place % len(data)] = value
    path.write_bytes(data[: len(data) - cut])
    with contextlib.suppress(ArtifactError, ModelSpecError):
        artifact = load(path)
        # Damage in several places may remove the digest and leave a spec, but never the spec of another payload.
        assert artifact.payload == good.payload
        assert artifact == good or artifact.spec_sha256 is None


@settings(max_examples=examples(500), deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_split_or_refused(data: bytes) -> None:
    for file in (data, MODEL + data, field(7, data), MODEL + field(14, data)):
        with contextlib.suppress(ValueError):
            payload, specs, digests = onnx_file.split(file)
            assert onnx_file.split(payload) == (payload, [], [])
            assert not (specs or digests) or len(payload) < len(file)


# --- compared to the onnx package -------------------------------------------------------------------------------------


@settings(max_examples=examples(50), deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["edge_crnn", "author", ""]), st.text(max_size=200)), max_size=4),
    st.text(max_size=300),
)
def test_metadata_of_the_onnx_package_is_read(others: list[tuple[str, str]], spec: str) -> None:
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", 3]) for name in "xy"]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", values[:1], values[1:]))
    bare = model.SerializeToString()
    for key, value in others:
        model.metadata_props.add(key=key, value=value)
    payload, specs, _ = onnx_file.split(model.SerializeToString())
    assert payload == bare
    assert specs == [value.encode() for key, value in others if key == "edge_crnn"]
    joined = onnx_file.join(bare, spec.encode())
    read = onnx.load_from_string(joined)
    assert [(prop.key, prop.value) for prop in read.metadata_props] == [
        ("edge_crnn", spec),
        ("edge_crnn_sha256", sha256(spec.encode())),
    ]
    assert read.SerializeToString() == joined  # a tool that reads and writes it changes nothing
