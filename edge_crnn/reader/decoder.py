"""The decoder that a reader uses: the model's own, changed by the caller's options. Only this module has these rules.

* A grammar restricts decoding to matching text. It selects a beam unless the method is named.
* Alternatives (`n_best`), a lexicon and a prior need a beam and select one.
* The model's own threshold, below which readings are rejected, stays in force whatever else changes. If it was chosen
  for a precision, that precision was measured with the model's own decoder and does not hold for another: with a
  grammar, fewer wrong texts can be read; with a lexicon or a prior, the threshold is compared with `Reading.weighted`.
  Keeping it is the cautious choice; `min_confidence` sets another, and 0 turns it off.
* A target precision sets the threshold from the model's calibration. It is refused for a decoder that the calibration
  did not measure, because the precision would be unknown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..bounds import WORKERS
from ..confidence import threshold
from ..errors import InputError, InputTypeError
from ..model.spec import Confidence, CoveragePoint, DecoderSpec, DecodingMethod, ModelSpec

MOST = WORKERS.most
"""Largest number of workers or threads."""


def decoder_for(
    spec: ModelSpec,
    *,
    decoder: DecoderSpec | None = None,
    method: DecodingMethod | None = None,
    beam_width: int | None = None,
    grammar: str | None = None,
    lexicon: object = None,
    prior: object = None,
    n_best: int = 1,
    min_confidence: float | None = None,
    target_precision: float | None = None,
) -> DecoderSpec:
    """Return the decoder for a model and the caller's options.

    Args:
        spec: the spec of the model.
        decoder: replaces the model's own decoder with its threshold; the other options change it.
        method: greedy or beam; None: the decoder's own, or beam if another option needs it.
        beam_width: prefixes that the beam keeps, at least 1.
        grammar: a regular expression over labels, or a name in `ctc.GRAMMARS`.
        lexicon: None if there is no lexicon; its content does not matter here.
        prior: None if there is no prior; its content does not matter here.
        n_best: texts per reading, at least 1.
        min_confidence: readings of lower confidence are rejected; from 0 to 1.
        target_precision: share of the accepted readings that must be correct, from 0 to 1.

    Raises:
        ModelSpecError: a value is out of range, or there is a target and the model is not calibrated.
        InputError: the target cannot be met or does not apply to this decoder, or there is a threshold as well.
        InputTypeError: `decoder` is not a DecoderSpec.
    """
    if decoder is not None and not isinstance(decoder, DecoderSpec):
        raise InputTypeError(
            f"decoder is {type(decoder).__name__}, expected a DecoderSpec; write DecoderSpec(method='beam')"
        )
    has_knowledge = lexicon is not None or prior is not None
    if min_confidence is not None and target_precision is not None:
        raise InputError("min_confidence and target_precision both set the threshold; leave out one of them")
    if has_knowledge and target_precision is not None:
        raise InputError(
            "a target precision does not hold with a lexicon or a prior, because the model was calibrated without them;"
            " leave out one of them, or set a threshold (min_confidence, --min-confidence)"
        )
    changes: dict[str, Any] = {
        "method": method or (None if grammar is None else "beam"),
        "grammar": grammar,
        "beam_width": beam_width,
        "reject_below": min_confidence,
    }
    chosen = _changed(decoder or spec.decoder, changes)
    if n_best > 1 or has_knowledge:
        chosen = replace(chosen, method="beam", beam_width=max(chosen.beam_width, n_best))
    if target_precision is not None:
        chosen = replace(chosen, reject_below=threshold(spec, target_precision, chosen))
    return chosen


def _changed(decoder: DecoderSpec, changes: Mapping[str, Any]) -> DecoderSpec:
    """Return the decoder with all changes that are not None."""
    return replace(decoder, **{name: value for name, value in changes.items() if value is not None})


def _negatives(confidence: Confidence, point: CoveragePoint) -> str:
    """Return how many negatives a threshold accepts, for a calibration with negatives."""
    return f" and {point.negatives:,} of {confidence.negatives:,} negatives" if confidence.negatives else ""


def origin_of_threshold(spec: ModelSpec) -> str:
    """Return the origin of the threshold in a model's spec, as the end of a sentence that begins with "it was"."""
    limit = spec.decoder.reject_below
    confidence = spec.confidence
    if confidence is None:
        return "set in the model's spec"
    for point in confidence.coverage:
        if point.threshold == limit:
            accepted = f"{confidence.coverage_of(point):.1%} of {confidence.images:,} images"
            return (
                f"chosen by calibration, which accepted {accepted}{_negatives(confidence, point)};"
                f" {point.right / point.accepted:.2%} of the accepted readings were correct"
                f" (at least {math.floor(1e4 * point.shown) / 1e2:.2f}% with 95% confidence)"
            )
    return "set in the model's spec, apart from its calibration"
