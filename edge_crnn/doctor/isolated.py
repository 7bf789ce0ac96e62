"""Runs trials in a process of their own, so that one which ends its process ends nothing else."""

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
"""For all trials of a process: under an emulator, engines take tens of seconds to start."""

LATE = "no answer within"
"""How the reason begins of what was given up: too slow now, which says nothing of how it is installed."""

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
    "SIGKILL": "killed, perhaps since memory ran out",
}


def attempt_all(names: Sequence[str], model: Path, patience_s: float = _PATIENCE_S) -> dict[str, Trial]:
    """Try all in turn: what ends the process is broken, and the others are tried in another one."""
    found: dict[str, Trial] = {}
    waiting = list(names)
    while waiting:
        try:
            answers, end = _process(waiting, model, patience_s)
        except OSError:  # an emulator that starts no processes: then it is our own neck
            return found | {name: attempt(name, model) for name in waiting}
        found |= answers
        waiting = [name for name in waiting if name not in found]
        if waiting:
            found[waiting.pop(0)] = Trial("broken", reason=end)
    return found


def _process(names: Sequence[str], model: Path, patience_s: float) -> tuple[dict[str, Trial], str]:
    """Trials that were done, and how the process ended."""
    command = [sys.executable or "python3", "-c", _CODE, json.dumps(sys.path), str(model), *names]
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=patience_s, check=False, env=_environment()
        )
    except subprocess.TimeoutExpired as late:
        return _answers(late.stdout or b""), f"{LATE} {patience_s:.0f} s"
    return _answers(ended.stdout), _end(ended.returncode, ended.stderr.decode("utf-8", "replace"))


def _environment() -> dict[str, str]:
    """Ours, and TensorFlow, if it is what runs LiteRT, keeps its greetings to itself."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}


def _answers(output: bytes) -> dict[str, Trial]:
    """The last line may be cut short."""
    lines = output.decode("utf-8", "replace").split("\n")[:-1]
    return {name: Trial(**trial) for name, trial in map(json.loads, lines)}


def _end(status: int, errors: str) -> str:
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:  # a real-time one
            name = f"signal {-status}"
        return f"it ends the process ({_ENDS.get(name, name)})"
    last = next((line.strip() for line in reversed(errors.splitlines()) if line.strip()), f"exit status {status}")
    return f"it ends the process ({last})"
