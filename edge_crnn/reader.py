"""Image → text: the only module that knows the order of things."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from . import ctc
from .backends import Backend, Probabilities, open_backend
from .confidence import likelihood, temper, threshold
from .dataset import chunked
from .errors import BackendError, EdgeCrnnError, ImageError, InputError, ModelSpecError
from .images import Pixels, as_pixels, load_image
from .model.artifact import Artifact, load
from .model.spec import DecoderSpec, ModelSpec
from .preprocess import preprocess as preprocessed
from .preprocess.function import Function, Preprocess, function_of
from .reading import Alternative, Character, FusedReading, Reading

if TYPE_CHECKING:
    from concurrent.futures import Future

Image: TypeAlias = str | Path | npt.NDArray[Any]
"""A path, or pixels: BGR, BGRA or grey, (H, W[, C]) uint8 or uint16."""

DEFAULT_MODEL = Path(__file__).parent / "data" / "plates-int8.tflite"
"""Korean plates, int8: what is read with when no model is named."""

MOST = 256
"""Workers, threads or texts per reading at most: beyond, engines crash instead of refusing."""

_CHUNK = 32  # images that one task takes where the engine has no limit of its own


class Reader:
    """Reads images with one model.

    Safe to share between threads: each call takes one of `workers` engines and puts it back. Not to be carried over a
    fork: engines have threads of their own, so a forked process opens its own reader and is told so if it does not.

    Args:
        spec: the model's; the reader's own `spec` has the decoder that it uses.
        open_engine: opens one more engine over the model; called once here, and again as work asks for more.
        workers: engines at most; None: one per core that this process may use, or one for a GPU.
        decoder: instead of the spec's.
        n_best: texts per reading: the best and `n_best - 1` alternatives; more than 1 needs a beam and gets one.
        target_precision: accept so surely that this share of what is accepted is right, in place of the decoder's
            threshold; see `confidence.threshold`.
        lexicon: known texts, made with the spec's alphabet; needs a beam and gets one.
        prior: how probable texts are, as the lexicon.
        preprocess: the function that the spec names in place of its steps. It takes pixels (H, W, 3) BGR or (H, W),
            uint8, and returns one image as the network takes it. None: the one given to `preprocess.function.use`.

    Raises:
        ModelSpecError: the decoder's settings are out of range, or its grammar is none, or none for this network; or a
            target is given and the model is not calibrated.
        InputError: no threshold meets the target, or the model was calibrated with another decoder or
            without the lexicon or prior; or these are for another network; or the function is not the one that the
            spec names, by its name and the hash of its source.
    """

    def __init__(
        self,
        spec: ModelSpec,
        open_engine: Callable[[], Backend],
        *,
        workers: int | None = 1,
        decoder: DecoderSpec | None = None,
        n_best: int = 1,
        target_precision: float | None = None,
        lexicon: ctc.Lexicon | None = None,
        prior: ctc.Prior | None = None,
        preprocess: Function | Preprocess | None = None,
    ) -> None:
        decoder = decoder or spec.decoder
        if n_best > 1 or lexicon is not None or prior is not None:
            decoder = replace(decoder, method="beam", beam_width=max(decoder.beam_width, n_best))
        if target_precision is not None:
            if lexicon is not None or prior is not None:
                raise InputError(
                    "a target precision says nothing with a lexicon or a prior, which the model was calibrated without;"
                    " leave one of them out, or give the decoder a threshold (reject_below, --min-confidence)"
                )
            decoder = replace(decoder, reject_below=threshold(spec, target_precision, decoder))
        self.spec = replace(spec, decoder=decoder)
        self._function = function_of(spec.input.function, preprocess)
        self._alphabet = spec.alphabet
        self._grammar = _grammar(self.spec)
        self._lexicon, self._prior = _fitting(spec, lexicon, prior)
        self._n_best = max(n_best, 1)
        self._open_engine = open_engine
        self._engines = [open_engine()]
        if workers is None:
            workers = 1 if self._engines[0].facts.device == "gpu" else usable_cores()
        self.workers = max(workers, 1)
        self._idle: queue.SimpleQueue[Backend] = queue.SimpleQueue()
        self._idle.put(self._engines[0])
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._closed = False

    def read(self, image: Image) -> Reading:
        """Read one image.

        Raises:
            ImageError: it is none.
            InputError: the user's function for preprocessing fails on it.
            BackendError: the engine failed, or the reader is closed, or was carried over a fork.
        """
        return _raised(self._read_chunk([image]))[0]

    def read_batch(self, images: Sequence[Image]) -> list[Reading]:
        """Read many images, in their order; each reads as it does alone.

        Raises:
            ImageError: one of them is none.
            BackendError: as `read`.
        """
        return _raised(list(self.read_each(images)))

    def read_each(self, images: Iterable[Image]) -> Iterator[Reading | ImageError]:
        """Read images as they come, in their order, all workers busy; an image that is none gives its error.

        Raises:
            BackendError: as `read`.
        """
        chunks = chunked(images, self._engines[0].facts.max_batch or _CHUNK)
        if self.workers == 1:
            for chunk in chunks:
                yield from self._read_chunk(chunk)
            return
        from concurrent.futures import ThreadPoolExecutor  # brings logging, which a reader of one image does without

        pending: deque[Future[list[Reading | ImageError]]] = deque()
        pool = ThreadPoolExecutor(self.workers, "edge-crnn-reader")
        try:
            for chunk in chunks:
                pending.append(pool.submit(self._read_chunk, chunk))
                if len(pending) >= 4 * self.workers:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def fuse(self, images: Sequence[Image], weights: npt.ArrayLike | None = None) -> FusedReading:
        """Read several images of one text as one.

        Args:
            images: at least 1.
            weights: what each is worth, together at least 1; None: 1 each, as of independent looks. See `ctc.fuse`.

        Raises:
            ImageError: one of them is none.
            InputError: there is no image, or the weights are not as said.
            BackendError: as `read`.
        """
        if not len(images):
            raise InputError("no image to fuse, expected at least 1")
        with self._engine() as engine:
            chunks = chunked(map(_pixels, images), engine.facts.max_batch or _CHUNK)
            return self.fuse_decoded(
                np.concatenate([engine.infer(self._preprocessed(chunk)) for chunk in chunks]), weights
            )

    def fuse_decoded(self, probabilities: Probabilities, weights: npt.ArrayLike | None = None) -> FusedReading:
        """One reading of (N, T, C) float32 probabilities that an engine gave for N images of one text.

        Raises:
            InputError: as `fuse`, or they are no probabilities.
        """
        found = ctc.fuse(
            self._tempered(probabilities),
            self.spec.blank,
            self.spec.skip_steps,
            weights=weights,
            width=self.spec.decoder.beam_width,
            n_best=min(self._n_best, self.spec.decoder.beam_width),
            grammar=self._grammar,
            lexicon=self._lexicon,
            prior=self._prior,
        )
        agreeing = found[0].agreeing if found else 0
        return FusedReading(**vars(self._reading(found)), images=len(probabilities), agreeing=agreeing)

    def close(self) -> None:
        """Free the engines; a second call does nothing."""
        with self._lock:
            self._closed = True
            for engine in self._engines:
                engine.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_chunk(self, images: Sequence[Image]) -> list[Reading | ImageError]:
        results: list[Reading | ImageError | None] = []
        pixels = []
        for image in images:
            try:
                pixels.append(_pixels(image))
                results.append(None)
            except ImageError as error:
                results.append(error)
        with self._engine() as engine:
            readings = iter(self.decode(engine.infer(self._preprocessed(pixels))))
        return [next(readings) if result is None else result for result in results]

    def decode(self, probabilities: Probabilities) -> list[Reading]:
        """Readings of (N, T, C) float32 probabilities that an engine gave; no engine is used.

        Raises:
            InputError: they are no probabilities.
        """
        blank, skip = self.spec.blank, self.spec.skip_steps
        probabilities = self._tempered(probabilities)
        if self.spec.decoder.method == "greedy":
            return [self._reading([best]) for best in ctc.greedy(probabilities, blank, skip)]
        found = ctc.beam(
            probabilities,
            blank,
            skip,
            width=self.spec.decoder.beam_width,
            n_best=self._n_best,
            grammar=self._grammar,
            lexicon=self._lexicon,
            prior=self._prior,
        )
        return [self._reading(best) for best in found]

    def _preprocessed(self, pixels: Sequence[Pixels]) -> npt.NDArray[Any]:
        return preprocessed(pixels, self.spec.input, self._function)

    def _tempered(self, probabilities: Probabilities) -> Probabilities:
        if self.spec.confidence is None:
            return probabilities
        return temper(probabilities, self.spec.blank, self.spec.confidence.temperature)

    def _reading(self, found: Sequence[ctc.Decoded | ctc.Fused]) -> Reading:
        if not found:  # no text of the grammar has any probability
            return Reading("", "", 0.0, (), (), accepted=False)
        (label, *others) = (self._alphabet.spell(each.indices) for each in found)
        best = found[0]
        confidence = self._likelihood(best.confidence)
        return Reading(
            text=self._alphabet.read(label),
            label=label,
            confidence=confidence,
            characters=tuple(
                Character(self._alphabet.spell([index]), peak, span)
                for index, peak, span in zip(best.indices, best.confidences, best.spans, strict=True)
            ),
            alternatives=tuple(
                Alternative(self._alphabet.read(other), other, self._likelihood(each.confidence), each.weighted)
                for other, each in zip(others, found[1:], strict=True)
            ),
            accepted=(confidence if best.weighted is None else best.weighted) >= self.spec.decoder.reject_below
            and (self._grammar is None or self._grammar.accepts(best.indices)),
            weighted=best.weighted,
            rescued=best.rescued,
        )

    def _likelihood(self, posterior: float) -> float:
        return posterior if self.spec.confidence is None else likelihood(posterior, self.spec.confidence.isotonic)

    @contextmanager
    def _engine(self) -> Iterator[Backend]:
        if os.getpid() != self._process:
            raise BackendError(
                f"this reader was opened in process {self._process} and carried over a fork; open one in each process"
            )
        engine = self._take()
        try:
            yield engine
        finally:
            self._idle.put(engine)

    def _take(self) -> Backend:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            pass
        with self._lock:
            if not self._closed and len(self._engines) < self.workers:
                self._engines.append(self._open_engine())
                return self._engines[-1]
        return self._idle.get()


def open_reader(
    model: str | Path | Artifact | None = None,
    *,
    workers: int | None = None,
    threads: int = 1,
    decoder: DecoderSpec | None = None,
    n_best: int = 1,
    target_precision: float | None = None,
    engine: str | None = None,
    lexicon: ctc.Lexicon | None = None,
    prior: ctc.Prior | None = None,
    preprocess: Function | Preprocess | None = None,
) -> Reader:
    """Open a converted model.

    Args:
        model: an artifact or its path; None: Korean plates, int8, which comes with the package.
        workers: engines side by side; None: as for `Reader`. For the soonest answer to one image at a time, 1 worker
            with more `threads`.
        threads: of each engine.
        decoder: instead of the one in the model's spec.
        n_best: texts per reading.
        target_precision: as for `Reader`.
        engine: "tensorrt" runs an `.onnx` as an engine that is built once and cached, on its first start for minutes;
            None: the usual one for the kind of file, which is ONNX Runtime.
        lexicon: as for `Reader`.
        prior: as for `Reader`.
        preprocess: as for `Reader`.

    Raises:
        ArtifactError: no such file, of no known kind, or damaged.
        ModelSpecError: it carries no spec, or is not calibrated and a target is given.
        BackendUnavailable: its engine is not installed.
        BackendError: the engine does not take it.
        InputError: workers, threads or n_best are not 1 to 256, the target cannot be met, the engine is not for this
            kind of file, or the function is not the one that the spec names.
        OutputError: TensorRT's engine cannot be kept.
    """
    for name, value in (("workers", 1 if workers is None else workers), ("threads", threads), ("n_best", n_best)):
        if not 1 <= value <= MOST:
            raise InputError(f"{name} is {value}, expected 1 to {MOST}")
    artifact = model if isinstance(model, Artifact) else load(DEFAULT_MODEL if model is None else Path(model))
    return Reader(
        artifact.spec,
        lambda: open_backend(artifact, threads, engine),
        workers=workers,
        decoder=decoder,
        n_best=n_best,
        target_precision=target_precision,
        lexicon=lexicon,
        prior=prior,
        preprocess=preprocess,
    )


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _grammar(spec: ModelSpec) -> ctc.Grammar | None:
    if spec.decoder.grammar is None:
        return None
    try:
        grammar = ctc.Grammar.compile(spec.decoder.grammar, spec.alphabet)
        grammar.check_fits(spec.output.classes, spec.blank, [spec.output.steps - spec.skip_steps])
    except InputError as error:
        raise ModelSpecError(f"spec of {spec.name!r}: {error}") from error
    return grammar


def _fitting(
    spec: ModelSpec, lexicon: ctc.Lexicon | None, prior: ctc.Prior | None
) -> tuple[ctc.Lexicon | None, ctc.Prior | None]:
    steps = spec.output.steps - spec.skip_steps
    if lexicon is not None:
        lexicon.check_fits(spec.output.classes, spec.blank, [steps])
        if ctc.steps_of(lexicon.longest) > steps:
            label, needed = spec.alphabet.spell(lexicon.longest), ctc.steps_of(lexicon.longest)
            raise InputError(f"the lexicon has {label!r}, which takes {needed} of {steps} time steps: remove it")
    if prior is not None:
        prior.check_fits(spec.output.classes, spec.blank)
    return lexicon, prior


def _pixels(image: Image) -> Pixels:
    return load_image(image) if isinstance(image, str | Path) else as_pixels(image)


def _raised(results: Sequence[Reading | ImageError]) -> list[Reading]:
    readings = []
    for result in results:
        if isinstance(result, EdgeCrnnError):
            raise result
        readings.append(result)
    return readings
