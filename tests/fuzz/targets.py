"""What is fuzzed: how an input is drawn, and what must hold when it is used.

A target uses one input. It returns normally if the input was accepted, and raises an error of `edge_crnn.errors` if it
was refused. Whatever else it raises is a fault, and so is an AssertionError.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import random
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from edge_crnn import Reader, open_reader
from edge_crnn.alphabet import Alphabet
from edge_crnn.backends.fake import FakeBackend
from edge_crnn.ctc.grammar import Grammar
from edge_crnn.dataset import load_labelled
from edge_crnn.errors import EdgeCrnnError
from edge_crnn.images import read_pixels
from edge_crnn.model.artifact import load, sidecar
from edge_crnn.model.spec import ModelSpec
from tests.fuzz.mutations import TEXTS, mutated, mutated_json

Drawn = TypeVar("Drawn")

_M_PERTURB = -6


class Target(ABC, Generic[Drawn]):
    """Something that takes input from outside.

    Args:
        seeds: folder of sound files to begin with.
        scratch: empty folder to write to.
    """

    def __init__(self, seeds: Path, scratch: Path) -> None:
        self.seeds = seeds
        self.scratch = scratch

    @abstractmethod
    def draw(self, generator: random.Random) -> Drawn:
        """Draw an input."""

    @abstractmethod
    def use(self, drawn: Drawn) -> None:
        """Use an input; see the module."""


class Pictures(Target[bytes]):
    """Image files; the same bytes must always give the same pixels."""

    def __init__(self, seeds: Path, scratch: Path) -> None:
        super().__init__(seeds, scratch)
        self._files = [path.read_bytes() for path in sorted((seeds / "pictures").iterdir())]

    def draw(self, generator: random.Random) -> bytes:
        """Change an image file."""
        return mutated(generator.choice(self._files), self._files, generator)

    def use(self, drawn: bytes) -> None:
        """Decode it twice, with other bytes in the memory that the decoder gets."""
        with _new_memory_filled(0xA5):
            pixels = read_pixels(drawn)
        assert pixels.dtype == np.uint8
        assert pixels.ndim in (2, 3)
        with _new_memory_filled(0x5A):
            again = read_pixels(drawn)
        assert np.array_equal(again, pixels), "two readings of the same bytes differ"


@contextlib.contextmanager
def _new_memory_filled(byte: int) -> Iterator[None]:
    """Let the heap fill what it hands out with a byte, where the C library can; see M_PERTURB in mallopt(3)."""
    fill = getattr(ctypes.CDLL(None), "mallopt", lambda *_: None)
    fill(_M_PERTURB, byte)
    try:
        yield
    finally:
        fill(_M_PERTURB, 0)


class Arrays(Target[Any]):
    """Arrays of every dtype, shape and layout, and what is no array."""

    def __init__(self, seeds: Path, scratch: Path) -> None:
        super().__init__(seeds, scratch)
        self._reader = open_reader(str(seeds / "tiny.tflite"))

    def draw(self, generator: random.Random) -> Any:
        """Draw an array, or another object."""
        noise = np.random.default_rng(generator.randrange(2**32))
        dimensions = generator.choice((0, 1, 2, 3, 3, 4))
        shape = tuple(generator.choice((0, 1, 2, 3, 4, 5, 16, 33, 200)[: 9 - dimensions]) for _ in range(dimensions))
        dtype = generator.choice(
            ("u1", "u1", "u1", "u2", ">u2", "i1", "i4", "f2", "f4", "f8", "c8", "?", "O", "U3", "M8[s]")
        )
        array: Any = noise.integers(0, 256, shape)
        array = array.astype("m8[s]").astype("M8[s]") if dtype == "M8[s]" else array.astype(dtype)
        match generator.randrange(9):
            case 0 if array.ndim:
                return array[::-1]
            case 1:
                return np.asfortranarray(array)
            case 2:
                return np.broadcast_to(array, (3, *array.shape))
            case 3:
                return np.ma.masked_array(array, noise.random(array.shape) < 0.3)
            case 4 if array.ndim == 2:
                return np.asmatrix(array)
            case 5:
                return generator.choice((None, 3, [1, 2], array.tolist(), "", b"", object(), [array], (array, array)))
            case 6 if array.size:
                return np.lib.stride_tricks.as_strided(array, strides=(0,) * array.ndim)
            case _:
                return array

    def use(self, drawn: Any) -> None:
        """Read it."""
        self._reader.read(drawn)


class Artifacts(Target[tuple[str, bytes, bytes | None]]):
    """Converted models; one that loads must be as it was written."""

    def __init__(self, seeds: Path, scratch: Path) -> None:
        super().__init__(seeds, scratch)
        self._artifacts = [load(seeds / name) for name in ("tiny.tflite", "tiny.onnx", "tiny.engine")]

    def draw(self, generator: random.Random) -> tuple[str, bytes, bytes | None]:
        """Change a file, or the file of its spec beside it: suffix, content and content of the spec."""
        path = generator.choice(self._artifacts).path
        data = path.read_bytes()
        spec = sidecar(path).read_bytes() if sidecar(path).exists() else None
        if spec is not None and generator.random() < 0.7:
            return path.suffix, data, mutated(spec, [spec], generator)
        return path.suffix, mutated(data, [data], generator), spec

    def use(self, drawn: tuple[str, bytes, bytes | None]) -> None:
        """Load it."""
        suffix, data, spec = drawn
        path = self.scratch / f"tiny{suffix}"
        path.write_bytes(data)
        if spec is not None:
            sidecar(path).write_bytes(spec)
        loaded = load(path)
        original = next(artifact for artifact in self._artifacts if artifact.path.suffix == suffix)
        assert loaded.payload == original.payload, "an artifact with another network loads"
        assert loaded.spec == original.spec, "an artifact with another spec loads"


class Specs(Target[str]):
    """Specs; one that is accepted must be usable."""

    def __init__(self, seeds: Path, scratch: Path) -> None:
        super().__init__(seeds, scratch)
        self._texts = [path.read_text(encoding="utf-8") for path in sorted((seeds / "specs").iterdir())]

    def draw(self, generator: random.Random) -> str:
        """Change the values of a spec, seldom its bytes."""
        text = generator.choice(self._texts)
        if generator.random() < 0.1:
            return mutated(text.encode(), [text.encode()], generator).decode("utf-8", "surrogateescape")
        return mutated_json(text, generator)

    def use(self, drawn: str) -> None:
        """Load it, write it, and read an image by it."""
        spec = ModelSpec.from_json(drawn.encode("utf-8", "surrogatepass"))
        assert ModelSpec.from_json(spec.to_json()) == spec
        steps, classes = spec.output.steps, spec.output.classes
        if steps * classes > 1 << 20 or spec.input.width * spec.input.height > 1 << 22:
            return
        probabilities = np.full((1, steps, classes), 1 / classes, np.float32)
        with Reader(spec, lambda: FakeBackend(probabilities, spec.input.shape, spec.input.dtype)) as reader:
            reader.read(np.zeros((5, 9), np.uint8))


class ModelFiles(Target[tuple[str, bytes]]):
    """Trained models of Keras, without TensorFlow."""

    def __init__(self, seeds: Path, scratch: Path) -> None:
        super().__init__(seeds, scratch)
        self._files = [(path.suffix, path.read_bytes()) for path in sorted((seeds / "models").iterdir())]

    def draw(self, generator: random.Random) -> tuple[str, bytes]:
        """Change a file, or in a `.keras` file the configuration or the weights inside."""
        suffix, data = generator.choice(self._files)
        if suffix != ".keras" or generator.random() < 0.2:
            return suffix, mutated(data, [data], generator)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = generator.choice(["config.json", "config.json", *members])
        if name.endswith(".json") and generator.random() < 0.9:
            members[name] = mutated_json(members[name].decode(), generator).encode("utf-8", "surrogatepass")
        else:
            members[name] = mutated(members[name], [data], generator)
        changed = io.BytesIO()
        with zipfile.ZipFile(changed, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content)
        return suffix, changed.getvalue()

    def use(self, drawn: tuple[str, bytes]) -> None:
        """Read its facts and, if nothing stands in the way, its graph."""
        from converters.trained.facts import file_facts

        suffix, data = drawn
        path = self.scratch / f"model{suffix}"
        path.write_bytes(data)
        facts = file_facts(path)
        if facts.network is not None:
            facts.network.graph.folded()


class LabelFiles(Target[tuple[str, bytes]]):
    """Tables of labels, lexicons, grammars and alphabets."""

    NAMES = ("labels.csv", "labels.tsv", "labels.txt", "labels.json", "labels.jsonl", "words.txt")

    def __init__(self, seeds: Path, scratch: Path) -> None:
        super().__init__(seeds, scratch)
        self._files = [(path.name, path.read_bytes()) for path in sorted((seeds / "labels").iterdir())]
        for index in range(4):
            (scratch / f"{index}.png").write_bytes((seeds / "pictures" / "0.png").read_bytes())

    def draw(self, generator: random.Random) -> tuple[str, bytes]:
        """Change a table, or draw a text for a grammar or an alphabet."""
        name, data = generator.choice(self._files)
        match generator.randrange(8):
            case 0:
                return "grammar", "".join(generator.choices("ab12[]()^-|?*+{}\\d.,9", k=12)).encode()
            case 1:
                return "alphabet", generator.choice(TEXTS).encode("utf-8", "surrogatepass") + generator.randbytes(3)
            case 2:
                return generator.choice(self.NAMES), data
            case _:
                return name, mutated(data, [data], generator)

    def use(self, drawn: tuple[str, bytes]) -> None:
        """Load the labels of a folder, or make a grammar or an alphabet."""
        name, data = drawn
        if name == "grammar":
            Grammar.compile(data.decode(), Alphabet(tuple("0123456789ab"), 12))
            return
        if name == "alphabet":
            Alphabet(tuple(data.decode("utf-8", "surrogateescape")), 0)
            return
        for other in self.NAMES:
            (self.scratch / other).unlink(missing_ok=True)
        (self.scratch / name).write_bytes(data)
        load_labelled(self.scratch, Alphabet(tuple("0123456789"), 10))


TARGETS: dict[str, type[Target[Any]]] = {
    "pictures": Pictures,
    "arrays": Arrays,
    "artifacts": Artifacts,
    "specs": Specs,
    "models": ModelFiles,
    "labels": LabelFiles,
}
EXPECTED = EdgeCrnnError
