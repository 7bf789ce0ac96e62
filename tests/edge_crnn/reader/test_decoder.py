"""The one rule by which a model's own decoder and the caller's wishes become one decoder."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn import (
    DecoderSpec,
    FakeBackend,
    InputError,
    InputSpec,
    InputTypeError,
    ModelSpec,
    ModelSpecError,
    OutputSpec,
    Reader,
)
from edge_crnn.cli.decoding import add_decoder_arguments, decoder_of
from edge_crnn.ctc import Lexicon, Prior
from edge_crnn.model.spec import Confidence, CoveragePoint
from edge_crnn.reader.decoder import decoder_for, origin_of_threshold

POINTS = CoveragePoint(0.9, 4000, 3999, 0.998), CoveragePoint(0.2, 8000, 7900, 0.985)
SPEC = ModelSpec(
    "fake", tuple("abc"), 3, InputSpec(2, 2, "HWC", 1.0, 0.0), OutputSpec(4, 4),
    decoder=DecoderSpec(reject_below=0.9), confidence=Confidence(9000, 8500, "x", 2.0, 0.1, 0.01, (), POINTS),
)  # fmt: skip
OWN = SPEC.decoder
LEXICON = Lexicon.parse(["ab"], SPEC.alphabet)
PRIOR = Prior.fit([(0,)], SPEC.alphabet)


def test_default_is_the_decoder_of_the_model() -> None:
    assert decoder_for(SPEC) == OWN


def test_a_grammar_selects_the_beam_and_keeps_the_threshold() -> None:
    assert decoder_for(SPEC, grammar="a.") == DecoderSpec("beam", grammar="a.", reject_below=0.9)
    assert decoder_for(SPEC, grammar="a.", method="greedy") == replace(OWN, grammar="a.")
    assert decoder_for(SPEC, grammar="") == DecoderSpec("beam", grammar="", reject_below=0.9)


def test_a_decoder_replaces_the_model_s_own_as_a_whole() -> None:
    """Unless it says otherwise, it is greedy and accepts every reading."""
    for decoder in (DecoderSpec(), DecoderSpec(grammar="a."), DecoderSpec("beam", 3, "a.", 0.1)):
        assert decoder_for(SPEC, decoder=decoder) == decoder
    assert decoder_for(SPEC, decoder=DecoderSpec(), grammar="a.") == DecoderSpec("beam", grammar="a.")


@pytest.mark.parametrize("wish", [{"n_best": 20}, {"lexicon": LEXICON}, {"lexicon": ["ab"]}, {"prior": PRIOR}])
def test_options_that_need_a_beam_select_one_and_keep_the_threshold(wish: dict[str, object]) -> None:
    chosen = decoder_for(SPEC, **wish)  # type: ignore[arg-type]
    assert (chosen.method, chosen.reject_below) == ("beam", 0.9)
    assert chosen.beam_width == max(OWN.beam_width, 20 if "n_best" in wish else 0)


def test_thresholds() -> None:
    assert decoder_for(SPEC, min_confidence=0.5) == replace(OWN, reject_below=0.5)
    assert decoder_for(SPEC, min_confidence=0.0).reject_below == 0.0
    assert decoder_for(SPEC, target_precision=0.98) == replace(OWN, reject_below=0.2)
    assert decoder_for(SPEC, lexicon=LEXICON, min_confidence=0.5).reject_below == 0.5


REFUSED = {
    "both": ({"min_confidence": 0.5, "target_precision": 0.9}, InputError, "both set the threshold"),
    "lexicon": ({"lexicon": LEXICON, "target_precision": 0.9}, InputError, "with a lexicon or a prior"),
    "prior": ({"prior": PRIOR, "target_precision": 0.9}, InputError, "with a lexicon or a prior"),
    "grammar": ({"grammar": "a", "target_precision": 0.9}, InputError, "it was calibrated for its own decoder"),
    "threshold": ({"min_confidence": 1.5}, ModelSpecError, "reject_below 1.5"),
    "no number": ({"min_confidence": "0.5"}, ModelSpecError, "reject_below '0.5'"),
    "method": ({"method": "bean"}, ModelSpecError, "method 'bean'; it must be one of greedy, beam"),
    "width": ({"beam_width": 0}, ModelSpecError, "beam_width is 0"),
    "no decoder": ({"decoder": "beam"}, InputTypeError, "decoder is str, expected a DecoderSpec"),
}


@pytest.mark.parametrize(("wishes", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_contradicting_options_are_refused(wishes: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        decoder_for(SPEC, **wishes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "bean"}, "method 'bean'; it must be one of greedy, beam"),
        ({"beam_width": 0}, "beam_width is 0"),
        ({"beam_width": 10_000}, "beam_width is 10000, expected"),
        ({"beam_width": 10**30}, "beam_width is a number of 100 bits"),
        ({"beam_width": "10"}, "beam_width is '10'"),
        ({"reject_below": float("nan")}, "reject_below nan"),
        ({"reject_below": None}, "reject_below None"),
        ({"grammar": 7}, "grammar 7"),
        ({"grammar": "(a"}, r"grammar '\(a' is no regular expression"),
    ],
)
def test_invalid_decoder_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ModelSpecError, match=f"^{message}"):
        DecoderSpec(**fields)  # type: ignore[arg-type]


METHODS = st.none() | st.sampled_from(["greedy", "beam"])


@given(METHODS, st.none() | st.sampled_from(["a.", "b"]), st.none() | st.integers(1, 256))
def test_the_command_line_and_python_choose_the_same(
    method: str | None, grammar: str | None, width: int | None
) -> None:
    parser = argparse.ArgumentParser()
    add_decoder_arguments(parser)
    words = [] if method is None else ["--decoder", method]
    words += [] if grammar is None else ["--grammar", grammar]
    words += [] if width is None else ["--beam-width", str(width)]
    expected = decoder_for(SPEC, method=method, grammar=grammar, beam_width=width)  # type: ignore[arg-type]
    assert decoder_of(parser.parse_args(words), SPEC) == expected, shlex.join(words)


def test_old_calls_of_a_reader_still_work() -> None:
    def reader(**options: object) -> Reader:
        fake = FakeBackend([[[1, 0, 0, 0]] * 4], SPEC.input.shape)  # type: ignore[arg-type]
        return Reader(SPEC, lambda: fake, **options)  # type: ignore[arg-type]

    assert reader().spec.decoder == OWN
    assert reader(workers=2, decoder=DecoderSpec(grammar="a")).spec.decoder == DecoderSpec(grammar="a")
    assert reader(n_best=3, lexicon=LEXICON, prior=PRIOR, preprocess=None).spec.decoder.method == "beam"
    assert reader(target_precision=0.98).spec.decoder.reject_below == 0.2


def test_origin_of_the_threshold() -> None:
    assert origin_of_threshold(SPEC) == (
        "chosen by calibration, which accepted 44.4% of 9,000 images; 99.98% of the accepted readings were correct"
        " (at least 99.80% with 95% confidence)"
    )
    assert origin_of_threshold(replace(SPEC, confidence=None)) == "set in the model's spec"
    other = replace(SPEC, decoder=DecoderSpec(reject_below=0.5))
    assert origin_of_threshold(other) == "set in the model's spec, apart from its calibration"
