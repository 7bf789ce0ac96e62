from __future__ import annotations

import contextlib
import functools
import io
import os
import random
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.backends import open_backend
from edge_crnn.errors import ArtifactError, ModelSpecError, OutputError
from edge_crnn.files import sha256
from edge_crnn.model import digest, onnx_file
from edge_crnn.model.artifact import MEMBER, Artifact, load, load_sidecar, load_spec, save, sidecar
from edge_crnn.model.spec import (
    ArtifactFacts,
    Confidence,
    CoveragePoint,
    InputSpec,
    ModelSpec,
    OutputSpec,
    ReliabilityBin,
)
from tests.budget import examples

SPEC = ModelSpec(
    "tiny",
    tuple("01나"),
    3,
    InputSpec(8, 4, "HWC", 1.0, 0.0),
    OutputSpec(6, 4),
    artifact=ArtifactFacts("tflite", "dynamic", 1, "not known yet", "ab" * 32),
)
PAYLOAD = b"\x1c\0\0\0TFL3" + bytes(range(256)) * 8
"""Bytes that are not a model but start like one; the module looks at nothing else."""


def onnx(name: bytes) -> bytes:
    """Return an ONNX file with an empty graph of this name. The graph may be up to 16,383 bytes long."""
    graph = b"\x12" + bytes([len(name) & 127 | 128, len(name) >> 7]) + name
    return b"\x08\x08\x3a" + bytes([len(graph) & 127 | 128, len(graph) >> 7]) + graph


CALIBRATED = Confidence(
    200, 190, "ab", 1.25, 0.04, 0.01,
    (ReliabilityBin(100, 0.8, 0.75),), (CoveragePoint(0.1 + 0.2, 100, 100, 0.97),), ((0.5, 0.25), (0.99, 0.999)),
)  # fmt: skip

PAYLOADS = {".tflite": PAYLOAD, ".onnx": onnx(PAYLOAD), ".engine": PAYLOAD}
OTHERS = {".tflite": PAYLOAD + b"another", ".onnx": onnx(PAYLOAD + b"another"), ".engine": PAYLOAD + b"another"}


@pytest.fixture(params=PAYLOADS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"번호판{request.param}"


@pytest.fixture
def payload(path: Path) -> bytes:
    return PAYLOADS[path.suffix]


@pytest.fixture
def other(path: Path) -> bytes:
    return OTHERS[path.suffix]


def zipped(*members: tuple[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", how) as archive:
        warnings.simplefilter("ignore")  # a test needs two members of the same name
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def written_spec(payload: bytes = PAYLOAD) -> bytes:
    assert SPEC.artifact is not None
    return replace(SPEC, artifact=replace(SPEC.artifact, payload_sha256=sha256(payload))).to_json().encode()


def test_saved_artifact_is_loaded_back(path: Path, payload: bytes) -> None:
    saved = save(path, payload, SPEC)
    assert load(path) == saved
    assert saved.payload == payload
    assert saved.spec.artifact is not None
    assert saved.spec.artifact.payload_sha256 == sha256(payload)
    assert replace(saved.spec, artifact=SPEC.artifact) == SPEC


def test_another_spec_leaves_the_payload_s_hash(path: Path, payload: bytes) -> None:
    hashes = set()
    for name in ("first", "second, with a longer name"):
        facts = save(path, payload, replace(SPEC, name=name)).spec.artifact
        assert facts is not None
        hashes.add(facts.payload_sha256)
    assert len(hashes) == 1


def test_a_calibrated_artifact_keeps_its_payload(path: Path, payload: bytes) -> None:
    before = save(path, payload, SPEC)
    after = save(path, before.payload, replace(before.spec, confidence=CALIBRATED))
    assert load(path) == after
    assert after.spec.confidence == CALIBRATED
    assert (after.payload, after.spec.artifact) == (before.payload, before.spec.artifact)


def test_saving_again_replaces(path: Path, payload: bytes, other: bytes) -> None:
    save(path, other, SPEC)
    files = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    save(path, payload, replace(SPEC, name="second"))
    assert load(path).spec.name == "second"
    again = save(path, other, SPEC)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == files
    save(path, again.payload, again.spec)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == files


def put(path: Path, payload: bytes, spec: bytes) -> None:
    """Write an artifact without checking its spec."""
    if path.suffix == ".tflite":
        path.write_bytes(payload + zipped((MEMBER, spec)))
    elif path.suffix == ".onnx":
        path.write_bytes(onnx_file.join(payload, spec))
    else:
        path.write_bytes(payload)
        sidecar(path).write_bytes(spec)


def test_spec_of_a_trained_model_is_refused_in_an_artifact(path: Path, payload: bytes) -> None:
    trained = replace(SPEC, artifact=None)
    with pytest.raises(ModelSpecError, match="no artifact facts; fill in `artifact` before saving"):
        save(path, payload, trained)
    assert not path.exists()
    put(path, payload, trained.to_json().encode())
    with pytest.raises(ModelSpecError, match="describes a trained model, not an artifact; convert the model again"):
        load(path)


@pytest.mark.parametrize("at", [1, 9, 1000, -1])
def test_flipped_bit_is_detected(path: Path, payload: bytes, at: int) -> None:
    save(path, payload, SPEC)
    data = bytearray(path.read_bytes())
    data[at if at >= 0 else len(payload) - 1] ^= 4
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"SHA-256 .{12}…, its spec describes .{12}…; .* copy or convert it again"):
        load(path)


def test_flipped_weights_are_detected_although_litert_loads_them(
    tiny_artifacts: Callable[..., Path], tmp_path: Path
) -> None:
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    data = tiny_artifacts("float32").read_bytes()
    weights = [
        buffer.data.tobytes() for buffer in schema.ModelT.InitFromPackedBuf(data, 0).buffers if buffer.data is not None
    ]
    largest = max(weights, key=len)
    assert len(largest) > 2000
    path = tmp_path / "flipped.tflite"
    path.write_bytes(data.replace(largest, bytes(byte ^ 1 for byte in largest)))
    Interpreter(str(path)).allocate_tensors()  # LiteRT loads it silently: it checks no hash
    with pytest.raises(ArtifactError, match="damaged or was changed"):
        load(path)


def test_the_spec_of_another_payload_is_refused(path: Path, payload: bytes, other: bytes) -> None:
    put(path, payload, written_spec(payload))
    assert load(path).payload == payload
    put(path, other, written_spec(payload))
    with pytest.raises(ArtifactError, match="its spec describes"):
        load(path)


def test_cut_short_anywhere_it_does_not_load(tiny_artifact: Path, tmp_path: Path) -> None:
    data = tiny_artifact.read_bytes()
    payload = len(load(tiny_artifact).payload)
    path = tmp_path / "cut.tflite"
    places = {*range(16), *range(payload - 3, payload + 50), *range(len(data) - 60, len(data))}
    for length in places | set(random.Random(1).sample(range(len(data)), 100)):
        path.write_bytes(data[:length])
        with pytest.raises((ArtifactError, ModelSpecError), match=r"(?s)cut.tflite: .*(copy|name|convert)"):
            load(path)


BAD_ZIPS = {
    "no spec": (b"", "no spec in this .tflite .*convert the trained model with `edge-crnn convert`"),
    "other files only": (zipped(("labels.txt", b"0\n1\n")), "'labels.txt' of 4 bytes, expected one edge_crnn.json"),
    "two specs": (zipped((MEMBER, written_spec()), (MEMBER, written_spec())), "'edge_crnn.json' of .* expected one"),
    "a bomb": (zipped((MEMBER, bytes(64 << 20)), how=zipfile.ZIP_DEFLATED), "of 67,108,864 bytes, expected one"),
    "a large spec": (zipped((MEMBER, b" " * (5 << 20))), "of 5,242,880 bytes, expected .* at most 4,194,304 bytes"),
    "compressed": (zipped((MEMBER, written_spec()), how=zipfile.ZIP_DEFLATED), "expected one edge_crnn.json, stored"),
    "no JSON": (zipped((MEMBER, b"{")), "no JSON"),
    "empty": (zipped((MEMBER, b"")), "no JSON"),
    "no files": (zipped(), "associated files are none, expected one"),
}


@pytest.mark.parametrize(("appended", "message"), BAD_ZIPS.values(), ids=BAD_ZIPS)
def test_bad_specs_in_a_tflite(tmp_path: Path, appended: bytes, message: str) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(PAYLOAD + appended)
    with pytest.raises(ModelSpecError, match=f"bad.tflite: .*{message}"):
        load(path)


def test_other_associated_files_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "labels.tflite"
    path.write_bytes(PAYLOAD + zipped(("labels.txt", b"0\n"), (MEMBER, written_spec()), ("more.txt", b"")))
    assert load(path).payload == PAYLOAD


APPENDED = zipped(("라벨.txt", b"0\n"), (MEMBER, written_spec()))


@settings(max_examples=examples(300), deadline=None)
@given(st.dictionaries(st.integers(0, len(APPENDED) - 1), st.integers(0, 255), min_size=1, max_size=6))
def test_any_damage_to_the_zip_is_one_error(tmp_path_factory: pytest.TempPathFactory, changes: dict[int, int]) -> None:
    appended = bytearray(APPENDED)
    for place, value in changes.items():
        appended[place] = value
    path = tmp_path_factory.getbasetemp() / "damaged.tflite"
    path.write_bytes(PAYLOAD + appended)
    with contextlib.suppress(ArtifactError, ModelSpecError):
        assert load(path) == Artifact(path, ModelSpec.from_json(written_spec()), PAYLOAD)


BAD_METADATA = {
    "none": ([], "its metadata has nothing under 'edge_crnn', expected one spec"),
    "two": ([b"{}", b"{}"], "its metadata has 2 bytes, 2 bytes under 'edge_crnn', expected one"),
    "a large spec": ([b" " * (5 << 20)], "5,242,880 bytes under .* at most 4,194,304 bytes; convert the trained"),
    "no JSON": ([b"{"], "no JSON"),
    "empty": ([b""], "no JSON"),
    "another version": ([b'{"version": 99}'], "version 99, this edge-crnn reads 1 to"),
}


@pytest.mark.parametrize(("specs", "message"), BAD_METADATA.values(), ids=BAD_METADATA)
def test_bad_specs_in_an_onnx(tmp_path: Path, specs: list[bytes], message: str) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(functools.reduce(onnx_file.join, specs, PAYLOADS[".onnx"]))
    with pytest.raises(ModelSpecError, match=f"bad.onnx: .*{message}"):
        load(path)


def test_file_that_is_no_onnx_is_neither_loaded_nor_saved(tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    with pytest.raises(ArtifactError, match=r"bad.onnx: no ONNX model .* \(.*\); name a converted model"):
        save(path, PAYLOAD, SPEC)
    assert not path.exists()
    path.write_bytes(PAYLOAD)
    with pytest.raises(ArtifactError, match=r"bad.onnx: no ONNX model .* \(byte 0: wire type 4\); name a converted"):
        load(path)


def test_missing_sidecar_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plates.engine"
    path.write_bytes(PAYLOAD)
    with pytest.raises(ModelSpecError, match=r"no spec \(plates.engine.json: No such file or directory\)"):
        load(path)
    with pytest.raises(ModelSpecError, match=r"plates.engine: no spec .*examples/own_model.md"):
        load_sidecar(path)
    for content in (b"", bytes(5 << 20)):
        sidecar(path).write_bytes(content)
        with pytest.raises(
            ModelSpecError, match=rf"no spec \(plates.engine.json: {len(content):,} bytes, expected 1 to"
        ):
            load_sidecar(path)
    sidecar(path).write_bytes(written_spec())
    assert load(path).spec == load_sidecar(path) == load_spec(sidecar(path))


def test_spec_in_its_own_file(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    with pytest.raises(ModelSpecError, match=r"spec.json: cannot be read \(No such file or directory\); name a spec"):
        load_spec(path)
    path.write_text("{}")
    with pytest.raises(ModelSpecError, match=r"spec.json: field 'name' is missing"):
        load_spec(path)
    path.write_bytes(written_spec())
    assert load_spec(path).name == "tiny"


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def nothing(path: Path) -> None:
    pass


NO_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (nothing, "No such file or directory"),
    "folder": (Path.mkdir, "a folder or a device"),
    "pipe": (a_pipe, "a folder or a device"),
    "empty": (Path.touch, "0 bytes, expected 1 to"),
    "link to nothing": (lambda path: path.symlink_to("gone"), "No such file or directory"),
}


@pytest.mark.parametrize(("make", "message"), NO_FILES.values(), ids=NO_FILES)
def test_path_without_a_readable_file_is_refused(path: Path, make: Callable[[Path], object], message: str) -> None:
    make(path)
    with pytest.raises(ArtifactError, match=rf"cannot be read \({message}.*\); name a converted model"):
        load(path)
    with pytest.raises(ArtifactError, match="under: cannot be read"):
        load(path / "under")


def test_another_kind_of_file(tmp_path: Path) -> None:
    path = tmp_path / "plate.tflite"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))
    with pytest.raises(ArtifactError, match=r"no TFLite model \(it starts with b'\\x89PNG.*\); name a converted model"):
        load(path)


def test_no_memory_is_reserved_beyond_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_crnn.model.artifact._MAX_PAYLOAD_BYTES", 99)
    path = save(tmp_path / "a.tflite", PAYLOAD, SPEC).path
    with pytest.raises(ArtifactError, match=r"bytes, expected 1 to 99"):
        load(path)


def test_a_target_under_a_file(path: Path, payload: bytes) -> None:
    path.parent.joinpath("file").touch()
    with pytest.raises(OutputError, match="Not a directory"):
        save(path.parent / "file" / path.name, payload, SPEC)


def test_zip_is_readable_by_other_programs(
    tiny_artifact: Path, tiny_pictures: list[np.ndarray], tmp_path: Path
) -> None:
    """zipfile lists one member, and an interpreter given the whole file computes the same as the payload alone."""
    from ai_edge_litert.interpreter import Interpreter

    artifact = load(tiny_artifact)
    with zipfile.ZipFile(tiny_artifact) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [MEMBER]
        assert digest.from_comment(archive.comment) == sha256(archive.read(MEMBER)) == artifact.spec_sha256
        assert ModelSpec.from_json(archive.read(MEMBER)) == artifact.spec
    assert tiny_artifact.read_bytes().startswith(artifact.payload)
    with_zip = Interpreter(str(tiny_artifact))
    with_zip.allocate_tensors()
    backend = open_backend(artifact)
    for picture in tiny_pictures:
        batch = picture[np.newaxis, ..., np.newaxis]
        with_zip.set_tensor(with_zip.get_input_details()[0]["index"], batch)
        with_zip.invoke()
        probabilities = with_zip.get_tensor(with_zip.get_output_details()[0]["index"])
        np.testing.assert_array_equal(probabilities, backend.infer(batch))
    backend.close()
