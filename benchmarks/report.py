"""`python -m benchmarks.report -o FOLDER`: report on both models and all their artifacts, on one page.

For each model it renders fresh images, makes every artifact that this machine can make, compares all of them with
Keras, and measures the time of reading. It prints each step as a command that you can also type. It writes the
artifacts, the results as JSON, `report.html`, and `report.md` for a pull request to FOLDER.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_crnn.errors import EdgeCrnnError
from edge_crnn.files import require_place

from .artifacts import make_and_tell
from .models import FULL, MODELS, SMALL, Model

_MISSED = 3
"""The exit status of `edge-crnn verify` where an artifact misses the gate; the page then shows how."""


def main(words: Sequence[str] | None = None) -> int:
    """Write the report. Return 0, 1 if a step fails, or 3 if an artifact misses the gate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/report"), metavar="FOLDER")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument(
        "--full", action="store_true", help="measure for hours instead of minutes, with enough images to pass the gate"
    )
    parser.add_argument("-n", type=int, help=f"fresh images of each preset (default: {SMALL}; with --full {FULL:,})")
    parser.add_argument("--rounds", type=int, help="rounds of each artifact (default: 3; with --full 10)")
    parser.add_argument("--per-round", type=int, help="images a round (default: 30; with --full 100)")
    args = parser.parse_args(words)
    n, rounds, per_round = (
        number or (full if args.full else small)
        for number, small, full in ((args.n, SMALL, FULL), (args.rounds, 3, 10), (args.per_round, 30, 100))
    )
    folder: Path = args.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
        require_place(folder / "report.html")
    except (OSError, EdgeCrnnError) as error:
        print(f"{folder}: cannot be written ({error}); name another folder", file=sys.stderr)
        return 1
    missed = False
    notes: list[str] = []
    for name in args.models:
        try:
            statuses = list(_measure(MODELS[name], folder, n, rounds, per_round, notes))
        except EdgeCrnnError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        missed |= _MISSED in statuses
    results = [str(folder / f"{name}-{command}.json") for name in args.models for command in ("verify", "bench")]
    written = "-o", str(folder / "report.html"), "--markdown", str(folder / "report.md")
    remarks = [word for note in dict.fromkeys(notes) for word in ("--note", note)]
    _run(["edge-crnn", "report", *results, *written, *remarks])
    return _MISSED if missed else 0


def _measure(model: Model, folder: Path, n: int, rounds: int, per_round: int, notes: list[str]) -> Iterator[int]:
    """Run the commands for a model, and yield their statuses. Artifacts that are absent are added to `notes`."""
    images = folder / "images"
    shutil.rmtree(images / model.name, ignore_errors=True)  # from an earlier run
    for words in model.synth(images, n):
        yield _run(["edge-crnn", *words])
    to = str(model.path), "--calibration", str(model.calibration), "-o", str(folder)
    _say(["python", "-m", "benchmarks.artifacts", *to])
    conversions, absent = make_and_tell(model.path, model.calibration, folder)
    notes += [f"Absent: {name} ({reason})." for name, reason in absent.items()]
    artifacts = [str(artifact.path) for artifact in conversions.values()]
    kinds = [
        word for preset in model.fresh(images) for kind in model.kinds for word in ("--labelled", str(preset / kind))
    ]
    about = "--images-are", model.images_are, "--results", str(folder / f"{model.name}-verify.json")
    yield _run(["edge-crnn", "verify", str(model.path), *artifacts, *kinds, *about])
    timed = "--images", str(model.samples), "--rounds", str(rounds), "--per-round", str(per_round)
    yield _run(["edge-crnn", "bench", *artifacts, *timed, "-o", str(folder / f"{model.name}-bench.json")])


def _run(command: Sequence[str]) -> int:
    """Run `edge-crnn` in a process of its own, without TensorFlow, as on a device.

    Raises:
        EdgeCrnnError: it failed; stderr has the reason.
    """
    _say(command)
    status = subprocess.run([sys.executable, "-m", "edge_crnn", *command[1:]], check=False).returncode
    if status not in (0, _MISSED):
        raise EdgeCrnnError(f"edge-crnn {command[1]} ended with {status}; see above")
    return status


def _say(command: Sequence[str]) -> None:
    print(f"$ {shlex.join(command)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
