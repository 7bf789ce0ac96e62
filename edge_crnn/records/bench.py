"""What `edge-crnn bench` leaves behind: all numbers that its tables, a comparison and a report are computed from.

Times are in nanoseconds of `time.perf_counter_ns`, as they were measured; nothing is averaged, and nothing left out.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ..board.board import Board
from ..board.snapshot import Snapshot
from ..errors import InputError
from ..files import sha256
from ..model.spec import DecoderSpec
from ..model.typed import build

VERSION = 1
"""Version of the JSON form. 1: the first."""

SUITE = "edge-crnn bench"
"""What tells such a file from other JSON."""

Kind: TypeAlias = Literal["single", "offline", "multi", "camera", "sustained"]

STAGES = {
    "wait": "waiting",
    "load": "image file",
    "preprocess": "preprocessing",
    "infer": "inference",
    "decode": "decoding",
    "total": "end to end",
}
"""What a reading falls into → for people. wait: from a frame's arrival to its turn; load: from the file to its pixels;
preprocess: grey, resize, scale; infer: the engine; decode: from probabilities to a reading; total: all of them, where
they are not told apart."""

READING = ("load", "preprocess", "infer", "decode")
"""The stages of a reading, in their order."""

_TOLD: dict[Kind, tuple[str, ...]] = {
    "single": READING,
    "offline": (),
    "multi": READING,
    "camera": ("wait", *READING),
    "sustained": ("total",),
}
"""Kind of scenario → the stages that its rounds tell apart."""

_MAX_NS = 1 << 60
_MAX_BYTES = 1 << 30
_DAMAGED = "the file is damaged: copy it again, or measure again"


@dataclass(frozen=True)
class Scenario:
    """How images come to the readers; `edge_crnn.bench.scenarios` says what each kind does."""

    kind: Kind
    readers: int
    """Engines side by side."""
    images: int
    """A round; of a camera: frames. 0: as many as there is time for."""
    seconds: float | None = None
    """Of a round of `sustained`."""
    fps: float | None = None
    """Of a camera."""
    late: Literal["drop", "queue"] | None = None
    """What becomes of a frame that comes while an earlier one is still being read."""

    @property
    def name(self) -> str:
        """For people."""
        details = {
            "single": "one image after the other",
            "offline": f"all images at once, engines: {self.readers}",
            "multi": f"readers side by side: {self.readers}",
            "camera": f"{self.fps:g} frames a second, late ones {self.late}" if self.fps else "",
            "sustained": f"readers side by side, without a pause: {self.readers}",
        }
        return f"{self.kind}: {details[self.kind]}"


@dataclass(frozen=True)
class Round:
    """Some readings in a row."""

    images: int
    """That were read."""
    dropped: int
    """Frames that a camera gave and nobody read."""
    elapsed_ns: int
    """From the first beginning to the last end."""
    processor_ns: int
    """Of all threads of the process."""
    collections: int
    """Of Python's garbage collector, which stays on."""
    collecting_ns: int
    rss_bytes: int | None
    """Resident memory of the process at the end."""
    stages: Mapping[str, tuple[int, ...]]
    """One of `STAGES` → what it took of each image; empty where many are read at once."""


@dataclass(frozen=True)
class Measured:
    """A round, and the machine at its beginning, meanwhile where it lasted, and at its end."""

    round: Round
    snapshots: tuple[Snapshot, ...]


@dataclass(frozen=True)
class Opened:
    """An artifact in a process of its own, and what it took until it was warm."""

    path: str
    control: bool
    """The same artifact once more, to show by how much equals differ."""
    file_bytes: int
    payload_sha256: str
    recipe: str
    decoder: DecoderSpec
    threads: int
    """Of each engine."""
    backend: str
    """What runs it: litert, onnxrt, trt."""
    engine: str
    """The same with its version."""
    notes: tuple[str, ...]
    """What the engine says about itself."""
    load_ns: int
    """Reading and checking the file, importing and opening the engine."""
    warm_up_ns: tuple[int, ...]
    """Each of the first readings, from file to text; the first imports what it needs."""
    texts_sha256: str
    """Of the labels that were read meanwhile, in lines."""
    rss_before_bytes: int | None
    """Resident memory before anything was loaded: Python and NumPy."""
    rss_bytes: int | None
    """When warm."""
    gpu_bytes: int | None
    """By how much the GPU's used memory grew until then, with what others took meanwhile; None without a GPU."""


@dataclass(frozen=True)
class Result:
    """An artifact in a scenario."""

    artifact: int
    """Place in the record's `artifacts`."""
    scenario: Scenario
    board: str
    """`fingerprint` of the machine that it was measured on."""
    other_cores: float | None
    """Cores that programs beside the benchmark kept busy meanwhile, on average; None: nothing tells."""
    rounds: tuple[Measured, ...]


@dataclass(frozen=True)
class Images:
    """What was read."""

    folder: str
    count: int
    sha256: str
    """`edge_crnn.dataset.content_hash`."""


@dataclass(frozen=True)
class Record:
    """One run."""

    command: str
    date: str
    """UTC, ISO 8601."""
    clock: str
    """What the clock is, and its resolution."""
    versions: Mapping[str, str]
    board: Board
    images: Images
    artifacts: tuple[Opened, ...]
    results: tuple[Result, ...]
    absent: Mapping[str, str] = field(default_factory=dict)
    """What the machine does not tell → why."""

    def to_json(self, **more: Any) -> str:
        """The JSON form, with its version; `more` goes beside the fields and is not read back."""
        data = {"suite": SUITE, "version": VERSION, **more, **dataclasses.asdict(self)}
        return json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, origin: str = "record") -> Record:
        """Read the JSON form.

        Raises:
            InputError: not such a file, of a newer version, damaged, or put together from several machines.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{origin}: no JSON ({error}); name what `edge-crnn bench -o` wrote") from error
        found = data.get("suite") if isinstance(data, dict) else None
        if found != SUITE:
            raise InputError(
                f"{origin}: found suite {found!r}, expected {SUITE!r}; name what `edge-crnn bench -o` wrote"
            )
        version = data.get("version")
        if type(version) is not int or version != VERSION:
            raise InputError(
                f"{origin}: version {version!r}, this edge-crnn reads {VERSION}; update it or measure again"
            )
        record = build(cls, data, origin, InputError, open_ended=True)
        _check(record, origin)
        return record


def fingerprint(board: Board) -> str:
    """What tells machines apart in a result: SHA-256 of the board's facts."""
    return sha256(json.dumps(dataclasses.asdict(board), sort_keys=True, ensure_ascii=False).encode())


def load_record(path: Path) -> Record:
    """Read a file that `edge-crnn bench -o` wrote.

    Raises:
        InputError: it cannot be read, or as `Record.from_json`.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path}: {path.stat().st_size:,} bytes, expected at most {_MAX_BYTES:,}; name another")
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name what `edge-crnn bench -o` wrote") from error
    return Record.from_json(text, str(path))


def _check(record: Record, origin: str) -> None:
    """Refuse what no run writes, and what would break those who compute with it."""
    here = fingerprint(record.board)
    if not all(artifact.warm_up_ns for artifact in record.artifacts):
        raise InputError(f"{origin}: an artifact without a warm-up; {_DAMAGED}")
    for number, result in enumerate(record.results):
        where = f"{origin}: result {number}"
        if result.board != here:
            raise InputError(
                f"{where} was measured on another machine than the one that the file tells of"
                f" ({record.board.model or record.board.cpu.name}); keep one file for each machine"
            )
        if not 0 <= result.artifact < len(record.artifacts):
            raise InputError(f"{where} is of artifact {result.artifact}, and there are {len(record.artifacts)}")
        if not result.rounds or (result.scenario.fps is not None and result.scenario.fps <= 0):
            raise InputError(f"{where}: {len(result.rounds)} rounds, {result.scenario.fps} frames/s; {_DAMAGED}")
        for measured in result.rounds:
            _check_round(measured, result.scenario.kind, where)


def _check_round(measured: Measured, kind: Kind, where: str) -> None:
    played = measured.round
    lengths = {stage: len(column) for stage, column in played.stages.items()}
    if (
        played.images < 1
        or not 1 <= played.elapsed_ns <= _MAX_NS
        or lengths != dict.fromkeys(_TOLD[kind], played.images)
    ):
        raise InputError(
            f"{where}: a round of {played.images} images in {played.elapsed_ns} ns has {lengths} times; {_DAMAGED}"
        )
    if not all(0 <= each <= _MAX_NS for column in played.stages.values() for each in column):
        raise InputError(f"{where}: a time that is negative, or longer than a life; {_DAMAGED}")
    try:
        moments = [datetime.fromisoformat(each.taken_at) for each in measured.snapshots]
    except ValueError as error:
        raise InputError(f"{where}: no moment of time ({error}); {_DAMAGED}") from error
    if len(moments) < 2 or not all(moment.tzinfo for moment in moments):
        raise InputError(f"{where}: a round between {len(moments)} looks at the machine, expected 2 in UTC; {_DAMAGED}")
