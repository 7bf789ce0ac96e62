from __future__ import annotations

from dataclasses import replace

from converters.report.blocks import Table
from converters.report.device import board_blocks
from tests.edge_crnn.bench.made import record, result


def test_what_a_machine_does_not_tell_is_named() -> None:
    made = record(result([10.0]))
    named = Table(("not told here", "why"), (("power", "no RAPL counters"),))
    assert board_blocks(replace(made, absent={"power": "no RAPL counters"})) == [*board_blocks(made), named]
