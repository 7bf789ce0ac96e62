from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import cluster
from benchmarks.triton.sizing import MEASURED, Assumptions, Measured, load, offline, online

PAGE = Path(__file__).parents[3] / "docs/triton.md"


def test_the_arithmetic() -> None:
    measured = Measured(server_s=0.03, reader_s=0.036, crop_bytes=1e4)
    assumed = Assumptions(crops_s=2, load=0.6, cores=16)
    assert online(measured, assumed)[-1] == "| 10,000 | 20,000 | 1,600.0 | 1,000 | 63 |"
    assert offline(measured, assumed)[-1] == "| 1,000,000,000 | 10,000 | 10,000 | 625.0 | 39.06 |"


@pytest.mark.parametrize("table", [online, offline])
def test_the_page_has_the_tables(table: object) -> None:
    assert callable(table)
    assert "\n".join(table(load(), Assumptions())) in PAGE.read_text(encoding="utf-8")


@pytest.mark.thorough
def test_the_page_has_the_simulation() -> None:
    assert "\n".join(cluster.table()) in PAGE.read_text(encoding="utf-8")


def test_the_page_has_the_measurement() -> None:
    page = PAGE.read_text(encoding="utf-8")
    figures = json.loads(MEASURED.read_text(encoding="utf-8"))
    assert not any(figures["texts that differ"].values())
    for row in ("one reader", "32 clients"):
        values = figures[row]
        cells = (values["images a second"], values["p50 ms"], values["p99 ms"], values["processor ms per image"])
        assert " | ".join(f"{value:,.1f}" for value in cells) in page


def test_the_page_says_why_more_machines_stop_helping() -> None:
    page = PAGE.read_text(encoding="utf-8").replace("\n", " ")
    measured = load()
    machines = cluster.Cluster(256, measured.reader_s, measured.crop_bytes)
    fed = machines.storage_bytes_s / measured.crop_bytes
    part = cluster.job(10**9, machines).part
    assert f"feeds about {round(fed, -4):,.0f} crops a second" in page
    assert f"some {round(fed * measured.reader_s, -2):,.0f} cores read" in page
    assert f"{1 / machines.driver_s:.0f} parts a second" in page
    assert f"64 to {part:,} crops" in page
    assert f"finish about {round(256 * machines.cores / (part * measured.reader_s), -1):.0f}" in page
