from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_crnn.errors import InputError
from edge_crnn.records import form
from edge_crnn.records.bench import Record as BenchRecord
from edge_crnn.records.gpu import Gpu
from edge_crnn.records.record import SUITES, Record, from_json, header_here, load_record
from edge_crnn.records.throughput import Throughput
from tests.converters.report import made
from tests.converters.report.made import Json, changed

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"


@pytest.mark.parametrize("suite", made.SUITES.values(), ids=made.SUITES)
def test_the_suite_decides_how_a_result_is_read(suite: Callable[[], Json]) -> None:
    schemas = suite()
    record = from_json(json.dumps(schemas), "folder/x.json")
    assert isinstance(record.figures, SUITES[schemas["suite"]])
    assert record.origin == "x.json"
    assert record.header.date == schemas["date"]


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.name)
def test_every_result_of_this_project_is_read(path: Path) -> None:
    record = load_record(path)
    assert record.header.images_are in ("rendered plates", "rendered lines", "")
    usual = f"-o benchmarks/results/{path.name}", f"-m benchmarks.{path.stem}"  # the latter's usual place
    assert record.header.command.endswith(usual[0]) or usual[1] in record.header.command


@pytest.mark.parametrize("suite", [None, 7, "something else", "edge-crnn"])
def test_another_suite_is_one_error(suite: Json) -> None:
    with pytest.raises(InputError, match=r"x.json: found suite .*, expected 'edge-crnn verify', "):
        from_json(json.dumps({**made.accuracy(), "suite": suite}), "x.json")


@pytest.mark.parametrize("suite", made.SUITES.values(), ids=made.SUITES)
@pytest.mark.parametrize("version", [0, 2, None, "1"])
def test_another_version_is_one_error(suite: Callable[[], Json], version: Json) -> None:
    with pytest.raises(InputError, match=r"x.json: found version .*, expected 1; update edge-crnn or measure again"):
        from_json(json.dumps({**suite(), "version": version}), "x.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '"edge-crnn verify"', "\0", "[" * 100_000, "null"])
def test_a_file_without_results_is_one_error(text: str) -> None:
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
    with pytest.raises(InputError, match="the file is damaged"):
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
    with pytest.raises(InputError, match=r"x.json: .*the file is damaged"):
        from_json(json.dumps(changed(made.accuracy(), path, value)), "x.json")


def test_a_message_leads_to_the_field() -> None:
    figures = changed(made.accuracy(), ("recipes", "int8", "drawn/mild", "sets", 0, "images"), "many")
    with pytest.raises(
        InputError, match=r"x.json: recipes: int8: drawn/mild: sets: images: found 'many', expected int"
    ):
        from_json(json.dumps(figures), "x.json")


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.name)
def test_every_result_is_written_as_it_was_read(path: Path) -> None:
    """Values that edge-crnn 0.5.0 wrote are not lost, and the written file reads back the same."""
    record = load_record(path)
    if not isinstance(record.figures, BenchRecord):
        written = json.loads(record.to_json())
        _assert_holds(written, json.loads(path.read_text(encoding="utf-8")))
        assert from_json(record.to_json(), path.name) == record


def _assert_holds(written: Json, old: Json) -> None:
    """Every value of the old JSON is in the written one, at the same place."""
    if isinstance(old, dict):
        assert isinstance(written, dict)
        for key, value in old.items():
            if value not in ("", None):
                _assert_holds(written[key], value)
    elif isinstance(old, list):
        assert len(written) == len(old)
        for ours, theirs in zip(written, old, strict=True):
            _assert_holds(ours, theirs)
    else:
        assert written == old


def test_the_header_names_this_machine() -> None:
    rounds = {"inference": ((160.5, 190.25),)}
    record = Record(
        header_here(["numpy", "not-installed"], command="make x"), Throughput(0.5, {"inference": 1.2}, rounds)
    )
    again = from_json(record.to_json(), "folder/x.json")
    assert (again.header, again.figures, again.origin) == (record.header, record.figures, "x.json")
    assert list(again.header.versions) == ["edge-crnn", "numpy"]
    assert again.facts["numpy"] == again.header.versions["numpy"]
    assert again.board_name
    assert "machine" not in json.loads(record.to_json())


def test_a_machine_of_0_5_0_and_a_board_name_their_facts_alike() -> None:
    """The report groups the figures of a machine, whichever version of edge-crnn measured them."""
    old = from_json(json.dumps(made.accuracy()), "x.json")
    assert old.board_name == "some CPU, 2 cores"
    assert {"processor", "cores", "Python", "numpy"} <= old.facts.keys() & {*made_here().facts, "numpy"}


def made_here() -> Record:
    return Record(header_here(["numpy"]), Throughput(0.0, {}, {}))


def test_a_record_without_a_machine_is_one_error() -> None:
    figures = made.accuracy()
    del figures["machine"]
    with pytest.raises(InputError, match=r"x.json: found neither 'board' nor 'machine'"):
        from_json(json.dumps(figures), "x.json")


def test_a_figure_of_a_gpu_that_0_5_0_wrote_as_true_is_read() -> None:
    record = from_json(json.dumps(changed(made.gpu(), ("criteria", 0, "figure"), True)), "x.json")
    assert isinstance(record.figures, Gpu)
    assert record.figures.criteria[0].figure == 1
    assert record.figures.criteria[0].verdict == "met"


def test_a_number_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        form.dumps({"ms": float("nan")})
