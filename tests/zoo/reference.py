"""Save a case as its project would, and say what Keras itself predicts from the saved file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .case import Builder, Case
from .cases import CASES
from .networks import Array, finish


def images(case: Case, count: int, seed: int = 0) -> Array:
    """Return seeded images as the network takes them: blurred blots, on the 256 steps that a byte has."""
    random = np.random.default_rng(seed)
    shape = case.shape
    if case.axes == "HW":
        shape = (*shape, 1)
    if case.axes == "CHW":
        shape = (*shape[1:], shape[0])
    rows, columns, channels = shape
    coarse = random.uniform(-0.2, 1.2, (count, rows // 4 + 2, columns // 4 + 2, channels))
    blots = coarse.repeat(4, axis=1).repeat(4, axis=2)
    blots = (blots[:, :-2] + blots[:, 1:-1] + blots[:, 2:]) / 3
    blots = ((blots[:, :, :-2] + blots[:, :, 1:-1] + blots[:, :, 2:]) / 3)[:, 1 : rows + 1, 1 : columns + 1]
    grey = np.round(np.clip(blots + random.normal(0, 0.03, blots.shape), 0, 1) * 255) / 255
    low, high = case.pixels
    pixels = (low + (high - low) * grey).astype(np.float32)
    if case.axes == "HW":
        return pixels[..., 0]
    return pixels.transpose(0, 3, 1, 2) if case.axes == "CHW" else pixels


def write(case: Case, folder: Path) -> Path:
    """Build the network with seeded weights, save it, and return the file."""
    if case.build is None:
        raise ValueError(f"{case.number}: {case.excluded}")
    path = Path(folder) / case.file
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = _framework(case)
        keras.backend.clear_session()
        keras.utils.set_random_seed(7)
        network = case.build()
        finish(network, images(case, case.batch or 8, seed=1), lambda raw: _logits(case, raw), seed=7)
        network.saved.save(path)
    return path


def load(path: Path, case: Case | None = None) -> Any:
    """Return the part of a saved model that predicts, as the framework itself loads it."""
    case = case or _of_file(Path(path))
    assert isinstance(case.build, Builder)
    keras = _framework(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        custom = case.build.load().CUSTOM
        model = keras.models.load_model(path, compile=False, custom_objects=custom, safe_mode=False)
        if case.prediction:
            model = keras.Model(model.inputs[0], model.get_layer(case.prediction).output)
    return model


def predict(path_or_model: Any, images: Array, case: Case | None = None) -> Array:
    """Return what Keras computes, raw: `probabilities` makes (images, steps, classes) of it.

    A file is loaded anew; of a training graph, the part up to the prediction is run. Layer by layer, not by
    `model.predict`: what TensorFlow's oneDNN makes of a whole graph is wrong for the residual blocks of case 17.
    """
    model = path_or_model
    if isinstance(path_or_model, (str, Path)):
        case = case or _of_file(Path(path_or_model))
        model = load(Path(path_or_model), case)
    batch = (case.batch if case else None) or len(images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = [images[start : start + batch] for start in range(0, len(images), batch)]
        return np.concatenate([np.array(model(part, training=False)) for part in parts])


def probabilities(case: Case, raw: Array) -> Array:
    """Return (images, steps, classes) of what the network gives."""
    if case.postprocess == "squeeze 2":
        return raw[:, :, 0]
    if case.postprocess == "softmax":
        powers = np.exp(raw - raw.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)
    return raw


def _logits(case: Case, raw: Array) -> Array:
    return raw if case.postprocess == "softmax" else np.log(probabilities(case, raw).astype(np.float64) + 1e-30)


def _framework(case: Case) -> Any:
    if case.framework == "keras2":
        import tf_keras

        return tf_keras
    import keras

    return keras


def _of_file(path: Path) -> Case:
    return next(case for case in CASES.values() if case.file == path.name)
