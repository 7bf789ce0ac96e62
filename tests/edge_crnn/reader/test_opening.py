"""Names of models, `open_reader` and `read`."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import edge_crnn
from edge_crnn import Artifact, ArtifactError, DecoderSpec, InputError, InputTypeError, Reader, ctc, open_reader, read
from edge_crnn.model.artifact import load
from edge_crnn.reader import DEFAULT_MODEL, opening
from tests.edge_crnn.reader.test_engines import in_fork


@pytest.fixture(autouse=True)
def nothing_shared() -> Iterator[None]:
    opening._forget()
    yield
    opening._forget()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Reader]:
    """The readers that `read` opens."""
    readers: list[Reader] = []

    def counted(*words: object, **options: object) -> Reader:
        readers.append(open_reader(*words, **options))  # type: ignore[arg-type]
        return readers[-1]

    monkeypatch.setattr(opening, "open_reader", counted)
    return readers


def test_names() -> None:
    assert edge_crnn.load("plates").path == DEFAULT_MODEL
    assert edge_crnn.load(str(DEFAULT_MODEL)).path == DEFAULT_MODEL
    with open_reader("plates", workers=1) as reader, open_reader(workers=1) as default:
        assert reader.spec == default.spec


def test_a_model_that_is_not_installed_says_how_to_make_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(opening.NAMES, "digits", tmp_path / "digits-int8.tflite")
    with pytest.raises(
        ArtifactError, match=r"'digits' is not part of this installation; .*edge-crnn convert models/dig"
    ):
        open_reader("digits")


@pytest.mark.parametrize("name", ["plate", Path("plates"), "./plates"])
def test_a_path_without_a_suffix_is_no_model(name: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        with pytest.raises(ArtifactError, match=r"found no suffix, expected .*\.tflite.*'plates', 'digits'"):
            open_reader(name)
        (tmp_path / "plates").write_bytes(b"whatever")  # a file of this name changes nothing


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": 42}, r"model is 42 \(int\), expected the path"),
        ({"model": b"a.tflite"}, "expected the path"),
        ({"workers": "2"}, r"workers is '2' \(str\), expected a whole number"),
        ({"n_best": 1.5}, "n_best is 1.5"),
        ({"lexicon": "18sk6897"}, "lexicon is str, expected a list of texts"),
        ({"lexicon": 7}, "lexicon is int"),
        ({"lexicon": [b"18"]}, r"lexicon has b'18' \(bytes\), expected texts only"),
        ({"prior": ["18"]}, "prior is list, expected a ctc.Prior"),
        ({"decoder": "beam"}, "decoder is str, expected a DecoderSpec"),
    ],
)
def test_a_wrong_type_is_one_clear_error(options: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError, match=message) as caught:
        open_reader(**options)  # type: ignore[arg-type]
    assert isinstance(caught.value, InputTypeError | InputError)


def test_options_of_a_reader(tiny_artifact: Path, tiny_pictures: list[np.ndarray], tiny_labels: list[str]) -> None:
    texts = sorted(set(tiny_labels))
    own = load(tiny_artifact).spec.decoder
    for lexicon in (texts, iter(texts), ctc.Lexicon.parse(texts, load(tiny_artifact).spec.alphabet)):
        with open_reader(tiny_artifact, lexicon=lexicon, workers=1) as reader:
            assert [str(reading) for reading in reader.read_batch(tiny_pictures)] == tiny_labels
            assert reader.spec.decoder == DecoderSpec("beam", own.beam_width, None, own.reject_below)
    with open_reader(tiny_artifact, grammar=tiny_labels[0], min_confidence=1, method="beam", beam_width=4) as reader:
        assert reader.spec.decoder == DecoderSpec("beam", 4, tiny_labels[0], 1)
        assert {reading.text for reading in reader.read_batch(tiny_pictures)} <= {tiny_labels[0], ""}
        assert not reader.read(tiny_pictures[0]).accepted


def test_old_calls_still_work(tiny_artifact: Path, tiny_pictures: list[np.ndarray], tiny_labels: list[str]) -> None:
    from edge_crnn.board.limits import usable_cores
    from edge_crnn.reader import MOST

    assert usable_cores() <= MOST
    with open_reader(
        tiny_artifact, workers=1, threads=1, decoder=DecoderSpec(grammar="0?.*"), n_best=1, target_precision=None,
        engine=None, lexicon=None, prior=None, preprocess=None,
    ) as reader:  # fmt: skip
        assert reader.spec.decoder == DecoderSpec(grammar="0?.*")
        assert reader.read(tiny_pictures[0]).text == tiny_labels[0]


def test_everything_that_holds_a_picture_is_read(
    tiny_artifact: Path, tiny_pictures: list[np.ndarray], tiny_labels: list[str], tmp_path: Path
) -> None:
    data = cv2.imencode(".png", tiny_pictures[0])[1].tobytes()
    path = tmp_path / "a.png"
    path.write_bytes(data)
    images = [path, str(path), data, bytearray(data), io.BytesIO(data), Image.open(path), tiny_pictures[0]]
    assert {str(read(image, tiny_artifact)) for image in images} == {tiny_labels[0]}
    images[4] = io.BytesIO(data)
    with open_reader(tiny_artifact, workers=2) as reader:
        assert {str(reading) for reading in reader.read_batch(images)} == {tiny_labels[0]}
        assert str(reader.fuse([path, data])) == tiny_labels[0]


def test_a_model_is_opened_once(
    tiny_artifact: Path, tiny_pictures: list[np.ndarray], tiny_labels: list[str], opened: list[Reader]
) -> None:
    def text_of(image: np.ndarray) -> str:
        return str(read(image, tiny_artifact))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(text_of, tiny_pictures * 8)) == tiny_labels * 8
    assert len(opened) == 1
    assert not read(tiny_pictures[0], str(tiny_artifact), min_confidence=1).accepted
    assert read(tiny_pictures[0], str(tiny_artifact), min_confidence=0).accepted
    assert len(opened) == 3
    assert text_of(tiny_pictures[1]) == tiny_labels[1]
    assert len(opened) == 3


def test_a_file_that_has_changed_is_opened_again(
    tiny_artifacts: Callable[..., Path], tiny_pictures: list[np.ndarray], tmp_path: Path, opened: list[Reader]
) -> None:
    path = tmp_path / "m.tflite"
    for recipe in ("dynamic", "float32"):
        shutil.copyfile(tiny_artifacts(recipe), path)
        for _ in range(2):
            read(tiny_pictures[0], path)
    assert [reader.spec.artifact.recipe for reader in opened] == ["dynamic", "float32"]  # type: ignore[union-attr]


def test_few_models_stay_open(tiny_artifact: Path, tiny_pictures: list[np.ndarray], opened: list[Reader]) -> None:
    artifact = load(tiny_artifact)
    assert isinstance(artifact, Artifact)
    for threshold in (0.1, 0.2, 0.3, 0.4, 0.1, 0.5, 0.1):
        read(tiny_pictures[0], artifact, min_confidence=threshold)
    assert [reader.spec.decoder.reject_below for reader in opened] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert len(opening._shared._readers) == opening._KEPT == 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_opens_its_own(
    tiny_artifact: Path, tiny_pictures: list[np.ndarray], tiny_labels: list[str]
) -> None:
    assert str(read(tiny_pictures[0], tiny_artifact)) == tiny_labels[0]
    with opening._shared._lock:  # another thread is opening a model
        assert in_fork(lambda: str(read(tiny_pictures[1], tiny_artifact))) == tiny_labels[1]


def test_read_raises_the_errors_of_its_parts(tiny_artifact: Path) -> None:
    with pytest.raises(TypeError, match="found NoneType, expected a path"):
        read(None, tiny_artifact)  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match=r"none\.tflite: cannot be read"):
        read("a.png", "none.tflite")
    with pytest.raises(TypeError, match="model is 42"):
        read("a.png", 42)  # type: ignore[arg-type]
