"""The seed architectures in Keras' configuration, which give a file of weights alone its structure."""

from __future__ import annotations

import json
from typing import Any

from edge_crnn.training.architectures import ARCHITECTURES

from .engine import import_keras


def seed(architecture: str, classes: int, **options: Any) -> dict[str, Any]:
    """Return the configuration of one of `ARCHITECTURES`, built with these options.

    Raises:
        BackendUnavailable: TensorFlow or Keras is not installed, or Keras runs on another engine.
        InputError: as the architecture's `build`.
    """
    import_keras()
    config: dict[str, Any] = json.loads(ARCHITECTURES[architecture].build(classes, **options).to_json())
    return config
