from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from edge_crnn import ctc
from edge_crnn.alphabet import Alphabet
from edge_crnn.ctc import Grammar, Lexicon, Prior, Search
from edge_crnn.errors import InputError

ABC = Alphabet(("a", "b", "c"), blank=1)
KNOWLEDGE = {
    "grammar": Grammar.compile("a{2}|bc+", ABC),
    "lexicon": Lexicon.of([(0, 2), (3,)], ABC, weight=5.0, rescue=0.1),
    "prior": Prior.fit([(0, 2), (3,)], ABC),
}
decoders = pytest.mark.parametrize("decode", [ctc.beam, ctc.search, ctc.fuse])


def rows(images: int = 3) -> np.ndarray:
    powers = np.exp(np.random.default_rng(0).normal(size=(images, 6, 4)))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


@decoders
@pytest.mark.parametrize("options", [{}, {"width": 4, "n_best": 3, "min_ratio": 0.0, "top_k": None}, KNOWLEDGE])
def test_settings_and_keywords_mean_the_same(decode: Any, options: dict[str, Any]) -> None:
    expected = decode(rows(), 1, 1, **options)
    assert decode(rows(), 1, 1, Search(**options)) == expected
    assert decode(rows(), 1, settings=Search(**options), skip_steps=1) == expected


@decoders
def test_keywords_take_precedence_over_settings(decode: Any) -> None:
    settings = Search(n_best=1, width=5)
    assert decode(rows(), 1, 0, settings, n_best=4) == decode(rows(), 1, width=5, n_best=4)
    assert settings == Search(n_best=1, width=5)


@decoders
def test_an_unknown_keyword_is_a_type_error(decode: Any) -> None:
    with pytest.raises(TypeError, match="beam_width"):
        decode(rows(), 1, beam_width=3)


def test_settings_are_checked_at_creation() -> None:
    with pytest.raises(InputError, match="n_best is 11, expected a whole number from 1 to 10"):
        Search(n_best=11)
    with pytest.raises(InputError, match="width is 0"):
        dataclasses.replace(Search(), width=0)


@decoders
@pytest.mark.parametrize("number", [0, -1, 1_001, 10_000, 2**70, 10**30, 2.5, pytest.param(10**5000, id="long")])
def test_a_beam_has_a_bound(decode: Any, number: Any) -> None:
    with pytest.raises(InputError, match=r"width is .*, expected a whole number from 1 to 1,000"):
        decode(rows(), 1, width=number)


@pytest.mark.parametrize("number", [0, -1, 11, 10**30, 1.5])
def test_the_texts_of_a_search_have_a_bound(number: Any) -> None:
    with pytest.raises(InputError, match=r"n_best is .*, expected a whole number from 1 to 10, the width of the beam"):
        Search(n_best=number)


@pytest.mark.parametrize("number", [0, -1, 65_537, 10**30, 1.5])
def test_the_symbols_to_try_have_a_bound(number: Any) -> None:
    with pytest.raises(InputError, match=r"top_k is .*, expected a whole number from 1 to 65,536, or None"):
        Search(top_k=number)


@pytest.mark.parametrize("options", [{"width": 10_000}, {"width": 0}, {"width": 5, "n_best": 6}, {"width": 10**30}])
def test_the_beam_of_tensorflow_has_the_same_bounds(options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="expected a whole number from 1 to"):
        ctc.tf_beam(rows(), 1, **options)


@pytest.mark.parametrize("name", KNOWLEDGE)
def test_knowledge_fits_the_network_that_it_was_made_for(name: str) -> None:
    search = Search(**{name: KNOWLEDGE[name]})  # type: ignore[arg-type]
    search.check_fits(4, 1)
    search.check_fits(4, 1, [3, 9])
    with pytest.raises(InputError, match=f"{name}.* is for 4 classes with blank 1, found 5 with blank 1"):
        search.check_fits(5, 1)
    with pytest.raises(InputError, match=f"{name}.* is for 4 classes with blank 1, found 4 with blank 0"):
        search.check_fits(4, 0)


@pytest.mark.parametrize("name", ["grammar", "lexicon"])
def test_an_image_must_have_the_time_steps_of_the_shortest_label(name: str) -> None:
    shortest = KNOWLEDGE[name].shortest  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=f"{name}.* needs {shortest} time steps for its shortest label, image 1 has 0"):
        Search(**{name: KNOWLEDGE[name]}).check_fits(4, 1, [shortest, 0])  # type: ignore[arg-type]
