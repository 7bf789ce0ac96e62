from __future__ import annotations

from dataclasses import replace

from converters.report.blocks import Table
from converters.report.device import board_blocks
from tests.edge_crnn.bench.made import record, result


def test_facts_that_a_machine_lacks_are_listed() -> None:
    bench = record(result([10.0]))
    table = Table(("not available", "reason"), (("power", "no RAPL counters"),))
    assert board_blocks(replace(bench, absent={"power": "no RAPL counters"})) == [*board_blocks(bench), table]
