"""Measure the conventions of the ten networks with `edge-crnn spec` on 50 labelled images, then convert them.

The command line names no convention. Train the networks first with `benchmarks.conventions.train`.

    python -m benchmarks.conventions.spec_and_convert FOLDER
    python -m benchmarks.conventions.spec_and_convert FOLDER --networks dense --results results.json
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edge_crnn.files import write_atomically
from edge_crnn.model.spec import InputSpec, ModelSpec

from .table import NETWORKS, Network

_DIMENSIONS = (
    "pixels", "invert", "orientation", "colour", "resize", "padding", "interpolation", "rounding", "odd pixel", "blank",
    "skipped steps",
)  # fmt: skip
"""The first words of the lines in the table of `spec`."""
Status = Literal["right", "right, unsure", "unsure", "wrong"]
"""The result of a dimension. `unsure` means that another choice was written, with the warning that the images do not
settle it; `right, unsure` that the true choice was written, with the same warning."""

_SECONDS = 60
"""The most seconds that `spec` may take."""


@dataclass(frozen=True)
class Outcome:
    """The results of the two commands for a network."""

    name: str
    dimensions: Mapping[str, Status]
    spec_seconds: float
    convert_seconds: float
    verdict: str
    """The verdict of the artifact, or the error."""

    @property
    def good(self) -> bool:
        """True if no dimension is wrong, the artifact passes, and `spec` was quick enough."""
        return "wrong" not in self.dimensions.values() and self.verdict == "pass" and self.spec_seconds < _SECONDS

    @property
    def row(self) -> str:
        """The line of the table."""
        right = sum(status == "right" for status in self.dimensions.values())
        named = [f"{dimension}: {status}" for dimension, status in self.dimensions.items() if status != "right"]
        return (
            f"| {self.name} | {right} of {len(self.dimensions)} | {'; '.join(named)} | {self.spec_seconds:.0f} s"
            f" | {self.convert_seconds:.0f} s | {self.verdict} |"
        )


HEAD = "| network | right | otherwise | `spec` | `convert` | verdict |\n|---|---|---|---|---|---|"


def measure(name: str, folder: Path) -> Outcome:
    """Run `spec` and `convert` on a network's folder without changing it."""
    [trained] = folder.glob("model.*")
    with tempfile.TemporaryDirectory() as work:
        model, artifact = Path(work) / f"{name}{trained.suffix}", Path(work) / f"{name}.tflite"
        shutil.copy(trained, model)
        output, spec_seconds = _run("spec", model, "--labelled", folder / "labels50")
        written = Path(f"{model}.json")
        if not written.exists():
            return Outcome(name, {}, spec_seconds, 0.0, f"no spec: {output.strip().splitlines()[-1]}")
        spec = ModelSpec.from_json(written.read_bytes(), name)
        judged = compare(spec, NETWORKS[name], doubts(output))
        output, convert_seconds = _run(
            "convert", model, "--labelled", folder / "verify", "--calibration", folder / "calibration", "-o", artifact
        )
        return Outcome(name, judged, spec_seconds, convert_seconds, verdict(artifact.name, output))


def _run(command: str, *arguments: str | Path) -> tuple[str, float]:
    """Run a command; return its output and the seconds that it took."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "edge_crnn", command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout, flush=True)
    return done.stdout, time.monotonic() - begun


def verdict(artifact: str, output: str) -> str:
    """Return the verdict of `convert` on an artifact or, without one, the last line of its output."""
    match = re.search(rf"^{re.escape(artifact)}: (pass|fail|underpowered|unverified):", output, re.MULTILINE)
    return match[1] if match else output.strip().splitlines()[-1]


def doubts(output: str) -> set[str]:
    """Return the dimensions that `spec` reports as unsure."""
    unsure, dimension = set(), ""
    for line in output.splitlines():
        dimension = next((name for name in _DIMENSIONS if line.startswith(f"{name} ")), dimension)
        if dimension and "unsure: " in line:
            unsure.add(dimension)
    return unsure


def compare(spec: ModelSpec, network: Network, unsure: set[str]) -> dict[str, Status]:
    """Compare the dimensions of a spec with the truth, except those that other choices make irrelevant."""
    written, true = (_dimensions(image) for image in (spec.input, network.input))
    written |= {"blank": spec.blank, "skipped steps": spec.skip_steps, "alphabet": (spec.symbols, spec.unused)}
    true |= {
        "blank": network.blank,
        "skipped steps": network.skip_steps,
        "alphabet": (tuple(network.style.alphabet), network.unused),
    }
    return {name: _status(_same(written.get(name), value), name in unsure) for name, value in true.items()}


def _status(same: bool, unsure: bool) -> Status:
    if same:
        return "right, unsure" if unsure else "right"
    return "unsure" if unsure else "wrong"


def _same(written: object, true: object) -> bool:
    if isinstance(written, np.ndarray) and isinstance(true, np.ndarray):
        return np.allclose(written, true, rtol=0.02, atol=0.01)
    return written == true


def _dimensions(image: InputSpec) -> dict[str, object]:
    """Return a preparation by the dimensions that `spec` measures."""
    values: dict[str, object] = {
        "pixels": _levels(image),
        "invert": image.invert,
        "orientation": (image.axes, image.rotate, image.width, image.height),
        "colour": image.colour,
        "resize": (image.resize, *_place(image)),
    }
    if image.resize != "stretch":
        values["padding"] = image.padding
    if image.resize != "paste":
        values["interpolation"] = image.interpolation
    if image.resize in ("fit", "height"):
        values["rounding"] = image.rounding
    if image.resize != "stretch" and "centre" in _place(image):
        values["odd pixel"] = image.odd_pixel
    return values


def _place(image: InputSpec) -> tuple[str, ...]:
    if image.resize == "stretch":
        return ()
    return (image.align,) if image.resize == "height" else (image.align, image.align_vertical)


def _levels(image: InputSpec) -> np.ndarray:
    """Return the values of black and white in each channel; of a standardised image, those of mean and deviation."""
    ends = np.array([0.0, 1.0 if image.standardise else 255.0])
    scale, offset = (np.broadcast_to(np.asarray(value, float), 3) for value in (image.scale, image.offset))
    return np.append(ends[:, None] * scale + offset, [[float(image.standardise)] * 3], axis=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the networks and print the table; return 0 if all of them are good, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder in which the networks were trained")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--results", type=Path, metavar="FILE", help="write the numbers as JSON")
    args = parser.parse_args(arguments)
    outcomes = [measure(name, args.folder / name) for name in args.networks]
    print(HEAD, *(outcome.row for outcome in outcomes), sep="\n")
    if args.results is not None:
        rows = [dataclasses.asdict(outcome) for outcome in outcomes]
        write_atomically(args.results, f"{json.dumps(rows, indent=1)}\n".encode())
    return 0 if all(outcome.good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
