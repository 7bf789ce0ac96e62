"""Keras 3 on TensorFlow, and Keras 2 (tf-keras), imported only when a reference needs them."""

from __future__ import annotations

import os
import sys
from typing import Any

from edge_crnn.errors import BackendUnavailable

from .tensorflow import import_tensorflow


def import_keras() -> tuple[Any, Any]:
    """Import TensorFlow and Keras 3 without their log output.

    Raises:
        BackendUnavailable: either is not installed, or Keras runs on another engine.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    tensorflow, keras = import_tensorflow("keras")
    if keras.backend.backend() != "tensorflow":
        raise BackendUnavailable(f"Keras runs on {keras.backend.backend()}; set KERAS_BACKEND=tensorflow")
    return tensorflow, keras


def import_keras2() -> tuple[Any, Any]:
    """Import TensorFlow and Keras 2, which runs the models that Keras 2 saved as intended.

    Raises:
        BackendUnavailable: either is not installed.
    """
    tensorflow, keras = import_tensorflow("tf_keras")
    # TensorFlow fuses a LeakyReLU behind a residual sum into the convolution before it, and computes something else.
    tensorflow.config.optimizer.set_experimental_options({"remapping": False})
    return tensorflow, keras
