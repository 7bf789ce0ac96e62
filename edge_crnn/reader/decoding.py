"""Class probabilities → readings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy.typing as npt

from .. import ctc
from ..backends import Probabilities
from ..confidence import likelihood, temper
from ..errors import InputError, InputTypeError, ModelSpecError
from ..model.spec import ModelSpec
from ..reading import Alternative, Character, FusedReading, Reading

Texts: TypeAlias = Iterable[str]
"""Known texts, as a person writes them or as labels."""


class Decoding:
    """Decodes the output of a network and judges the readings by the spec.

    Args:
        spec: the spec of the model, with the decoder to use.
        n_best: texts per reading, at least 1.
        lexicon: known texts, or a lexicon of them with the spec's alphabet.
        prior: probabilities of texts, fitted with the spec's alphabet.

    Raises:
        ModelSpecError: the decoder's grammar is invalid or does not fit the network.
        InputError: the lexicon or the prior does not fit the network.
        InputTypeError: the lexicon or the prior has another type.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        n_best: int = 1,
        lexicon: ctc.Lexicon | Texts | None = None,
        prior: ctc.Prior | None = None,
    ) -> None:
        width = spec.decoder.beam_width
        self._spec = spec
        self._alphabet = spec.alphabet
        self._grammar = _grammar(spec)
        self._search = ctc.Search(
            width=width,
            n_best=min(max(n_best, 1), width),
            grammar=self._grammar,
            lexicon=_lexicon(spec, lexicon),
            prior=_prior(spec, prior),
        )

    def decode(self, probabilities: Probabilities) -> list[Reading]:
        """Decode (N, T, C) float32 probabilities, each image on its own.

        Raises:
            InputError: the values are not probabilities.
        """
        blank = self._spec.blank
        skip = self._spec.skip_steps
        tempered = self._tempered(probabilities)
        if self._spec.decoder.method == "greedy":
            return [self._reading([best]) for best in ctc.greedy(tempered, blank, skip)]
        return [self._reading(texts) for texts in ctc.beam(tempered, blank, skip, self._search)]

    def fuse(self, probabilities: Probabilities, weights: npt.ArrayLike | None = None) -> FusedReading:
        """Decode (N, T, C) float32 probabilities of N images of one text as one reading; see `ctc.fuse`.

        Raises:
            InputError: the values are not probabilities, there is no image, or the weights do not fit.
        """
        spec = self._spec
        texts = ctc.fuse(self._tempered(probabilities), spec.blank, spec.skip_steps, self._search, weights=weights)
        agreeing = texts[0].agreeing if texts else 0
        return FusedReading(**vars(self._reading(texts)), images=len(probabilities), agreeing=agreeing)

    def _tempered(self, probabilities: Probabilities) -> Probabilities:
        if self._spec.confidence is None:
            return probabilities
        return temper(probabilities, self._spec.blank, self._spec.confidence.temperature)

    def _reading(self, texts: Sequence[ctc.Decoded | ctc.Fused]) -> Reading:
        """Return the reading of an image from its likeliest texts, best first."""
        if not texts:  # no text of the grammar has any probability
            return Reading("", "", 0.0, (), (), accepted=False)
        best, *others = texts
        confidence = self._likelihood(best.confidence)
        label = self._alphabet.spell(best.indices)
        judged = confidence if best.weighted is None else best.weighted
        matches = self._grammar is None or self._grammar.accepts(best.indices)
        return Reading(
            text=self._alphabet.read(label),
            label=label,
            confidence=confidence,
            characters=tuple(
                Character(self._alphabet.spell([index]), peak, span)
                for index, peak, span in zip(best.indices, best.confidences, best.spans, strict=True)
            ),
            alternatives=tuple(map(self._alternative, others)),
            accepted=bool(label) and judged >= self._spec.decoder.reject_below and matches,
            weighted=best.weighted,
            rescued=best.rescued,
        )

    def _alternative(self, text: ctc.Decoded | ctc.Fused) -> Alternative:
        label = self._alphabet.spell(text.indices)
        return Alternative(self._alphabet.read(label), label, self._likelihood(text.confidence), text.weighted)

    def _likelihood(self, posterior: float) -> float:
        return posterior if self._spec.confidence is None else likelihood(posterior, self._spec.confidence.isotonic)


def _grammar(spec: ModelSpec) -> ctc.Grammar | None:
    if spec.decoder.grammar is None:
        return None
    try:
        grammar = ctc.Grammar.compile(spec.decoder.grammar, spec.alphabet)
        grammar.check_fits(spec.output.classes, spec.blank, [spec.output.steps - spec.skip_steps])
    except InputError as error:
        raise ModelSpecError(f"spec of {spec.name!r}: {error}") from error
    return grammar


def _lexicon(spec: ModelSpec, lexicon: ctc.Lexicon | Texts | None) -> ctc.Lexicon | None:
    if lexicon is None:
        return None
    if isinstance(lexicon, str | bytes) or not isinstance(lexicon, ctc.Lexicon | Iterable):
        raise InputTypeError(
            f"lexicon is {type(lexicon).__name__}, expected a list of texts or a ctc.Lexicon; for a file with one text"
            " per line, pass open(path, encoding='utf-8')"
        )
    compiled = lexicon if isinstance(lexicon, ctc.Lexicon) else ctc.Lexicon.parse(_strings(lexicon), spec.alphabet)
    steps = spec.output.steps - spec.skip_steps
    compiled.check_fits(spec.output.classes, spec.blank, [steps])
    needed = ctc.steps_of(compiled.longest)
    if needed > steps:
        label = spec.alphabet.spell(compiled.longest)
        raise InputError(
            f"the lexicon has {label!r}, which needs {needed} time steps, but the network has {steps}; remove it"
        )
    return compiled


def _strings(texts: Texts) -> Iterable[str]:
    for text in texts:
        if not isinstance(text, str):
            raise InputTypeError(f"lexicon has {text!r} ({type(text).__name__}), expected texts only")
        yield text


def _prior(spec: ModelSpec, prior: ctc.Prior | None) -> ctc.Prior | None:
    if prior is None:
        return None
    if not isinstance(prior, ctc.Prior):
        raise InputTypeError(f"prior is {type(prior).__name__}, expected a ctc.Prior; make one with ctc.Prior.fit")
    prior.check_fits(spec.output.classes, spec.blank)
    return prior
