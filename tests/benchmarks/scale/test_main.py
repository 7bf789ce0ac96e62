from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.scale.__main__ import main


@pytest.mark.slow
def test_processes_read_what_the_plain_loop_reads(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow comes with edge-crnn[scale]")
    output = tmp_path / "scale.json"
    words = ["--images", "300", "--distinct", "100", "--turns", "2", "--ways", "plain loop", "processes"]
    assert main([*words, "-o", str(output)]) == 0
    figures = json.loads(output.read_text())
    assert figures["texts that differ"] == {"plain loop": 0, "processes": 0}
    assert figures["texts"] == figures["images"] + 64 * figures["readers"]
    for way in figures["ways"].values():
        assert len(way["s by turn"]) == 2
        assert way["processor ms per image"] > 0.1
        assert min(way["MiB of the largest worker by turn"]) > 20
