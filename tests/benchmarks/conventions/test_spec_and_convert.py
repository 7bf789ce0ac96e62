from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge_crnn.model.spec import ModelSpec, OutputSpec

pytestmark = pytest.mark.tensorflow


def spec_of(name: str) -> tuple[Any, ModelSpec]:
    """Return a network and its true spec."""
    from benchmarks.conventions.table import NETWORKS

    network = NETWORKS[name]
    spec = ModelSpec(
        name=name,
        symbols=tuple(network.style.alphabet),
        blank=network.blank,
        unused=network.unused,
        skip_steps=network.skip_steps,
        input=network.input,
        output=OutputSpec(steps=40, classes=network.classes),
    )
    return network, spec


def test_the_truth_is_right_in_all_dimensions(keras: Any) -> None:
    from benchmarks.conventions.spec_and_convert import compare
    from benchmarks.conventions.table import NETWORKS

    for name in NETWORKS:
        network, spec = spec_of(name)
        assert set(compare(spec, network, set()).values()) == {"right"}, name


def test_another_choice_is_wrong_unless_the_command_doubts_it(keras: Any) -> None:
    from benchmarks.conventions.spec_and_convert import compare

    network, spec = spec_of("handwriting")
    other = replace(
        spec, blank=11, unused=(0, 12), input=replace(spec.input, padding=255, scale=1 / 127.5, offset=-1.0)
    )
    statuses = compare(other, network, {"padding", "orientation"})
    assert {name: status for name, status in statuses.items() if status != "right"} == {
        "pixels": "wrong",
        "padding": "unsure",
        "orientation": "right, unsure",
        "blank": "wrong",
        "alphabet": "wrong",
    }


def test_what_does_not_matter_is_not_compared(keras: Any) -> None:
    from benchmarks.conventions.spec_and_convert import compare

    network, spec = spec_of("residual")
    other = replace(spec, input=replace(spec.input, padding=255, align="right", rounding="up", odd_pixel="before"))
    assert set(compare(other, network, set()).values()) == {"right"}


def test_a_standardised_image_is_not_one_in_its_own_levels(keras: Any) -> None:
    from benchmarks.conventions.spec_and_convert import compare

    network, spec = spec_of("gated")
    assert compare(replace(spec, input=replace(spec.input, standardise=False)), network, set())["pixels"] == "wrong"


def test_doubts_are_read_from_the_output() -> None:
    from benchmarks.conventions.spec_and_convert import doubts

    output = """padding        black 50 · white 49
               unsure: black or white (white: -5.9 to +1.9 points of the images read)
blank          last 50 · first 0
skipped steps  0 50 · 1 50  unsure: all level (1: -1.0 to +1.0 points of the images read)
"""
    assert doubts(output) == {"padding", "skipped steps"}


def test_the_verdict_is_read_from_the_output() -> None:
    from benchmarks.conventions.spec_and_convert import verdict

    output = "calibrated with 100 images\ndense.tflite: underpowered: same text on 99.9 %\n"
    assert verdict("dense.tflite", output) == "underpowered"
    assert verdict("gated.tflite", "edge-crnn: gated.keras: not supported\n") == "edge-crnn: gated.keras: not supported"
