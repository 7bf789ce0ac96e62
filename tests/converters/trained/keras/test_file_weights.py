"""Weights that are missing, in other files, or too large, refused with one line; all floating-point types are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.graph.nodes import Dense
from converters.trained.keras.model import load_graph
from tests.converters.trained.keras.test_file import (
    BIAS,
    KERNEL,
    archive,
    config,
    fill,
    hdf5,
    refused,
    whole_h5,
)

h5py = pytest.importorskip("h5py")


def external(file: Any, folder: Path) -> None:
    secret = folder / "secret.h5"
    with h5py.File(secret, "w") as other:
        other["kernel"] = KERNEL
    file["layers/dense/vars/1"] = BIAS
    file["layers/dense/vars/0"] = h5py.ExternalLink(str(secret), "kernel")


def external_group(file: Any, folder: Path) -> None:
    with h5py.File(folder / "secret.h5", "w") as other:
        fill(other)
    file["layers"] = h5py.ExternalLink(str(folder / "secret.h5"), "layers")


def external_storage(file: Any, folder: Path) -> None:
    (folder / "secret.bin").write_bytes(KERNEL.tobytes())
    place = [(str(folder / "secret.bin"), 0, KERNEL.nbytes)]
    file.create_dataset("layers/dense/vars/0", KERNEL.shape, "f4", external=place)
    file["layers/dense/vars/1"] = BIAS


def virtual(file: Any, folder: Path) -> None:
    with h5py.File(folder / "secret.h5", "w") as other:
        other["kernel"] = KERNEL
    layout = h5py.VirtualLayout(KERNEL.shape, "f4")
    layout[:] = h5py.VirtualSource(folder / "secret.h5", "kernel", KERNEL.shape)
    file.create_virtual_dataset("layers/dense/vars/0", layout)
    file["layers/dense/vars/1"] = BIAS


def dataset(**settings: Any) -> Callable[[Any, Path], None]:
    def build(file: Any, _: Path) -> None:
        file.create_dataset("layers/dense/vars/0", **settings)
        file["layers/dense/vars/1"] = BIAS

    return build


def soft(file: Any, _: Path) -> None:
    file["elsewhere"] = KERNEL
    file["layers/dense/vars/1"] = BIAS
    file["layers/dense/vars/0"] = h5py.SoftLink("/elsewhere")


WEIGHTS = {
    "nothing": (lambda file, _: None, "no array at 'layers/dense/vars/0'"),
    "one missing": (lambda file, _: file.create_dataset("layers/dense/vars/0", data=KERNEL), "no array at"),
    "a group": (lambda file, _: file.create_group("layers/dense/vars/0"), "no array at"),
    "wrong shape": (dataset(data=KERNEL.T), "shape (3, 4), its layer's settings imply (4, 3)"),
    "never written": (dataset(shape=(4, 3), dtype="f4"), "0 bytes"),
    "compressed": (dataset(data=KERNEL, compression="gzip"), "chunks or compressed"),
    "chunked": (dataset(data=KERNEL, chunks=(2, 3)), "chunks or compressed"),
    "objects": (dataset(data=np.full((4, 3), "x", object), dtype=h5py.string_dtype()), "type object"),
    "integers": (dataset(data=KERNEL.astype(int)), "type int64"),
    "NaN": (dataset(data=KERNEL * np.nan), "12 values that are not finite"),
    "too large for float32": (dataset(data=KERNEL.astype(float) * 1e300), "not finite"),
}


STRANGERS = {
    "10 TB": (dataset(shape=(10**12, 3), dtype="f4"), "claims 12,000,000,000,000 bytes in a file of"),
    "external link": (external, "ExternalLink"),
    "external group": (external_group, "ExternalLink"),
    "external storage": (external_storage, "lies in another file"),
    "virtual": (virtual, "other files"),
    "soft link": (soft, "SoftLink"),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_that_are_refused(tmp_path: Path, case: str) -> None:
    build, words = WEIGHTS[case]
    refused(archive(tmp_path / "model.keras", weights=hdf5(lambda file: build(file, tmp_path))), "layer 'head'", words)


@pytest.mark.parametrize("read", [True, False])
@pytest.mark.parametrize("case", STRANGERS)
def test_no_file_is_read_that_has_such_a_thing_anywhere(tmp_path: Path, case: str, read: bool) -> None:
    build, words = STRANGERS[case]

    def elsewhere(file: Any) -> None:
        fill(file)
        build(file.create_group("aside"), tmp_path)

    weights = hdf5((lambda file: build(file, tmp_path)) if read else elsewhere)
    refused(archive(tmp_path / "model.keras", weights=weights), words)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_any_floating_point_is_read_as_float32(tmp_path: Path, dtype: str) -> None:
    path = archive(
        tmp_path / "model.keras", weights=hdf5(lambda file: dataset(data=KERNEL.astype(dtype))(file, tmp_path))
    )
    head = load_graph(path).nodes[1]
    assert isinstance(head, Dense)
    assert head.kernel.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(head.kernel, KERNEL)


def test_sequential_of_before_keras_2_2_3(tmp_path: Path) -> None:
    layers = config()["config"]["layers"]
    layers[1]["config"]["batch_input_shape"] = [None, 6, 4, 1]
    graph = load_graph(whole_h5(tmp_path / "model.h5", {"class_name": "Sequential", "config": layers[1:]}))
    assert (graph.input_shape, graph.output_shape) == ((6, 4, 1), (6, 3))


def test_two_groups_of_one_name(tmp_path: Path) -> None:
    def build(file: Any) -> None:
        fill(file)
        file.create_group("layers/other/vars").attrs["name"] = "head"

    refused(archive(tmp_path / "model.keras", weights=hdf5(build)), "two groups")


def test_group_of_another_name(tmp_path: Path) -> None:
    def build(file: Any) -> None:
        fill(file)
        file["layers/dense/vars"].attrs["name"] = "tail"

    refused(archive(tmp_path / "model.keras", weights=hdf5(build)), "no weights for layer 'head'")


def test_weights_beyond_2_gb_are_refused_before_they_are_read(tmp_path: Path) -> None:
    changed = config()
    changed["config"]["layers"][2]["config"]["units"] = 1 << 24
    changed["config"]["layers"][1]["config"]["target_shape"] = [-1, 24]
    # 24 × 2^24 float32 are 1.6 GB, in a file of a few kilobytes.
    weights = hdf5(lambda file: dataset(shape=(24, 1 << 24), dtype="f4")(file, tmp_path))
    refused(archive(tmp_path / "model.keras", changed, weights), "claims 1,610,612,736 bytes in a file of")
