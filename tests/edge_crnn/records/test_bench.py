from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.bench.table import table
from edge_crnn.board.heat import Throttling
from edge_crnn.board.power import Counter, Power
from edge_crnn.errors import InputError
from edge_crnn.records.bench import Measured, Record, Result, Scenario, fingerprint, load_record
from tests.budget import examples
from tests.edge_crnn.bench.made import OFFLINE, PI, a_round, moment, opened, record, result

_ROUND = replace(a_round([9.0]), stages={"wait": (5,), **a_round([9.0]).stages})
_CAMERA = Result(
    0,
    Scenario("camera", 1, 4, fps=12.5, late="queue"),
    fingerprint(PI),
    0.5,
    (Measured(_ROUND, (moment(), moment())),),
)


def test_a_written_record_is_read_back() -> None:
    full = moment(
        throttling=Throttling(("throttled",), (), {"oc1": 3}, 0x50005),
        power=Power(3.5, "rails", {"core": 3.5}, (Counter("package-0", 1.5, None),)),
    )
    measured = result([10.0, 11.0])
    measured = replace(measured, rounds=(*measured.rounds, Measured(a_round([9.0, 9.5]), (full, full, full))))
    camera = replace(_CAMERA, artifact=1, other_cores=None)
    wrote = record(measured, camera, result([3.0], scenario=OFFLINE))
    assert Record.from_json(wrote.to_json()) == wrote
    assert Record.from_json(wrote.to_json(summaries=[{"ms": 3}])) == wrote


def test_machines_have_fingerprints() -> None:
    assert fingerprint(PI) == fingerprint(replace(PI))
    others = [replace(PI, model="Raspberry Pi 4"), replace(PI, cpu=replace(PI.cpu, cores=2))]
    assert len({fingerprint(board) for board in (PI, *others)}) == 3


def test_a_result_from_another_board_merged_in_is_refused() -> None:
    foreign = result([4.0], board=replace(PI, model="Orin Nano"))
    with pytest.raises(InputError, match=r"r\.json: result 1 was measured on another machine .*\(Raspberry Pi 5"):
        Record.from_json(record(result([10.0]), foreign).to_json(), "r.json")


def _loses_a_time(data: dict[str, Any]) -> None:
    data["results"][0]["rounds"][0]["round"]["stages"]["infer"].pop()


def _is_undated(data: dict[str, Any]) -> None:
    data["results"][0]["rounds"][0]["snapshots"][0]["taken_at"] = "noon"


def _has_a_stage_of_its_own(data: dict[str, Any]) -> None:
    stages = data["results"][0]["rounds"][0]["round"]["stages"]
    stages["think"] = stages.pop("infer")


def _points_nowhere(data: dict[str, Any]) -> None:
    data["results"][0]["artifact"] = 2


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda data: data.update(version=2),
            "found version 2 of 'edge-crnn bench', expected 1; update edge-crnn",
        ),
        (lambda data: data.update(version=True), "found version True"),
        (lambda data: data.pop("suite"), "found suite None, expected 'edge-crnn bench'"),
        (lambda data: data.pop("board"), "field 'board' is missing"),
        (lambda data: data["images"].update(count="500"), "images: count: found '500', expected int"),
        (_loses_a_time, "result 0: found .* times for 4 images"),
        (_points_nowhere, "result 0: found artifact 2, expected 0 to 1"),
        (lambda data: data["results"][0].update(rounds=[]), "result 0: found 0 rounds"),
        (lambda data: data["results"][0]["rounds"][0]["snapshots"].pop(), "result 0: found 1 snapshots"),
        (lambda data: data["artifacts"][0].update(warm_up_ns=[]), "found an artifact without a warm-up"),
        (_is_undated, "result 0: found no ISO 8601 time"),
        (_has_a_stage_of_its_own, "result 0: found .* times for 4 images"),
    ],
)
def test_a_damaged_file_is_one_error(damage: Callable[[dict[str, Any]], object], message: str) -> None:
    data = json.loads(record(result([10.0])).to_json())
    damage(data)
    with pytest.raises(InputError, match=rf"^r\.json: {message}"):
        Record.from_json(json.dumps(data), "r.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"[1]", "found suite None"),
        (b'{"benchmarks": []}', "found suite None"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_another_file_is_one_error(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_record(tmp_path / "r.json")


def _places(node: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every value in parsed JSON."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, list):
        items = enumerate(node)
    for key, value in items:
        yield (*path, key)
        yield from _places(value, (*path, key))


_FULL = record(
    result([10.0]),
    _CAMERA,
    result([11.0], artifact=1),
).to_json()
_PLACES = sorted(_places(json.loads(_FULL)), key=repr)


@settings(deadline=None, max_examples=examples(200))
@given(st.sampled_from(_PLACES), st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.just([]), st.just({})))
def test_whatever_is_changed_is_one_error_or_can_be_shown(place: tuple[str | int, ...], value: object) -> None:
    data = json.loads(_FULL)
    node = data
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    with contextlib.suppress(InputError):
        assert table(Record.from_json(json.dumps(data), "r.json"))


def test_a_missing_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: cannot be read \(No such file"):
        load_record(tmp_path / "none.json")


def test_the_file_describes_the_artifacts() -> None:
    data = json.loads(record(result([10.0]), artifacts=[opened(notes=("a", "b"))]).to_json())
    assert data["artifacts"] == [json.loads(json.dumps(asdict(opened(notes=("a", "b")))))]
    assert data["results"][0]["rounds"][0]["round"]["stages"]["infer"] == [
        9_800_000,
        10_000_000,
        10_000_000,
        10_300_000,
    ]
