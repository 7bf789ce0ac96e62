"""`pytest benchmarks/test_accuracy.py`: compare each artifact of both models with Keras on fresh images.

A test fails where the gate of `edge-crnn verify` is missed. The other figures of an artifact, group by group and kind
by kind, are in the JSON (`--benchmark-json FILE`) under `extra_info`. The time is that of reading all images.
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
from .conftest import Project
from .models import MODELS

_CONFUSIONS = 10
"""Confusions that are recorded of each group."""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("model", MODELS)
def test_the_text_holds(
    benchmark: BenchmarkFixture, project_of: Callable[[str], Project], model: str, name: str
) -> None:
    """The artifact passes the gate over all fresh images."""
    project = project_of(model)
    artifact, trial = project.artifact(name), project.trial()
    benchmark.group = model
    outcomes, overall = benchmark.pedantic(trial.of, args=(artifact,), rounds=1)  # type: ignore[no-untyped-call]
    benchmark.extra_info.update(
        artifact=name, images_are=MODELS[model].images_are, verdict=overall.verdict, groups=figures(outcomes)
    )
    assert overall.verdict != "fail", f"{overall.headline}, gate {overall.gate_agreement:.2%}; {figures(outcomes)}"


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.needs_calibration])
@pytest.mark.parametrize("model", MODELS)
def test_its_ranges_are_those_of_the_calibration_images(
    project_of: Callable[[str], Project], model: str, name: str
) -> None:
    """The calibration consumed all of these images and no others."""
    project = project_of(model)
    check_calibration(project.artifact(name), project.source, MODELS[model].calibration)


def figures(outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """Return the outcomes as plain values for JSON."""
    return {
        Path(group).name: {
            "same_where_right": sum(image_set.same_where_right for image_set in outcome.parity.sets),
            "reference_right": sum(image_set.reference_right for image_set in outcome.parity.sets),
            "right_by_kind": {
                image_set.name: [image_set.artifact_right, image_set.images] for image_set in outcome.parity.sets
            },
            "max_probability_change": outcome.parity.max_probability_change,
            "mean_probability_change": outcome.detail.mean_probability_change,
            "mean_confidence_change": outcome.detail.mean_confidence_change,
            "calibration_error": outcome.detail.calibration_error,
            "reference_calibration_error": outcome.detail.reference_calibration_error,
            **_of_symbols(outcome.detail),
        }
        for group, outcome in outcomes.items()
    }


def _of_symbols(detail: Detail) -> dict[str, Any]:
    symbols = sum(image_set.symbols for image_set in detail.errors)
    return {
        "character_error_rate": sum(image_set.artifact for image_set in detail.errors) / symbols,
        "reference_character_error_rate": sum(image_set.reference for image_set in detail.errors) / symbols,
        "confusions_changed": [
            f"{pair.truth or 'nothing'} as {pair.read or 'nothing'}: {pair.reference} then, {pair.artifact} now"
            for pair in detail.confusions[:_CONFUSIONS]
        ],
    }
