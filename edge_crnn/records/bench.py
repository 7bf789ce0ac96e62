"""The record of `edge-crnn bench`: all numbers from which its tables, its comparisons and a report are computed.

Times are in nanoseconds of `time.perf_counter_ns`. Every measurement is kept; nothing is averaged.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from ..board.board import Board
from ..board.snapshot import Snapshot
from ..errors import InputError
from ..files import sha256
from ..model.spec import DecoderSpec
from ..model.typed import build
from .form import dumps, parse, plain, read

Kind: TypeAlias = Literal["single", "offline", "multi", "camera", "sustained"]

STAGES = {
    "wait": "waiting",
    "load": "image file",
    "preprocess": "preprocessing",
    "infer": "inference",
    "decode": "decoding",
    "total": "end to end",
}
"""Stage of a reading → its name for people.

wait: from a frame's arrival to its turn; load: from the file to its pixels; preprocess: grey, resize, scale; infer: the
engine; decode: from probabilities to a reading; total: all stages together, where they are not measured separately.
"""

READING = ("load", "preprocess", "infer", "decode")
"""The stages of a reading, in their order."""

_STAGES_OF: dict[Kind, tuple[str, ...]] = {
    "single": READING,
    "offline": (),
    "multi": READING,
    "camera": ("wait", *READING),
    "sustained": ("total",),
}
"""Kind of scenario → the stages that its rounds measure."""

_MAX_NS = 1 << 60
_WRITER = "`edge-crnn bench -o`"
_DAMAGED = "the file is damaged: copy it again, or measure again"


@dataclass(frozen=True)
class Scenario:
    """The order and the pace in which readers get images; `edge_crnn.bench.scenarios` describes every kind."""

    kind: Kind
    readers: int
    """Engines in parallel."""
    images: int
    """Images of a round; for a camera, frames. 0: as many as the time allows."""
    seconds: float | None = None
    """Duration of a round of `sustained`."""
    fps: float | None = None
    """Frame rate of a camera."""
    late: Literal["drop", "queue"] | None = None
    """Treatment of a frame that arrives while an earlier one is still being read."""

    @property
    def name(self) -> str:
        """Kind and settings, for people."""
        details = {
            "single": "one image after the other",
            "offline": f"all images at once, engines: {self.readers}",
            "multi": f"readers in parallel: {self.readers}",
            "camera": f"{self.fps:g} frames a second, late ones {self.late}" if self.fps else "",
            "sustained": f"readers in parallel, without a pause: {self.readers}",
        }
        return f"{self.kind}: {details[self.kind]}"


@dataclass(frozen=True)
class Round:
    """Consecutive readings that are measured together."""

    images: int
    """Images that were read."""
    dropped: int
    """Frames of a camera that were not read."""
    elapsed_ns: int
    """Time from the start of the first reading to the end of the last."""
    processor_ns: int
    """Processor time of all threads of the process."""
    collections: int
    """Runs of Python's garbage collector, which stays on."""
    collecting_ns: int
    rss_bytes: int | None
    """Resident memory of the process at the end."""
    stages: Mapping[str, tuple[int, ...]]
    """Key of `STAGES` → its time for each image; empty where all images are read at once."""


@dataclass(frozen=True)
class Measured:
    """A round with snapshots of the machine: at its start, at its end, and during a long round."""

    round: Round
    snapshots: tuple[Snapshot, ...]


@dataclass(frozen=True)
class Opened:
    """An artifact opened in a process of its own, and the cost of loading and warming it up."""

    path: str
    control: bool
    """Whether this is the second measurement of the first artifact, which shows the noise."""
    file_bytes: int
    payload_sha256: str
    recipe: str
    decoder: DecoderSpec
    threads: int
    """Threads of each engine."""
    backend: str
    """Engine: litert, onnxrt or tensorrt (trt in older records)."""
    engine: str
    """Engine with its version."""
    notes: tuple[str, ...]
    """Remarks about the engine's settings."""
    load_ns: int
    """Reading and checking the file, importing and opening the engine."""
    warm_up_ns: tuple[int, ...]
    """Times of the first readings, from file to text; the first includes imports."""
    texts_sha256: str
    """SHA-256 of the labels read during the warm-up, one on each line."""
    rss_before_bytes: int | None
    """Resident memory before anything was loaded: Python and NumPy."""
    rss_bytes: int | None
    """Resident memory when warm."""
    gpu_bytes: int | None
    """Growth of the memory in use on the GPU until then, by all programs; None without a GPU."""


@dataclass(frozen=True)
class Result:
    """The rounds of one artifact in one scenario."""

    artifact: int
    """Index into the record's `artifacts`."""
    scenario: Scenario
    board: str
    """`fingerprint` of the machine."""
    other_cores: float | None
    """Cores that other programs kept busy meanwhile, on average; None: unknown."""
    rounds: tuple[Measured, ...]


@dataclass(frozen=True)
class Images:
    """The images that were read."""

    folder: str
    count: int
    sha256: str
    """`edge_crnn.dataset.content_hash`."""


@dataclass(frozen=True)
class Record:
    """A run of `edge-crnn bench`."""

    SUITE: ClassVar[str] = "edge-crnn bench"
    VERSION: ClassVar[int] = 1

    command: str
    date: str
    """UTC, ISO 8601."""
    clock: str
    """Name of the clock, and its resolution."""
    versions: Mapping[str, str]
    board: Board
    images: Images
    artifacts: tuple[Opened, ...]
    results: tuple[Result, ...]
    absent: Mapping[str, str] = field(default_factory=dict)
    """Fact that this machine does not provide → reason."""

    def to_json(self, **more: Any) -> str:
        """Return the JSON form with its version; `more` is written beside the fields and is not read back."""
        return dumps({"suite": self.SUITE, "version": self.VERSION, **more, **plain(self)}, indent=None)

    @classmethod
    def from_json(cls, text: str | bytes, origin: str = "record") -> Record:
        """Read the JSON form.

        Raises:
            InputError: the file is not such a record, has another version, is damaged, or mixes several machines.
        """
        data = parse(text, origin, {cls.SUITE: cls.VERSION}, _WRITER)
        record = build(cls, data, origin, InputError, open_ended=True)
        check(record, origin)
        return record

    @property
    def settings(self) -> dict[str, str]:
        """Settings of the machine that affect the figures, from the first round: governor and power mode."""
        if not self.results:
            return {}
        first = self.results[0].rounds[0].snapshots[0]
        settings = {"governor": ", ".join(first.clocks.governors)}
        if first.power_mode is not None:
            settings["power mode"] = first.power_mode.name or str(first.power_mode.number)
        return {name: value for name, value in settings.items() if value}


def fingerprint(board: Board) -> str:
    """Return the SHA-256 of a board's facts, which identifies the machine in a result."""
    return sha256(json.dumps(dataclasses.asdict(board), sort_keys=True, ensure_ascii=False).encode())


def load_record(path: Path) -> Record:
    """Read a file that `edge-crnn bench -o` wrote.

    Raises:
        InputError: the file cannot be read, or the cases of `Record.from_json`.
    """
    return Record.from_json(read(path, _WRITER), str(path))


def check(record: Record, origin: str) -> None:
    """Check that a run can have written the record, so that computations with it cannot fail.

    Raises:
        InputError: a figure cannot be true, or the record mixes several machines.
    """
    here = fingerprint(record.board)
    if not all(artifact.warm_up_ns for artifact in record.artifacts):
        raise InputError(f"{origin}: found an artifact without a warm-up; {_DAMAGED}")
    for number, result in enumerate(record.results):
        where = f"{origin}: result {number}"
        if result.board != here:
            raise InputError(
                f"{where} was measured on another machine than the file's"
                f" ({record.board.model or record.board.cpu.name}); keep a separate file for each machine"
            )
        if not 0 <= result.artifact < len(record.artifacts):
            raise InputError(
                f"{where}: found artifact {result.artifact}, expected 0 to {len(record.artifacts) - 1}; {_DAMAGED}"
            )
        if not result.rounds or (result.scenario.fps is not None and result.scenario.fps <= 0):
            raise InputError(
                f"{where}: found {len(result.rounds)} rounds and {result.scenario.fps} frames/s, expected more than 0;"
                f" {_DAMAGED}"
            )
        for measured in result.rounds:
            _check_round(measured, result.scenario.kind, where)


def _check_round(measured: Measured, kind: Kind, where: str) -> None:
    played = measured.round
    lengths = {stage: len(column) for stage, column in played.stages.items()}
    if (
        played.images < 1
        or not 1 <= played.elapsed_ns <= _MAX_NS
        or lengths != dict.fromkeys(_STAGES_OF[kind], played.images)
    ):
        raise InputError(
            f"{where}: found {lengths} times for {played.images} images in {played.elapsed_ns} ns; {_DAMAGED}"
        )
    if not all(0 <= duration <= _MAX_NS for column in played.stages.values() for duration in column):
        raise InputError(f"{where}: found a time that is negative or longer than 36 years; {_DAMAGED}")
    try:
        moments = [datetime.fromisoformat(snapshot.taken_at) for snapshot in measured.snapshots]
    except ValueError as error:
        raise InputError(f"{where}: found no ISO 8601 time ({error}); {_DAMAGED}") from error
    if len(moments) < 2 or not all(moment.tzinfo for moment in moments):
        raise InputError(f"{where}: found {len(moments)} snapshots of a round, expected at least 2 in UTC; {_DAMAGED}")
