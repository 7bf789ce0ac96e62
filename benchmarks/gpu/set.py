"""What a GPU machine is given: for each model its artifact, images, what Keras reads in them, and its weights.

A folder per model, written on a workstation by `texts` and read by `check` and its PyTorch peer, which have
neither Keras nor fonts. NumPy only.
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_crnn.ctc import best_path
from edge_crnn.errors import DatasetError
from edge_crnn.files import sha256, write_atomically
from edge_crnn.images import Pixels
from edge_crnn.model.artifact import Artifact, load, save
from edge_crnn.model.spec import ModelSpec
from edge_crnn.records.gpu import ImageSet

VERSION = 2
"""Version of the folder's form. 1: the first. 2: nodes say what they take."""

_ONNX, _NETWORK, _IMAGES, _ABOUT = "model.onnx", "network.npz", "images.npz", "about.json"
_LAYERS = "layers"
INPUT = "input"
"""The value that the network starts from."""


@dataclass(frozen=True)
class About(ImageSet):
    """What `about.json` of a set holds."""

    version: int = VERSION


@dataclass(frozen=True)
class GpuSet:
    """One model's."""

    name: str
    artifact: Artifact
    """Float16, takes pixels."""
    about: About
    pixels: Pixels
    """(N, H, W, C) uint8: the images as the artifact takes them."""
    labels: tuple[str, ...]
    """What Keras reads in each."""
    pictures: tuple[Pixels, ...]
    """The first of the images as they were drawn, (h, w, 3) uint8 BGR of any size."""


@dataclass(frozen=True)
class Layer:
    """A node of the network: its class in `converters.graph.nodes`, its settings and its arrays by name."""

    kind: str
    settings: Mapping[str, Any]
    weights: Mapping[str, npt.NDArray[Any]]

    @property
    def name(self) -> str:
        """That of its value, which others take by it."""
        return str(self.settings.get("name", INPUT))


def spell(probabilities: npt.ArrayLike, spec: ModelSpec) -> list[str]:
    """The label that each row of (N, T, C) spells, by best path."""
    alphabet = spec.alphabet  # made anew at each access
    return [alphabet.spell(each.indices) for each in best_path(probabilities, spec.blank, spec.skip_steps)]


def write(
    folder: Path,
    artifact: Artifact,
    layers: Sequence[Layer],
    about: About,
    pixels: Pixels,
    labels: Sequence[str],
    pictures: Sequence[Pixels],
) -> None:
    """Write a set into a folder that exists; what says that it is whole comes last.

    Raises:
        OutputError: it cannot be written.
    """
    arrays = {f"{index}/{name}": each for index, layer in enumerate(layers) for name, each in layer.weights.items()}
    described = json.dumps([{"kind": each.kind, "settings": dict(each.settings)} for each in layers])
    files = {
        _NETWORK: _packed({_LAYERS: np.array(described), **arrays}),
        _IMAGES: _packed(
            {
                "pixels": pixels,
                "labels": np.array(labels),
                "sizes": np.array([each.shape[:2] for each in pictures]).reshape(-1, 2),
                "pictures": np.concatenate([np.zeros(0, np.uint8), *(each.ravel() for each in pictures)]),
            }
        ),
    }
    (folder / _ABOUT).unlink(missing_ok=True)
    save(folder / _ONNX, artifact.payload, artifact.spec)
    for name, data in files.items():
        write_atomically(folder / name, data)
    about = dataclasses.replace(about, files={name: sha256((folder / name).read_bytes()) for name in (_ONNX, *files)})
    text = json.dumps(dataclasses.asdict(about), ensure_ascii=False, indent=1) + "\n"
    write_atomically(folder / _ABOUT, text.encode())


def read(folder: Path) -> GpuSet:
    """A set, by its folder.

    Raises:
        DatasetError: there is none, or it is damaged or of another version.
        ArtifactError, ModelSpecError: its artifact will not do.
    """
    about = _about(folder)
    images = _arrays(folder / _IMAGES, about)
    artifact = load(_checked(folder / _ONNX, about))
    pixels, labels = images["pixels"], tuple(map(str, images["labels"]))
    taken = artifact.spec.input
    if pixels.dtype != np.uint8 or taken.dtype != "uint8" or pixels.shape != (len(labels), *taken.shape):
        raise DatasetError(
            f"{folder}: {len(labels)} labels and pixels {pixels.shape} of {pixels.dtype}, the artifact takes"
            f" {taken.shape} of {taken.dtype}; prepare it again"
        )
    ends = np.cumsum(images["sizes"].prod(axis=1) * 3)
    flat = np.split(images["pictures"], ends[:-1]) if len(ends) else []
    pictures = tuple(each.reshape(*size, 3) for each, size in zip(flat, images["sizes"], strict=True))
    return GpuSet(folder.name, artifact, about, pixels, labels, pictures)


def read_network(folder: Path) -> list[Layer]:
    """The network of a set, layer by layer.

    Raises:
        DatasetError: there is none, or it is damaged or of another version.
    """
    arrays = _arrays(folder / _NETWORK, _about(folder))
    described = json.loads(str(arrays.pop(_LAYERS)))
    weights: list[dict[str, npt.NDArray[Any]]] = [{} for _ in described]
    for path, array in arrays.items():
        index, _, name = path.partition("/")
        weights[int(index)][name] = array
    return [Layer(each["kind"], each["settings"], own) for each, own in zip(described, weights, strict=True)]


def _about(folder: Path) -> About:
    try:
        about = About(**json.loads((folder / _ABOUT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DatasetError(
            f"{folder}: no prepared set ({error}); make it with python -m benchmarks.gpu.texts"
        ) from error
    if about.version != VERSION:
        raise DatasetError(f"{folder}: form {about.version}, expected {VERSION}; prepare it again")
    return about


def _checked(path: Path, about: About) -> Path:
    try:
        found = sha256(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); copy the set again") from error
    if found != about.files.get(path.name):
        raise DatasetError(f"{path}: not the file that was prepared; copy the set again")
    return path


def _arrays(path: Path, about: About) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(_checked(path, about), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (ValueError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path}: no arrays ({error}); copy the set again") from error


def _packed(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()
