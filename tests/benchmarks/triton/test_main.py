from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.triton import __main__ as benchmark
from benchmarks.triton.server import problem


def test_batches_are_those_between_two_moments() -> None:
    def moment(**counts: int) -> dict[str, object]:
        return {"batch_stats": [{"batch_size": int(n[1:]), "compute_infer": {"count": c}} for n, c in counts.items()]}

    assert benchmark._batches({}, moment(n1=3, n16=2)) == {"1": 3, "16": 2}
    assert benchmark._batches(moment(n1=3, n8=1), moment(n1=5, n8=1, n2=4)) == {"1": 2, "2": 4}


@pytest.mark.slow
def test_the_benchmark_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if reason := problem():
        pytest.skip(reason)
    record = tmp_path / "measured.json"
    monkeypatch.setattr(sys, "argv", ["triton", "--images", "24", "--clients", "8", "-o", str(record)])
    with pytest.raises(SystemExit) as ended:
        benchmark.main()
    assert not ended.value.code
    figures = json.loads(record.read_text(encoding="utf-8"))
    assert figures["a garbage image among others"] == {"errors": 1, "others with the same text": 7}
    assert figures["a server that is killed"]["same text"] == 24
    assert len(figures["a server that is killed"]["lines"]) == 2
