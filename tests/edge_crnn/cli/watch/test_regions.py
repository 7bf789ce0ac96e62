"""Regions that are saved on the page."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path

import pytest

from edge_crnn.cli.main import main
from tests.edge_crnn.cli.watch.conftest import Recording
from tests.edge_crnn.cli.watch.running import PATIENCE_S, watching

LEFT = {"name": "left", "points": [[0, 0], [0.5, 0], [0.5, 1]]}


@pytest.mark.thorough
def test_regions_are_saved_in_the_file_of_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="Uvicorn comes with edge-crnn[watch]")
    file = tmp_path / "regions.json"
    absent = "rtsp://127.0.0.1:1/camera"
    with watching(absent, "--region", "gate: 0,0 1,0 1,1", "--page", "--port", 0, "--regions", file) as process:
        assert process.stderr is not None
        note = next(line for line in process.stderr if "the page is at" in line)
        page = note.split("at ")[1].strip().rstrip("/")
        with urllib.request.urlopen(f"{page}/api/regions", timeout=30) as answer:
            assert [region["name"] for region in json.load(answer)["regions"]] == ["gate"]
        assert not file.exists()
        body = json.dumps({"version": 1, "regions": [LEFT]}).encode()
        request = urllib.request.Request(f"{page}/api/regions", body, {"Origin": page}, method="PUT")
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert [region["name"] for region in json.load(answer)["regions"]] == ["left"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert [region["name"] for region in json.loads(file.read_text("utf-8"))["regions"]] == ["left"]


@pytest.mark.thorough
def test_only_the_regions_of_the_file_are_watched(
    recording: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "regions.json"
    whole = {"name": "whole", "points": [[0, 0], [1, 0], [1, 1], [0, 1]]}
    corner = {"name": "corner", "points": [[0, 0], [0.05, 0], [0.05, 0.05]]}
    for region, expected in ((whole, {"whole"}), (corner, set())):
        file.write_text(json.dumps({"version": 1, "regions": [region]}))
        words = ["--region", "gate: 0,0 1,0 1,1", "--regions", str(file), "--format", "jsonl"]
        assert main(["watch", str(recording.path), *words]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert {json.loads(line)["region"] for line in lines} == expected
