from __future__ import annotations

import re
from pathlib import Path

from benchmarks.instructions import CPUS, MAKERS, TOLERANCE, costlier, recorded, table
from edge_crnn.records.instructions import InstructionClasses, InstructionCount

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "benchmarks" / "results" / "instructions.json"


def count(total: int, cpu: str = "cortex-a72") -> InstructionCount:
    return InstructionCount("edge-crnn int8", cpu, InstructionClasses(0, total - 30, 20, 10))


def test_what_costs_more_than_before_is_told_and_what_costs_less_is_not() -> None:
    before = [count(1_000_000), count(500_000, "cortex-a76")]
    limit = round(1_000_000 * (1 + TOLERANCE))
    assert costlier([count(limit), count(1000, "cortex-a76")], before) == []
    (message,) = costlier([count(limit + 1), count(500_000, "cortex-a76")], before)
    assert re.findall(r"cortex-a\d+|\d+,\d+,\d+", message) == ["cortex-a72", "1,030,001", "1,030,000"]


def test_the_record_holds_each_engine_on_both_processors() -> None:
    counts = recorded(RECORD)
    names = list(dict.fromkeys(record.engine for record in counts))
    assert {"edge-crnn int8", "edge-crnn dynamic", "edge-crnn int8-full", "ONNX Runtime int8"} <= set(names)
    assert names == [name for name in MAKERS if name in names]
    assert [(record.engine, record.cpu) for record in counts] == [(name, cpu) for name in names for cpu in CPUS]
    assert all(
        (record.instructions.dot > 0) == (record.cpu == "cortex-a76") for record in counts if "int8" in record.engine
    )


def test_the_table_in_the_readme_is_that_of_the_record() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert "\n".join(table(recorded(RECORD))) in text
