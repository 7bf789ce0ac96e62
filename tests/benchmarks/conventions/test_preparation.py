"""`edge_crnn.preprocess` prepares an image as the training scripts with the same convention do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_crnn.preprocess import preprocess

NAMES = (
    *("captcha", "handwriting", "image_ocr", "residual", "mobile"),
    *("dense", "gated", "kaggle", "transformer", "one_way"),
)


def network(name: str) -> Any:
    from benchmarks.conventions.table import NETWORKS

    return NETWORKS[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_spec_that_is_to_be_measured_gives_what_the_training_script_gives(keras: Any, name: str) -> None:
    from benchmarks.conventions.lines import render_lines

    trained = network(name)
    images = [image for image, _ in render_lines(trained.style, 5, 3)]
    expected = np.stack([trained.prepare(image) for image in images])
    assert expected.dtype == np.float32
    # TensorFlow does not round what it resizes, and OpenCV rounds otherwise: two levels of 255 at most.
    level = 1 / 40 if trained.input.standardise else np.max(trained.input.scale)
    np.testing.assert_allclose(preprocess(images, trained.input), expected, rtol=0, atol=2 * level)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_takes_and_gives_what_its_convention_says(keras: Any, name: str) -> None:
    if name == "kaggle":
        pytest.importorskip("tf_keras")
    trained = network(name)
    model = trained.build(trained.classes)
    assert model.input_shape[1:] == trained.input.shape
    steps, classes = model.output_shape[1:]
    assert classes == trained.classes == len(trained.style.alphabet) + 1 + len(trained.unused)
    assert steps - trained.skip_steps >= 2 * trained.style.length[1]
    assert model.count_params() < 300_000


def test_no_two_networks_have_the_same_convention(keras: Any) -> None:
    truths = [network(name).truth() for name in NAMES]
    assert all(truths.count(truth) == 1 for truth in truths)
    for dimension in ("axes", "colour", "resize", "align", "interpolation", "padding", "rotate", "invert"):
        assert len({str(truth["input"][dimension]) for truth in truths}) > 1, dimension


def test_encoding_leaves_out_blank_and_unused_classes(keras: Any) -> None:
    assert network("handwriting").encode("0519") == [1, 6, 2, 10]
    assert network("mobile").encode("09") == [1, 10]
    assert network("one_way").encode("10Y") == [0, 9, 19]


def test_accuracy_counts_best_paths_without_repeats_blanks_and_skipped_steps(keras: Any) -> None:
    from benchmarks.conventions.train import exact

    paths = np.array([[3, 7, 1, 1, 10, 1, 2], [0, 0, 1, 1, 1, 1, 2]])
    right = exact(network("image_ocr"), lambda images, training: np.eye(11)[paths], np.zeros((2, 1)), ["112", "112"])
    assert right == 0.5


def test_red_and_blue_tell_the_label_from_other_letters() -> None:
    from benchmarks.conventions.lines import Style, render_lines

    for image, _ in render_lines(Style(two_inks=True, noise=(0, 0)), 5, 1):
        blue, _, red = np.moveaxis(image.astype(float), -1, 0)
        assert (blue < 0.6 * red).any()  # the label's ink


def test_lines_depend_on_seed_and_index_alone() -> None:
    from benchmarks.conventions.lines import Style, render_lines

    first, second = (list(render_lines(Style(), count, 8)) for count in (2, 3))
    for (image, label), (again, same) in zip(first, second, strict=False):
        assert label == same
        np.testing.assert_array_equal(image, again)
        assert image[:2].mean() > image.min() + 40  # dark ink on light paper
