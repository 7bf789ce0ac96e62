"""Invented machines, clocks and records."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_crnn.backends import FakeBackend, Probabilities
from edge_crnn.board.board import Board
from edge_crnn.board.clocks import Clocks, Core
from edge_crnn.board.cpu import Cpu
from edge_crnn.board.heat import Throttling, Zone
from edge_crnn.board.power import Power
from edge_crnn.board.snapshot import Snapshot
from edge_crnn.model.artifact import Artifact, save
from edge_crnn.model.spec import ArtifactFacts, DecoderSpec, InputSpec, ModelSpec, OutputSpec
from edge_crnn.records.bench import Images, Measured, Opened, Record, Result, Round, Scenario, fingerprint

MS = 1_000_000

PI = Board(
    kind="raspberry-pi",
    model="Raspberry Pi 5 Model B Rev 1.0",
    soc="BCM2712",
    form=None,
    cpu=Cpu("Cortex-A76", "aarch64", "0x41", "0xd0b", ("neon", "dotprod"), 4, 0, False),
    memory_bytes=8 << 30,
    swap_bytes=0,
    page_bytes=16 << 10,
    os="Debian GNU/Linux 12 (bookworm)",
    os_id="debian",
    kernel="6.6.51",
    l4t=None,
    jetpack=None,
    virtual=None,
    container=None,
    memory_limit_bytes=None,
    cpu_limit=None,
    python="CPython 3.11.2",
    python_bits=64,
)

SINGLE = Scenario("single", 1, 4)
OFFLINE = Scenario("offline", 4, 4)


def moment(
    second: float = 0,
    *,
    throttling: Throttling | None = None,
    power: Power | None = None,
    governor: str = "performance",
    celsius: float = 50.0,
) -> Snapshot:
    """Return a snapshot taken some seconds after noon."""
    return Snapshot(
        taken_at=f"2026-01-01T12:00:{second:06.3f}+00:00",
        clocks=Clocks((Core(0, 2400.0, 2400.0, 2400.0, governor),), "cpufreq-dt", None, None),
        zones=(Zone("cpu-thermal", celsius, None),),
        throttling=throttling,
        power_mode=None,
        power=power,
        load=(0.1, 0.1, 0.1),
        memory_available_bytes=4 << 30,
        swap_used_bytes=0,
        on_battery=None,
    )


def throttling(now: Iterable[str] = (), occurred: Iterable[str] = (), **counts: int) -> Throttling:
    """Return what a board reports about throttling."""
    return Throttling(tuple(now), tuple(occurred), counts, None)


def a_round(infer_ms: Sequence[float], elapsed_ms: float | None = None, **changes: object) -> Round:
    """Return a round of images that take 1 ms beside their inference; loading the file takes a quarter of it."""
    infer = tuple(round(ms * MS) for ms in infer_ms)
    quarter = (MS // 4,) * len(infer)
    stages = {"load": quarter, "preprocess": quarter, "infer": infer, "decode": (MS // 2,) * len(infer)}
    elapsed = round((sum(infer_ms) + len(infer)) * MS) if elapsed_ms is None else round(elapsed_ms * MS)
    played = Round(len(infer), 0, elapsed, 2 * elapsed, 1, 1000, 64 << 20, stages)
    return replace(played, **changes)  # type: ignore[arg-type]


def opened(**changes: object) -> Opened:
    """Return an opened artifact."""
    artifact = Opened(
        path="plates.tflite",
        control=False,
        file_bytes=7_000_000,
        payload_sha256="a" * 64,
        recipe="int8",
        decoder=DecoderSpec(),
        threads=1,
        backend="litert",
        engine="litert 2",
        notes=("1 thread",),
        load_ns=80 * MS,
        warm_up_ns=(40 * MS, *(10 * MS,) * 49),
        texts_sha256="b" * 64,
        rss_before_bytes=30_000_000,
        rss_bytes=90_000_000,
        gpu_bytes=None,
    )
    return replace(artifact, **changes)  # type: ignore[arg-type]


def result(
    medians_ms: Sequence[float],
    artifact: int = 0,
    scenario: Scenario = SINGLE,
    *,
    board: Board = PI,
    other_cores: float | None = 0.0,
    snapshot: Callable[[], Snapshot] = moment,
) -> Result:
    """Return a result with a round of four images around each median; from file to text they take 1 ms more."""
    rounds = (_with_stages_of(a_round([ms - 0.2, ms, ms, ms + 0.3]), scenario) for ms in medians_ms)
    measured = tuple(Measured(played, (snapshot(), snapshot())) for played in rounds)
    return Result(artifact, scenario, fingerprint(board), other_cores, measured)


def _with_stages_of(played: Round, scenario: Scenario) -> Round:
    """Return the round with the stages that its scenario measures."""
    stages = dict(played.stages)
    if scenario.kind == "offline":
        stages = {}
    elif scenario.kind == "sustained":
        stages = {"total": tuple(map(sum, zip(*stages.values(), strict=True)))}
    elif scenario.kind == "camera":
        stages = {"wait": (0,) * played.images, **stages}
    return replace(played, stages=stages)


def record(*results: Result, artifacts: Sequence[Opened] | None = None, board: Board = PI) -> Record:
    """Return a record, by default of an artifact and its control."""
    return Record(
        command="edge-crnn bench --images plates",
        date="2026-01-01T12:00:00+00:00",
        clock="fake",
        versions={"edge-crnn": "0", "numpy": "2"},
        board=board,
        images=Images("plates", 500, "c" * 64),
        artifacts=(opened(), opened(control=True)) if artifacts is None else tuple(artifacts),
        results=results,
    )


class FakeClock:
    """A clock that advances by `tick` whenever it is read, and by `advance`."""

    def __init__(self, tick: int = 0) -> None:
        self.ns = 0
        self.tick = tick
        self.slept: list[int] = []
        self._lock = threading.Lock()

    def advance(self, nanoseconds: int) -> int:
        with self._lock:
            self.ns += nanoseconds
            return self.ns

    def now(self) -> int:
        return self.advance(self.tick)

    def processor(self) -> int:
        return 2 * self.ns

    def sleep(self, nanoseconds: int) -> None:
        assert nanoseconds > 0
        self.slept.append(nanoseconds)
        self.advance(nanoseconds)


SPEC = ModelSpec(
    name="made up",
    symbols=tuple("0123456789"),
    blank=10,
    input=InputSpec(width=4, height=2, axes="HWC", scale=1.0, offset=0.0),
    output=OutputSpec(steps=1, classes=11),
    artifact=ArtifactFacts("tflite", "float32", 1, "", "0" * 64),
)


def artifact_file(folder: Path) -> Path:
    """Write an artifact that no real engine accepts."""
    return save(folder / "made-up.tflite", b"\0\0\0\0TFL3", SPEC).path


class SlowEngine(FakeBackend):
    """Reads the grey level of an image as a digit; every image takes the next of `costs`, in nanoseconds."""

    def __init__(self, clock: FakeClock, costs: Iterable[int] = itertools.repeat(0)) -> None:
        super().__init__(np.eye(11, dtype=np.float32)[:, np.newaxis], SPEC.input.shape)
        self.clock = clock
        self.costs = iter(costs)
        self.seen: list[int] = []
        self.closed = False

    def infer(self, batch: npt.NDArray[np.generic]) -> Probabilities:
        levels = [int(image.flat[0]) for image in batch]
        self.seen += levels
        self.clock.advance(sum(itertools.islice(self.costs, len(levels))))
        return np.concatenate([self._script[level : level + 1] for level in levels])

    def close(self) -> None:
        self.closed = True


def pictures(folder: Path, count: int) -> list[Path]:
    """Write grey PNGs; image n has level n, so that `SlowEngine` reads the digit n in it."""
    import cv2

    paths = []
    for level in range(count):
        paths.append(folder / f"{level}.png")
        cv2.imwrite(str(paths[-1]), np.full((2, 4), level, np.uint8))
    return paths


def opener(engines: Sequence[SlowEngine]) -> Callable[[Artifact, int, str | None], SlowEngine]:
    """Return a function that returns these engines, one after the other."""
    left = iter(engines)
    return lambda artifact, threads, engine: next(left)
