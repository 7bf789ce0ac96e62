from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn import (
    Character,
    DecoderSpec,
    FakeBackend,
    ImageError,
    ImageTypeError,
    InputError,
    ModelSpecError,
    Reader,
    Reading,
    ctc,
    open_reader,
)
from edge_crnn.backends import open_backend
from edge_crnn.board import limits
from edge_crnn.model.artifact import load
from edge_crnn.model.spec import Confidence, CoveragePoint, InputSpec, ModelSpec, OutputSpec
from edge_crnn.preprocess import preprocess
from edge_crnn.preprocess.function import Preprocess

# The fake engine takes 2×2 pixels and returns 4 steps of the symbols a, b, c, and the blank.
SPEC = ModelSpec(
    "fake", tuple("abc"), 3, InputSpec(2, 2, "HWC", 1.0, 0.0), OutputSpec(4, 4), label_map={"a": "에이 ", "c": " 씨"}
)
BLACK = np.zeros((2, 2), np.uint8)


def steps(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array([rows], np.float32)


A, B, C, BLANK = np.eye(4)
ABC = steps(A, B, B, C)
NEARLY = steps((0.6, 0.3, 0, 0.1), (0, 0, 0, 1), (0, 0.9, 0, 0.1), (0, 0, 0, 1))
"""The network reads ab 0.54, bb 0.27, b 0.12, a 0.06, the empty text 0.01, and nothing else."""


def reader_of(probabilities: np.ndarray, spec: ModelSpec = SPEC, **options: object) -> Reader:
    return Reader(spec, lambda: FakeBackend(probabilities, spec.input.shape), **options)  # type: ignore[arg-type]


def test_fields_of_a_reading() -> None:
    assert reader_of(NEARLY).read(BLACK) == Reading(
        text="에이 b",
        label="ab",
        confidence=pytest.approx(0.54),
        characters=(
            Character("a", pytest.approx(0.6), (0, 1)),
            Character("b", pytest.approx(0.9), (2, 3)),
        ),
        alternatives=(),
        accepted=True,
    )


def test_skipped_steps_count_in_the_spans() -> None:
    (b, c) = reader_of(ABC, replace(SPEC, skip_steps=1)).read(BLACK).characters
    assert (b.symbol, b.steps) == ("b", (1, 3))
    assert (c.symbol, c.steps) == ("c", (3, 4))


def test_alternatives_come_best_first_with_their_posteriors() -> None:
    reading = reader_of(NEARLY, n_best=4).read(BLACK)
    candidates = [
        (reading.label, reading.confidence),
        *((alternative.label, alternative.confidence) for alternative in reading.alternatives),
    ]
    assert [label for label, _ in candidates] == ["ab", "bb", "b", "a"]
    assert [posterior for _, posterior in candidates] == pytest.approx([0.54, 0.27, 0.12, 0.06])
    assert [alternative.text for alternative in reading.alternatives] == ["bb", "b", "에이"]
    everything = reader_of(NEARLY, n_best=99).read(BLACK)
    assert sum(
        alternative.confidence for alternative in everything.alternatives
    ) + everything.confidence == pytest.approx(1)


def test_decoder_is_that_of_the_spec_unless_the_caller_names_one() -> None:
    tricky = steps((0.4, 0, 0, 0.6), (0.4, 0, 0, 0.6), BLANK, BLANK)  # best path: nothing, 0.36; most likely: a, 0.64
    beam = replace(SPEC, decoder=DecoderSpec("beam"))
    assert reader_of(tricky).read(BLACK).label == ""
    assert reader_of(tricky, beam).read(BLACK).label == "a"
    assert reader_of(tricky, decoder=DecoderSpec("beam")).read(BLACK).label == "a"
    assert reader_of(tricky, beam, decoder=DecoderSpec("greedy")).read(BLACK).label == ""
    opened = reader_of(tricky, n_best=20)
    assert opened.read(BLACK).label == "a"
    assert opened.spec.decoder == DecoderSpec("beam", beam_width=20)


@pytest.mark.parametrize(
    ("decoder", "accepted"),
    [
        (DecoderSpec(grammar="a[bc]"), True),
        (DecoderSpec(grammar="a"), False),
        (DecoderSpec(grammar="b"), False),
        (DecoderSpec(grammar=""), False),
        (DecoderSpec(reject_below=0.53), True),
        (DecoderSpec(reject_below=0.55), False),
        (DecoderSpec("beam", grammar="..", reject_below=0.53), True),
    ],
)
def test_rejected_reading_has_its_text(decoder: DecoderSpec, accepted: bool) -> None:
    reading = reader_of(NEARLY, decoder=decoder).read(BLACK)
    assert reading.label == "ab"
    assert reading.accepted is accepted


@pytest.mark.parametrize(
    ("decoder", "label", "confidence", "accepted"),
    [
        (DecoderSpec("beam", grammar="b."), "bb", 0.27, True),
        (DecoderSpec("beam", grammar="b.", reject_below=0.53), "bb", 0.27, False),
        (DecoderSpec("beam", grammar="[ab]"), "b", 0.12, True),
        (DecoderSpec("beam", grammar="c"), "", 0.0, False),
    ],
)
def test_beam_reads_only_texts_of_the_grammar(
    decoder: DecoderSpec, label: str, confidence: float, accepted: bool
) -> None:
    reading = reader_of(NEARLY, decoder=decoder).read(BLACK)
    assert (reading.label, reading.accepted) == (label, accepted)
    assert reading.confidence == pytest.approx(confidence)
    more = reader_of(NEARLY, decoder=decoder, n_best=9).read(BLACK)
    assert more.label == label
    assert all(re.fullmatch(str(decoder.grammar), alternative.label) for alternative in more.alternatives)


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (DecoderSpec(grammar="(?=a)"), r"^spec of .*: grammar '\(\?=a\)' has a look-ahead at position 0"),
        (DecoderSpec("beam", grammar="a{30}"), "needs 59 time steps for its shortest label"),
        (DecoderSpec("beam", grammar="containers"), "which no symbol of"),
    ],
)
def test_unusable_decoder_is_refused(decoder: DecoderSpec, message: str) -> None:
    with pytest.raises(ModelSpecError, match=message):
        reader_of(ABC, decoder=decoder)


CALIBRATED = replace(
    SPEC,
    confidence=Confidence(
        9000, 8500, "x", 2.0, 0.1, 0.01, (),
        (CoveragePoint(0.5, 4000, 3999, 0.998), CoveragePoint(0.2, 8000, 7900, 0.985)), ((0.1, 0.05), (0.9, 0.85)),
    ),
)  # fmt: skip


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_a_calibrated_model_says_how_likely_it_is_right(method: str) -> None:
    reader = reader_of(NEARLY, CALIBRATED, decoder=DecoderSpec(method))  # type: ignore[arg-type]
    reading = reader.read(BLACK)
    root = np.sqrt(NEARLY[0].astype(np.float64))
    tempered = root / root.sum(axis=-1, keepdims=True)
    first = tempered[0, 0]
    second = tempered[2, 1]
    assert reading.label == "ab"
    assert reading.confidence == pytest.approx(0.05 + (first * second - 0.1) * 1.0)  # the fit's line has the slope 1
    assert [character.confidence for character in reading.characters] == pytest.approx([first, second])


def test_calibrated_alternatives_are_weighed_like_the_reading() -> None:
    spec = replace(CALIBRATED, confidence=replace(CALIBRATED.confidence, temperature=1.0))  # type: ignore[type-var]
    reading = reader_of(NEARLY, spec, n_best=3).read(BLACK)
    candidates = [
        (reading.label, reading.confidence),
        *((alternative.label, alternative.confidence) for alternative in reading.alternatives),
    ]
    assert [label for label, _ in candidates] == ["ab", "bb", "b"]
    assert [confidence for _, confidence in candidates] == pytest.approx([0.49, 0.22, 0.07])


def test_calibrated_batch_reads_like_its_singles() -> None:
    powers = np.exp(4 * np.random.default_rng(2).normal(size=(70, 4, 4)))
    rows = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    for decoder in (DecoderSpec(), DecoderSpec("beam"), DecoderSpec("beam", grammar="[abc]{1,2}")):
        reader = reader_of(rows[:1], CALIBRATED, decoder=decoder)
        assert [reader.decode(row[np.newaxis])[0] for row in rows] == reader.decode(rows)


@pytest.mark.parametrize(("precision", "limit"), [(0.9, 0.2), (0.985, 0.2), (0.99, 0.5)])
def test_a_target_sets_the_threshold(precision: float, limit: float) -> None:
    reader = reader_of(NEARLY, CALIBRATED, target_precision=precision)
    assert reader.spec.decoder == DecoderSpec(reject_below=limit)
    reading = reader.read(BLACK)
    assert 0.2 < reading.confidence < 0.5
    assert reading.accepted is (limit == 0.2)


def test_unreachable_target_is_refused() -> None:
    with pytest.raises(ModelSpecError, match="not calibrated"):
        reader_of(NEARLY, target_precision=0.9)
    with pytest.raises(InputError, match=r"no threshold shows a precision of 0\.999"):
        reader_of(NEARLY, CALIBRATED, target_precision=0.999)
    for options in ({"n_best": 2}, {"decoder": DecoderSpec("beam")}, {"decoder": DecoderSpec(grammar="ab")}):
        with pytest.raises(InputError, match="it was calibrated for its own decoder, greedy, grammar none, found"):
            reader_of(NEARLY, CALIBRATED, target_precision=0.9, **options)


@pytest.fixture(scope="module")
def files(tiny_pictures: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """`tiny_pictures` as PNG."""
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / f"{index}번.png" for index in range(len(tiny_pictures))]
    for path, picture in zip(paths, tiny_pictures, strict=True):
        path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    return paths


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_all_ways_to_read_give_the_same(
    tiny_artifacts: Callable[..., Path],
    tiny_pictures: list[np.ndarray],
    tiny_labels: list[str],
    files: list[Path],
    workers: int,
    size: int,
) -> None:
    with open_reader(tiny_artifacts(batch=size), workers=workers) as reader:
        singles = [reader.read(picture) for picture in tiny_pictures]
        assert [reading.label for reading in singles] == tiny_labels
        assert reader.read_batch(tiny_pictures) == singles
        assert list(reader.read_each(iter(tiny_pictures))) == singles
        assert reader.read_batch([str(path) for path in files]) == singles
        assert list(reader.read_each(files)) == singles
        assert reader.read_batch([np.dstack([picture] * 3) for picture in tiny_pictures]) == singles
        order = np.random.default_rng(workers).integers(0, len(files), 70)
        assert reader.read_batch([tiny_pictures[index] for index in order]) == [singles[index] for index in order]
        assert reader.read_batch([]) == []


def test_the_reader_adds_nothing_to_its_parts(tiny_artifact: Path, tiny_pictures: list[np.ndarray]) -> None:
    artifact = load(tiny_artifact)
    spec = artifact.spec
    probabilities = open_backend(artifact).infer(preprocess(tiny_pictures, spec.input))
    with open_reader(str(tiny_artifact), n_best=3) as reader:
        for reading, (best, *others) in zip(
            reader.read_batch(tiny_pictures),
            ctc.beam(probabilities, spec.blank, spec.skip_steps, width=10, n_best=3),
            strict=True,
        ):
            assert reading.label == spec.alphabet.spell(best.indices)
            assert reading.confidence == best.confidence
            assert [alternative.confidence for alternative in reading.alternatives] == [
                decoded.confidence for decoded in others
            ]


def test_eight_threads_share_one_reader(
    tiny_artifact: Path, tiny_pictures: list[np.ndarray], tiny_labels: list[str]
) -> None:
    images = tiny_pictures * 4
    labels = tiny_labels * 4
    with open_reader(tiny_artifact, workers=2) as reader, ThreadPoolExecutor(8) as pool:
        assert [reading.label for reading in pool.map(reader.read, images)] == labels
        for readings in pool.map(reader.read_batch, [images] * 8):
            assert [reading.label for reading in readings] == labels


@pytest.mark.parametrize("workers", [1, 3])
def test_unreadable_image_gives_an_error_in_its_place(
    tiny_artifacts: Callable[..., Path],
    tiny_pictures: list[np.ndarray],
    tiny_labels: list[str],
    files: list[Path],
    tmp_path: Path,
    workers: int,
) -> None:
    empty = tmp_path / "empty.jpg"
    missing = tmp_path / "missing.jpg"
    empty.touch()
    images = [empty, files[0], missing, tiny_pictures[1], tiny_pictures[2] / 255, None, files[3], empty]
    with open_reader(tiny_artifacts(batch=4), workers=workers) as reader:
        results = list(reader.read_each(images))  # type: ignore[arg-type]
        assert [result.label if isinstance(result, Reading) else type(result) for result in results] == [
            *(ImageError, tiny_labels[0], ImageError, tiny_labels[1]),
            *(ImageError, ImageTypeError, tiny_labels[3], ImageError),
        ]
        assert str(missing) in str(results[2])
        assert "found dtype float64" in str(results[4])
        with pytest.raises(ImageError, match=r"empty\.jpg"):
            reader.read_batch(images)  # type: ignore[arg-type]
        with pytest.raises(ImageError, match=r"missing\.jpg"):
            reader.read(missing)
        assert [type(result) for result in reader.read_each([empty] * 9)] == [ImageError] * 9
        assert reader.read(files[0]).label == tiny_labels[0]


def test_artifact_in_memory_reads_like_its_file(
    tiny_artifact: Path, tiny_pictures: list[np.ndarray], tiny_labels: list[str]
) -> None:
    with open_reader(load(tiny_artifact), workers=1) as reader:
        assert reader.read(tiny_pictures[3]).label == tiny_labels[3]


def test_default_is_one_engine_per_core(tiny_artifact: Path) -> None:
    with open_reader(tiny_artifact) as reader:
        assert reader.workers == limits.usable_workers() >= 1
        assert reader.spec == load(tiny_artifact).spec


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"threads": 100_000}, {"n_best": 0}, {"n_best": 1_001}])
def test_counts_that_would_crash_an_engine_are_refused(tiny_artifact: Path, wrong: dict[str, int]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(InputError, match=f"{name} is {value}, expected a whole number from 1 to"):
        open_reader(tiny_artifact, **wrong)


# --- the user's own function ------------------------------------------------------------------------------------------


def brightest(pixels: np.ndarray) -> np.ndarray:
    return np.full((2, 2, 1), pixels.max())


def test_the_user_s_function_makes_the_input() -> None:
    named = Preprocess.of(brightest).named
    spec = replace(SPEC, input=replace(SPEC.input, function=named))
    seen = []

    class Looking(FakeBackend):
        def infer(self, batch: np.ndarray) -> np.ndarray:
            seen.append(batch)
            return super().infer(batch)

    with Reader(spec, lambda: Looking(ABC, SPEC.input.shape), preprocess=brightest) as reader:
        assert reader.read(np.full((9, 7, 3), 5, np.uint8)).label == "abc"
        assert reader.fuse([BLACK + np.uint8(6)]).label == "abc"
    assert [batch.tolist() for batch in seen] == [np.full((1, 2, 2, 1), level).tolist() for level in (5, 6)]


def test_missing_function_is_named(tmp_path: Path) -> None:
    named = replace(Preprocess.of(brightest).named, sha256="0" * 64)
    spec = replace(SPEC, input=replace(SPEC.input, function=named))
    with pytest.raises(InputError, match="images go through the function 'brightest', which is not given"):
        reader_of(ABC, spec)
    with pytest.raises(InputError, match=r"the file that defines 'brightest' has SHA-256 .*converted with 0000"):
        reader_of(ABC, spec, preprocess=brightest)
    with pytest.raises(InputError, match="found the function 'brightest', but the model names none"):
        reader_of(ABC, preprocess=brightest)


def test_probabilities_of_images_are_decoded_to_their_readings() -> None:
    reader = reader_of(ABC)
    given = reader.probabilities([BLACK, BLACK])
    assert given.shape == (2, *ABC.shape[1:])
    assert reader.decode(given) == reader.read_batch([BLACK, BLACK])
    assert reader.probabilities([]).shape == (0, SPEC.output.steps, SPEC.output.classes)
