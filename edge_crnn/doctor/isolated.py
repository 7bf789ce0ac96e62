"""Runs trials in a process of their own, because a trial may end its process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .trials import Trial, attempt

_PATIENCE_S = 180.0
"""Time limit for all trials of a process; under an emulator, engines take tens of seconds to start."""

LATE = "no answer within"
"""Beginning of the reason if a trial took too long, which does not mean that the package is broken."""

_CODE = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from edge_crnn.doctor.trials import main
main(sys.argv[2], sys.argv[3:])
"""
_ENDS = {
    "SIGILL": "illegal instruction: it was built for another processor",
    "SIGSEGV": "segmentation fault",
    "SIGABRT": "aborted",
    "SIGKILL": "killed, perhaps because memory ran out",
}


def attempt_all(names: Sequence[str], model: Path, patience_s: float = _PATIENCE_S) -> dict[str, Trial]:
    """Run the trials in turn; a trial that ends the process is broken, and the others run in a new process."""
    trials: dict[str, Trial] = {}
    waiting = list(names)
    while waiting:
        try:
            answers, end = _process(waiting, model, patience_s)
        except OSError:  # an emulator that cannot start processes: risk this one
            return trials | {name: attempt(name, model) for name in waiting}
        trials |= answers
        waiting = [name for name in waiting if name not in trials]
        if waiting:
            trials[waiting.pop(0)] = Trial("broken", reason=end)
    return trials


def _process(names: Sequence[str], model: Path, patience_s: float) -> tuple[dict[str, Trial], str]:
    """Return the trials that were completed, and how the process ended."""
    command = [sys.executable or "python3", "-c", _CODE, json.dumps(sys.path), str(model), *names]
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=patience_s, check=False, env=_environment()
        )
    except subprocess.TimeoutExpired as late:
        return _answers(late.stdout or b""), f"{LATE} {patience_s:.0f} s"
    return _answers(ended.stdout), _end(ended.returncode, ended.stderr.decode("utf-8", "replace"))


def _environment() -> dict[str, str]:
    """Return this process's environment, with TensorFlow's start-up messages turned off."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}


def _answers(output: bytes) -> dict[str, Trial]:
    """Parse the complete lines of the output; the last one may be cut short."""
    lines = output.decode("utf-8", "replace").split("\n")[:-1]
    return {name: Trial(**trial) for name, trial in map(json.loads, lines)}


def _end(status: int, errors: str) -> str:
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:  # a real-time signal
            name = f"signal {-status}"
        return f"it ends the process ({_ENDS.get(name, name)})"
    last = next((line.strip() for line in reversed(errors.splitlines()) if line.strip()), f"exit status {status}")
    return f"it ends the process ({last})"
