"""Which artifact is measured when: in rounds that go from one to the next, so that a slow minute falls on all alike."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from ..board.board import board
from ..board.snapshot import Snapshot, snapshot
from ..board.versions import versions
from ..dataset import content_hash, find_images
from ..errors import InputError
from ..images import load_image
from ..progress import activity, progress
from ..records.bench import Images, Measured, Opened, Record, Result, Round, Scenario, fingerprint
from ..records.form import now
from .absent import absent
from .clock import SystemClock
from .compare import refuse_other_machine, refuse_unlike
from .contention import Contention
from .worker import Worker


class Bench(Protocol):
    """What a suite asks of a `Worker`."""

    opened: Opened

    @property
    def pid(self) -> int:
        """Identifier of the process that is measured."""
        ...

    def play(self, scenario: Scenario, meanwhile: Callable[[], None]) -> Round:
        """See `Worker.play`."""
        ...


def run_suite(
    models: Sequence[Path],
    folder: Path,
    plays: Sequence[tuple[Scenario, int]],
    *,
    threads: int = 1,
    engine: str | None = None,
    command: str = "",
    old: Record | None = None,
) -> Record:
    """Measure artifacts on this machine, each in a process of its own, and the first one twice.

    Args:
        models: artifacts.
        folder: the images that they read.
        plays: scenarios, and the rounds of each.
        threads: of each engine.
        engine: as of `open_backend`.
        command: what the record says that it was made by.
        old: what the record is to be comparable with, which is found out before anything is measured.

    Raises:
        EdgeCrnnError: an artifact is named twice, or as `find_images`, `load_image`, `Worker` and `refuse_unlike`.
    """
    if len(set(models)) < len(models):
        raise InputError("a model is named twice; name it once, since the first is measured twice anyway")
    machine, paths = board(), find_images(folder)
    if old is not None:
        refuse_other_machine(old.board, machine)
    for path in progress(paths, len(paths), "looking at images"):
        load_image(path)  # one that is none would end the run in the middle
    images = Images(str(folder), len(paths), content_hash(paths))
    with ExitStack() as stack:
        workers: list[Worker] = []
        with activity("loading and warming up"):
            for model, control in ((models[0], False), (models[0], True), *((each, False) for each in models[1:])):
                workers.append(Worker(model, paths, threads, engine, control=control))
                stack.callback(workers[-1].close)
        if old is not None:
            mine = [worker.opened for worker in workers if not worker.opened.control]
            for scenario, rounds in plays:
                if scenario.kind != "sustained":
                    refuse_unlike(old, machine, images, mine, scenario, rounds)
        results: list[Result] = []
        for scenario, rounds in plays:
            results += measure(workers, scenario, rounds, board=fingerprint(machine), snapshot=snapshot)
    opened = tuple(worker.opened for worker in workers)
    return Record(
        command=command,
        date=now(),
        clock=str(SystemClock()),
        versions=versions(),
        board=machine,
        images=images,
        artifacts=opened,
        results=tuple(results),
        absent=absent(machine, snapshot(), opened),
    )


def measure(
    benches: Sequence[Bench],
    scenario: Scenario,
    rounds: int,
    *,
    board: str,
    snapshot: Callable[[], Snapshot],
) -> Iterator[Result]:
    """So many rounds of each; every round begins with another artifact, so that none always follows the same.

    A sustained scenario is played by one artifact after the other without a pause, and by no control.

    Args:
        benches: in the order of the record's artifacts.
        scenario: what is played.
        rounds: of each artifact.
        board: `fingerprint` of the machine.
        snapshot: takes one.

    Raises:
        EdgeCrnnError: as `Worker.play`.
    """
    played = [place for place, bench in enumerate(benches) if scenario.kind != "sustained" or not bench.opened.control]
    groups = [[place] for place in played] if scenario.kind == "sustained" else [played]
    for group in groups:
        turns = [group[(number + turn) % len(group)] for number in range(rounds) for turn in range(len(group))]
        contention = _contention(benches)
        found: dict[int, list[Measured]] = {place: [] for place in group}
        for place in progress(turns, len(turns), f"measuring {scenario.kind}"):
            found[place].append(_measured(benches[place], scenario, snapshot))
        others = contention.cores() if contention else None
        for place in group:
            yield Result(place, scenario, board, others, tuple(found[place]))


def _measured(bench: Bench, scenario: Scenario, snapshot: Callable[[], Snapshot]) -> Measured:
    snapshots = [snapshot()]
    played = bench.play(scenario, lambda: snapshots.append(snapshot()))
    return Measured(played, (*snapshots, snapshot()))


def _contention(benches: Sequence[Bench]) -> Contention | None:
    if sys.platform != "linux":
        return None
    return Contention([os.getpid(), *(bench.pid for bench in benches)])
