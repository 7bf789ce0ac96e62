"""Commands whose file operations fail in turn, and what must hold of their folder afterwards.

A scenario begins with a copy of a folder that `test_faults.py` prepares.
"""

from __future__ import annotations

import json
import os
import sys
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from edge_crnn.cli.main import main
from edge_crnn.model.artifact import load


class Scenario(ABC):
    """A command in a folder, which is the current folder."""

    exits_with_zero_only = False
    """Whether the command succeeds whatever happens, as a cache must."""

    def warm_up(self) -> None:  # noqa: B027
        """Import and compute what every trial needs, before the first fork."""

    @abstractmethod
    def run(self) -> int:
        """Run the command and return its exit status."""

    @abstractmethod
    def problem(self, complete: bool) -> str | None:
        """Say what is wrong with the folder, if anything is.

        Args:
            complete: whether the command reported success, so that its work must be done; otherwise the folder must be
                sound but may lack it.
        """


class Convert(Scenario):
    """`convert` over an older artifact, with the trained model's readings in the cache."""

    def warm_up(self) -> None:
        from converters.reference import cache

        cache._code()  # the key of cached readings hashes the code; it must not change under a long run

    def run(self) -> int:
        os.environ["EDGE_CRNN_CACHE"] = "cache"
        files = ("tiny.keras", "--images", "images", "-o", "tiny.tflite")
        return main(["convert", *files, "--recipe", "int8", "--gate-agreement", "0"])

    def problem(self, complete: bool) -> str | None:
        facts = load(Path("tiny.tflite")).spec.artifact
        recipe = None if facts is None else facts.recipe
        if recipe not in ("int8", "dynamic") or (complete and recipe != "int8"):
            return f"the artifact has the recipe {recipe}"
        return None


class Calibrate(Scenario):
    """`calibrate` in place."""

    def run(self) -> int:
        return main(["calibrate", "tiny.tflite", "--images", "labelled"])

    def problem(self, complete: bool) -> str | None:
        calibrated = load(Path("tiny.tflite")).spec.confidence is not None
        return "the artifact is not calibrated" if complete and not calibrated else None


class Serve(Scenario):
    """`serve-folder --once` after a run that was killed while it wrote a line."""

    def run(self) -> int:
        options = ("--once", "--interval", "0.02", "--workers", "1")
        return main(["serve-folder", "incoming", "--model", "tiny.tflite", *options])

    def problem(self, complete: bool) -> str | None:
        texts = json.loads(Path("texts.json").read_text(encoding="utf-8"))
        lines = Path("readings.jsonl").read_text(encoding="utf-8").split("\n")
        records = [json.loads(line) for line in lines[:-1]]  # the last line may be cut short
        names = [Path(record["image"]).name for record in records]
        if len(names) != len(set(names)):
            return f"read twice: {sorted(name for name in set(names) if names.count(name) > 1)}"
        wrong = [record for name, record in zip(names, records, strict=True) if record.get("label") != texts[name]]
        if wrong:
            return f"wrong lines: {wrong}"
        if complete and set(names) != set(texts):
            return f"lost: {sorted(set(texts) - set(names))}"
        return None


class Engines(Scenario):
    """The cache of TensorRT engines, with a fake TensorRT."""

    def warm_up(self) -> None:
        sys.path.insert(0, str(Path("site").resolve()))
        from edge_crnn.backends.tensorrt import cache  # noqa: F401

    def run(self) -> int:
        from edge_crnn.backends.tensorrt.cache import cached_engine
        from edge_crnn.errors import EdgeCrnnError

        os.environ["EDGE_CRNN_CACHE"] = "cache"
        try:
            engine = cached_engine(load(Path("tiny.onnx")))
        except EdgeCrnnError as error:
            sys.stderr.write(f"edge-crnn: {error}\n")
            return 1
        return 0 if engine.payload == b"plan" else 99

    def problem(self, complete: bool) -> str | None:
        engines = list(Path("cache/engines").glob("*.engine"))
        if complete and len(engines) != 1:
            return f"{len(engines)} engines in the cache"
        return None


class Readings(Scenario):
    """The cache of what trained models read."""

    exits_with_zero_only = True
    probabilities = np.arange(24, dtype=np.float32).reshape(2, 3, 4)

    def warm_up(self) -> None:
        from converters.reference import cache  # noqa: F401

    def run(self) -> int:
        from converters.reference import cache

        os.environ["EDGE_CRNN_CACHE"] = "cache"
        if cache.find("entry", self.probabilities.shape) is None:
            cache.keep("entry", self.probabilities)
        return 0

    def problem(self, complete: bool) -> str | None:
        from converters.reference import cache

        os.environ["EDGE_CRNN_CACHE"] = "cache"
        entry = cache.find("entry", self.probabilities.shape)
        if entry is not None and not np.array_equal(entry, self.probabilities):
            return "the entry has other numbers"
        return None


SCENARIOS = {
    "convert": Convert(),
    "calibrate": Calibrate(),
    "serve-folder": Serve(),
    "engines": Engines(),
    "readings": Readings(),
}
