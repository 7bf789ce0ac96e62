from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.artifact import make_tflite
from converters.graph import oracle
from converters.graph.graph import Graph
from converters.graph.ranges import calibrate
from converters.recipe import RECIPES
from converters.verify.gate import Change, Gate, Readings, Verification, compare, read_all
from converters.verify.statistics import binomial_interval, lower_bound, mcnemar, paired_change_interval
from edge_crnn.backends import BackendFacts, FakeBackend, open_backend
from edge_crnn.dataset import Dataset, Entry, content_hash
from edge_crnn.errors import ImageError, VerificationError
from edge_crnn.model.artifact import Artifact, load
from edge_crnn.model.spec import ModelSpec
from edge_crnn.preprocess import preprocess
from tests.conftest import TINY

GATE = Gate()


def dataset(folder: Path, truth: list[str]) -> Dataset:
    """Entries that share one file; nobody looks at it but the hash."""
    folder.mkdir(exist_ok=True)
    (folder / "image.png").write_bytes(b"an image")
    return Dataset(folder, tuple(Entry(folder / "image.png", label) for label in truth))


def readings(labels: list[str], probability: float = 0.5) -> Readings:
    return Readings(tuple(labels), (probability,) * len(labels), np.full((len(labels), 2, 3), probability, np.float32))


def judged(folder: Path, *sets: tuple[int, int, int, int, int], gate: Gate = GATE) -> Verification:
    """Judge sets of these numbers of images: both correct, only reference, only artifact, wrong alike, not alike."""
    datasets = []
    reference = []
    artifact = []
    for index, (both, first, second, alike, unlike) in enumerate(sets):
        total = both + first + second + alike + unlike
        datasets.append(dataset(folder / f"set{index}", ["t"] * total))
        reference.append(readings(["t"] * (both + first) + ["x"] * (second + alike + unlike)))
        artifact.append(readings(["t"] * both + ["y"] * first + ["t"] * second + ["x"] * alike + ["z"] * unlike))
    return compare(datasets, reference, artifact, gate)


def test_same_readings_of_many_images_pass(tmp_path: Path) -> None:
    verification = judged(tmp_path, (950, 0, 0, 50, 0))
    assert verification.parity.verdict == "pass"
    assert verification.changes == ()
    assert verification.summary == (
        "pass: same text on 100.00% (99.61% to 100.00%) of what the trained model reads correctly, gate 99.50%;"
        " accuracy +0.00 points, gate ±0.30; 1,000 images, 0 changed"
    )


def test_too_few_images_show_nothing(tmp_path: Path) -> None:
    parity = judged(tmp_path, (500, 0, 0, 0, 0)).parity
    assert parity.verdict == "underpowered"
    assert parity.agreement == 1
    assert parity.agreement_shown == pytest.approx(0.05 ** (1 / 500))


def test_underpowered_by_accuracy_alone(tmp_path: Path) -> None:
    """700 images show the agreement, but not that the accuracy moved by less than 0.3 points."""
    parity = judged(tmp_path, (700, 0, 0, 0, 0)).parity
    assert parity.agreement_shown > 0.995
    assert parity.verdict == "underpowered"
    assert judged(tmp_path, (700, 0, 0, 0, 0), gate=Gate(0.995, 1.0)).parity.verdict == "pass"


def test_agreement_alone_can_fail(tmp_path: Path) -> None:
    """Equally many images are lost and won, so the accuracy does not change."""
    parity = judged(tmp_path, (9900, 60, 60, 0, 0)).parity
    assert (parity.accuracy_change, parity.verdict) == (0, "fail")
    assert judged(tmp_path, (9900, 60, 60, 0, 0), gate=Gate(0.99, 0.3)).parity.verdict == "pass"


@pytest.mark.parametrize(("first", "second"), [(0, 50), (50, 0)])
def test_accuracy_alone_can_fail_either_way(first: int, second: int, tmp_path: Path) -> None:
    parity = judged(tmp_path, (9900, first, second, 50, 0)).parity
    assert parity.accuracy_change == pytest.approx((second - first) / 100)
    assert parity.agreement > 0.99
    assert parity.verdict == "fail"
    assert judged(tmp_path, (9900, first, second, 50, 0), gate=Gate(0.99, 1.0)).parity.verdict == "pass"


def test_images_that_both_read_wrong_do_not_count(tmp_path: Path) -> None:
    """Most changes on bad images concern texts that were wrong before."""
    verification = judged(tmp_path, (2000, 0, 0, 100, 300))
    assert verification.parity.verdict == "pass"
    assert verification.parity.agreement == 1
    assert verification.parity.sets[0].same_text == 2100
    assert len(verification.changes) == 300


@pytest.mark.thorough
def test_one_set_that_is_shown_to_miss_the_gate_fails_all(tmp_path: Path) -> None:
    """A large easy folder does not hide a small hard one."""
    easy, hard = (20_000, 0, 0, 0, 0), (96, 4, 0, 0, 0)
    parity = judged(tmp_path, easy, hard).parity
    assert parity.agreement > 0.9995
    assert parity.verdict == "fail"
    assert judged(tmp_path, easy).parity.verdict == "pass"
    # One change of a hundred may be chance.
    assert judged(tmp_path, easy, (99, 1, 0, 0, 0)).parity.verdict == "pass"


def test_numbers_are_those_of_all_sets(tmp_path: Path) -> None:
    parity = judged(tmp_path, (90, 3, 1, 2, 4), (40, 0, 5, 5, 0)).parity
    assert [(image_set.images, image_set.reference_right, image_set.artifact_right) for image_set in parity.sets] == [
        (100, 93, 91),
        (50, 40, 45),
    ]
    assert [(image_set.same_text, image_set.same_where_right) for image_set in parity.sets] == [(92, 90), (45, 40)]
    assert parity.images == 150
    assert parity.agreement == 130 / 133
    assert parity.agreement_interval == binomial_interval(130, 133)
    assert parity.agreement_shown == lower_bound(130, 133)
    assert parity.accuracy_change == pytest.approx(100 * (136 - 133) / 150)
    assert parity.accuracy_change_interval == pytest.approx([100 * end for end in paired_change_interval(3, 6, 150)])
    assert parity.mcnemar_p == mcnemar(3, 6)
    assert (parity.gate_agreement, parity.gate_accuracy) == (0.995, 0.3)


def test_sets_are_named_and_hashed(tmp_path: Path) -> None:
    (counts,) = judged(tmp_path, (3, 0, 0, 0, 0)).parity.sets
    assert counts.name == f"{tmp_path.name}/set0"  # without the folders of this machine
    assert counts.sha256 == content_hash([tmp_path / "set0" / "image.png"] * 3)


def test_changes_tell_image_and_texts(tmp_path: Path) -> None:
    images = dataset(tmp_path, ["a", "b", "c", "d"])
    verification = compare([images], [readings(["a", "b", "x", "d"])], [readings(["a", "y", "c", ""])], GATE)
    assert verification.changes == (
        Change(images, 1, "b", "y"),
        Change(images, 2, "x", "c"),
        Change(images, 3, "d", ""),
    )
    assert [change.texts(TINY.alphabet) for change in verification.changes] == [("b", "y"), ("x", "c"), ("d", "")]


def test_without_labels_the_readings_of_the_reference_are_right(tmp_path: Path) -> None:
    labels = ["t"] * 998 + ["", "u"]
    images = replace(dataset(tmp_path, [""] * 1000), labelled=False)
    verification = compare([images], [readings(labels)], [readings(["t"] * 998 + ["", "v"])], GATE)
    parity = verification.parity
    assert (parity.agreement, parity.verdict) == (0.999, "pass")
    assert (parity.accuracy_change, parity.accuracy_change_interval, parity.mcnemar_p) == (None, None, None)
    (only,) = parity.sets
    assert (only.reference_right, only.artifact_right, only.same_text, only.labelled) == (1000, 999, 999, False)
    assert "of what the trained model reads, correct or wrong, gate" in verification.summary
    assert "accuracy was not measured; 1,000 images, 1 changed" in verification.summary


def test_labelled_and_unlabelled_images_count_together(tmp_path: Path) -> None:
    """Agreement over all that the reference reads correctly or without labels, accuracy over labelled images alone."""
    labelled = dataset(tmp_path, ["a"] * 400)
    unlabelled = replace(dataset(tmp_path, [""] * 1000), labelled=False)
    reference = readings(["a"] * 390 + ["x"] * 10), readings(["t"] * 1000)
    artifact = readings(["a"] * 389 + ["x"] * 11), readings(["t"] * 999 + ["u"])
    parity = compare([labelled, unlabelled], reference, artifact, GATE).parity
    assert parity.agreement == (389 + 999) / 1390
    assert parity.accuracy_change == pytest.approx(-100 / 400)
    assert parity.mcnemar_p == mcnemar(1, 0)
    alone = compare([labelled], reference[:1], artifact[:1], GATE).parity
    assert alone.accuracy_change_interval == parity.accuracy_change_interval
    with pytest.raises(VerificationError, match="reads none of the 400 images correctly"):
        compare([labelled, unlabelled], (readings(["x"] * 400), reference[1]), artifact, GATE)


def test_largest_change_of_a_probability(tmp_path: Path) -> None:
    theirs = readings(["a", "b"])
    ours = readings(["a", "b"])
    ours.probabilities[1, 0, 2] -= 0.25
    verification = compare([dataset(tmp_path, ["a", "b"])], [theirs], [ours], GATE)
    assert verification.parity.max_probability_change == 0.25


def test_a_reference_that_reads_nothing_is_no_reference(tmp_path: Path) -> None:
    with pytest.raises(
        VerificationError, match="the trained model reads none of the 20 images correctly; check the labels"
    ):
        judged(tmp_path, (0, 0, 5, 5, 10))


def test_a_set_that_the_reference_cannot_read_is_no_reason_to_fail(tmp_path: Path) -> None:
    assert judged(tmp_path, (2000, 0, 0, 0, 0), (0, 0, 0, 5, 0)).parity.verdict == "pass"


# --- with real readings ----------------------------------------------------------------------------------------------


class Trained:
    """The oracle as the trained model; tests of `trained.keras.model` hold it to Keras."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.facts = BackendFacts("oracle", "1", "float32", (32, 16, 1), "float32", None)

    def infer(self, batch: np.ndarray) -> np.ndarray:
        return oracle.run(self._graph, batch)

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def spec(tiny_artifact: Path, tiny_graph: Graph) -> ModelSpec:
    """Return the trained model's spec."""
    artifact = load(tiny_artifact).spec
    return replace(artifact, input=replace(artifact.input, axes="WHC", dtype="float32"), artifact=None)


@pytest.fixture(scope="module")
def pictures(
    tiny_pictures: list[np.ndarray], tiny_labels: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Dataset:
    import cv2

    folder = tmp_path_factory.mktemp("pictures")
    for picture, label in zip(tiny_pictures, tiny_labels, strict=True):
        assert cv2.imwrite(str(folder / f"{label}.png"), picture)
    return Dataset(folder, tuple(Entry(folder / f"{label}.png", label) for label in tiny_labels))


def verified(graph: Graph, spec: ModelSpec, artifact: Artifact, pictures: Dataset) -> Verification:
    backend = open_backend(artifact)
    reference = read_all(Trained(graph), spec, pictures, "x")
    ours = read_all(backend, artifact.spec, pictures, "x")
    backend.close()
    return compare([pictures], [reference], [ours], GATE)


def test_readings_are_labels_of_the_alphabet_and_probabilities(
    tiny_graph: Graph, spec: ModelSpec, pictures: Dataset, tiny_labels: list[str], tiny_pictures: list[np.ndarray]
) -> None:
    ours = read_all(Trained(tiny_graph), spec, pictures, "x")
    assert list(ours.labels) == tiny_labels
    np.testing.assert_array_equal(ours.probabilities, oracle.run(tiny_graph, preprocess(tiny_pictures, spec.input)))


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("recipe", RECIPES)
def test_sound_artifacts_agree(
    recipe: str, batch: int, tiny_artifacts: Callable[..., Path], tiny_graph: Graph, spec: ModelSpec, pictures: Dataset
) -> None:
    parity = verified(tiny_graph, spec, load(tiny_artifacts(recipe, batch)), pictures).parity
    assert (parity.verdict, parity.agreement) == ("underpowered", 1)


def test_swapped_symbols_are_caught(tiny_artifact: Path, tiny_graph: Graph, spec: ModelSpec, pictures: Dataset) -> None:
    artifact = load(tiny_artifact)
    symbols = list(artifact.spec.symbols)
    symbols[2], symbols[8] = symbols[8], symbols[2]
    wrong = replace(artifact, spec=replace(artifact.spec, symbols=tuple(symbols)))
    assert verified(tiny_graph, spec, wrong, pictures).parity.verdict == "fail"


def test_swapped_axes_are_caught(tiny_graph: Graph, spec: ModelSpec, pictures: Dataset) -> None:
    """The shape is the same, the image lies on its side."""
    lying = replace(spec, input=replace(spec.input, axes="HWC", width=16, height=32))
    artifact = make_tflite(Path("x.tflite"), tiny_graph, lying, RECIPES["float32"], "0" * 64)
    assert verified(tiny_graph, spec, artifact, pictures).parity.verdict == "fail"
    with pytest.raises(
        VerificationError, match=r"reads none of the 8 images correctly; check the labels, .* scale and offset"
    ):
        verified(tiny_graph, lying, artifact, pictures)


def test_ranges_that_do_not_fit_are_caught(
    tiny_graph: Graph, spec: ModelSpec, pictures: Dataset, tiny_pictures: list[np.ndarray]
) -> None:
    ranges = calibrate(tiny_graph, [preprocess(tiny_pictures, spec.input)])
    clipped = {name: (low / 10, high / 10) for name, (low, high) in ranges.items()}
    artifact = make_tflite(Path("x.tflite"), tiny_graph, spec, RECIPES["int8"], "0" * 64, clipped)
    assert verified(tiny_graph, spec, artifact, pictures).parity.verdict == "fail"


def test_values_that_are_not_finite_are_reported(spec: ModelSpec, pictures: Dataset) -> None:
    probabilities = np.full((3, 16, 11), 1 / 11, np.float32)
    probabilities[2, 5, :4] = np.nan
    fake = FakeBackend(probabilities, spec.input.shape)
    with pytest.raises(VerificationError, match="reading with x: 8 probabilities are not finite"):
        read_all(fake, spec, pictures, "reading with x")


def test_unreadable_image_is_named(tiny_graph: Graph, spec: ModelSpec, tmp_path: Path) -> None:
    (tmp_path / "12.png").write_bytes(b"no picture")
    images = Dataset(tmp_path, (Entry(tmp_path / "12.png", "12"),))
    with pytest.raises(ImageError, match=r"12\.png: 10 bytes"):
        read_all(Trained(tiny_graph), spec, images, "x")
