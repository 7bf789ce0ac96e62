"""The state of a run on disk: every variable of the model and its optimiser, the log so far, and the plan.

A NumPy archive without pickled objects; its member `json` holds everything that is not an array.
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, ModelFileError
from ..files import write_atomically
from .history import Row

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_VERSION = 1


def save_state(path: Path, plan: DataclassInstance, rows: Sequence[Row], variables: Sequence[Any]) -> None:
    """Write the state after the epoch of the last row.

    Args:
        path: the file.
        plan: all settings of the run, in values that JSON has.
        rows: the figures of the epochs.
        variables: Keras variables.

    Raises:
        OutputError: it cannot be written; an older state stays.
    """
    from keras import ops

    about = {"version": _VERSION, "plan": _plain(plan), "rows": [dataclasses.asdict(row) for row in rows]}
    buffer = io.BytesIO()
    arrays = {str(index): ops.convert_to_numpy(variable) for index, variable in enumerate(variables)}
    np.savez(buffer, json=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
    write_atomically(path, buffer.getvalue())


def load_state(path: Path, plan: DataclassInstance, variables: Sequence[Any]) -> list[Row]:
    """Restore the variables, and return the log so far.

    Raises:
        InputError: the state belongs to another plan.
        ModelFileError: it cannot be read, or has other variables.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            about = json.loads(archive["json"].tobytes())
            arrays = [archive[str(index)] for index in range(len(archive.files) - 1)]
        planned = _flat(about["plan"])
        rows = [Row(**row) for row in about["rows"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ModelFileError(f"{path}: not the state of a run ({error}); remove the file to start again") from error
    expected = _flat(_plain(plan))
    if different := sorted(key for key in {*planned, *expected} if planned.get(key) != expected.get(key)):
        key = different[0]
        raise InputError(
            f"{path}: the run in this folder has {key} {planned.get(key)!r}, but this run has {expected.get(key)!r};"
            " resume with the same options, or remove the file to start again"
        )
    shapes = [tuple(array.shape) for array in arrays], [tuple(variable.shape) for variable in variables]
    if shapes[0] != shapes[1]:
        raise ModelFileError(
            f"{path}: {len(arrays)} variables of other shapes than this network's; remove the file to start again"
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return rows


def _plain(plan: DataclassInstance) -> dict[str, Any]:
    """Convert the plan to JSON and back, for a comparison."""
    return json.loads(json.dumps(dataclasses.asdict(plan)))  # type: ignore[no-any-return]


def _flat(plan: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a plan with those of its data as `data NAME`, so that a message can name the one."""
    data = plan.get("data", {})
    return plan | {"data": None} | {f"data {name}": value for name, value in data.items()}
