from __future__ import annotations

import os
from collections.abc import Callable

from edge_crnn.bench.suite import measure
from edge_crnn.board.snapshot import Snapshot
from edge_crnn.records.bench import Opened, Round, Scenario
from tests.edge_crnn.bench.made import a_round, moment, opened


class Stub:
    """Writes down when it plays, and is looked at twice meanwhile."""

    def __init__(self, name: str, turns: list[str], *, control: bool = False) -> None:
        self.opened: Opened = opened(path=name, control=control)
        self.pid = os.getpid()
        self._turns = turns

    def play(self, scenario: Scenario, meanwhile: Callable[[], None]) -> Round:
        self._turns.append(self.opened.path)
        meanwhile()
        meanwhile()
        return a_round([len(self._turns)])


class Moments:
    def __init__(self) -> None:
        self.taken = 0

    def __call__(self) -> Snapshot:
        self.taken += 1
        return moment(self.taken)


def test_every_round_has_all_and_begins_with_another() -> None:
    turns: list[str] = []
    benches = [Stub("a", turns), Stub("b", turns, control=True), Stub("c", turns)]
    results = list(measure(benches, Scenario("single", 1, 1), 4, board="x", snapshot=Moments()))
    assert "".join(turns) == "abcbcacababc"
    assert [result.artifact for result in results] == [0, 1, 2]
    assert [len(result.rounds) for result in results] == [4, 4, 4]
    for result in results:
        assert result.board == "x"
        assert result.other_cores is not None
        played = [turn + 1 for turn, name in enumerate(turns) if name == "abc"[result.artifact]]
        assert [measured.round for measured in result.rounds] == [a_round([turn]) for turn in played]


def test_a_sustained_run_is_not_interrupted_and_has_no_control() -> None:
    turns: list[str] = []
    benches = [Stub("a", turns), Stub("b", turns, control=True), Stub("c", turns)]
    results = list(measure(benches, Scenario("sustained", 2, 0, seconds=1.0), 3, board="x", snapshot=Moments()))
    assert "".join(turns) == "aaaccc"
    assert [result.artifact for result in results] == [0, 2]


def test_snapshots_are_taken_before_during_and_after_a_round() -> None:
    moments = Moments()
    (result,) = measure([Stub("a", [])], Scenario("single", 1, 1), 2, board="x", snapshot=moments)
    assert [[snapshot.taken_at[17:19] for snapshot in measured.snapshots] for measured in result.rounds] == [
        ["01", "02", "03", "04"],
        ["05", "06", "07", "08"],
    ]
