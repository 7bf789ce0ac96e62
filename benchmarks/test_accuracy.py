"""`pytest benchmarks/test_accuracy.py`: each artifact of both models, held to Keras on fresh images.

It fails where the gate of `edge-crnn verify` is missed. What else was found of an artifact, group by group and kind by
kind, is in the JSON (`--benchmark-json FILE`) under `extra_info`. The time is what reading all images took.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from converters.pipeline import check_calibration
from converters.recipe import RECIPES
from edge_crnn.records.verification import Detail

from .accuracy import Outcome
from .artifacts import NAMES
from .conftest import Made
from .models import MODELS

_TOLD = 10
"""Confusions of each group."""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("model", MODELS)
def test_the_text_holds(benchmark: BenchmarkFixture, made: Callable[[str], Made], model: str, name: str) -> None:
    """The gate, over all fresh images."""
    project = made(model)
    artifact, trial = project.artifact(name), project.trial()
    benchmark.group = model
    found, overall = benchmark.pedantic(trial.of, args=(artifact,), rounds=1)  # type: ignore[no-untyped-call]
    benchmark.extra_info.update(
        artifact=name, images_are=MODELS[model].images_are, verdict=overall.verdict, groups=told(found)
    )
    assert overall.verdict != "fail", f"{overall.headline}, gate {overall.gate_agreement:.2%}; {told(found)}"


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.needs_calibration])
@pytest.mark.parametrize("model", MODELS)
def test_its_ranges_are_those_of_the_calibration_images(made: Callable[[str], Made], model: str, name: str) -> None:
    """They were consumed, all of them and no others."""
    project = made(model)
    check_calibration(project.artifact(name), project.source, MODELS[model].calibration)


def told(found: Mapping[str, Outcome]) -> dict[str, Any]:
    """What was found, in plain values."""
    return {
        Path(group).name: {
            "same_where_right": sum(one.same_where_right for one in each.parity.sets),
            "reference_right": sum(one.reference_right for one in each.parity.sets),
            "right_by_kind": {one.name: [one.artifact_right, one.images] for one in each.parity.sets},
            "max_probability_change": each.parity.max_probability_change,
            "mean_probability_change": each.detail.mean_probability_change,
            "mean_confidence_change": each.detail.mean_confidence_change,
            "calibration_error": each.detail.calibration_error,
            "reference_calibration_error": each.detail.reference_calibration_error,
            **_of_symbols(each.detail),
        }
        for group, each in found.items()
    }


def _of_symbols(detail: Detail) -> dict[str, Any]:
    symbols = sum(each.symbols for each in detail.errors)
    return {
        "character_error_rate": sum(each.artifact for each in detail.errors) / symbols,
        "reference_character_error_rate": sum(each.reference for each in detail.errors) / symbols,
        "confusions_changed": [
            f"{each.truth or 'nothing'} as {each.read or 'nothing'}: {each.reference} then, {each.artifact} now"
            for each in detail.confusions[:_TOLD]
        ],
    }
