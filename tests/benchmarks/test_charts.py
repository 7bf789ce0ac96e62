from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest

from benchmarks import charts
from edge_crnn.errors import InputError
from edge_crnn.records.record import Record, from_json
from tests.converters.report import made

pytest.importorskip("matplotlib", reason="matplotlib is not installed; it comes with edge-crnn[train]")

ROOT = Path(__file__).parents[2]


def record(document: made.Json) -> Record:
    return from_json(json.dumps(document), "made.json")


def texts(svg: bytes) -> list[str]:
    return [unescape(text) for text in re.findall(r"<text[^>]*>([^<]+)</text>", svg.decode())]


def test_each_conversion_has_its_row_and_each_model_its_panel() -> None:
    plates, lines = record(made.accuracy()), record({**made.accuracy(), "model": "digits"})
    shown = texts(charts.drawn(charts.accuracy, [plates, lines]))
    assert shown.count("float32") == shown.count("int8") == shown.count("gate") == 2
    assert {"plates: 2,000 rendered plates", "digits: 2,000 rendered plates", "mild", "heavy"} <= set(shown)


def test_kinds_of_one_preset_are_counted_together() -> None:
    document = made.accuracy()
    for folders in document["recipes"].values():
        first = next(iter(folders.values()))
        first["sets"] = [{**first["sets"][0], "name": f"mild/{kind}"} for kind in ("long", "short")]
    assert {"mild", "heavy"} <= set(texts(charts.drawn(charts.accuracy, [record(document)])))


def test_engines_stand_from_the_fastest_to_the_slowest_with_what_they_are_measured_on() -> None:
    shown = texts(charts.drawn(charts.latency, [record(made.engines())]))
    names = [text for text in shown if text in ("ours int8", "a peer", "ours float32", "Keras")]
    assert names == ["ours int8", "a peer", "ours float32", "Keras"]
    assert {"1,000 rendered plates; some CPU, 2 cores", "1 thread"} <= set(shown)


def test_the_same_results_give_the_same_bytes() -> None:
    records = [record(made.engines())]
    assert charts.drawn(charts.latency, records) == charts.drawn(charts.latency, records)


def test_no_times_no_chart() -> None:
    with pytest.raises(InputError, match=r"no results of benchmarks\.peers"):
        charts.drawn(charts.latency, [record(made.accuracy())])
    with pytest.raises(InputError, match=r"no results of benchmarks\.accuracy"):
        charts.drawn(charts.accuracy, [])


def test_the_pictures_in_the_tree_are_those_of_the_results_in_the_tree(tmp_path: Path) -> None:
    assert charts.main(["--results", str(ROOT / charts.RESULTS), "-o", str(tmp_path)]) == 0
    for name in ("accuracy.svg", "latency.svg"):
        assert texts((tmp_path / name).read_bytes()) == texts((ROOT / charts.RESULTS / name).read_bytes())
