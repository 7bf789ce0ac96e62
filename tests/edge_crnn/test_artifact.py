from __future__ import annotations

import contextlib
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

from edge_crnn.artifact import MEMBER, Artifact, load, load_sidecar, load_spec, save, sidecar
from edge_crnn.backends import open_backend
from edge_crnn.errors import ArtifactError, ModelSpecError, OutputError
from edge_crnn.files import sha256
from edge_crnn.spec import ArtifactFacts, InputSpec, ModelSpec, OutputSpec

SPEC = ModelSpec(
    "tiny",
    tuple("01나"),
    3,
    InputSpec(8, 4, "HWC", 1.0, 0.0),
    OutputSpec(6, 4),
    artifact=ArtifactFacts("tflite", "dynamic", 1, "not known yet", "ab" * 32),
)
PAYLOAD = b"\x1c\0\0\0TFL3" + bytes(range(256)) * 8
"""No model, but all that this module looks at."""

FORMATS = (".tflite", ".onnx", ".engine")


@pytest.fixture(params=FORMATS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"번호판{request.param}"


def zipped(*members: tuple[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", how) as archive:
        warnings.simplefilter("ignore")  # two members of one name are what a test wants
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def written_spec(payload: bytes = PAYLOAD) -> bytes:
    assert SPEC.artifact is not None
    return replace(SPEC, artifact=replace(SPEC.artifact, payload_sha256=sha256(payload))).to_json().encode()


def test_what_is_saved_is_loaded(path: Path) -> None:
    saved = save(path, PAYLOAD, SPEC)
    assert load(path) == saved
    assert saved.payload == PAYLOAD
    assert saved.spec.artifact is not None
    assert saved.spec.artifact.payload_sha256 == sha256(PAYLOAD)
    assert replace(saved.spec, artifact=SPEC.artifact) == SPEC


def test_saving_again_replaces(path: Path) -> None:
    save(path, PAYLOAD + b"of an older, longer model", SPEC)
    files = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    save(path, PAYLOAD, replace(SPEC, name="second"))
    assert load(path).spec.name == "second"
    again = save(path, PAYLOAD + b"of an older, longer model", SPEC)
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == files
    save(path, again.payload, again.spec)
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == files


def test_a_trained_models_spec_is_no_artifacts(path: Path) -> None:
    trained = replace(SPEC, artifact=None)
    with pytest.raises(ModelSpecError, match="no artifact facts; fill in `artifact` before saving"):
        save(path, PAYLOAD, trained)
    assert not path.exists()
    if path.suffix == ".tflite":
        path.write_bytes(PAYLOAD + zipped((MEMBER, trained.to_json().encode())))
    else:
        path.write_bytes(PAYLOAD)
        sidecar(path).write_text(trained.to_json(), encoding="utf-8")
    with pytest.raises(ModelSpecError, match="describes a trained model, not an artifact; convert the model again"):
        load(path)


@pytest.mark.parametrize("at", [0, 9, 1000, -1])
def test_a_flipped_bit_is_found(path: Path, at: int) -> None:
    save(path, PAYLOAD, SPEC)
    data = bytearray(path.read_bytes())
    data[at if at >= 0 else len(PAYLOAD) - 1] ^= 4
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"SHA-256 .{12}…, its spec describes .{12}…; .* copy or convert it again"):
        load(path)


def test_flipped_weights_are_found_though_the_interpreter_takes_them(
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
    path.write_bytes(data.replace(largest, bytes(each ^ 1 for each in largest)))
    Interpreter(str(path)).allocate_tensors()  # what loads in silence where nobody looks at the hash
    with pytest.raises(ArtifactError, match="damaged or was changed"):
        load(path)


def test_the_spec_of_another_payload_is_refused(path: Path) -> None:
    save(path, PAYLOAD, SPEC)
    if path.suffix == ".tflite":
        path.write_bytes(PAYLOAD + b"another" + zipped((MEMBER, written_spec())))
    else:
        path.write_bytes(PAYLOAD + b"another")
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


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.integers(0, len(APPENDED) - 1), st.integers(0, 255), min_size=1, max_size=6))
def test_any_damage_to_the_zip_is_one_error(tmp_path_factory: pytest.TempPathFactory, changes: dict[int, int]) -> None:
    appended = bytearray(APPENDED)
    for place, value in changes.items():
        appended[place] = value
    path = tmp_path_factory.getbasetemp() / "damaged.tflite"
    path.write_bytes(PAYLOAD + appended)
    with contextlib.suppress(ArtifactError, ModelSpecError):
        assert load(path) == Artifact(path, ModelSpec.from_json(written_spec()), PAYLOAD)


def test_a_spec_that_is_not_beside(tmp_path: Path) -> None:
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


def test_a_spec_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    with pytest.raises(ModelSpecError, match=r"spec.json: cannot be read \(No such file or directory\); name a spec"):
        load_spec(path)
    path.write_text("{}")
    with pytest.raises(ModelSpecError, match=r"spec.json: version None"):
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
def test_what_is_no_file(path: Path, make: Callable[[Path], object], message: str) -> None:
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
    monkeypatch.setattr("edge_crnn.artifact._MAX_PAYLOAD_BYTES", 99)
    path = save(tmp_path / "a.tflite", PAYLOAD, SPEC).path
    with pytest.raises(ArtifactError, match=r"bytes, expected 1 to 99"):
        load(path)


def test_a_target_under_a_file(path: Path) -> None:
    path.parent.joinpath("file").touch()
    with pytest.raises(OutputError, match="Not a directory"):
        save(path.parent / "file" / path.name, PAYLOAD, SPEC)


def test_the_zip_is_what_others_expect(tiny_artifact: Path, tiny_pictures: list[np.ndarray], tmp_path: Path) -> None:
    """zipfile lists one member, and an interpreter that knows nothing of it computes what the payload does."""
    from ai_edge_litert.interpreter import Interpreter

    artifact = load(tiny_artifact)
    with zipfile.ZipFile(tiny_artifact) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [MEMBER]
        assert ModelSpec.from_json(archive.read(MEMBER)) == artifact.spec
    assert tiny_artifact.read_bytes().startswith(artifact.payload)
    with_zip = Interpreter(str(tiny_artifact))
    with_zip.allocate_tensors()
    backend = open_backend(artifact)
    for picture in tiny_pictures:
        batch = picture[np.newaxis, ..., np.newaxis]
        with_zip.set_tensor(with_zip.get_input_details()[0]["index"], batch)
        with_zip.invoke()
        given = with_zip.get_tensor(with_zip.get_output_details()[0]["index"])
        np.testing.assert_array_equal(given, backend.infer(batch))
    backend.close()
