from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_crnn.records.record import SUITES
from edge_crnn.records.schema import record_schema
from tests.converters.report import made
from tests.converters.report.made import Json
from tests.edge_crnn.model.test_schema import fits

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.name)
def test_every_result_of_this_project_fits(path: Path) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    schema = record_schema(data["suite"])
    assert fits(data, schema, schema["$defs"])


@pytest.mark.parametrize("suite", made.SUITES.values(), ids=made.SUITES)
def test_a_record_of_each_kind_fits_and_others_do_not(suite: Callable[[], Json]) -> None:
    data = suite()
    schema = record_schema(data["suite"])
    assert fits(data, schema, schema["$defs"])
    for damaged in ({**data, "version": 0}, {**data, "suite": "other"}, {**data, "date": 7}):
        assert not fits(damaged, schema, schema["$defs"])
    del data["command"]
    assert not fits(data, schema, schema["$defs"])


@pytest.mark.parametrize("suite", SUITES)
def test_every_field_that_needs_it_is_described(suite: str) -> None:
    schema = record_schema(suite)
    assert schema["description"]
    assert all(definition["description"] for definition in schema["$defs"].values())
