"""The settings that TensorFlow reads from the environment when it starts."""

from __future__ import annotations

import os

from .board.limits import usable_cores


def set_environment() -> None:
    """Silence TensorFlow's log and limit its threads to the usable cores; variables that are set stay.

    TensorFlow counts the cores of the affinity, which a CPU quota does not change.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, str(usable_cores()))
