"""The reader: engines, threads, and the steps from pixels to readings."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from .. import ctc
from ..backends import Backend, Probabilities
from ..chunks import chunked
from ..errors import BackendError, EdgeCrnnError, ImageError, InputError, InputTypeError, without_traceback
from ..images import Image, Pixels, read_image
from ..model.spec import DecoderSpec, ModelSpec
from ..preprocess import preprocess as preprocessed
from ..preprocess.function import Function, Preprocess, function_of
from ..reading import FusedReading, Reading
from .decoder import MOST, decoder_for
from .decoding import Decoding, Texts
from .several import several
from .stream import in_order

if TYPE_CHECKING:
    from ..images.decode import DecodedImage

_Named: TypeAlias = tuple[str, Image]
"""An image, and its name in an error."""
_Reading = TypeVar("_Reading", bound=Reading)
_CHUNK = 32  # images per task, unless the engine has its own limit


class Reader:
    """Reads images with one model.

    Threads may share a reader: each call takes one of `workers` engines and puts it back. Processes may not: engines
    have threads, which do not survive a fork, so a forked process must open its own reader and gets an error otherwise.

    Images are whatever `images.read_pixels` takes: paths, bytes of image files, open files, Pillow images, and arrays
    in the order blue, green, red (see `from_rgb`).

    Args:
        spec: the spec of the model; the attribute `spec` of the reader has the decoder in use.
        open_engine: opens an engine for the model; called once here, and again when work needs another engine.
        workers: largest number of engines; None: one per core that this process may use, fewer if memory is short (see
            `board.limits`), or one for a GPU.
        decoder: replaces the spec's decoder and its threshold.
        n_best: texts per reading: the best and `n_best - 1` alternatives; more than 1 selects a beam.
        target_precision: reject low-confidence readings so that at least this share of the accepted ones is correct;
            replaces the decoder's threshold. See `confidence.threshold`.
        lexicon: known texts, or a lexicon of them with the spec's alphabet; selects a beam.
        prior: probabilities of texts; selects a beam.
        preprocess: the function that the spec names in place of its steps. It takes pixels (H, W, 3) BGR or (H, W),
            uint8, and returns the network's input of one image. None: the function passed to `preprocess.function.use`.
        model_bytes: size of the model that each engine loads, for the default of `workers`.

    Raises:
        ModelSpecError: the decoder's settings are out of range; its grammar is invalid or does not fit this network; or
            there is a target and the model is not calibrated.
        InputError: no threshold meets the target; the model was calibrated with another decoder, or without the lexicon
            or prior; these are for another network; or the function is not the one that the spec names, by its name
            and the hash of its source.
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
        model_bytes: int = 0,
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
            if self._engines[0].facts.device == "gpu":
                workers = 1
            else:
                from ..board.limits import usable_workers  # reads the system's files, which a number makes unnecessary

                workers = min(usable_workers(model_bytes), MOST)
        self.workers = max(workers, 1)
        self._idle: queue.SimpleQueue[Backend] = queue.SimpleQueue()
        self._idle.put(self._engines[0])
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._closed = False

    def read(self, image: Image) -> Reading:
        """Read one image.

        Raises:
            ImageError: it cannot be decoded; ImageTypeError if the object has the wrong type.
            InputError: the user's function for preprocessing fails on it.
            BackendError: the engine failed, or the reader is closed, or was carried over a fork.
        """
        return _raised(self._read_chunk([("image", image)]))[0]

    def read_batch(self, images: Iterable[Image]) -> list[Reading]:
        """Read many images, in their order. Every image reads as it does alone.

        They are taken in the caller's thread, so an iterator may be bound to it.

        Raises:
            ImageError: an image cannot be read as an image.
            InputTypeError: `images` is a single image, or not iterable.
            BackendError: see `read`.
        """
        return _raised(list(self._read_in_order(images, may_block=False)))

    def read_each(self, images: Iterable[Image]) -> Iterator[Reading | ImageError]:
        """Read images as they come, in their order, with all workers busy.

        A reading is yielded as soon as it and those before it are ready, even while a camera blocks. For this, another
        thread takes the images, up to twice as many as the engines can work on. An engine that takes 1 image at a time,
        with 1 worker, needs no thread: an image is taken after the reading of the last is yielded. If `images` raises,
        the readings before that are yielded first. See `stream.in_order` for the rest.

        Some iterators may only be used in the thread that made them, such as a cursor of sqlite3 or what asks a window.
        Use `read_batch` for them, pass a list, or call `read` in a loop.

        Args:
            images: paths or frames, for example. A list or a tuple fills the batches of an engine, and its images are
                taken in the caller's thread.

        Yields:
            A reading, or the error of an image that cannot be decoded.

        Raises:
            InputTypeError: `images` is a single image, or not iterable.
            BackendError: see `read`.
        """
        return self._read_in_order(images, may_block=not isinstance(images, list | tuple))

    def fuse(self, images: Iterable[Image], weights: npt.ArrayLike | None = None) -> FusedReading:
        """Read several images of one text as one.

        Args:
            images: at least 1.
            weights: weight of every image, at least 1 in total; None: 1 each, as for independent images. See
                `ctc.fuse`.

        Raises:
            ImageError: an image cannot be read as an image.
            InputError: there is no image, or the weights do not fit.
            InputTypeError: `images` is a single image.
            BackendError: see `read`.
        """
        named = list(_named(images))
        if not named:
            raise InputError("no image to fuse, expected at least 1")
        decoded = [read_image(image, name) for name, image in named]
        reading = self.fuse_decoded(self.probabilities([image.pixels for image in decoded]), weights)
        return _marked(reading) if any(image.damage for image in decoded) else reading

    def probabilities(self, pixels: Sequence[Pixels]) -> Probabilities:
        """Return what the network gives for images, for `decode` and `fuse_decoded`.

        Args:
            pixels: (H, W, 3) BGR or (H, W) grey, uint8, each.

        Returns:
            (N, T, C) float32.

        Raises:
            BackendError: see `read`.
        """
        with self._engine() as engine:
            chunks = chunked(pixels, engine.facts.max_batch or _CHUNK)
            parts = [engine.infer(self._preprocessed(chunk)) for chunk in chunks]
        if not parts:
            return np.empty((0, self.spec.output.steps, self.spec.output.classes), np.float32)
        return np.concatenate(parts)

    def fuse_decoded(self, probabilities: Probabilities, weights: npt.ArrayLike | None = None) -> FusedReading:
        """Make one reading of an engine's (N, T, C) float32 probabilities for N images of one text.

        Raises:
            InputError: see `fuse`; or the values are not probabilities.
        """
        return self._decoding.fuse(probabilities, weights)

    def decode(self, probabilities: Probabilities) -> list[Reading]:
        """Make readings of an engine's (N, T, C) float32 probabilities, without using an engine.

        Raises:
            InputError: the values are not probabilities.
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

    def __reduce__(self) -> NoReturn:
        raise InputTypeError(
            "a reader cannot be copied or sent to another process, found a Reader to pickle; send the path of the model"
            " and open a reader in each process, such as in the initializer of a process pool, or use threads"
        )

    def _read_in_order(self, images: Iterable[Image], may_block: bool) -> Iterator[Reading | ImageError]:
        size = self._engines[0].facts.max_batch or _CHUNK
        return in_order(_named(images), self._read_chunk, workers=self.workers, size=size, may_block=may_block)

    def _read_chunk(self, images: Sequence[_Named]) -> list[Reading | ImageError]:
        decoded: list[DecodedImage | ImageError] = []
        for name, image in images:
            try:
                decoded.append(read_image(image, name))
            except ImageError as error:
                decoded.append(without_traceback(error))
        pixels = [result.pixels for result in decoded if not isinstance(result, ImageError)]
        with self._engine() as engine:
            readings = iter(self.decode(engine.infer(self._preprocessed(pixels))))
        results: list[Reading | ImageError] = []
        for result in decoded:
            if isinstance(result, ImageError):
                results.append(result)
            else:
                reading = next(readings)
                results.append(_marked(reading) if result.damage else reading)
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


def _named(images: Iterable[Image]) -> Iterator[_Named]:
    return ((f"images[{index}]", image) for index, image in enumerate(several(images)))


def _marked(reading: _Reading) -> _Reading:
    """Mark a reading as that of a damaged image."""
    return replace(reading, damaged=True, accepted=False)


def _raised(results: Sequence[Reading | ImageError]) -> list[Reading]:
    readings = []
    for result in results:
        if isinstance(result, EdgeCrnnError):
            raise result
        readings.append(result)
    return readings
