"""Combines several images of one text into one reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .beam import steps_left
from .candidates import propose, weigh
from .decoded import Form, checked
from .forward import Floats, Indices, align, forward, placed
from .settings import Search, SearchOptions, settings_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

LEAST = 1e-12
"""Smaller posteriors count as this one: a network's zero in one image must not outvote all other images."""


@dataclass(frozen=True)
class Fused:
    """A label sequence that several images may show."""

    indices: Indices
    """Class indices, without blanks."""
    confidence: float
    """Its share of the product of the images' posteriors over all texts, in [0, 1]; see `fuse`."""
    confidences: tuple[float, ...]
    """Per character: the highest probability of its class within its span, in [0, 1], in the best image."""
    spans: tuple[tuple[int, int], ...]
    """Per character: half-open range of time steps of the network in the best image, the skipped ones counted."""
    best: int
    """The image in which it is most probable."""
    posteriors: tuple[float, ...]
    """Its posterior in each image alone."""
    agreeing: int
    """Number of images in which it is the most probable candidate."""
    weighted: float | None = None
    """See `Decoded.weighted`."""
    rescued: bool = False
    """See `Decoded.rescued`."""


def fuse(
    scores: npt.ArrayLike,
    blank: int,
    skip_steps: int = 0,
    settings: Search | None = None,
    *,
    weights: npt.ArrayLike | None = None,
    form: Form = "probabilities",
    lengths: npt.ArrayLike | None = None,
    **options: Unpack[SearchOptions],
) -> list[Fused]:
    """Combine images that show the same text into its most probable label sequences, best first.

    The posteriors of the images are multiplied, which treats them as independent looks at one text (a product of
    experts, Hinton 2002). Looks that err alike, such as consecutive frames, are worth less: weights of 1 make their
    confidence too high.

    Each image's beam proposes candidates, and every candidate is scored exactly in every image: p_mk, at least LEAST.
    With weights w, the confidence is f_k = prod_m p_mk^w_m / (sum_j prod_m p_mj^w_m + prod_m (1 - sum_j p_mj)^w_m).
    By Hölder's inequality, if the weights sum to 1 or more, the last product is at least the share of all texts that
    are no candidate. So the confidence never exceeds the text's true share, and for one image it is the posterior.

    Lexicon and prior weigh the f_k once, as they weigh the posteriors of one image in `beam`.

    Args:
        scores: (N, T, C) float, N at least 1.
        blank: class index of the blank.
        skip_steps: leading time steps that are not decoded.
        settings: how to search each image; `n_best` counts the sequences returned.
        weights: (N,) what each image's look is worth, 0 or more, together at least 1; None: 1 each.
        form: what the scores are.
        lengths: (N,) int; the time steps that count in each image, the skipped ones among them; None: all T.
        options: fields of `Search`, instead of those of `settings`.

    Raises:
        InputError: there is no image, or in the same cases as `beam`.
    """
    search = settings_of(settings, options)
    rows = checked(scores, blank, skip_steps, form, lengths)
    remaining = steps_left(rows, skip_steps, lengths)
    powers = _powers(weights, len(rows))
    search.check_fits(rows.shape[2], blank, remaining)

    candidates = list(
        dict.fromkeys(sequence for proposed in propose(rows, remaining, blank, search) for sequence in proposed)
    )
    if not candidates:
        return []
    posteriors = _posteriors(rows, candidates, blank)
    logs = powers @ np.log(np.maximum(posteriors, LEAST))
    rests = np.maximum(1.0 - posteriors.sum(axis=1), 0.0)
    with np.errstate(divide="ignore"):
        rest = np.sum(powers[powers > 0] * np.log(rests[powers > 0]))
    most = logs.max()
    total = np.exp(logs - most).sum() + np.exp(min(rest - most, 700.0))

    def confidences_of(sequences: list[Indices]) -> Floats:
        further = powers @ np.log(np.maximum(_posteriors(rows, sequences, blank), LEAST))
        shares: Floats = np.exp(further - most) / total
        return shares

    own = np.exp(logs - most) / total
    best: list[tuple[Indices, float, float | None, bool]]
    if search.by_posterior:
        order = np.argsort(-own, kind="stable")[: search.n_best].tolist()
        best = [(candidates[k], float(own[k]), None, False) for k in order]
    else:
        best = [*weigh(search, candidates, own, confidences_of, int(remaining.min()))]
    firsts = [candidates[k] for k in posteriors.argmax(axis=1)]
    return [_fused(rows, blank, skip_steps, firsts, *sequence) for sequence in best]


def _powers(weights: npt.ArrayLike | None, images: int) -> Floats:
    if not images:
        raise InputError("no image to fuse: give at least 1")
    powers = np.ones(images) if weights is None else np.asarray(weights, np.float64)
    if powers.shape != (images,) or not (np.isfinite(powers).all() and powers.min() >= 0 and powers.sum() >= 1):
        raise InputError(
            f"weights are {powers.tolist()}, expected {images} non-negative numbers that sum to at least 1"
        )
    return powers


def _posteriors(rows: Floats, sequences: list[Indices], blank: int) -> Floats:
    """Return the posterior of every sequence in every image, (N, K)."""
    images = len(rows)
    count = len(sequences)
    return forward(rows, np.repeat(np.arange(images), count), sequences * images, blank).reshape(images, count)


def _fused(
    rows: Floats,
    blank: int,
    skip_steps: int,
    firsts: list[Indices],
    indices: Indices,
    confidence: float,
    weighted: float | None,
    rescued: bool,
) -> Fused:
    posteriors = _posteriors(rows, [indices], blank)[:, 0]
    best = int(posteriors.argmax())
    (spans,) = align(rows, np.array([best]), [indices], blank)
    return Fused(
        indices,
        confidence,
        *placed(rows[best], indices, spans, skip_steps),
        best,
        tuple(posteriors.tolist()),
        firsts.count(indices),
        weighted,
        rescued,
    )
