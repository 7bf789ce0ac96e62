from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edge_crnn.bench.absent import absent
from edge_crnn.bench.table import table
from edge_crnn.board.board import board
from edge_crnn.board.snapshot import snapshot
from edge_crnn.records.bench import Record
from tests.edge_crnn.bench.made import opened, record, result
from tests.edge_crnn.board.trees import BARE, ORIN_NANO, plant

_NO_GPU = {"clock of a GPU", "memory of a GPU"}
MISSING = {
    "Pi 3": {*_NO_GPU, "power mode", "power"},
    "Pi 4": {*_NO_GPU, "power mode", "power"},
    "Pi 5": {*_NO_GPU, "power mode"},
    "Orin Nano": {"memory of a GPU"},
    "Orin NX": _NO_GPU,
    "AGX Orin": {*_NO_GPU, "throttling"},
    "Xavier NX": {*_NO_GPU, "throttling"},
    "AGX Xavier": {*_NO_GPU, "temperature", "throttling"},
    "Thor": _NO_GPU,
    "laptop": {*_NO_GPU, "power mode"},
    "server": {*_NO_GPU, "power mode", "throttling", "power"},
    "VM": {*_NO_GPU, "governor", "power mode", "temperature", "throttling", "power"},
}
"""Board → the facts that its recorded tree lacks."""


@pytest.fixture(autouse=True)
def _no_nvidia_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_crnn.bench.absent.shutil.which", lambda _: None)


def of(name: str, root: Path) -> dict[str, str]:
    plant(BARE[name], root)
    return absent(board(root), snapshot(root), [opened(gpu_bytes=None)], root)


@pytest.mark.parametrize("name", BARE)
def test_exactly_the_missing_facts_are_named(name: str, tmp_path: Path) -> None:
    assert of(name, tmp_path).keys() == MISSING[name]


def test_a_missing_fact_has_a_reason_and_advice(tmp_path: Path) -> None:
    server, pi, virtual = (of(name, tmp_path / name) for name in ("server", "Pi 4", "VM"))
    assert server["power"].startswith("only root can read the RAPL counters, ")
    assert "sudo chmod a+r /sys/class/powercap/" in server["power"]
    assert pi["power"].startswith("vcgencmd pmic_read_adc shows nothing: only a Raspberry Pi 5")
    assert virtual["power"] == "no RAPL counters, as in most virtual machines; so no joules per image"
    assert virtual["memory of a GPU"] == "no nvidia-smi: no NVIDIA GPU, or no driver"
    assert virtual["power mode"] == "only a Jetson has nvpmodel"


def test_a_jetson_in_a_container(tmp_path: Path) -> None:
    shown = {name: content for name, content in ORIN_NANO.items() if name.startswith("proc/")}
    plant(shown, tmp_path)
    reasons = absent(board(tmp_path), snapshot(tmp_path), [opened()], tmp_path)
    assert reasons["power mode"].startswith("neither /etc/nvpmodel.conf nor /var/lib/nvpmodel/status can be read")
    assert reasons["power"].startswith("neither an INA3221 nor an INA238 can be read")
    assert reasons["clocks"] == "neither cpufreq nor /proc/cpuinfo lists them"
    assert reasons["memory of a GPU"] == "a Jetson's GPU shares the memory of the board"


def test_a_gpu_whose_memory_is_measured(tmp_path: Path) -> None:
    plant(BARE["VM"], tmp_path)
    artifacts = [opened(gpu_bytes=None), opened(gpu_bytes=5)]
    assert "memory of a GPU" not in absent(board(tmp_path), snapshot(tmp_path), artifacts, tmp_path)


def test_missing_facts_are_in_the_file_and_in_the_table() -> None:
    new = replace(record(result([10.0])), absent={"power": "no counters"})
    assert Record.from_json(new.to_json()) == new
    assert "\nabsent: power: no counters\n" in table(new)
    old = json.loads(new.to_json())
    del old["absent"]  # as older versions wrote it
    assert Record.from_json(json.dumps(old)).absent == {}
