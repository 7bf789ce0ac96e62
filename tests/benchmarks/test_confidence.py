from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import confidence
from benchmarks.confidence import judge, outcomes, ranking, rejections, study, table
from edge_crnn.backends import FakeBackend
from edge_crnn.errors import DatasetError
from edge_crnn.model.spec import Confidence, CoveragePoint, DecoderSpec, InputSpec, ModelSpec, OutputSpec
from edge_crnn.reading import Reading
from edge_crnn.records.confidence import TargetOutcome

SPEC = ModelSpec("fake", tuple("abc"), 3, InputSpec(2, 2, "HWC", 1.0, 0.0), OutputSpec(7, 4))
FIT = Confidence(9000, 8900, "x", 1.5, 0.1, 0.01, (), (CoveragePoint(0.8, 4000, 3990, 0.9951),))


def reading(label: str, sure: float, accepted: bool = True) -> Reading:
    return Reading(label, label, sure, (), (), accepted)


def rows_of(seed: int, images: int) -> np.ndarray:
    powers = np.exp(12 * np.random.default_rng(seed).normal(size=(images, 7, 4)))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


READINGS = [reading("a", 0.9), reading("b", 0.85), reading("c", 0.95, accepted=False), reading("a", 0.1)]
TRUTHS = ["a", "a", "c", "a"]


def test_readings_are_judged_by_their_labels() -> None:
    judged = judge(replace(SPEC, confidence=FIT), READINGS, TRUTHS)
    assert (judged.fitted, judged.temperature, judged.points) == ("temperature", 1.5, 0)
    assert (judged.images, judged.right) == (4, 3)
    assert judged.calibration_error == pytest.approx((0.1 + 0.85 + 0.05 + 0.9) / 4)
    assert judge(SPEC, READINGS, TRUTHS).fitted == "nothing"


def test_a_target_is_judged_at_the_threshold_that_it_chose() -> None:
    by_target = {outcome.target: outcome for outcome in outcomes(replace(SPEC, confidence=FIT), READINGS, TRUTHS)}
    low, high = by_target[0.99].precision_interval
    assert by_target[0.99] == TargetOutcome(0.99, 0.8, 4, 2, 1, (low, high))  # of the third the grammar says no
    assert low == pytest.approx(0.0126, abs=1e-4)  # printed tables of Clopper and Pearson's limits
    assert by_target[0.999] == TargetOutcome(0.999, None, 4, 0, 0, (0.0, 1.0))


def test_a_ranking_compares_every_pair() -> None:
    values, right = np.array([0.9, 0.5, 0.5, 0.4, 0.1, 0.5]), np.array([1, 1, 0, 0, 1, 0], bool)
    pairs = [(g > b) + 0.5 * (g == b) for g, b in product(values[right], values[~right])]
    assert ranking("x", values, right).auroc == pytest.approx(np.mean(pairs))
    assert ranking("x", np.arange(6.0), np.arange(6) >= 4).auroc == 1
    assert ranking("x", np.arange(6.0), np.arange(6) >= 4).coverage == (pytest.approx(2 / 6),) * 4


def test_pictures_are_rejected_by_the_threshold() -> None:
    rows = rows_of(1, 40)
    sure = np.zeros((3, 7, 4), np.float32)
    sure[:, :, 0] = 1
    spec = replace(SPEC, decoder=DecoderSpec(reject_below=0.99))
    doubtful, certain = rejections(spec, FakeBackend(rows[:1], SPEC.input.shape), {"one": rows, "other": sure})
    assert (certain.kind, certain.pictures, certain.rejected, certain.highest) == ("other", 3, 0, 1.0)
    assert 0 < doubtful.rejected <= doubtful.pictures == 40


def test_an_empty_reading_is_a_rejection_however_sure_it_is() -> None:
    blanks = np.zeros((5, 7, 4), np.float32)
    blanks[:, :, SPEC.blank] = 1
    (empty,) = rejections(SPEC, FakeBackend(blanks[:1], SPEC.input.shape), {"plain": blanks})
    assert (empty.pictures, empty.rejected, empty.highest) == (5, 5, 0.0)


def test_a_study_holds_all_of_it() -> None:
    rows = rows_of(2, 800)
    engine = FakeBackend(rows[:1], SPEC.input.shape)
    truths = [
        "".join("abc"[k] for k in path if k != 3) for path in rows.argmax(axis=-1).tolist()
    ]  # repeats kept: some wrong
    result = study(
        SPEC, engine, (rows[:600], truths[:600], "x"), (rows[600:], truths[600:], "y"), {"one": rows[:9]}, 0.1
    )
    assert [part.fitted for part in result.judged] == ["nothing", "temperature", "temperature, isotonic"]
    assert {part.images for part in result.judged} == {200}
    assert [part.target for part in result.outcomes] == list(result.targets) == list(confidence.TARGETS)
    assert {part.measure for part in result.rankings} >= {"posterior", "posterior, tempered", "margin to the second"}
    assert all(0 <= part.auroc <= 1 for part in result.rankings)
    printed = table(result)
    assert "temperature, isotonic" in printed
    assert "at target 0.1" in printed


def folder(place: Path, pictures: list[np.ndarray], labels: list[str], images: int, seed: int) -> Path:
    place.mkdir()
    random = np.random.default_rng(seed)
    lines = ["image,label"]
    for index in range(images):
        noise = random.normal(0, 40 * index / images, pictures[0].shape)
        picture = np.clip(pictures[index % 8] + noise, 0, 255).astype(np.uint8)
        (place / f"{index}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        lines.append(f"{index}.png,{labels[index % 8]}")
    (place / "labels.csv").write_text("\n".join(lines))
    return place


def test_a_record_is_written(
    tiny_artifact: Path,
    tiny_pictures: list[np.ndarray],
    tiny_labels: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(confidence, "KINDS", ("plain",))
    fit = folder(tmp_path / "fit", tiny_pictures, tiny_labels, 120, 1)
    held = folder(tmp_path / "held", [255 - picture for picture in tiny_pictures], tiny_labels, 40, 2)
    target = tmp_path / "record.json"
    words = [str(tiny_artifact), str(fit), str(held), "--target", "0.1", "--pictures", "3", "-o", str(target)]
    assert confidence.main(words) == 0
    record = json.loads(target.read_text())
    assert (record["version"], record["judged"][1]["images"], record["fit"]["images"]) == (1, 40, 120)
    assert record["rejections"][0]["pictures"] == 3
    assert record["command"].startswith("python -m benchmarks.confidence ")
    assert "plain" in capsys.readouterr().out
    with pytest.raises(DatasetError, match="images are in both sets"):
        confidence.main([str(tiny_artifact), str(fit), str(fit), "-o", str(target)])
