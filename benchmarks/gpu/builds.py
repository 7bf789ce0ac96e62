"""Tests engine builds in processes of their own: builds that are killed, and two requests at the same time."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

from edge_crnn.backends.tensorrt import cache
from edge_crnn.backends.tensorrt import process as builds
from edge_crnn.backends.tensorrt.build import BuildOptions
from edge_crnn.errors import ArtifactError, BackendError, EdgeCrnnError, ModelSpecError
from edge_crnn.files import sha256
from edge_crnn.model.artifact import load
from edge_crnn.records.gpu import Kill, OpenedEngine

MOMENTS = (0.25, 0.5, 0.75)
"""Moments at which builds are killed, as parts of the time of a complete build."""

_PATIENCE_S = 1200.0
_GONE_S = 10.0


class Builds:
    """Requests the engine of an `.onnx` in other processes, with a cache of its own.

    Args:
        onnx: path of the artifact.
        options: options of the build.
        cache: folder that is empty or does not exist.
        command: the command to start; tests replace it.
    """

    def __init__(
        self,
        onnx: Path,
        options: BuildOptions,
        cache: Path,
        command: Sequence[str] = (sys.executable, "-m", "benchmarks.gpu.builds"),
    ) -> None:
        self._command = [*command, str(onnx.resolve()), json.dumps(dataclasses.asdict(options), default=str)]
        self._cache = cache

    def kill(self, after_s: float) -> Kill:
        """Kill a process `after_s` seconds after its request, and only that process, as when memory runs out."""
        (process,) = self._start(1)
        with suppress(subprocess.TimeoutExpired):
            process.wait(after_s)
        alive = process.poll() is None
        process.kill()
        process.communicate()
        ended = _group_ends(process.pid)
        if not ended:
            os.killpg(process.pid, signal.SIGKILL)
        engines = self.engines()
        return Kill(after_s, alive and not any(map(_is_complete, engines)), len(engines), ended)

    def at_once(self, count: int = 2) -> list[OpenedEngine]:
        """Request the same engine in `count` processes at the same time.

        Raises:
            BackendError: a process failed.
        """
        processes = self._start(count)
        try:
            outputs = [process.communicate(timeout=_PATIENCE_S) for process in processes]
        except subprocess.TimeoutExpired as error:
            raise BackendError(f"found no engine after {_PATIENCE_S:g} s") from error
        finally:
            for process in processes:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        for process, (_, errors) in zip(processes, outputs, strict=True):
            if process.returncode:
                lines = errors.strip().splitlines()
                message = lines[-1] if lines else "no message"
                raise BackendError(f"a process that requested an engine failed: {message}")
        return [OpenedEngine(**json.loads(out.splitlines()[-1])) for out, _ in outputs]

    def engines(self) -> list[Path]:
        """List the engines in the cache, complete or not."""
        return sorted(self._cache.rglob("*.engine"))

    def _start(self, count: int) -> list[subprocess.Popen[str]]:
        """Start processes, wait until all are ready, and let all of them request the engine."""
        processes = [
            subprocess.Popen(
                self._command,
                cwd=Path(__file__).parents[2],
                env={**os.environ, "EDGE_CRNN_CACHE": str(self._cache)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            for _ in range(count)
        ]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()  # until it is ready
        for process in processes:
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # the reason appears on its stderr
                process.stdin.write("\n")
                process.stdin.flush()
        return processes


def _is_complete(engine: Path) -> bool:
    try:
        load(engine)
    except (ArtifactError, ModelSpecError):
        return False
    return True


def _group_ends(group: int) -> bool:
    """Return whether a process group is empty, now or soon."""
    until = time.monotonic() + _GONE_S
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def options_of(words: str) -> BuildOptions:
    """Parse the JSON that `Builds` passes on."""
    fields: dict[str, Any] = json.loads(words)
    for name in ("timing_cache", "log"):
        fields[name] = fields[name] and Path(fields[name])
    for name in ("batches", "tactic_sources"):
        fields[name] = fields[name] and tuple(fields[name])
    return BuildOptions(**fields)


def main(words: Sequence[str] | None = None) -> int:
    """Request an engine when a line arrives, and print the outcome as JSON; 1 and a line on stderr if that fails."""
    parser = argparse.ArgumentParser()
    parser.add_argument("onnx", type=Path)
    parser.add_argument("options", type=options_of)
    arguments = parser.parse_args(words)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.monotonic()
    with mock.patch.object(cache, "make_engine", wraps=builds.make_engine) as make:
        try:
            engine = cache.cached_engine(load(arguments.onnx), arguments.options)
        except EdgeCrnnError as error:
            print(error, file=sys.stderr)
            return 1
    opened = OpenedEngine(make.call_count, sha256(engine.payload), time.monotonic() - started)
    print(json.dumps(dataclasses.asdict(opened)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
