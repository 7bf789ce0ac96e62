"""The reader: engines, threads, and the order of things from pixels to readings."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from .. import ctc
from ..backends import Backend, Probabilities
from ..chunks import chunked
from ..errors import BackendError, EdgeCrnnError, ImageError, InputError, without_traceback
from ..images import Image, Pixels, read_picture
from ..model.spec import DecoderSpec, ModelSpec
from ..preprocess import preprocess as preprocessed
from ..preprocess.function import Function, Preprocess, function_of
from ..reading import FusedReading, Reading
from .decoder import decoder_for
from .decoding import Decoding, Texts

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..images.decode import Picture

_Reading = TypeVar("_Reading", bound=Reading)
_CHUNK = 32  # images that one task takes where the engine has no limit of its own


class Reader:
    """Reads images with one model.

    Safe to share between threads: each call takes one of `workers` engines and puts it back. Not to be carried over a
    fork: engines have threads of their own, so a forked process must open its own reader, and gets an error otherwise.

    Images are whatever `images.read_pixels` takes: paths, bytes of picture files, open files, Pillow images, and arrays
    in the order blue, green, red (see `from_rgb`).

    Args:
        spec: of the model; the reader's own `spec` has the decoder that it uses.
        open_engine: opens one more engine over the model; called once here, and again as work asks for more.
        workers: engines at most; None: one per core that this process may use, or one for a GPU.
        decoder: replaces the spec's decoder as a whole, with its threshold.
        n_best: texts per reading: the best and `n_best - 1` alternatives; more than 1 needs a beam and gets one.
        target_precision: reject low-confidence readings so that at least this share of the accepted ones is correct;
            replaces the decoder's threshold. See `confidence.threshold`.
        lexicon: known texts, or a lexicon made of them with the spec's alphabet; needs a beam and gets one.
        prior: how probable texts are; needs a beam and gets one.
        preprocess: the function that the spec names in place of its steps. It takes pixels (H, W, 3) BGR or (H, W),
            uint8, and returns one image as the network takes it. None: the one given to `preprocess.function.use`.

    Raises:
        ModelSpecError: the decoder's settings are out of range, or its grammar is not one, or does not fit this
            network; or a target is given and the model is not calibrated.
        InputError: no threshold meets the target, or the model was calibrated with another decoder or
            without the lexicon or prior; or these are for another network; or the function is not the one that the
            spec names, by its name and the hash of its source.
        InputTypeError: an argument has the wrong type.
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
        lexicon: ctc.Lexicon | Texts | None = None,
        prior: ctc.Prior | None = None,
        preprocess: Function | Preprocess | None = None,
    ) -> None:
        used = decoder_for(
            spec, decoder=decoder, n_best=n_best, target_precision=target_precision, lexicon=lexicon, prior=prior
        )
        self.spec = replace(spec, decoder=used)
        self._function = function_of(spec.input.function, preprocess)
        self._decoding = Decoding(self.spec, n_best=n_best, lexicon=lexicon, prior=prior)
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
            ImageError: it cannot be read as a picture; an ImageTypeError where it is an object of another type.
            InputError: the user's function for preprocessing fails on it.
            BackendError: the engine failed, or the reader is closed, or was carried over a fork.
        """
        return _raised(self._read_chunk([image]))[0]

    def read_batch(self, images: Sequence[Image]) -> list[Reading]:
        """Read many images, in their order; each reads as it does alone.

        Raises:
            ImageError: one of them cannot be read as a picture.
            BackendError: as `read`.
        """
        return _raised(list(self.read_each(images)))

    def read_each(self, images: Iterable[Image]) -> Iterator[Reading | ImageError]:
        """Read images as they come, in their order, all workers busy.

        Yields:
            A reading, or the error of an image that cannot be read as a picture.

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
            ImageError: one of them cannot be read as a picture.
            InputError: there is no image, or the weights do not fit.
            BackendError: as `read`.
        """
        if not len(images):
            raise InputError("no image to fuse, expected at least 1")
        with self._engine() as engine:
            pictures = [read_picture(image) for image in images]
            chunks = chunked([picture.pixels for picture in pictures], engine.facts.max_batch or _CHUNK)
            reading = self.fuse_decoded(
                np.concatenate([engine.infer(self._preprocessed(chunk)) for chunk in chunks]), weights
            )
        return _marked(reading) if any(picture.damage for picture in pictures) else reading

    def fuse_decoded(self, probabilities: Probabilities, weights: npt.ArrayLike | None = None) -> FusedReading:
        """Make one reading of (N, T, C) float32 probabilities that an engine gave for N images of one text.

        Raises:
            InputError: as `fuse`, or they are no probabilities.
        """
        return self._decoding.fuse(probabilities, weights)

    def decode(self, probabilities: Probabilities) -> list[Reading]:
        """Make readings of (N, T, C) float32 probabilities that an engine gave; no engine is used.

        Raises:
            InputError: they are no probabilities.
        """
        return self._decoding.decode(probabilities)

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
        pictures: list[Picture | ImageError] = []
        for image in images:
            try:
                pictures.append(read_picture(image))
            except ImageError as error:
                pictures.append(without_traceback(error))
        pixels = [picture.pixels for picture in pictures if not isinstance(picture, ImageError)]
        with self._engine() as engine:
            readings = iter(self.decode(engine.infer(self._preprocessed(pixels))))
        results: list[Reading | ImageError] = []
        for picture in pictures:
            if isinstance(picture, ImageError):
                results.append(picture)
            else:
                reading = next(readings)
                results.append(_marked(reading) if picture.damage else reading)
        return results

    def _preprocessed(self, pixels: Sequence[Pixels]) -> npt.NDArray[Any]:
        return preprocessed(pixels, self.spec.input, self._function)

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


def usable_cores() -> int:
    """Count the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _marked(reading: _Reading) -> _Reading:
    """Return the reading of a picture whose file is damaged."""
    return replace(reading, damaged=True, accepted=False)


def _raised(results: Sequence[Reading | ImageError]) -> list[Reading]:
    readings = []
    for result in results:
        if isinstance(result, EdgeCrnnError):
            raise result
        readings.append(result)
    return readings
