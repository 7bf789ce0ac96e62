"""The decoder that a reader uses: the model's own, changed as the caller asks. The only place with these rules.

* A grammar restricts decoding to matching text, which takes a beam, unless the method is named.
* Alternatives (`n_best`), a lexicon and a prior need a beam, and get one.
* The model's own threshold, below which readings are rejected, stays in force whatever else is changed. Where it was
  chosen for a precision, that precision was measured with the model's own decoder. It says nothing of another one:
  with a grammar, fewer wrong texts can be read; with a lexicon or a prior, the threshold is compared with
  `Reading.weighted`. Rejecting by it is the cautious choice; `min_confidence` sets another, and 0 accepts all.
* A target precision sets the threshold by the model's calibration. It is refused for a decoder that the calibration did
  not measure, since nothing is known of the precision then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..confidence import threshold
from ..errors import InputError, InputTypeError
from ..model.spec import DecoderSpec, DecodingMethod, ModelSpec

MOST = 256
"""Workers, threads or texts per reading at most: beyond, engines crash instead of refusing."""


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
    """The decoder for a model and a caller's wishes.

    Args:
        spec: of the model.
        decoder: replaces the model's own decoder as a whole, with its threshold; the other wishes change it.
        method: greedy or beam; None: the decoder's own, or beam where something here needs it.
        beam_width: prefixes that the beam keeps, at least 1.
        grammar: a regular expression over labels, or a name in `ctc.GRAMMARS`.
        lexicon: whether there is one is all that counts here.
        prior: whether there is one is all that counts here.
        n_best: texts per reading, at least 1.
        min_confidence: readings of lower confidence are rejected; from 0 to 1.
        target_precision: share of the accepted readings that must be correct, from 0 to 1.

    Raises:
        ModelSpecError: a value is out of range, or a target is given and the model is not calibrated.
        InputError: the target cannot be met, or says nothing of this decoder, or a threshold is given, too.
        InputTypeError: `decoder` is not a DecoderSpec.
    """
    if decoder is not None and not isinstance(decoder, DecoderSpec):
        raise InputTypeError(
            f"decoder is {type(decoder).__name__}, expected a DecoderSpec; write DecoderSpec(method='beam')"
        )
    has_knowledge = lexicon is not None or prior is not None
    if min_confidence is not None and target_precision is not None:
        raise InputError("min_confidence and target_precision both set the threshold; leave one of them out")
    if has_knowledge and target_precision is not None:
        raise InputError(
            "a target precision says nothing with a lexicon or a prior, which the model was calibrated without; leave"
            " one of them out, or set a threshold (min_confidence, --min-confidence)"
        )
    changes: dict[str, Any] = {
        "method": method or (None if grammar is None else "beam"),
        "grammar": grammar,
        "beam_width": beam_width,
        "reject_below": min_confidence,
    }
    wanted = _changed(decoder or spec.decoder, changes)
    if n_best > 1 or has_knowledge:
        wanted = replace(wanted, method="beam", beam_width=max(wanted.beam_width, n_best))
    if target_precision is not None:
        wanted = replace(wanted, reject_below=threshold(spec, target_precision, wanted))
    return wanted


def _changed(decoder: DecoderSpec, changes: Mapping[str, Any]) -> DecoderSpec:
    """The decoder with all changes that are not None."""
    return replace(decoder, **{name: value for name, value in changes.items() if value is not None})


def origin_of_threshold(spec: ModelSpec) -> str:
    """Say where the threshold in a model's spec comes from, as the end of a sentence that begins "it was"."""
    limit = spec.decoder.reject_below
    confidence = spec.confidence
    if confidence is None:
        return "set in the model's spec"
    for point in confidence.coverage:
        if point.threshold == limit:
            return (
                f"chosen by calibration: {point.accepted / confidence.images:.1%} of {confidence.images:,} images were"
                f" accepted, {point.right / point.accepted:.2%} of these correctly read"
                f" (at least {math.floor(1e4 * point.shown) / 1e2:.2f}% with 95% confidence)"
            )
    return "set in the model's spec, apart from its calibration"
