"""Damage to a spec is found in every format, and older files load."""

from __future__ import annotations

import contextlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.errors import ArtifactError, ModelSpecError
from edge_crnn.files import sha256
from edge_crnn.model import digest, onnx_file
from edge_crnn.model.artifact import MEMBER, load, load_sidecar, load_spec, save, sidecar
from edge_crnn.model.spec import ModelSpec
from tests.budget import examples
from tests.edge_crnn.model.test_artifact import PAYLOAD, PAYLOADS, SPEC, written_spec, zipped


@pytest.fixture(params=PAYLOADS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"plates{request.param}"


@pytest.fixture
def payload(path: Path) -> bytes:
    return PAYLOADS[path.suffix]


def spec_file(path: Path) -> Path:
    """Return the file that holds the spec of an artifact."""
    return sidecar(path) if path.suffix == ".engine" else path


def without_digest(path: Path) -> None:
    """Rewrite an artifact as version 0.5 wrote it."""
    artifact = load(path)
    text = artifact.spec.to_json().encode()
    if path.suffix == ".tflite":
        path.write_bytes(artifact.payload + zipped((MEMBER, text)))
    elif path.suffix == ".onnx":
        path.write_bytes(path.read_bytes()[: -len(onnx_file._entry(onnx_file.DIGEST_KEY, b"0" * 64))])
    else:
        sidecar(path).write_bytes(text)


def test_every_flipped_bit_of_the_spec_is_found(path: Path, payload: bytes) -> None:
    """A flip is an error or changes nothing, such as one in the date of a ZIP member.

    Only the whole profile flips every bit.
    """
    saved = save(path, payload, SPEC)
    file = spec_file(path)
    good = file.read_bytes()
    bits = range(8 * (len(payload) if file == path else 0), 8 * len(good))
    for place, bit in (divmod(number, 8) for number in bits[:: (100 // examples(100)) ** 2]):
        damaged = bytearray(good)
        damaged[place] ^= 1 << bit
        file.write_bytes(damaged)
        with contextlib.suppress(ArtifactError, ModelSpecError):
            artifact = load(path)
            assert (artifact.payload, artifact.spec) == (saved.payload, saved.spec), (place, bit)


CHANGES: dict[str, tuple[bytes, bytes]] = {
    "a symbol": ('"01나"'.encode(), '"01다"'.encode()),
    "the blank": (b'"blank": 3', b'"blank": 0'),
    "skipped steps": (b'"skip_steps": 0', b'"skip_steps": 1'),
    "the scale": (b'"scale": 1.0', b'"scale": 2.0'),
    "the threshold": (b'"reject_below": 0.0', b'"reject_below": 0.5'),
    "white space": (b'"blank": 3', b'"blank":  3'),
}


@pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=CHANGES)
def test_a_changed_spec_is_found(path: Path, payload: bytes, before: bytes, after: bytes) -> None:
    text = save(path, payload, SPEC).spec.to_json().encode()
    changed = text.replace(before, after)
    assert changed != text
    if path.suffix == ".tflite":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(MEMBER, changed)
            archive.comment = digest.to_comment(text)
        path.write_bytes(payload + buffer.getvalue())
    elif path.suffix == ".onnx":
        entries = (onnx_file._entry(onnx_file.KEY, changed), onnx_file._entry(onnx_file.DIGEST_KEY, sha(text)))
        path.write_bytes(payload + b"".join(entries))
    else:
        sidecar(path).write_bytes(sidecar(path).read_bytes().replace(before, after))
    with pytest.raises(
        ModelSpecError, match=r"the spec has SHA-256 .*, the file states .*; it is damaged or was changed"
    ):
        load(path)


def sha(text: bytes) -> bytes:
    return sha256(text).encode()


def test_a_file_without_a_digest_loads(path: Path, payload: bytes) -> None:
    saved = save(path, payload, SPEC)
    assert saved.spec_sha256 == sha256(saved.spec.to_json().encode())
    without_digest(path)
    assert load(path) == replace(saved, spec_sha256=None)
    again = save(path, *loaded(path))
    assert again == saved == load(path)


def loaded(path: Path) -> tuple[bytes, ModelSpec]:
    artifact = load(path)
    return artifact.payload, artifact.spec


@pytest.mark.parametrize("digests", [[b"0" * 64], [b""], [b"\xff"], None], ids=["other", "empty", "no text", "twice"])
def test_a_wrong_digest_in_an_onnx_is_found(tmp_path: Path, digests: list[bytes] | None) -> None:
    path = tmp_path / "wrong.onnx"
    payload = PAYLOADS[".onnx"]
    text = written_spec(payload)
    entries = [onnx_file._entry(onnx_file.DIGEST_KEY, value) for value in digests or [sha(text), sha(text)]]
    path.write_bytes(payload + onnx_file._entry(onnx_file.KEY, text) + b"".join(entries))
    with pytest.raises(ModelSpecError, match="it is damaged or was changed"):
        load(path)


def test_the_digest_of_a_sidecar_is_its_first_field(tmp_path: Path) -> None:
    """`sed '/"spec_sha256"/d' plates.engine.json | sha256sum` prints it."""
    path = tmp_path / "plates.engine"
    saved = save(path, PAYLOAD, SPEC)
    lines = sidecar(path).read_bytes().splitlines(keepends=True)
    assert lines[1] == f' "spec_sha256": "{saved.spec_sha256}",\n'.encode()
    rest = b"".join(lines[:1] + lines[2:])
    assert sha256(rest) == saved.spec_sha256
    assert ModelSpec.from_json(rest) == saved.spec


def test_an_edited_sidecar_loads_without_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "plates.engine"
    save(path, PAYLOAD, SPEC)
    lines = sidecar(path).read_text().replace('"blank": 3', '"blank": 0').splitlines(keepends=True)
    sidecar(path).write_text("".join(lines))
    for read in (lambda: load(path), lambda: load_sidecar(path), lambda: load_spec(sidecar(path))):
        with pytest.raises(ModelSpecError, match=r"plates.engine.json: .* delete its line .spec_sha256"):
            read()
    sidecar(path).write_text("".join(lines[:1] + lines[2:]))
    assert load(path).spec.blank == load_sidecar(path).blank == load_spec(sidecar(path)).blank == 0


@settings(max_examples=examples(200), deadline=None)
@given(st.binary(max_size=40), st.sampled_from([b"", b"{", b"{\n", b'{\n "spec_sha256": "']))
def test_what_a_sidecar_states_is_read_back(rest: bytes, start: bytes) -> None:
    text = b"{\n" + rest
    assert digest.without_field(digest.with_field(text)) == (text, sha256(text))
    assert digest.from_comment(digest.to_comment(text)) == sha256(text)
    digest.from_comment(rest)  # no bytes raise an error
    digest.without_field(start + rest)
