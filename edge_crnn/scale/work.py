"""The work on one part with one reader: its images are read, and its shard is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..chunks import chunked
from ..errors import ArtifactError, DatasetError, ImageError
from ..files import is_temporary, sha256
from ..reader import Reader
from ..reading import Reading
from . import contents, storage
from .contents import Named
from .job import Job
from .rows import row, shard_writer
from .tasks import DEADLY, Advanced, Begun, Event, Outcome, Task

_CHUNK = 64
"""Images that are in memory at a time, encoded."""


@dataclass(frozen=True)
class Workplace:
    """What every process needs that reads parts of a job; it can be pickled."""

    job: Job
    open_reader: Callable[[], Reader]
    """Opens a reader with one worker."""
    skip_unavailable: bool = False
    """Write a row with an error for an image that is not available now, such as one without permission to read or on a
    disk that is not mounted, instead of leaving its part for another run."""

    def reader(self) -> Reader:
        """Open a reader and check that it is the job's: the file of the model may have changed in the meantime.

        Raises:
            ArtifactError: it reads with another model or another decoder.
            EdgeCrnnError: the reader cannot be opened; see `open_reader`.
        """
        reader = self.open_reader()
        if digests(reader) != (self.job.settings.model, self.job.settings.spec):
            reader.close()
            raise ArtifactError(
                f"{reader.spec.name}: the model has changed while the job was running; restore it, or name another"
                " output"
            )
        return reader


class _NotNowError(Exception):
    """An image is not available now, so the part is left for another run."""


def digests(reader: Reader) -> tuple[str, str]:
    """Return the SHA-256 of the model's payload, and that of its spec with the decoder in use."""
    artifact = reader.spec.artifact
    assert artifact is not None  # a reader opens converted models only
    return artifact.payload_sha256, sha256(reader.spec.to_json().encode())


def read_part(workplace: Workplace, task: Task, reader: Reader) -> Iterator[Event]:
    """Read a part and write its shard.

    Args:
        workplace: the job.
        task: the part.
        reader: a reader of the job's model.

    Yields:
        The number of images after every chunk of them; if they are read alone, the place of every image before it is
        read; at the end the outcome.

    Raises:
        OutputError: the shard cannot be written.
        InputError: a Parquet file has no such column.
        BackendUnavailable: a package is not installed.
        BackendError: the engine failed.
    """
    job = workplace.job
    writer = shard_writer(job.settings.format)
    existed = {file.path for file in task.part.files if file.size is not None}  # when the job listed them
    images = 0
    errors = 0
    try:
        named = contents.images(task.part, job.folder, job.settings.column)
        for chunk in chunked(named, 1 if task.alone else _CHUNK):
            if task.alone:
                yield Begun(images)
            wanted = [(name, _given_up(name)) for name, _ in chunk] if images in task.deadly else chunk
            for name, result in results(reader, wanted):
                if isinstance(result, ImageError):
                    if not workplace.skip_unavailable:
                        _check_available(result, name in existed)
                    errors += 1
                writer.add(row(name, result, job.settings.model))
            images += len(chunk)
            yield Advanced(len(chunk))
    except (DatasetError, _NotNowError) as error:
        yield Outcome(task.number, open_because=str(error))
        return
    storage.write(job.shard(task.number), writer.finish())
    yield Outcome(task.number, images, errors)


def results(reader: Reader, named: Sequence[Named]) -> Iterator[tuple[str, Reading | ImageError]]:
    """Yield the name and the result of every image, in their order."""
    readings = reader.read_each([image for _, image in named if not isinstance(image, ImageError)])
    for name, image in named:
        yield name, image if isinstance(image, ImageError) else next(readings)


def _check_available(error: ImageError, existed: bool) -> None:
    """Check that an image is not available later either.

    Args:
        error: the error of the image.
        existed: whether there was a file when the job listed the images.

    Raises:
        _NotNowError: it may be available later.
    """
    if is_temporary(error):
        raise _NotNowError(str(error))
    if existed and contents.is_missing_with_folder(error):
        raise _NotNowError(f"{error} or mount its disk: the folder is missing or empty")


def _given_up(name: str) -> ImageError:
    return ImageError(f"{name}: {DEADLY} processes died while reading it; check the file")
