from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.report.compose import compose
from converters.report.page import page
from converters.report.verification import Outcome, to_json
from converters.verify.gate import Gate, Readings, compare
from edge_crnn import __version__
from edge_crnn.dataset import Dataset, Entry
from edge_crnn.model.artifact import Artifact
from edge_crnn.model.spec import ArtifactFacts, InputSpec, ModelSpec, OutputSpec, Teacher
from edge_crnn.records.record import from_json
from tests.converters.report.made import Browser, Json

SPEC = ModelSpec(
    name="tiny",
    symbols=tuple("0123456789"),
    blank=10,
    input=InputSpec(width=32, height=16, axes="WHC", scale=1 / 127.5, offset=-1.0),
    output=OutputSpec(steps=16, classes=11),
    artifact=ArtifactFacts("tflite", "int8", 1, "0" * 64, "1" * 64),
)


def dataset(folder: Path, labels: list[str], name: str = "{}.png", shape: tuple[int, int] = (4, 6)) -> Dataset:
    import cv2

    folder.mkdir(exist_ok=True)
    entries = []
    for index, label in enumerate(labels):
        path = folder / name.format(index)
        noise = np.random.default_rng(index).integers(0, 256, shape, np.uint8)
        path.write_bytes(cv2.imencode(path.suffix, noise)[1].tobytes())
        entries.append(Entry(path, label))
    return Dataset(folder, tuple(entries))


def readings(*labels: list[str]) -> list[Readings]:
    uniform = np.full((2, 11), 1 / 11, np.float32)
    return [Readings(tuple(texts), (0.5,) * len(texts), np.stack([uniform] * len(texts))) for texts in labels]


def recorded(
    datasets: list[Dataset],
    reference: list[Readings],
    *artifacts: list[Readings],
    spec: ModelSpec = SPEC,
    names: tuple[str, ...] = ("a.tflite", "b.tflite"),
) -> Json:
    outcomes = [
        Outcome(Artifact(Path(name), spec, b"TFL3"), compare(datasets, reference, read, Gate()), read)
        for name, read in zip(names, artifacts, strict=False)
    ]
    return json.loads(to_json(spec, "7" * 64, outcomes, reference, "soft blobs"))


def shown(record: Json) -> Browser:
    return Browser(page(compose([from_json(json.dumps(record), "x.json")])))


def test_images_that_artifacts_read_differently_are_recorded(tmp_path: Path) -> None:
    images = dataset(tmp_path / "gate", ["11", "22", "33"])
    record = recorded(
        [images], readings(["11", "22", "44"]), readings(["11", "55", "44"]), readings(["11", "22", "33"])
    )
    assert record["changed"] == 2
    assert record["versions"]["edge-crnn"] == __version__
    assert record["artifacts"][0]["detail"]["errors"] == [{"symbols": 6, "reference": 2, "artifact": 4}]
    first, second = record["changes"]
    assert (first["image"], first["truth"]) == ("1.png", "22")
    assert first["reference"] == {"text": "22", "right": True}
    assert first["artifacts"] == {"a.tflite": {"text": "55", "right": False}}
    assert second["reference"] == {"text": "44", "right": False}
    assert second["artifacts"] == {"b.tflite": {"text": "33", "right": True}}
    (rest,) = record["sample"]
    assert (rest["image"], rest["artifacts"]) == ("0.png", {})
    content = base64.b64decode(first["picture"].removeprefix("data:image/png;base64,"))
    assert content == images.entries[1].path.read_bytes()
    browser = shown(record)
    assert len([figure for figure in browser.figures if ".png" in figure]) == 3
    assert "2 soft blobs" not in browser.text
    assert "3 soft blobs" in browser.text


def test_texts_are_written_as_people_read_them(tmp_path: Path) -> None:
    korean = replace(SPEC, label_map={"1": "서울 "})
    images = dataset(tmp_path / "gate", ["12", "2"])
    (change,) = recorded([images], readings(["12", "2"]), readings(["2", "2"]), spec=korean)["changes"]
    assert (change["truth"], change["artifacts"]["a.tflite"]["text"]) == ("서울 2", "2")


def test_labels_that_read_alike_are_distinguished(tmp_path: Path) -> None:
    """Z on a Korean plate has no sound: without it another label is the same text."""
    silent = replace(SPEC, label_map={"0": ""})
    images = dataset(tmp_path / "gate", ["012", "2"])
    (change,) = recorded([images], readings(["012", "2"]), readings(["12", "2"]), spec=silent)["changes"]
    assert (change["truth"], change["artifacts"]["a.tflite"]["text"]) == ("012", "12")


def test_nothing_that_is_read_is_shown_as_nothing(tmp_path: Path) -> None:
    record = recorded([dataset(tmp_path / "gate", ["1", "2"])], readings(["1", "2"]), readings(["1", ""]))
    assert any("nothing" in figure.split("\n") for figure in shown(record).figures)


def test_a_slimmed_artifact_names_its_teacher(tmp_path: Path) -> None:
    teacher = Teacher("big.keras", "f" * 64, 0.25)
    images = dataset(tmp_path / "gate", ["1"])
    reads = readings(["1"])
    record = recorded([images], reads, reads, spec=replace(SPEC, teacher=teacher))
    assert record["artifacts"][0]["teacher"] == {"file": "big.keras", "sha256": "f" * 64, "share": 0.25}
    assert teacher.headline in shown(record).text
    assert "slimmed from" not in shown(recorded([images], reads, reads)).text


def test_artifacts_of_one_name_are_distinguished_by_path(tmp_path: Path) -> None:
    images = dataset(tmp_path / "gate", ["1"])
    reads = readings(["1"])
    record = recorded([images], reads, reads, reads, names=("old/x.tflite", "new/x.tflite"))
    assert [artifact["name"] for artifact in record["artifacts"]] == ["old/x.tflite", "new/x.tflite"]


def test_a_sample_of_the_rest_comes_from_every_folder(tmp_path: Path) -> None:
    datasets = [dataset(tmp_path / "one", ["1"] * 60), dataset(tmp_path / "two", ["1"] * 30)]
    reads = readings(["1"] * 60, ["1"] * 30)
    sample = recorded(datasets, reads, reads)["sample"]
    assert len(sample) == 40
    numbers = [int(picture["image"].partition(".")[0]) for picture in sample if picture["set"].endswith("one")]
    assert len(numbers) == 20
    assert max(numbers) > 50  # from all of the folder, not its first files alone


def test_many_changes_are_counted_and_some_are_shown(tmp_path: Path) -> None:
    images = dataset(tmp_path / "gate", ["1"] * 210)
    record = recorded([images], readings(["1"] * 210), readings(["1", *["2"] * 209]))
    assert (record["changed"], len(record["changes"])) == (209, 200)
    assert "These are 200 of 209." in shown(record).text


@pytest.mark.parametrize(("name", "shape"), [("{}.tif", (4, 6)), ("{}.png", (400, 900))])
def test_large_or_unshowable_image_becomes_a_small_picture(tmp_path: Path, name: str, shape: tuple[int, int]) -> None:
    import cv2

    images = dataset(tmp_path / "gate", ["1", "2"], name, shape)
    (change,) = recorded([images], readings(["1", "2"]), readings(["1", "3"]))["changes"]
    kind, _, data = change["picture"].partition(",")
    assert kind == "data:image/jpeg;base64"
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[:2] == ((4, 6) if shape == (4, 6) else (160, 360))
    assert change["image"] == name.format(1)


def test_too_few_images_are_shown_with_the_agreement_that_they_prove(tmp_path: Path) -> None:
    reads = readings(["1", "2"])
    text = shown(recorded([dataset(tmp_path / "gate", ["1", "2"])], reads, reads)).text
    assert "Nothing differs beyond the gate, but there are too few images to rule it out" in text
    assert "these images prove only 22.36%; use more images" in text
