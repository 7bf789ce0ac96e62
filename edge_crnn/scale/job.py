"""The folder of a job's results: its plan, which is written once, and the shards of the parts that are done.

| file | contents |
|---|---|
| `_parts.jsonl` | the parts, one per line; see `parts` |
| `_manifest.json` | the settings, and the SHA-256 of `_parts.jsonl`; written after it |
| `part-00000000.jsonl` or `.parquet` … | the rows of a part; it is done if and only if this file exists |

Programs that read a folder of Parquet files skip names that begin with `_` or a dot.

Without a manifest, no part has been begun, so the inputs are listed again. With a manifest, they are not: the plan
stays as it is, whatever happens to the inputs. A shard depends on the plan and the settings only, so if two processes
write the same shard, the result is the same.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path

from .. import __version__
from ..errors import InputError, OutputError
from ..files import lock, sha256
from ..model.typed import build
from ..progress import note as to_stderr
from ..records import form
from . import inputs, parts, storage
from .parts import Part
from .rows import Format

_SUITE = "read-all"
_VERSION = 1
_WRITER = "`edge-crnn read-all`"
_MANIFEST = "_manifest.json"
_PARTS = "_parts.jsonl"
_LOCK = ".lock"
_SHARD = re.compile(r"part-(\d{8})\.(?:jsonl|parquet)")


@dataclass(frozen=True)
class Settings:
    """The facts that determine the rows of a job."""

    inputs: tuple[str, ...]
    """Folders, files, patterns and URLs as the user writes them; in a manifest, paths are absolute."""
    model: str
    """SHA-256 of the model's payload."""
    spec: str
    """SHA-256 of the model's spec with the decoder in use."""
    options: Mapping[str, str | int | float | None]
    """Name → value of everything else that determines readings, such as the digest of a lexicon."""
    recursive: bool = False
    sample: int | None = None
    """Number of images that are picked at random; None: all."""
    column: str = "image"
    """The column of Parquet files that has the images."""
    format: Format = "jsonl"
    edge_crnn: str = __version__


@dataclass(frozen=True)
class _Manifest:
    settings: Settings
    folder: str
    """The folder where relative paths begin."""
    parts: int
    images: int | None
    """None: a tar file is among the inputs, whose images were not counted."""
    parts_sha256: str


@dataclass(frozen=True)
class Job:
    """A job with its plan."""

    output: str
    settings: Settings
    folder: str
    """The folder where relative paths begin."""
    parts: int
    """Number of parts."""
    images: int | None
    """Number of images; None if that is not known."""
    done: frozenset[int]
    """Numbers of the parts that were done when the job was opened."""

    def waiting(self) -> Iterator[tuple[int, Part]]:
        """Yield the number of every part that was not done, and the part."""
        with storage.opened(storage.joined(self.output, _PARTS)) as file:
            for number, line in enumerate(file):
                if number not in self.done:
                    yield number, Part.parse(line)

    def shard(self, number: int) -> str:
        """Return the place of a part's shard."""
        return storage.joined(self.output, f"part-{number:08d}.{self.settings.format}")


@contextmanager
def open_job(
    output: str, settings: Settings, note: Callable[[str], None] = to_stderr, *, readers: int = 1
) -> Iterator[Job]:
    """Begin a job, or continue it if its folder has a manifest.

    Args:
        output: the folder for the results, which is created if it does not exist: a path or a URL.
        settings: the settings; on continuation, those of the manifest must be the same.
        readers: number of processes that will read; a new job is cut into parts for so many. On continuation, the parts
            stay as they are.
        note: writes a line about files that are skipped.

    Raises:
        OutputError: the folder cannot be written, or another process uses it.
        InputError: the folder has other files or the results of another job, its plan is damaged, or a Parquet file has
            no such column.
        DatasetError: an input is missing, cannot be read, or has no image.
        BackendUnavailable: an input needs a package that is not installed.
    """
    output = storage.local_path(output)
    folder = os.getcwd()  # noqa: PTH109 - a string like all places
    absolute = replace(settings, inputs=tuple(_normal(place, folder) for place in settings.inputs))
    names = storage.names_in(output)
    with _locked(output):
        place = storage.joined(output, _MANIFEST)
        if _MANIFEST in names:
            manifest = _read(place)
            _require_same(output, manifest.settings, absolute)
        else:
            _require_empty(output, names)
            manifest = _planned(output, settings, absolute, folder, note, readers)
            storage.write(place, form.dumps({"suite": _SUITE, "version": _VERSION, **form.plain(manifest)}).encode())
        _check_parts(output, manifest)
        done = frozenset(int(shard[1]) for shard in map(_SHARD.fullmatch, storage.names_in(output)) if shard)
        yield Job(output, manifest.settings, manifest.folder, manifest.parts, manifest.images, done)


def _normal(place: str, folder: str) -> str:
    """Return the form of an input in which it is compared with that of an earlier run."""
    place = storage.absolute(place, folder)
    return place if storage.is_url(place) else os.path.normpath(place)


def _planned(
    output: str, settings: Settings, absolute: Settings, folder: str, note: Callable[[str], None], readers: int
) -> _Manifest:
    """List the inputs and write the parts."""
    files = inputs.list_files(settings.inputs, settings.recursive, note)
    planned = list(parts.split(files, folder, settings.column, settings.sample, readers=readers))
    lines = "".join(f"{part.dumps()}\n" for part in planned).encode()
    storage.write(storage.joined(output, _PARTS), lines)
    images = [part.images for part in planned]
    known = [count for count in images if count is not None]
    return _Manifest(
        settings=absolute,
        folder=folder,
        parts=len(planned),
        images=sum(known) if len(known) == len(images) else None,
        parts_sha256=sha256(lines),
    )


def _read(place: str) -> _Manifest:
    try:
        text = storage.read(place)
    except OSError as error:
        raise OutputError(
            error.errno, f"{place}: cannot be read ({error.strerror or error}); make it available and try again"
        ) from error
    data = form.parse(text, place, {_SUITE: _VERSION}, _WRITER)
    return build(_Manifest, data, place, InputError, open_ended=True)


def _require_same(output: str, before: Settings, now: Settings) -> None:
    """Check that the settings of a manifest are those of this run.

    Raises:
        InputError: they differ.
    """
    options = sorted({*before.options, *now.options})
    facts = [(field.name, getattr(before, field.name), getattr(now, field.name)) for field in fields(Settings)]
    facts = [(name, old, new) for name, old, new in facts if name != "options"]
    facts[1:1] = [(name, before.options.get(name), now.options.get(name)) for name in options]
    for name, old, new in facts:
        if old != new:
            raise InputError(
                f"{output}: holds a job with {name} {_shown(old)}, now it is {_shown(new)}; repeat that job's options"
                " to continue it, or name another output"
            )


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value[:3]) + (f" and {len(value) - 3} more" if len(value) > 3 else "")
    return "unset" if value is None else str(value)


def _require_empty(output: str, names: Sequence[str]) -> None:
    others = [
        name
        for name in names
        if name not in (_PARTS, _LOCK) and not name.startswith(f".{_PARTS}.") and not name.startswith(f".{_MANIFEST}.")
    ]
    if others:
        raise InputError(
            f"{output}: has {len(others):,} other files, such as {min(others)}, and no job; name a new or empty folder"
        )


def _check_parts(output: str, manifest: _Manifest) -> None:
    """Check that the list of parts is that of the manifest."""
    place = storage.joined(output, _PARTS)
    digest = hashlib.sha256()
    try:
        with storage.opened(place) as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise InputError(
            f"{place}: cannot be read ({error.strerror or error}); begin again in another output"
        ) from error
    if digest.hexdigest() != manifest.parts_sha256:
        raise InputError(
            f"{place}: has SHA-256 {digest.hexdigest()[:12]}…, the manifest says {manifest.parts_sha256[:12]}…; it was"
            " changed: begin again in another output"
        )


@contextmanager
def _locked(output: str) -> Iterator[None]:
    """Keep other processes away from a folder on this machine; object storage has no locks."""
    if storage.is_url(output):
        yield
        return
    path = Path(output) / _LOCK
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise OutputError(
            error.errno, f"{output}: cannot be written ({error.strerror}); name a folder that may be written"
        ) from error
    try:
        try:
            lock(file)
        except BlockingIOError as error:
            raise OutputError(
                error.errno, f"{output}: is locked by another read-all; wait for it, or name another output"
            ) from error
        yield
    finally:
        os.close(file)
