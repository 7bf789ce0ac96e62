"""Engines of `.onnx` files, built once and kept for the next start.

They are in `edge_crnn.files.cache_folder("engines")`, which keeps the eight used most recently. The name of an engine
is the hash of everything that it depends on: the network (the `.onnx` without its spec), TensorRT, the GPU, and the
build options. So a stale or foreign engine is never used, and an engine whose content does not match its name is built
again. A lock, released when its process ends, allows one build at a time, because parallel builds would disturb the
timings.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

from ...errors import ArtifactError, BackendError, BackendUnavailable, ModelSpecError, OutputError
from ...files import cache_folder, lock, sha256
from ...model.artifact import Artifact, load, sidecar
from . import cuda
from .build import REVISION, BuildOptions, import_tensorrt, version
from .engine import import_pycuda
from .process import TIMEOUT_S, make_engine

_KEPT = 8
_ASK_AGAIN_S = 0.2


def cached_engine(onnx: Artifact, options: BuildOptions | None = None, timeout: float = TIMEOUT_S) -> Artifact:
    """Return the engine of an `.onnx` for this machine with the current spec of the `.onnx`; build it if it is missing.

    Args:
        onnx: an artifact of `edge-crnn convert --to onnx`.
        options: the options of the build.
        timeout: seconds for a build, and for waiting for other builds.

    Raises:
        BackendUnavailable: TensorRT, pycuda or a GPU is missing.
        BackendError: the build failed or took too long, or other builds took too long.
        OutputError: the cache cannot be written.
    """
    entry = _Entry.of(onnx, options or BuildOptions())
    engine = entry.find()
    if engine is None:
        with _lock(entry.path.parent, onnx.path.name, timeout):
            engine = entry.find() or entry.build(timeout)
    with contextlib.suppress(OSError):  # a read-only cache has no order of use
        os.utime(entry.path)
    return engine


def state(onnx: Artifact) -> tuple[bool, str]:
    """Return whether an `.onnx` can run as an engine here, and what prevents it or remains to be done."""
    missing = [name for name, here in _requirements().items() if isinstance(here, BackendUnavailable)]
    if missing:
        return False, f"missing: {', '.join(missing)}; edge-crnn read --engine tensorrt says why"
    entry = _Entry.of(onnx, BuildOptions())
    progress = "its engine is in the cache" if entry.find() else "its engine is built on first use"
    return True, f"{entry.engine} on {entry.gpu}; {progress}"


@dataclass(frozen=True)
class _Entry:
    """The place of an engine in the cache, and the facts that its spec must state."""

    onnx: Artifact
    options: BuildOptions
    engine: str
    gpu: str
    path: Path

    @classmethod
    def of(cls, onnx: Artifact, options: BuildOptions) -> _Entry:
        engine, gpu = require(onnx.path.name)
        facts = onnx.spec.artifact
        assert facts is not None  # `load` and `save` see to it
        built = {name: value for name, value in asdict(options).items() if name not in ("timing_cache", "log")}
        depends_on = [REVISION, facts.payload_sha256, facts.recipe, engine, gpu, built]
        folder = _folder()
        options = replace(options, timing_cache=options.timing_cache or folder / "timing.cache")
        key = sha256(json.dumps(depends_on, sort_keys=True).encode())
        return cls(onnx, options, engine, gpu, folder / f"{key}.engine")

    def find(self) -> Artifact | None:
        """Load the engine from the cache; None if it is absent or damaged."""
        try:
            cached = load(self.path)
        except (ArtifactError, ModelSpecError):
            return None
        facts = cached.spec.artifact
        network = self.onnx.spec.artifact
        assert facts is not None
        assert network is not None
        expected = {"engine": self.engine, "gpu": self.gpu, "onnx sha256": network.payload_sha256}
        if any(facts.tools.get(name) != value for name, value in expected.items()):
            return None
        # Messages name the file that the user opened.
        return Artifact(self.onnx.path, replace(self.onnx.spec, artifact=facts, parity=None), cached.payload)

    def build(self, timeout: float) -> Artifact:
        """Build the engine and load it from the cache; the caller holds the lock."""
        again = " again: it is damaged in the cache" if self.path.exists() else ", once; it may take minutes"
        _say(f"building the engine of {self.onnx.path.name}{again}")
        with contextlib.suppress(OSError):
            for left in self.path.parent.glob(".*.partial"):  # its writer has ended, since the lock was free
                left.unlink(missing_ok=True)
        try:
            built = make_engine(self.onnx, self.path, self.options, timeout)
        except BackendError as error:
            raise BackendError(
                f"{self.onnx.path}: no engine ({error}); edge-crnn build-engine with --log shows why"
            ) from error
        engine = self.find()
        if engine is None:
            tools = built.spec.artifact.tools if built.spec.artifact else {}
            raise BackendError(
                f"{self.onnx.path}: built by {tools.get('engine')} on {tools.get('gpu')}, but runs with {self.engine}"
                f" on {self.gpu}; set CUDA_VISIBLE_DEVICES to one GPU"
            )
        _forget_oldest(self.path.parent)
        return engine


def refuse_stale(engine: Artifact) -> None:
    """Check that NAME.engine was built from the NAME.onnx beside it, if there is one.

    Raises:
        BackendError: it was built from another file.
    """
    beside = engine.path.with_suffix(".onnx")
    facts = engine.spec.artifact
    built_of = facts and facts.tools.get("onnx sha256")
    try:
        network = load(beside).spec.artifact if built_of and beside.exists() else None
    except (ArtifactError, ModelSpecError):  # the `.onnx` is no artifact, so there is nothing to compare
        return
    if network is not None and network.payload_sha256 != built_of:
        raise BackendError(
            f"{engine.path}: built from a network with SHA-256 {str(built_of)[:12]}…, but {beside.name} beside it has"
            f" {network.payload_sha256[:12]}…; build it again:"
            f" edge-crnn build-engine {beside} -o {engine.path}"
        )


def require(name: str) -> tuple[str, str]:
    """Return the TensorRT and the GPU of this machine.

    Raises:
        BackendUnavailable: `name` cannot run, because TensorRT, pycuda or a GPU is missing; the message names all.
    """
    here = _requirements()
    missing = [str(reason) for reason in here.values() if isinstance(reason, BackendUnavailable)]
    if missing:
        raise BackendUnavailable(f"{name}: TensorRT engines do not run on this machine: {'. '.join(missing)}")
    return str(here["TensorRT"]), str(here["a GPU"])


def _requirements() -> dict[str, str | BackendUnavailable]:
    """Return, by name, everything that an engine needs: the installed version, or the reason why it is missing."""
    requests: dict[str, Callable[[], str]] = {
        "TensorRT": lambda: version(import_tensorrt()),
        "pycuda": lambda: import_pycuda().__name__,
        "a GPU": lambda: str(cuda.gpu()),
    }
    requirements: dict[str, str | BackendUnavailable] = {}
    for name, ask in requests.items():
        try:
            requirements[name] = ask()
        except BackendUnavailable as error:
            requirements[name] = error
    return requirements


def _folder() -> Path:
    try:
        return cache_folder("engines")
    except OutputError as error:
        raise BackendError(str(error)) from error


@contextmanager
def _lock(folder: Path, name: str, timeout: float) -> Iterator[None]:
    """Hold the lock for builds."""
    waits_until = None
    with contextlib.ExitStack() as opened:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = opened.enter_context((folder / "lock").open("ab"))
            while not _locked(file):
                if waits_until is None:
                    waits_until = time.monotonic() + timeout
                    _say(f"another process builds an engine; {name} waits for it")
                elif time.monotonic() > waits_until:
                    raise BackendError(
                        f"{name}: another process has been building engines for {timeout:g} s; end it, or wait longer"
                        f" (fuser {folder / 'lock'} shows which)"
                    )
                time.sleep(_ASK_AGAIN_S)
        except OSError as error:
            raise OutputError(
                error.errno,
                f"{folder}: cannot store engines ({error.strerror}); set EDGE_CRNN_CACHE to another folder",
            ) from error
        yield


def _locked(file: BinaryIO) -> bool:
    try:
        lock(file.fileno())  # without locks on this file system, two processes may build the same engine
    except BlockingIOError:
        return False
    return True


def _forget_oldest(folder: Path) -> None:
    def used(path: Path) -> float:
        return path.stat().st_mtime

    with contextlib.suppress(OSError):  # somebody else may remove or own these files
        for old in sorted(folder.glob("*.engine"), key=used, reverse=True)[_KEPT:]:
            sidecar(old).unlink(missing_ok=True)  # first, because an engine without a spec is unusable
            old.unlink(missing_ok=True)


def _say(words: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"edge-crnn: {words}\n")
        sys.stderr.flush()
