"""Time our decoders and those of others on one core, and count the errors that a grammar prevents. Linux only.

    python -m benchmarks.decoding speed DIR [--model M] [--rounds 9] [-o benchmarks/results/decoding-speed.json]
    python -m benchmarks.decoding errors DIR [--model M] [--grammar REGEX] [-o FILE]

DIR holds labelled images. `speed` decodes the posteriors of the model for them, one image at a time and in batches.
`errors` compares a grammar inside the search with the same grammar as a filter behind greedy decoding.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from converters.verify.statistics import binomial_interval
from edge_crnn import ctc
from edge_crnn.backends import open_backend
from edge_crnn.bench.contention import QUIET, Contention
from edge_crnn.ctc import korean_plates
from edge_crnn.dataset import chunked, load_labelled
from edge_crnn.model.artifact import Artifact, load
from edge_crnn.preprocess import preprocess
from edge_crnn.reader import DEFAULT_MODEL
from edge_crnn.records.decoding import DecoderTime, DecodingCounts, DecodingErrors, DecodingSpeed

from .record import header, save, typed

WIDTH = 10
"""The width of all beams."""

Floats: TypeAlias = npt.NDArray[np.float32]
Labels: TypeAlias = tuple[int, ...]

KNOWN = 100_000
"""The number of labels in the lexicon."""

_TINY = 1e-30  # instead of 0 where a peer takes logarithms


@dataclass(frozen=True)
class Decoder:
    """A function that decodes probabilities into labels and a score."""

    name: str
    prepare: Callable[[Floats], Any]
    """Converts (N, T, C) probabilities, with the blank last, to the input of `decode`; not timed."""
    decode: Callable[[Any], Any]
    """The call that is timed."""
    labels: Callable[[Any], list[Labels]]
    """Converts the output of `decode` to the labels of each image; not timed."""
    against: str
    """The name of our decoder whose labels it is compared with."""


def ours(
    classes: int, grammar: ctc.Grammar | None, lexicon: ctc.Lexicon | None = None, prior: ctc.Prior | None = None
) -> list[Decoder]:
    """Return our decoders, for posteriors whose blank is the last class."""
    blank = classes - 1

    def decoder(name: str, decode: Callable[[Floats], Any], against: str, is_beam: bool = True) -> Decoder:
        return Decoder(name, lambda rows: rows, decode, lambda texts: [_best(text, is_beam) for text in texts], against)

    search = functools.partial(ctc.search, blank=blank, width=WIDTH)
    decoders = [
        decoder("greedy", lambda rows: ctc.best_path(rows, blank), "greedy", is_beam=False),
        decoder("beam", search, "beam"),
        decoder("beam, with spans", functools.partial(ctc.beam, blank=blank, width=WIDTH), "beam"),
    ]
    if grammar is not None:
        decoders.append(decoder("beam, grammar", functools.partial(search, grammar=grammar), "beam, grammar"))
    if lexicon is not None:
        decoders.append(decoder("beam, lexicon", functools.partial(search, lexicon=lexicon), "beam, lexicon"))
    if prior is not None:
        decoders.append(decoder("beam, prior", functools.partial(search, prior=prior), "beam, prior"))
    return decoders


def known_labels(truths: Sequence[Labels], count: int) -> list[Labels]:
    """Return `count` labels: the truths, and mixtures of the truths that have the most frequent length."""
    length = statistics.mode(map(len, truths))
    columns = np.array([truth for truth in truths if len(truth) == length])
    chosen = np.random.default_rng(0).integers(0, len(columns), (count, length))
    others = columns[chosen, np.arange(length)].tolist()
    return [*truths, *map(tuple, others)][:count]


def _best(text: Any, is_beam: bool) -> Labels:
    if is_beam:
        text = text[0] if text else ctc.Scored((), -np.inf)
    labels: Labels = text.indices
    return labels


def tensorflow(classes: int) -> list[Decoder]:  # noqa: ARG001 - TensorFlow takes the number from the logits
    """Return the greedy decoder and the beam search of `tf.nn`."""
    tf = importlib.import_module("tensorflow")

    def prepare(rows: Floats) -> Any:
        logits = np.log(np.maximum(rows, _TINY)).transpose(1, 0, 2)
        return tf.constant(logits), tf.fill([logits.shape[1]], logits.shape[0])

    def labels(decoded: Any) -> list[Labels]:
        dense = tf.sparse.to_dense(decoded[0][0], default_value=-1).numpy()
        return [tuple(row[row >= 0].tolist()) for row in dense]

    beam = functools.partial(tf.nn.ctc_beam_search_decoder, beam_width=WIDTH, top_paths=1)
    return [
        Decoder("TensorFlow greedy", prepare, lambda logits: tf.nn.ctc_greedy_decoder(*logits), labels, "greedy"),
        Decoder("TensorFlow beam", prepare, lambda logits: beam(*logits), labels, "beam"),
    ]


def pyctcdecode(classes: int) -> list[Decoder]:
    """Return its beam search, with its own pruning."""
    letters = [chr(0xE000 + index) for index in range(classes - 1)]
    decoder = importlib.import_module("pyctcdecode").build_ctcdecoder([*letters, ""])
    return [
        Decoder(
            "pyctcdecode beam",
            lambda rows: np.log(np.maximum(rows, _TINY)),
            lambda batch: [decoder.decode_beams(logits, beam_width=WIDTH)[0] for logits in batch],
            lambda beams: [tuple(ord(letter) - 0xE000 for letter in beam[0]) for beam in beams],
            "beam",
        )
    ]


def fast_ctc_decode(classes: int) -> list[Decoder]:
    """Return its beam search in Rust, without a threshold."""
    search = importlib.import_module("fast_ctc_decode").beam_search
    letters = "".join(chr(0xE000 + index) for index in range(classes))
    return [
        Decoder(
            "fast-ctc-decode beam",
            lambda rows: np.ascontiguousarray(np.roll(rows, 1, axis=-1)),
            lambda batch: [search(rows, letters, beam_size=WIDTH) for rows in batch],
            lambda beams: [tuple(ord(letter) - 0xE001 for letter in text) for text, _ in beams],
            "beam",
        )
    ]


PEERS: Mapping[str, Callable[[int], list[Decoder]]] = {
    "TensorFlow": tensorflow,
    "pyctcdecode": pyctcdecode,
    "fast-ctc-decode": fast_ctc_decode,
}


def posteriors(artifact: Artifact, folder: Path) -> tuple[Floats, list[str]]:
    """Return (N, T, C) posteriors, without the skipped steps and with the blank last, and the true labels."""
    spec = artifact.spec
    dataset = load_labelled(folder, spec.alphabet)
    engine = open_backend(artifact)
    rows = [
        engine.infer(preprocess([entry.load() for entry in chunk], spec.input))[:, spec.skip_steps :]
        for chunk in chunked(dataset, engine.facts.max_batch or 32)
    ]
    engine.close()
    order = [index for index in range(spec.output.classes) if index != spec.blank]
    return np.ascontiguousarray(np.concatenate(rows)[:, :, [*order, spec.blank]]), [entry.label for entry in dataset]


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Keep this process on one core, which all threads of a decoder then share."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def measure(decoders: Sequence[Decoder], rows: Floats, batch: int, rounds: int, calls: int) -> list[DecoderTime]:
    """Time the decoders in turn on the same batches; each round begins with another decoder."""
    batches = [rows[start : start + batch] for start in range(0, len(rows) - batch + 1, batch)]
    inputs = {decoder.name: [decoder.prepare(part) for part in batches] for decoder in decoders}
    labels_of = {
        decoder.name: [labels for part in inputs[decoder.name] for labels in decoder.labels(decoder.decode(part))]
        for decoder in decoders
    }
    wall: dict[str, list[list[float]]] = {decoder.name: [] for decoder in decoders}
    processor: dict[str, list[float]] = {decoder.name: [] for decoder in decoders}
    for turn in range(rounds):
        first = turn % len(decoders)
        for decoder in [*decoders[first:], *decoders[:first]]:
            parts = [inputs[decoder.name][(turn * calls + call) % len(batches)] for call in range(calls)]
            decoder.decode(parts[-1])
            started, times = time.process_time(), []
            for part in parts:
                begun = time.perf_counter()
                decoder.decode(part)
                times.append(1e3 * (time.perf_counter() - begun))
            processor[decoder.name].append(1e3 * (time.process_time() - started) / calls)
            wall[decoder.name].append(times)
    return [
        DecoderTime(
            decoder=decoder.name,
            batch=batch,
            ms=statistics.median(map(statistics.median, wall[decoder.name])),
            minimum_ms=min(map(min, wall[decoder.name])),
            processor_ms=statistics.median(processor[decoder.name]),
            same=statistics.mean(
                a == b for a, b in zip(labels_of[decoder.name], labels_of[decoder.against], strict=True)
            ),
        )
        for decoder in decoders
    ]


def count_errors(rows: Floats, truths: Sequence[Labels], grammar: ctc.Grammar) -> DecodingCounts:
    """Count errors in (N, T, C) posteriors, with the blank last, of greedy, free and grammar decoding."""
    blank = rows.shape[2] - 1
    greedy = [path.indices for path in ctc.best_path(rows, blank)]
    free = [beam[0].indices for beam in ctc.search(rows, blank, width=WIDTH)]
    searched = ctc.search(rows, blank, width=WIDTH, n_best=WIDTH, grammar=grammar)
    lost = ctc.Scored((), -np.inf)
    best = [beam[0] if beam else lost for beam in searched]
    passed = [image for image in range(len(rows)) if grammar.accepts(greedy[image])]
    surest = sorted(range(len(rows)), key=lambda image: best[image].log_probability, reverse=True)[: len(passed)]
    wrong = [image for image in range(len(rows)) if best[image].indices != truths[image]]
    return DecodingCounts(
        images=len(rows),
        greedy_right=sum(a == b for a, b in zip(greedy, truths, strict=True)),
        beam_right=sum(a == b for a, b in zip(free, truths, strict=True)),
        grammar_right=len(rows) - len(wrong),
        covered=len(passed),
        filter_wrong=sum(greedy[image] != truths[image] for image in passed),
        grammar_wrong=sum(best[image].indices != truths[image] for image in surest),
        fewest_wrong=max(len(wrong) - (len(rows) - len(passed)), 0),
        remaining=len(wrong),
        truth_in_n_best=sum(truths[image] in [text.indices for text in searched[image]] for image in wrong),
        outside=sum(not grammar.accepts(text.indices) for beam in searched for text in beam),
    )


def main(words: Sequence[str] | None = None) -> int:
    """Print a table, and write all numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "errors"))
    parser.add_argument("images", type=Path, metavar="DIR", help="folder of labelled images")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--grammar", default=korean_plates.REGEX, metavar="REGEX")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 256])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--calls", type=int, default=25, help="timed calls of each decoder in a round (default: %(default)s)"
    )
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args(words)

    artifact = load(args.model)
    rows, texts = posteriors(artifact, args.images)
    alphabet = dataclasses.replace(artifact.spec.alphabet, blank=rows.shape[2] - 1)
    grammar = ctc.Grammar.compile(args.grammar, alphabet)
    truths = [alphabet.encode(text) for text in texts]
    if args.what == "speed":
        lexicon = ctc.Lexicon.of(known_labels(truths, KNOWN), alphabet, weight=100.0)
        decoders = ours(rows.shape[2], grammar, lexicon, ctc.Prior.fit(truths, alphabet))
        figures: DecodingSpeed | DecodingErrors = _speed(rows, decoders, args)
    else:
        figures = _errors(rows, truths, grammar)
    output = args.output or Path(f"benchmarks/results/decoding-{args.what}.json")
    save(output, header(typed("decoding", words)), figures)
    return 0


def _speed(rows: Floats, decoders: list[Decoder], args: argparse.Namespace) -> DecodingSpeed:
    absent: dict[str, str] = {}
    speeds: list[DecoderTime] = []
    with one_core():
        for name, make in PEERS.items():
            try:
                decoders += make(rows.shape[2])
            except ImportError as error:
                absent[name] = str(error)
        contention = Contention([os.getpid()])
        for batch in args.batches:
            calls = max(1, args.calls // batch)
            speeds += measure(decoders, rows, min(batch, len(rows)), args.rounds, calls)
        others = contention.cores()
    print(f"{'decoder':<22} {'batch':>5} {'ms':>9} {'min':>9} {'processor':>9} {'same as ours':>12}")
    for speed in speeds:
        times = f"{speed.ms:>9.3f} {speed.minimum_ms:>9.3f} {speed.processor_ms:>9.3f}"
        print(f"{speed.decoder:<22} {speed.batch:>5} {times} {speed.same:>12.2%}")
    for name, reason in absent.items():
        print(f"Absent: {name} ({reason}).")
    if others > QUIET:
        print(f"Do not quote these times: other programs kept {others:.1f} cores busy. Repeat on a quiet machine.")
    return DecodingSpeed(len(rows), _shape(rows), others, WIDTH, tuple(speeds), absent)


def _errors(rows: Floats, truths: Sequence[Labels], grammar: ctc.Grammar) -> DecodingErrors:
    errors = count_errors(rows, truths, grammar)
    for field, count in dataclasses.asdict(errors).items():
        low, high = binomial_interval(count, errors.images)
        print(f"{field:<16} {count:>7} {count / errors.images:>8.2%} ({low:.2%} to {high:.2%})")
    if errors.filter_wrong:
        saved, most = (1 - wrong / errors.filter_wrong for wrong in (errors.grammar_wrong, errors.fewest_wrong))
        share = errors.covered / errors.images
        print(f"At the coverage of the filter, {share:.2%}, the grammar saves {saved:.1%} of the errors;", end=" ")
        print(f"the surest choice of as many of its readings would save {most:.1%}.")
    return DecodingErrors(len(rows), _shape(rows), grammar.text, WIDTH, errors)


def _shape(rows: Floats) -> tuple[int, int]:
    """Return the numbers of steps and classes."""
    return rows.shape[1], rows.shape[2]


if __name__ == "__main__":
    sys.exit(main())
