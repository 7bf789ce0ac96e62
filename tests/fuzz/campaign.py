"""Runs a target on many inputs in a process that may crash, hang or take too much memory.

    python -m tests.fuzz.campaign TARGET SEEDS FIRST CASES SECONDS PROGRESS

is that process. It uses cases FIRST, FIRST + 1, … and writes the number of each to PROGRESS before it begins with it.
The input of a case depends on its number alone, so that a fault can be seen again.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIMIT_S = 10
"""Seconds that one case may take."""
LIMIT_BYTES = 1 << 30
"""Memory that may be in use beyond what the process has at the start."""
MOST_FAULTS = 20
"""Number of faults after which a campaign ends."""


@dataclass
class Counts:
    """The results of a campaign."""

    cases: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Number of cases by class of the error."""
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.cases:,} cases, {self.accepted:,} accepted, refused {dict(self.refused)}, {len(self.faults)} faults"
        )


def run(target: str, seeds: Path, cases: int, seconds: float) -> Counts:
    """Run a campaign until all cases are done or the time is over.

    Args:
        target: a key of `TARGETS`.
        seeds: folder of sound files to begin with.
        cases: number of cases.
        seconds: longest time.
    """
    counts = Counts()
    ends_at = time.monotonic() + seconds
    first = 0
    with tempfile.TemporaryDirectory() as folder:
        progress = Path(folder, "progress")
        while first < cases and time.monotonic() < ends_at and len(counts.faults) < MOST_FAULTS:
            left = max(ends_at - time.monotonic(), 0.1)
            arguments = (target, seeds, first, cases - first, left, progress)
            command = [sys.executable, "-m", "tests.fuzz.campaign", *map(str, arguments)]
            progress.write_text(str(first), encoding="ascii")
            ended = subprocess.run(command, capture_output=True, check=False)
            lines = [json.loads(line) for line in ended.stdout.splitlines()]
            last = int(progress.read_text(encoding="ascii") or first)
            for line in lines:
                if "fault" in line:
                    counts.faults.append(line["fault"])
                else:
                    counts.accepted += line["accepted"]
                    counts.refused.update(line["refused"])
            if ended.returncode == 0:
                counts.cases += lines[-1]["cases"]
                return counts
            words = ended.stderr.decode(errors="replace")[-2000:]
            counts.faults.append(f"case {last}: {target} ended the process with {ended.returncode}: {words}")
            counts.cases += last - first + 1
            first = last + 1
    return counts


@contextmanager
def _limits() -> Iterator[None]:
    """End the process if a case takes too long, and refuse memory beyond the limit."""
    in_use = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + LIMIT_BYTES, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process even within a library
    try:
        yield
    finally:
        signal.alarm(0)


def main(name: str, seeds: str, first: int, cases: int, seconds: float, progress: str) -> None:
    """Use the cases of a target in this process."""
    from tests.fuzz.targets import EXPECTED, TARGETS

    accepted = 0
    refused: Counter[str] = Counter()
    begun = time.monotonic()
    file = os.open(progress, os.O_WRONLY)
    done = 0
    faults = 0
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as scratch:
        target = TARGETS[name](Path(seeds), Path(scratch))
        with _limits():
            for number in range(first, first + cases):
                if time.monotonic() - begun > seconds or faults >= MOST_FAULTS:
                    break
                os.pwrite(file, str(number).encode(), 0)
                signal.alarm(LIMIT_S)
                with warnings.catch_warnings(action="ignore"):
                    drawn: Any = target.draw(random.Random(number))
                try:
                    target.use(drawn)
                    accepted += 1
                except EXPECTED as error:
                    refused[type(error).__name__] += 1
                except Exception:
                    faults += 1
                    fault = f"case {number} of {name}: {drawn!r:.300}\n{traceback.format_exc()[-3000:]}"
                    _report({"fault": fault})
                done += 1
    _report({"accepted": accepted, "refused": refused, "cases": done})


def _report(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), sys.argv[6])
