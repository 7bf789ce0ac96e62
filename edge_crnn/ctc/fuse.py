"""Several images of one text → one reading."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .beam import steps_left
from .candidates import Search
from .decoded import Form, checked
from .forward import Floats, Indices, align, forward, placed
from .grammar import Grammar
from .lexicon import Lexicon
from .prior import Prior

LEAST = 1e-12
"""A posterior of less counts as this: a network's zero in one image is no proof against all others."""


@dataclass(frozen=True)
class Fused:
    """One label sequence that several images may show."""

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
    """Of each image alone."""
    agreeing: int
    """Images whose own most probable candidate it is."""
    weighted: float | None = None
    """As `Decoded.weighted`."""
    rescued: bool = False
    """As `Decoded.rescued`."""


def fuse(
    scores: npt.ArrayLike,
    blank: int,
    skip_steps: int = 0,
    *,
    weights: npt.ArrayLike | None = None,
    width: int = 10,
    n_best: int = 1,
    min_ratio: float = 1e-5,
    top_k: int | None = 12,
    grammar: Grammar | None = None,
    lexicon: Lexicon | None = None,
    prior: Prior | None = None,
    form: Form = "probabilities",
    lengths: npt.ArrayLike | None = None,
) -> list[Fused]:
    """The most probable label sequences of images that show the same text, best first.

    As independent looks at one text, the images multiply their posteriors (a product of experts, Hinton 2002). Looks
    that err alike, such as frames one after the other, are worth less: weights of 1 make their confidence too high.

    Each image's beam proposes candidates, and each of them is scored exactly in each image: p_mk, at least LEAST. With
    weights w, the confidence is f_k = prod_m p_mk^w_m / (sum_j prod_m p_mj^w_m + prod_m (1 - sum_j p_mj)^w_m). By
    Hölder's inequality the last product is at least what all texts that are no candidate have together, if the weights
    sum to 1 or more; so it is never more than the text's true share, and of one image it is the posterior.

    Lexicon and prior weigh the f_k, once, as they weigh the posteriors of one image in `beam`.

    Args:
        scores: (N, T, C) float, N at least 1.
        blank: class index of the blank.
        skip_steps: leading time steps that are not decoded.
        weights: (N,) what each image's look is worth, 0 or more, together at least 1; None: 1 each.
        width: as `beam`, of each image.
        n_best: sequences returned, at most `width`; fewer where fewer are possible.
        min_ratio: as `beam`.
        top_k: as `beam`.
        grammar: as `beam`.
        lexicon: as `beam`.
        prior: as `beam`.
        form: what the scores are.
        lengths: (N,) int; per image the time steps that count, the skipped ones among them; None: all T.

    Raises:
        InputError: there is no image, or as `beam`.
    """
    rows = checked(scores, blank, skip_steps, form, lengths)
    remaining = steps_left(rows, skip_steps, lengths)
    powers = _powers(weights, len(rows))
    how = Search(blank, width, n_best, min_ratio, top_k, grammar, lexicon, prior)
    how.check(rows.shape[2], remaining)

    candidates = list(dict.fromkeys(each for proposed in how.propose(rows, remaining) for each in proposed))
    if not candidates:
        return []
    posteriors = _each_in_each(rows, candidates, blank)
    logs = powers @ np.log(np.maximum(posteriors, LEAST))
    rests = np.maximum(1.0 - posteriors.sum(axis=1), 0.0)
    with np.errstate(divide="ignore"):
        rest = np.sum(powers[powers > 0] * np.log(rests[powers > 0]))
    most = logs.max()
    total = np.exp(logs - most).sum() + np.exp(min(rest - most, 700.0))

    def confidences_of(sequences: list[Indices]) -> Floats:
        found = powers @ np.log(np.maximum(_each_in_each(rows, sequences, blank), LEAST))
        shares: Floats = np.exp(found - most) / total
        return shares

    own = np.exp(logs - most) / total
    best: list[tuple[Indices, float, float | None, bool]]
    if how.plain:
        order = np.argsort(-own, kind="stable")[:n_best].tolist()
        best = [(candidates[each], float(own[each]), None, False) for each in order]
    else:
        best = [*how.weigh(candidates, own, confidences_of, int(remaining.min()))]
    firsts = [candidates[each] for each in posteriors.argmax(axis=1)]
    return [_fused(rows, blank, skip_steps, firsts, *each) for each in best]


def _powers(weights: npt.ArrayLike | None, images: int) -> Floats:
    if not images:
        raise InputError("no image to fuse, expected at least 1")
    powers = np.ones(images) if weights is None else np.asarray(weights, np.float64)
    if powers.shape != (images,) or not (np.isfinite(powers).all() and powers.min() >= 0 and powers.sum() >= 1):
        raise InputError(f"weights are {powers.tolist()}, expected {images} numbers from 0 on that sum to 1 or more")
    return powers


def _each_in_each(rows: Floats, sequences: list[Indices], blank: int) -> Floats:
    """(N, K): the posterior of each sequence in each image."""
    images, count = len(rows), len(sequences)
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
    posteriors = _each_in_each(rows, [indices], blank)[:, 0]
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
