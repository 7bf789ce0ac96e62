"""The files for a machine with a GPU: for each model the artifact, images, the texts that Keras reads, and the weights.

`texts` writes a folder per model on a workstation; `check` and its PyTorch peer, which have neither Keras nor fonts,
read it. NumPy only.
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
"""Version of the folder's form. 1: the first. 2: nodes name their inputs."""

_ONNX, _NETWORK, _IMAGES, _ABOUT = "model.onnx", "network.npz", "images.npz", "about.json"
_LAYERS = "layers"
INPUT = "input"
"""Name of the network's input."""


@dataclass(frozen=True)
class About(ImageSet):
    """The content of a set's `about.json`."""

    version: int = VERSION


@dataclass(frozen=True)
class GpuSet:
    """The images of a model, with its artifact and Keras' readings."""

    name: str
    artifact: Artifact
    """Artifact in float16 that takes pixels."""
    about: About
    pixels: Pixels
    """(N, H, W, C) uint8: the images as the artifact takes them."""
    labels: tuple[str, ...]
    """Labels that Keras reads in the images."""
    pictures: tuple[Pixels, ...]
    """First images as they were rendered, (h, w, 3) uint8 BGR of any size."""


@dataclass(frozen=True)
class Layer:
    """A node of the network: its class in `converters.graph.nodes`, its settings and its arrays by name."""

    kind: str
    settings: Mapping[str, Any]
    weights: Mapping[str, npt.NDArray[Any]]

    @property
    def name(self) -> str:
        """Name of the output, by which other nodes refer to it."""
        return str(self.settings.get("name", INPUT))


def spell(probabilities: npt.ArrayLike, spec: ModelSpec) -> list[str]:
    """Decode the label of each image from probabilities (N, T, C), by best path."""
    alphabet = spec.alphabet  # a property that builds the alphabet at every access
    return [alphabet.spell(path.indices) for path in best_path(probabilities, spec.blank, spec.skip_steps)]


def write(
    folder: Path,
    artifact: Artifact,
    layers: Sequence[Layer],
    about: About,
    pixels: Pixels,
    labels: Sequence[str],
    pictures: Sequence[Pixels],
) -> None:
    """Write a set into a folder that exists; `about.json`, which marks it as complete, comes last.

    Raises:
        OutputError: a file cannot be written.
    """
    arrays = {f"{index}/{name}": array for index, layer in enumerate(layers) for name, array in layer.weights.items()}
    described = json.dumps([{"kind": layer.kind, "settings": dict(layer.settings)} for layer in layers])
    files = {
        _NETWORK: _packed({_LAYERS: np.array(described), **arrays}),
        _IMAGES: _packed(
            {
                "pixels": pixels,
                "labels": np.array(labels),
                "sizes": np.array([picture.shape[:2] for picture in pictures]).reshape(-1, 2),
                "pictures": np.concatenate([np.zeros(0, np.uint8), *(picture.ravel() for picture in pictures)]),
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
    """Read the set in a folder.

    Raises:
        DatasetError: there is no set, or it is damaged or of another version.
        ArtifactError, ModelSpecError: its artifact cannot be loaded.
    """
    about = _about(folder)
    images = _arrays(folder / _IMAGES, about)
    artifact = load(_checked(folder / _ONNX, about))
    pixels = images["pixels"]
    labels = tuple(map(str, images["labels"]))
    taken = artifact.spec.input
    if pixels.dtype != np.uint8 or taken.dtype != "uint8" or pixels.shape != (len(labels), *taken.shape):
        raise DatasetError(
            f"{folder}: found {len(labels)} labels and pixels {pixels.shape} of {pixels.dtype}, but the artifact takes"
            f" {taken.shape} of {taken.dtype}; prepare the set again"
        )
    ends = np.cumsum(images["sizes"].prod(axis=1) * 3)
    flat = np.split(images["pictures"], ends[:-1]) if len(ends) else []
    pictures = tuple(picture.reshape(*size, 3) for picture, size in zip(flat, images["sizes"], strict=True))
    return GpuSet(folder.name, artifact, about, pixels, labels, pictures)


def read_network(folder: Path) -> list[Layer]:
    """Read the network of a set, layer by layer.

    Raises:
        DatasetError: there is no set, or it is damaged or of another version.
    """
    arrays = _arrays(folder / _NETWORK, _about(folder))
    described = json.loads(str(arrays.pop(_LAYERS)))
    weights: list[dict[str, npt.NDArray[Any]]] = [{} for _ in described]
    for path, array in arrays.items():
        index, _, name = path.partition("/")
        weights[int(index)][name] = array
    pairs = zip(described, weights, strict=True)
    return [Layer(layer["kind"], layer["settings"], layer_weights) for layer, layer_weights in pairs]


def _about(folder: Path) -> About:
    try:
        about = About(**json.loads((folder / _ABOUT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DatasetError(
            f"{folder}: found no prepared set ({error}); prepare it with python -m benchmarks.gpu.texts"
        ) from error
    if about.version != VERSION:
        raise DatasetError(f"{folder}: found version {about.version}, expected {VERSION}; prepare the set again")
    return about


def _checked(path: Path, about: About) -> Path:
    try:
        digest = sha256(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); copy the set again") from error
    if digest != about.files.get(path.name):
        raise DatasetError(f"{path}: differs from the file that was prepared; copy the set again")
    return path


def _arrays(path: Path, about: About) -> dict[str, npt.NDArray[Any]]:
    intact = _checked(path, about)
    try:
        with np.load(intact, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path}: holds no arrays ({error}); copy the set again") from error


def _packed(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()
