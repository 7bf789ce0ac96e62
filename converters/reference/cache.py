"""Caches the output of trained models between runs, because running them takes longer than everything else.

An entry is one `.npz` in `edge_crnn.files.cache_folder("readings")`. Its name is the hash of all that the numbers
depend on: the model's files and what the user has declared of them, the images, how an image becomes a tensor, the
versions of the frameworks, and the code of edge-crnn itself. So a stale entry is never asked for. A damaged one counts
as absent. The entries that were used last are kept, up to 1 GiB.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
import platform
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import edge_crnn
from edge_crnn.backends import Probabilities
from edge_crnn.files import cache_folder, write_atomically
from edge_crnn.model.spec import InputSpec
from edge_crnn.progress import note

from ..trained.keras.model import Network
from ..trained.keras.weights import Structure

_KIND = "readings"
_MOST_BYTES = 1 << 30
_PACKAGES = ("numpy", "tensorflow", "keras", "tf-keras", "opencv-python", "opencv-python-headless")
_SETTINGS = ("CUDA_VISIBLE_DEVICES", "NVIDIA_TF32_OVERRIDE", "TF_ENABLE_ONEDNN_OPTS")
"""Environment variables that change what TensorFlow computes."""


def key(
    path: Path,
    network: Network,
    structure: Structure | None,
    lambdas: Mapping[str, str],
    image: InputSpec,
    images: Sequence[str],
) -> str:
    """Compute the name of an entry.

    Args:
        path: path of the model; for a checkpoint, of its index.
        network: the network of the file, with the user's declarations.
        structure: the structure that a weights-only file lacks.
        lambdas: meanings of Lambdas in the spec.
        image: how an image becomes a tensor.
        images: SHA-256 of each image.
    """
    digest = hashlib.sha256()
    files = [path, *sorted(path.parent.glob(f"{path.stem}.data-*"))] if path.suffix == ".index" else [path]
    config = getattr(structure, "config", None)  # which its repr leaves out
    model = _hashes(files), network, repr(structure), config, lambdas
    for part in (*model, image, images, _surroundings(), _code()):
        _feed(digest, part)
    return digest.hexdigest()


def find(name: str, shape: tuple[int, ...]) -> Probabilities | None:
    """Read the probabilities of an entry; None if there is none of this shape (N, steps, classes)."""
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        path = _path(name)
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as entry:
            probabilities = entry["probabilities"]
        if probabilities.shape == shape and probabilities.dtype == np.float32:
            with contextlib.suppress(OSError):  # a cache that can only be read has no order of use
                os.utime(path)
            return np.asarray(probabilities)
    return None


def keep(name: str, probabilities: Probabilities) -> None:
    """Write an entry, and delete the least recently used entries if the cache becomes too large."""
    data = io.BytesIO()
    np.savez(data, probabilities=probabilities)
    if len(data.getbuffer()) > _MOST_BYTES:
        return
    try:
        path = _path(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, data.getvalue())
        _forget_oldest(path.parent)
    except OSError as error:  # which includes OutputError
        note(f"the trained model's readings are not kept for the next run ({error})")


def _path(name: str) -> Path:
    return cache_folder(_KIND) / f"{name}.npz"


def _forget_oldest(folder: Path) -> None:
    entries = []
    for path in folder.glob("*.npz"):
        with contextlib.suppress(OSError):  # another process may delete them, too
            facts = path.stat()
            entries.append((facts.st_mtime, facts.st_size, path))
    total = 0
    for _, size, path in sorted(entries, reverse=True):
        total += size
        if total > _MOST_BYTES:
            with contextlib.suppress(OSError):
                path.unlink()


def _surroundings() -> dict[str, str]:
    """Return the versions and settings that the output depends on."""
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    settings = {name: os.environ[name] for name in _SETTINGS if name in os.environ}
    return {"machine": platform.machine(), **versions, **settings}


@cache
def _code() -> list[str]:
    """Hash the project's own code, so that no version has to be raised by hand."""
    roots = (Path(edge_crnn.__file__).parent, Path(__file__).parents[1])
    return _hashes(sorted(path for root in roots for path in root.rglob("*.py")))


def _hashes(paths: Iterable[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def _feed(digest: Any, value: object) -> None:
    """Hash a value, its type and length before its parts, so that no two values look alike."""
    digest.update(f"{type(value).__qualname__} ".encode())
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype.str}{value.shape} ".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            digest.update(f"{field.name} ".encode())
            _feed(digest, getattr(value, field.name))
    elif isinstance(value, Mapping):
        digest.update(f"{len(value)} ".encode())
        for name in sorted(value, key=repr):
            _feed(digest, name)
            _feed(digest, value[name])
    elif isinstance(value, list | tuple):
        digest.update(f"{len(value)} ".encode())
        for part in value:
            _feed(digest, part)
    else:
        text = repr(value).encode()
        digest.update(f"{len(text)} ".encode() + text)
