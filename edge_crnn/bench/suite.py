"""Measures several artifacts in alternating rounds, so that a slow minute affects all of them alike."""

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
    """The part of a `Worker` that a suite uses."""

    opened: Opened

    @property
    def pid(self) -> int:
        """Identifier of the measured process."""
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
    recursive: bool = False,
) -> Record:
    """Measure artifacts on this machine, each in a process of its own, and the first artifact twice.

    Args:
        models: the artifacts.
        folder: the images to read.
        plays: the scenarios, each with its number of rounds.
        threads: threads of each engine.
        engine: the engine's name, as `open_backend` takes it.
        command: the command line to record.
        old: an earlier record that the new one must be comparable with, which is checked before measuring.
        recursive: also read the images in subfolders.

    Raises:
        EdgeCrnnError: an artifact is named twice, or one of the cases of `find_images`, `load_image`, `Worker` and
            `refuse_unlike`.
    """
    if len(set(models)) < len(models):
        raise InputError("a model is named twice; name it once, since the first model is measured twice anyway")
    machine = board()
    paths = find_images(folder, recursive)
    if old is not None:
        refuse_other_machine(old.board, machine)
    for path in progress(paths, len(paths), "checking images"):
        load_image(path)  # a broken file would otherwise end the run in the middle
    images = Images(str(folder), len(paths), content_hash(paths))
    with ExitStack() as stack:
        workers: list[Worker] = []
        with activity("loading and warming up"):
            for model, control in ((models[0], False), (models[0], True), *((other, False) for other in models[1:])):
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
    """Measure all artifacts in a scenario, round by round.

    Every round begins with another artifact, so that an artifact does not always follow the same one. In a sustained
    scenario, one artifact plays all its rounds before the next begins, and controls are left out.

    Args:
        benches: the workers, in the order of the record's artifacts.
        scenario: the scenario to play.
        rounds: rounds of each artifact.
        board: `fingerprint` of the machine.
        snapshot: takes a snapshot of the machine.

    Raises:
        EdgeCrnnError: in the same cases as `Worker.play`.
    """
    played = [place for place, bench in enumerate(benches) if scenario.kind != "sustained" or not bench.opened.control]
    groups = [[place] for place in played] if scenario.kind == "sustained" else [played]
    for group in groups:
        turns = [group[(number + turn) % len(group)] for number in range(rounds) for turn in range(len(group))]
        contention = _contention(benches)
        rounds_of: dict[int, list[Measured]] = {place: [] for place in group}
        for place in progress(turns, len(turns), f"measuring {scenario.kind}"):
            rounds_of[place].append(_measured(benches[place], scenario, snapshot))
        others = contention.cores() if contention else None
        for place in group:
            yield Result(place, scenario, board, others, tuple(rounds_of[place]))


def _measured(bench: Bench, scenario: Scenario, snapshot: Callable[[], Snapshot]) -> Measured:
    snapshots = [snapshot()]
    played = bench.play(scenario, lambda: snapshots.append(snapshot()))
    return Measured(played, (*snapshots, snapshot()))


def _contention(benches: Sequence[Bench]) -> Contention | None:
    if sys.platform != "linux":
        return None
    return Contention([os.getpid(), *(bench.pid for bench in benches)])
