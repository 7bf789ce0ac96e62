from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import decoding
from edge_crnn import ctc
from edge_crnn.alphabet import Alphabet
from edge_crnn.ctc import Grammar
from edge_crnn.records.decoding import DecodingCounts

AB1 = Alphabet(("a", "b", "1"), blank=3)


def rows_of(*images: list[tuple[float, float, float, float]]) -> np.ndarray:
    return np.array(images, np.float32)


def test_errors_are_counted_at_the_coverage_of_the_filter() -> None:
    grammar = Grammar.compile("[ab]1", AB1)
    blank, one = (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 0.0)
    rows = rows_of(
        [(0.9, 0.1, 0.0, 0.0), blank, one],  # a1, right
        [(0.6, 0.4, 0.0, 0.0), blank, one],  # a1, wrong: the truth is second
        [(0.1, 0.3, 0.6, 0.0), blank, one],  # 11 by best path, b1 by the grammar
        [(0.3, 0.1, 0.6, 0.0), blank, one],  # 11 by best path, a1 by the grammar; the truth is bb
    )
    truths = [(0, 2), (1, 2), (1, 2), (1, 1)]
    assert decoding.count_errors(rows, truths, grammar) == DecodingCounts(
        images=4,
        greedy_right=1,
        beam_right=1,
        grammar_right=2,
        covered=2,
        filter_wrong=1,
        grammar_wrong=1,
        fewest_wrong=0,
        remaining=2,
        truth_in_n_best=1,
        outside=0,
    )


def test_every_decoder_is_timed_on_the_same_images() -> None:
    powers = np.exp(np.random.default_rng(0).normal(size=(7, 9, 4)) * 8)
    rows = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    labels = [(0, 1), (1, 0, 2), (2, 2, 0)]
    lexicon_labels = decoding.known_labels(labels, 20)
    assert (lexicon_labels[:3], len(lexicon_labels), set(map(len, lexicon_labels[3:]))) == (labels, 20, {3})
    assert {label[0] for label in lexicon_labels[3:]} == {1, 2}
    lexicon = ctc.Lexicon.of(lexicon_labels, AB1, weight=9.0)
    decoders = decoding.ours(4, Grammar.compile("[ab1]*", AB1), lexicon, ctc.Prior.fit(labels, AB1))
    speeds = decoding.measure(decoders, rows, batch=3, rounds=2, calls=2)
    assert [speed.decoder for speed in speeds] == [
        *("greedy", "beam", "beam, with spans", "beam, grammar", "beam, lexicon", "beam, prior")
    ]
    for speed in speeds:
        assert speed.same == 1.0
        assert 0 < speed.minimum_ms <= speed.ms
    (labels_of_beam,) = decoders[1].labels(decoders[1].decode(rows[:1]))
    assert labels_of_beam == ctc.search(rows[:1], 3)[0][0].indices


@pytest.mark.parametrize("peer", decoding.PEERS)
def test_peers_find_what_ours_finds(peer: str) -> None:
    powers = np.exp(np.random.default_rng(1).normal(size=(12, 9, 5)) * 12)
    rows = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    try:
        decoders = decoding.PEERS[peer](5)
    except ImportError as error:
        pytest.skip(str(error))
    expected = {
        decoder.name: decoder.labels(decoder.decode(decoder.prepare(rows))) for decoder in decoding.ours(5, None)
    }
    for decoder in decoders:
        labels = decoder.labels(decoder.decode(decoder.prepare(rows)))
        assert np.mean([a == b for a, b in zip(labels, expected[decoder.against], strict=True)]) > 0.8


@pytest.mark.parametrize("figures", ["speed", "errors"])
def test_a_record_is_written(
    figures: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "PEERS", {"none": _absent})
    rows = np.full((3, 9, 42), 0.5 / 41, np.float32)
    rows[:, :, 5] += 0.5 - 0.5 / 41
    monkeypatch.setattr(decoding, "posteriors", lambda artifact, folder: (rows, ["A18sk6897"] * 3))
    words = [figures, "plates", "--rounds", "1", "--calls", "1", "--batches", "1", "--grammar", ".{2,9}"]
    assert decoding.main([*words, "-o", str(tmp_path / "record.json")]) == 0
    record = json.loads((tmp_path / "record.json").read_text())
    assert (record["version"], record["images"], record["shape"]) == (1, 3, [9, 42])
    assert record["command"].startswith(f"python -m benchmarks.decoding {figures} plates --rounds 1")
    if figures == "speed":
        assert record["speeds"][0]["decoder"] == "greedy"
        assert record["absent"] == {"none": "not here"}
        assert "Absent: none (not here)." in capsys.readouterr().out
    else:
        assert record["errors"]["images"] == 3
        assert record["errors"]["outside"] == 0


def _absent(classes: int) -> list[decoding.Decoder]:
    raise ImportError("not here")
