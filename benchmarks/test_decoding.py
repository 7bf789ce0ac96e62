"""`pytest benchmarks/test_decoding.py`: time our decoders and others on the posteriors of samples/plates.

They run on one core, one after the other; `benchmarks.decoding` interleaves them. Others must read the texts of ours.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from edge_crnn import ctc
from edge_crnn.model.artifact import load
from edge_crnn.reader import DEFAULT_MODEL

from .decoding import KNOWN, PEERS, Decoder, Floats, known_labels, one_core, ours, posteriors
from .models import MODELS

_OURS = ("greedy", "beam", "beam, with spans", "beam, grammar", "beam, lexicon", "beam, prior")
_THEIRS = ("TensorFlow greedy", "TensorFlow beam", "pyctcdecode beam", "fast-ctc-decode beam")
_LEAST_SAME = 0.99
"""The share of images in which a peer, with its own pruning, must read our labels."""


@dataclasses.dataclass(frozen=True)
class Decoding:
    """The posteriors, the decoders, and the reasons why others are absent."""

    rows: Floats
    decoders: dict[str, Decoder]
    absent: dict[str, str]


@pytest.fixture(scope="module")
def decoding() -> Decoding:
    """Return the posteriors of all samples, and all decoders that are installed."""
    artifact = load(DEFAULT_MODEL)
    rows, texts = posteriors(artifact, Path(MODELS["plates"].samples))
    alphabet = dataclasses.replace(artifact.spec.alphabet, blank=rows.shape[2] - 1)
    truths = [alphabet.encode(text) for text in texts]
    grammar = ctc.Grammar.compile("korean-plates", alphabet)
    lexicon = ctc.Lexicon.of(known_labels(truths, KNOWN), alphabet, weight=100.0)
    decoders = ours(rows.shape[2], grammar, lexicon, ctc.Prior.fit(truths, alphabet))
    absent = {}
    for name, make in PEERS.items():
        try:
            decoders += make(rows.shape[2])
        except ImportError as error:
            absent[name] = str(error)
    return Decoding(rows, {decoder.name: decoder for decoder in decoders}, absent)


@pytest.fixture(autouse=True)
def _on_one_core() -> Iterator[None]:
    with one_core():
        yield


@pytest.mark.parametrize("batch", [1, 256])
@pytest.mark.parametrize("name", [*_OURS, *_THEIRS])
def test_decoding(benchmark: BenchmarkFixture, decoding: Decoding, full: bool, name: str, batch: int) -> None:
    """Time a call."""
    for peer, reason in decoding.absent.items():
        if name.startswith(peer):
            pytest.skip(f"{peer}: {reason}")
    decoder = decoding.decoders[name]
    against = decoding.decoders[decoder.against]
    rows = decoding.rows[:batch]
    prepared = decoder.prepare(rows)
    benchmark.group = f"{batch} image{'s' * (batch > 1)}, one core"
    rounds = (200 if batch == 1 else 20) // (1 if full else 4)
    decoded = benchmark.pedantic(decoder.decode, args=(prepared,), rounds=rounds, warmup_rounds=1)  # type: ignore[no-untyped-call]
    expected = against.labels(against.decode(against.prepare(rows)))
    same = statistics.mean(a == b for a, b in zip(decoder.labels(decoded), expected, strict=True))
    benchmark.extra_info.update(decoder=name, images=len(rows), same_as_ours=same)
    assert same >= _LEAST_SAME


def test_no_decoder_is_left_out(decoding: Decoding) -> None:
    """Every installed decoder is timed above."""
    assert set(_OURS) <= set(decoding.decoders) <= {*_OURS, *_THEIRS}
