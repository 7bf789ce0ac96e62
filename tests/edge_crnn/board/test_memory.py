from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_crnn.board import memory
from edge_crnn.board.memory import gpu_bytes, rss_bytes


def test_memory_that_is_touched_is_resident() -> None:
    before = rss_bytes()
    held = np.ones(64 << 20, np.uint8)
    after = rss_bytes()
    assert before is not None
    assert after is not None
    assert after - before > held.nbytes // 2


def test_a_system_that_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "status")
    assert rss_bytes() is None
    (tmp_path / "status").write_text("Name:\tinit\n")
    assert rss_bytes() is None


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("1234\n", 1234 << 20),
        ("0\n", 0),
        ("100\n20\n", 120 << 20),  # two of them
        ("[N/A]\n", None),  # a Jetson: it has the board's memory
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", None),
        ("", None),
    ],
)
def test_output_of_nvidia_smi(
    output: str, expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "said").write_text(output)
    program = tmp_path / "nvidia-smi"
    condition = '[ "$*" = "--query-gpu=memory.used --format=csv,noheader,nounits" ] || exit 1'
    program.write_text(f"#!/bin/sh\n{condition}\n/bin/cat {tmp_path}/said\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_bytes() == expected


def test_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_bytes() is None
