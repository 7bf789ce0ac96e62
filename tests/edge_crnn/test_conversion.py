"""`edge_crnn.convert` and `verify` as far as the runtime goes; `tests/converters/test_api.py` converts."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import edge_crnn
from edge_crnn import BackendUnavailable, GateResult
from edge_crnn.conversion import find_converter
from edge_crnn.model.artifact import load
from tests.edge_crnn.cli.test_info import PARITY

CALLS = (
    lambda: edge_crnn.convert("m.keras", "m.tflite"),
    lambda: edge_crnn.verify("m.keras", "m.tflite", images="photos"),
)


@pytest.mark.parametrize("call", CALLS)
def test_without_the_converters_the_extra_is_named(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    with pytest.raises(ImportError, match=r"pip install 'edge-crnn\[convert\]'") as caught:
        call()
    assert isinstance(caught.value, BackendUnavailable)


def test_what_the_converters_lack_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module named 'h5py'", name="h5py")

    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: (SimpleNamespace(load=missing),))
    with pytest.raises(BackendUnavailable, match=r"pip install 'edge-crnn\[convert\]' \(h5py is missing\)"):
        find_converter("convert")


def test_all_arguments_reach_the_converters(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr("edge_crnn.conversion.find_converter", lambda _: lambda *a, **k: seen.append((a, k)))
    edge_crnn.convert("m.keras", "m.tflite", labelled=["a", "b"], blank="last", lambdas={"x": "squeeze 1"})
    edge_crnn.verify("m.keras", "m.tflite", images="a", pixels="x/255")
    (converted, verified) = seen
    assert converted[0] == verified[0] == ("m.keras", "m.tflite")
    assert converted[1].items() >= {"labelled": ["a", "b"], "blank": "last", "lambdas": {"x": "squeeze 1"}}.items()
    assert verified[1].items() >= {"images": "a", "labelled": (), "pixels": "x/255"}.items()


def test_only_a_pass_is_true(tiny_artifact: Path) -> None:
    artifact = load(tiny_artifact)
    for verdict in ("pass", "fail", "underpowered", "unverified"):
        result = GateResult(artifact, replace(PARITY, verdict=verdict), (), False, ())  # type: ignore[arg-type]
        assert (result.verdict, bool(result), result.passed) == (verdict, verdict == "pass", verdict == "pass")
        assert str(result).startswith(f"{verdict}: ")
        assert result.path == tiny_artifact


def test_reading_loads_nothing_of_conversion() -> None:
    program = "import sys, edge_crnn; edge_crnn.open_reader; print('edge_crnn.conversion' in sys.modules)"
    program += "; edge_crnn.convert; print('converters' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).split() == ["False", "False"]
