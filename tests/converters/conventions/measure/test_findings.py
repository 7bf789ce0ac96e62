"""The choices that images settle, and those that they leave open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from converters.conventions.measure.findings import finding, table
from converters.conventions.measure.judges import Scored
from converters.conventions.measure.spelling import Spelling
from edge_crnn.model.spec import InputSpec

IMAGE = InputSpec(20, 8, "HWC", 1.0, 0.0)
SPELLING = Spelling(2, 0, ("a", "b", None))
NOISE = np.random.default_rng(1).normal(0, 0.5, 50)


def scored(likely: np.ndarray, right: int, padding: int = 0) -> Scored:
    return Scored(replace(IMAGE, padding=padding), SPELLING, likely, np.arange(len(likely)) < right)


BEST = scored(np.full(50, -0.1), 48)


def test_a_choice_that_reads_less_is_not_in_doubt() -> None:
    result = finding("padding", BEST, {"black": BEST, "white": scored(np.full(50, -5.0), 10, 255)})
    assert result is not None
    assert [(option.name, option.right, option.level) for option in result.options] == [
        ("black", 48, True),
        ("white", 10, False),
    ]
    assert not result.unsure


def test_a_level_choice_is_named_with_an_interval() -> None:
    result = finding("padding", BEST, {"white": scored(-0.1 + NOISE, 48, 255), "black": BEST})
    assert result is not None
    assert [option.name for option in result.unsure] == ["white"]
    (line,) = table([result])
    assert "black 48" in line
    assert "unsure: all level (white: " in line
    assert "points" in line


def test_level_choices_are_distinguished() -> None:
    options = {"black": BEST, "white": scored(-0.1 + NOISE, 48, 255), "grey": scored(np.full(50, -9.0), 3, 127)}
    result = finding("padding", BEST, options)
    assert result is not None
    lines = list(table([result]))
    assert "grey 3" in lines[0]
    assert "unsure: black or white (white: " in lines[1]


def test_a_small_gain_on_every_image_is_a_trifle() -> None:
    assert not scored(np.full(50, -0.11), 48, 255).is_beaten_by(BEST)
    assert scored(np.full(50, -0.2), 48, 255).is_beaten_by(BEST)


def test_one_image_is_no_proof() -> None:
    likely = np.full(50, -0.1)
    likely[0] = -80
    assert not scored(likely, 47, 255).is_beaten_by(BEST)


def test_a_choice_tried_on_few_images_shows_how_many() -> None:
    result = finding("padding", BEST, {"black": BEST, "white": scored(np.full(12, -9.0), 1, 255)})
    assert result is not None
    assert "white 1 of 12" in next(result.lines)


def test_where_nothing_is_open_there_is_no_finding() -> None:
    assert finding("padding", BEST, {"black": BEST}) is None
