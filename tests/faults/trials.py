"""Lets every file operation of a scenario fail in turn; of those that repeat for every image, four (see `sample`).

    python -m tests.faults.trials SCENARIO FOLDER MOST OUTPUT

runs in a process that has the shim. It writes a JSON line for each problem, and at the end one with the counts.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.faults.sample import without_repeats
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.shim import FATES, Shim

_LIMIT_S = 300.0


@dataclass(frozen=True)
class Ended:
    """How a forked run ended."""

    status: int
    """Exit status; negative: the signal that ended it."""
    stderr: str


class Trials:
    """Runs of one scenario, each in a fork and with a fresh copy of its folder."""

    def __init__(self, scenario: Scenario, template: Path, shim: Shim) -> None:
        self._scenario = scenario
        self._template = template
        self._shim = shim
        self._root = Path(tempfile.mkdtemp(prefix="faults-"))
        self._modules = self._root / "modules"

    def import_modules(self) -> None:
        """Import the modules that a run imports, which takes a fork more time than its work."""
        self.operations()
        for name in self._modules.read_text(encoding="utf-8").split():
            with contextlib.suppress(ImportError):  # some entries of sys.modules are no modules
                importlib.import_module(name)

    def operations(self) -> list[tuple[str, str]]:
        """Return the operations of a run in which nothing fails: name and path, the folder left out."""
        folder = self._fresh()
        ended = self._fork(folder, 0, "EIO")
        if ended.status != 0:
            raise RuntimeError(f"without a fault: status {ended.status}\n{ended.stderr}")
        operations = self._shim.operations()
        if problem := self._problem(folder, complete=True):
            raise RuntimeError(f"without a fault: {problem}")
        return [(operation, os.path.relpath(path, folder)) for operation, path in operations]

    def problem(self, number: int, fate: str) -> str | None:
        """Let one operation fail, run once more without a fault, and say what went wrong, if anything did."""
        folder = self._fresh()
        ended = self._fork(folder, number, fate)
        if problem := self._judge(ended, fate) or self._problem(folder, complete=ended.status == 0):
            return problem
        again = self._fork(folder, 0, "EIO")
        if again.status != 0:
            return f"the run after it ended with status {again.status}: {again.stderr}"
        problem = self._problem(folder, complete=True)
        return problem and f"after the next run: {problem}"

    def close(self) -> None:
        """Remove the copies."""
        shutil.rmtree(self._root, ignore_errors=True)

    def _judge(self, ended: Ended, fate: str) -> str | None:
        if "Traceback" in ended.stderr:
            return f"status {ended.status} with a traceback: {ended.stderr}"
        if ended.status == -signal.SIGKILL and fate == "kill":
            return None
        if ended.status not in (0, 1) or (ended.status == 1 and self._scenario.exits_with_zero_only):
            return f"status {ended.status}: {ended.stderr}"
        if ended.status == 1 and "; " not in ended.stderr:
            return f"the message does not say what to do: {ended.stderr}"
        return None

    def _problem(self, folder: Path, complete: bool) -> str | None:
        before = Path.cwd()
        os.chdir(folder)
        try:
            return self._scenario.problem(complete)
        except Exception:
            return traceback.format_exc()
        finally:
            os.chdir(before)

    def _fresh(self) -> Path:
        folder = self._root / "folder"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._template, folder, symlinks=True)
        return folder

    def _fork(self, folder: Path, number: int, fate: str) -> Ended:
        output = self._root / "output"
        sys.stdout.flush()
        self._shim.arm(folder, number, fate)
        process = os.fork()
        if process == 0:
            self._child(folder, output)
        status = _wait(process)
        self._shim.disarm()
        return Ended(status, output.read_text(encoding="utf-8", errors="replace"))

    def _child(self, folder: Path, output: Path) -> None:
        status = 98
        try:
            os.setpgid(0, 0)
            os.chdir(folder)
            file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(file, 2)
            status = self._scenario.run()
            self._modules.write_text("\n".join(sys.modules), encoding="utf-8")
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(status)


def _wait(process: int) -> int:
    """Wait for a forked process and return its exit status; after the limit, end it and all that it started."""
    ends_at = time.monotonic() + _LIMIT_S
    while time.monotonic() < ends_at:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return 97


def main(name: str, template: str, most: int, output: str) -> None:
    """Run all trials of a scenario, or a sample of them if there are more than `most`."""
    scenario = SCENARIOS[name]
    os.chdir(template)
    scenario.warm_up()
    trials = Trials(scenario, Path(template), Shim())
    try:
        trials.import_modules()
        operations = trials.operations()
        faults = [
            (number, operation, path, fate)
            for number in without_repeats(operations)
            for operation, path in [operations[number - 1]]
            for fate in FATES
            if fate != "short" or operation in ("read", "write")
            if (operation, path) != ("list", ".")  # Python itself lists the current folder, to import from it
        ]
        if len(faults) > most:
            faults = random.Random(1).sample(faults, most)
        problems = 0
        with Path(output).open("w", encoding="utf-8", buffering=1) as lines:
            for number, operation, path, fate in faults:
                if problem := trials.problem(number, fate):
                    problems += 1
                    fault = {"operation": operation, "path": path, "fate": fate}
                    print(json.dumps({**fault, "problem": problem}), file=lines)
            kinds = Counter(operation for operation, _ in operations)
            print(json.dumps({"operations": kinds, "tried": len(faults), "problems": problems}), file=lines)
    finally:
        trials.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
