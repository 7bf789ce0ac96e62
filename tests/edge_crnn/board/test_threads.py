from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from edge_crnn.board.threads import limit_opencv
from tests.edge_crnn.board.trees import plant


@pytest.fixture(autouse=True)
def of_64_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


@pytest.mark.parametrize(("quota", "before", "after"), [("200000", 16, 2), ("200000", 1, 1), ("max", 16, 16)])
def test_opencv_has_no_more_threads_than_the_quota_has_cores(
    quota: str, before: int, after: int, tmp_path: Path
) -> None:
    cv2.setNumThreads(before)
    limit_opencv(plant({"sys/fs/cgroup/cpu.max": f"{quota} 100000\n"}, tmp_path))
    assert cv2.getNumThreads() == after


def test_without_opencv_there_is_nothing_to_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    limit_opencv()
