"""Tries several recipes and chooses the fastest artifact that passes the gate."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from edge_crnn.backends import open_backend
from edge_crnn.dataset import Dataset
from edge_crnn.errors import BackendError, ConversionError, EdgeCrnnError, VerificationError
from edge_crnn.preprocess import preprocess

from ..recipe import Recipe
from .gate import Candidate

_ROUNDS = 7
_IMAGES_PER_ROUND = 10


def attempts(
    recipes: Sequence[Recipe], make: Callable[[Recipe], Candidate], failed: Callable[[Recipe, EdgeCrnnError], None]
) -> list[Candidate]:
    """Make a candidate by each recipe; `failed` is called with the error of a recipe that cannot be used.

    Raises:
        ConversionError, BackendError, VerificationError: no recipe gives a candidate; this is the last error.
    """
    candidates: list[Candidate] = []
    for recipe in recipes:
        try:
            candidates.append(make(recipe))
        except (ConversionError, BackendError, VerificationError) as error:
            if recipe is recipes[-1] and not candidates:
                raise
            failed(recipe, error)
    return candidates


def latencies_ms(candidates: Sequence[Candidate], dataset: Dataset) -> list[float]:
    """Measure the inference of one image in ms, on one thread of this machine: the median of interleaved rounds."""
    backends = [open_backend(candidate.artifact) for candidate in candidates]
    images = [entry.load() for entry in dataset.entries[:_IMAGES_PER_ROUND]]
    inputs = [[preprocess([image], candidate.artifact.spec.input) for image in images] for candidate in candidates]
    medians: list[list[float]] = [[] for _ in candidates]
    for round_ in range(_ROUNDS + 1):
        for backend, batches, round_medians in zip(backends, inputs, medians, strict=True):
            times = []
            for batch in batches:
                started = time.perf_counter_ns()
                backend.infer(batch)
                times.append((time.perf_counter_ns() - started) / 1e6)
            if round_:  # the first warms up
                round_medians.append(float(np.median(times)))
    for backend in backends:
        backend.close()
    return [float(np.median(round_medians)) for round_medians in medians]


def choose(candidates: Sequence[Candidate], speeds: Sequence[float], strict: bool) -> Candidate:
    """Return the fastest candidate that passes; if none does, the one that agrees best.

    Args:
        candidates: at least one candidate.
        speeds: the time of each candidate, in ms.
        strict: whether too few images to tell count as a failure.
    """
    passing = [pair for pair in zip(speeds, candidates, strict=True) if pair[1].verification.passes(strict)]
    if not passing:
        return max(candidates, key=lambda candidate: candidate.verification.parity.agreement)
    return min(passing, key=lambda pair: pair[0])[1]
