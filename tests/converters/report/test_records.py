from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.report.markdown import markdown
from converters.report.page import page
from converters.report.records import SUITES, from_json, load_record
from edge_crnn.errors import InputError
from tests.converters.report import made
from tests.converters.report.made import Json, changed, leaves, reported

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"


@pytest.mark.parametrize("suite", made.SUITES.values(), ids=made.SUITES)
def test_a_result_is_read_by_what_it_says_it_is(suite: Callable[[], Json]) -> None:
    found = suite()
    record = from_json(json.dumps(found), "folder/x.json")
    assert isinstance(record.body, SUITES[found["suite"]][0])
    assert record.origin == "x.json"
    assert record.date == found["date"]


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.name)
def test_every_result_of_this_project_is_read(path: Path) -> None:
    record = load_record(path)
    assert record.images in ("rendered plates", "rendered lines", "")
    told = f"-o benchmarks/results/{path.name}", f"-m benchmarks.{path.stem}"  # the latter's usual place
    assert record.command.endswith(told[0]) or told[1] in record.command


@pytest.mark.parametrize("suite", [None, 7, "something else", "edge-crnn"])
def test_another_suite_is_one_error(suite: Json) -> None:
    with pytest.raises(InputError, match=r"x.json: suite .* is not known; known are edge-crnn verify, "):
        from_json(json.dumps({**made.accuracy(), "suite": suite}), "x.json")


@pytest.mark.parametrize("suite", made.SUITES.values(), ids=made.SUITES)
@pytest.mark.parametrize("version", [0, 2, None, "1"])
def test_another_version_is_one_error(suite: Callable[[], Json], version: Json) -> None:
    with pytest.raises(InputError, match=r"x.json: version .*, this edge-crnn reads 1; update it or measure again"):
        from_json(json.dumps({**suite(), "version": version}), "x.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '"edge-crnn verify"', "\0", "[" * 100_000, "null"])
def test_what_is_no_result_is_one_error(text: str) -> None:
    with pytest.raises(InputError, match=r"x.json: "):
        from_json(text, "x.json")


def test_a_file_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_record(tmp_path / "missing.json")
    with pytest.raises(InputError, match="cannot be read"):
        load_record(tmp_path)


@pytest.mark.parametrize(
    "picture",
    [
        "https://example.org/x.png",
        "data:text/html;base64,AAAA",
        "data:image/svg+xml;base64,AAAA",
        'data:image/png;base64,AAAA" onerror="x',
        "file:///etc/passwd",
        "data:image/png;base64,AAAA\n",
    ],
)
def test_a_picture_that_a_page_would_load_or_run_is_refused(picture: str) -> None:
    with pytest.raises(InputError, match="it is damaged"):
        from_json(json.dumps(changed(made.verification(), ("changes", 0, "picture"), picture)), "x.json")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("recipes",), {}),
        (("recipes", "int8"), {}),
        (("recipes", "int8", "drawn/mild", "sets"), []),
        (("recipes", "int8", "drawn/mild", "sets", 0, "images"), 0),
        (("recipes", "int8", "drawn/mild", "sets", 0, "images"), 10**12),
        (("recipes", "int8", "drawn/mild", "sets", 0, "same_where_right"), 991),
        (("recipes", "int8", "drawn/mild", "sets", 0, "artifact_right"), -1),
        (("recipes", "int8", "drawn/mild", "gate_agreement"), 1.5),
        (("recipes", "int8", "drawn/mild", "accuracy_change_interval"), [-1e300, 1e300]),
    ],
)
def test_counts_that_cannot_be_are_refused(path: made.Path, value: Json) -> None:
    with pytest.raises(InputError, match=r"x.json: .*it is damaged"):
        from_json(json.dumps(changed(made.accuracy(), path, value)), "x.json")


def test_a_message_leads_to_the_field() -> None:
    found = changed(made.accuracy(), ("recipes", "int8", "drawn/mild", "sets", 0, "images"), "many")
    with pytest.raises(
        InputError, match=r"x.json: recipes: int8: drawn/mild: sets: images: found 'many', expected int"
    ):
        from_json(json.dumps(found), "x.json")


_WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.sampled_from([0.0, -1.0, 1e-320, 1e300, 1e6]),
    st.text(max_size=3),
    st.just([]),
    st.just({}),
)


@pytest.mark.parametrize("suite", made.SUITES.values(), ids=made.SUITES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_refused_or_shown(suite: Callable[[], Json], data: st.DataObject) -> None:
    """Whatever stands in a field: a page, or one error."""
    found = suite()
    places = [path for path, _ in leaves(found) if path[0] not in ("suite", "version")]
    path = data.draw(st.sampled_from(places))
    cut = data.draw(st.integers(1, len(path)))
    damaged = changed(found, path[:cut], data.draw(_WRONG))
    try:
        report = reported(damaged)
    except InputError:
        return
    made.Browser(page(report))
    markdown(report)
