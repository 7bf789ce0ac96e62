from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import pipeline
from converters.graph.graph import Graph
from converters.reference import cache
from converters.trained.keras.model import Ends, Network
from converters.verify.gate import Readings
from edge_crnn.dataset import Dataset
from edge_crnn.model.spec import InputSpec
from tests.conftest import TINY

IMAGES = ["a" * 64, "b" * 64]
VALUES = np.random.default_rng(1).uniform(size=(2, 3, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGE_CRNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "readings"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.keras"
    path.write_bytes(b"a model")
    return path


# --- names -----------------------------------------------------------------------------------------------------------


def test_all_that_the_numbers_depend_on_changes_the_name(
    model: Path, tiny_graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(tiny_graph)

    def key(**changes: Any) -> str:
        usual = {
            "path": model, "network": network, "structure": None, "lambdas": {}, "image": TINY.input, "images": IMAGES
        }  # fmt: skip
        return cache.key(**{**usual, **changes})

    first, *nodes = tiny_graph.nodes
    other_weights = replace(first, kernel=first.kernel + 1e-6)  # type: ignore[attr-defined, type-var]
    names = [
        key(),
        key(network=Network(replace(tiny_graph, nodes=(other_weights, *nodes)))),
        key(network=Network(tiny_graph, ends=Ends(softmax=True))),
        key(lambdas={"a": "squeeze 1"}),
        key(structure="another"),
        key(image=replace(TINY.input, offset=-0.99)),
        key(image=InputSpec(**{**vars(TINY.input), "invert": True})),
        key(images=IMAGES[::-1]),
        key(images=IMAGES[:1]),
    ]
    model.write_bytes(b"another")
    names.append(key())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    names.append(key())
    monkeypatch.setattr(cache.metadata, "version", lambda _: "99")
    names.append(key())
    assert len(set(names)) == len(names)
    assert key() == names[-1]


def test_a_checkpoint_is_its_index_and_its_data(tmp_path: Path, tiny_graph: Graph) -> None:
    index, data = tmp_path / "model-1.index", tmp_path / "model-1.data-00000-of-00001"
    index.write_bytes(b"index")
    data.write_bytes(b"data")
    (tmp_path / "model-12.data-00000-of-00001").write_bytes(b"another model's")
    before = cache.key(index, Network(tiny_graph), None, {}, TINY.input, IMAGES)
    (tmp_path / "model-12.data-00000-of-00001").write_bytes(b"changed")
    assert cache.key(index, Network(tiny_graph), None, {}, TINY.input, IMAGES) == before
    data.write_bytes(b"other data")
    assert cache.key(index, Network(tiny_graph), None, {}, TINY.input, IMAGES) != before


def test_values_that_look_alike_are_distinguished() -> None:
    values: list[Any] = [
        None, "None", 1, 1.0, True, "1", b"1", [], (), {}, [1], [[1]], [1, 1], [11], ["a", "b"], ["ab"], {"a": "b"},
        {"a": None}, np.zeros(2), np.zeros(3), np.zeros(2, np.float32), np.zeros((1, 2)), Ends(), Ends(softmax=True),
    ]  # fmt: skip

    def digest(value: Any) -> str:
        sha256 = cache.hashlib.sha256()
        cache._feed(sha256, value)
        return sha256.hexdigest()

    assert len({digest(value) for value in values}) == len(values)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


# --- entries ---------------------------------------------------------------------------------------------------------


def test_stored_result_is_found(folder: Path) -> None:
    assert cache.find("x", VALUES.shape) is None
    cache.keep("x", VALUES)
    kept = cache.find("x", VALUES.shape)
    assert kept is not None
    np.testing.assert_array_equal(kept, VALUES)
    assert [path.name for path in folder.iterdir()] == ["x.npz"]
    assert cache.find("y", VALUES.shape) is None
    assert cache.find("x", (2, 4, 3)) is None


@pytest.mark.parametrize("place", ["start", "middle", "end", "empty", "other"])
def test_damaged_entry_is_ignored_and_replaced(place: str, folder: Path) -> None:
    cache.keep("x", VALUES)
    path = folder / "x.npz"
    data = bytearray(path.read_bytes())
    if place == "other":
        np.savez(path, something=VALUES)
    elif place == "empty":
        path.write_bytes(b"")
    elif place == "end":
        path.write_bytes(data[:-30])
    else:
        data[1 if place == "start" else len(data) // 2] ^= 0xFF
        path.write_bytes(data)
    assert cache.find("x", VALUES.shape) is None
    cache.keep("x", VALUES)
    assert cache.find("x", VALUES.shape) is not None


def test_the_oldest_are_deleted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age, name in enumerate(("new", "middle", "old")):
        cache.keep(name, VALUES)
        os.utime(folder / f"{name}.npz", (1e9 - age, 1e9 - age))
    size = (folder / "new.npz").stat().st_size
    monkeypatch.setattr(cache, "_MOST_BYTES", 3 * size)
    cache.find("old", VALUES.shape)  # which makes it the newest
    cache.keep("another", VALUES)
    assert sorted(path.stem for path in folder.iterdir()) == ["another", "new", "old"]
    monkeypatch.setattr(cache, "_MOST_BYTES", size - 1)
    cache.keep("too large", VALUES)
    assert not (folder / "too large.npz").exists()


def test_a_cache_that_cannot_be_written_is_reported_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("EDGE_CRNN_CACHE", str(tmp_path / "file"))
    assert cache.find("x", VALUES.shape) is None
    cache.keep("x", VALUES)
    assert "not kept for the next run" in capsys.readouterr().err


# --- readings --------------------------------------------------------------------------------------------------------


def test_cached_texts_are_not_read_again(
    tiny_keras: Path, labelled_folder: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pipeline.open_source(tiny_keras)
    datasets = pipeline.load_sets([labelled_folder], source.spec)
    first = pipeline.reference_readings(source, datasets, cached=True)
    ran: list[int] = []

    def read_again(source: pipeline.Source, missing: Sequence[Dataset]) -> tuple[Readings, ...]:
        ran.append(len(missing))
        return tuple(Readings.of(first[0].probabilities[: len(dataset)], source.spec) for dataset in missing)

    monkeypatch.setattr(pipeline, "_read_by_reference", read_again)

    def read(changed: pipeline.Source = source, cached: bool = True, sets: Any = datasets) -> list[int]:
        ran.clear()
        (again,) = pipeline.reference_readings(changed, sets, cached=cached)
        np.testing.assert_array_equal(again.labels[: len(first[0].labels)], first[0].labels[: len(again.labels)])
        return list(ran)

    assert read(pipeline.open_source(tiny_keras)) == []
    assert read(cached=False) == [1]
    fewer = replace(datasets[0], entries=datasets[0].entries[:-1])
    assert read(sets=[fewer]) == [1]
    assert read(sets=[fewer]) == []
    assert read(replace(source, classes={"Mine": object})) == [1]
    other_alphabet = replace(source.spec, name="other")
    assert read(replace(source, spec=other_alphabet)) == []
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert read() == [1]
    assert read() == []
