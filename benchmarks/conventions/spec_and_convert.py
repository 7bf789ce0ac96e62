"""What `edge-crnn spec` finds out about the ten networks from 50 labelled images, and whether `convert` then passes.

No convention is named on the command line. Train the networks first: `benchmarks.conventions.train`.

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
"""Words with which `spec` begins the lines of its table."""
Status = Literal["right", "right, unsure", "unsure", "wrong"]
"""unsure: another choice was written, and the command says that the images do not tell. right, unsure: the true
choice was written, and the command says so all the same."""

_SECONDS = 60
"""Most that `spec` may take."""


@dataclass(frozen=True)
class Outcome:
    """What the two commands made of a network."""

    name: str
    dimensions: Mapping[str, Status]
    spec_seconds: float
    convert_seconds: float
    verdict: str
    """Verdict of the artifact, or what went wrong."""

    @property
    def good(self) -> bool:
        """Whether nothing is wrong, the artifact passes, and `spec` was quick enough."""
        return "wrong" not in self.dimensions.values() and self.verdict == "pass" and self.spec_seconds < _SECONDS

    @property
    def row(self) -> str:
        """One line of the table."""
        right = sum(status == "right" for status in self.dimensions.values())
        named = [f"{dimension}: {status}" for dimension, status in self.dimensions.items() if status != "right"]
        return (
            f"| {self.name} | {right} of {len(self.dimensions)} | {'; '.join(named)} | {self.spec_seconds:.0f} s"
            f" | {self.convert_seconds:.0f} s | {self.verdict} |"
        )


HEAD = "| network | right | otherwise | `spec` | `convert` | verdict |\n|---|---|---|---|---|---|"


def measure(name: str, folder: Path) -> Outcome:
    """Run `spec` and `convert` on a network's folder, which stays as it is."""
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
    """What the command says, and the seconds that it takes."""
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
    """What `convert` says of the artifact of that name; where it does not, its last line."""
    match = re.search(rf"^{re.escape(artifact)}: (pass|fail|underpowered|unverified):", output, re.MULTILINE)
    return match[1] if match else output.strip().splitlines()[-1]


def doubts(output: str) -> set[str]:
    """The dimensions of which `spec` says that the images do not tell."""
    unsure, dimension = set(), ""
    for line in output.splitlines():
        dimension = next((name for name in _DIMENSIONS if line.startswith(f"{name} ")), dimension)
        if dimension and "unsure: " in line:
            unsure.add(dimension)
    return unsure


def compare(spec: ModelSpec, network: Network, unsure: set[str]) -> dict[str, Status]:
    """How each dimension of a spec stands to the truth; what does not matter beside other choices is left out."""
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
    """What a preparation comes to, in the dimensions in which `spec` measures it."""
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
    """What black and white come to in each channel; of a standardised image, what its mean and deviation do."""
    ends = np.array([0.0, 1.0 if image.standardise else 255.0])
    scale, offset = (np.broadcast_to(np.asarray(value, float), 3) for value in (image.scale, image.offset))
    return np.append(ends[:, None] * scale + offset, [[float(image.standardise)] * 3], axis=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for, print the table, and tell by the exit status whether everything is good."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the networks were trained")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--results", type=Path, metavar="FILE", help="where the numbers go, as JSON")
    args = parser.parse_args(arguments)
    outcomes = [measure(name, args.folder / name) for name in args.networks]
    print(HEAD, *(outcome.row for outcome in outcomes), sep="\n")
    if args.results is not None:
        rows = [dataclasses.asdict(outcome) for outcome in outcomes]
        write_atomically(args.results, f"{json.dumps(rows, indent=1)}\n".encode())
    return 0 if all(outcome.good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
