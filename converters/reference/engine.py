"""Keras on TensorFlow, imported only by who asks."""

from __future__ import annotations

import os
import sys
from typing import Any

from edge_crnn.errors import BackendUnavailable

from .tensorflow import import_tensorflow


def import_keras() -> tuple[Any, Any]:
    """TensorFlow, and Keras on top of it, without their chatter.

    Raises:
        BackendUnavailable: one is not installed, or Keras runs on another engine.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    tensorflow, keras = import_tensorflow("keras")
    if keras.backend.backend() != "tensorflow":
        raise BackendUnavailable(f"Keras runs on {keras.backend.backend()}; set KERAS_BACKEND=tensorflow")
    return tensorflow, keras
