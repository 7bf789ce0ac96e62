"""Reads with Ray: the images of a Ray dataset, or the parts of a job on the machines of a cluster.

Actors open one reader each and decode images themselves, so that only paths or the bytes of files travel. An actor
computes on one core but reserves half of one, which leaves room for the tasks that read the dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import BackendError, BackendUnavailable, InputError
from ..reader import Reader, open_reader
from . import contents
from .parts import Part
from .rows import row, structure
from .tasks import Outcome, Progress, Task, Tasks
from .work import Workplace, digests, read_part, results

if TYPE_CHECKING:
    from ray.data import Dataset

_CORES = 0.5
_BATCH = 64


def read(
    dataset: Dataset,
    model: str | None = None,
    *,
    column: str = "image",
    into: str = "reading",
    actors: int | None = None,
    gpus: float = 0.0,
    **options: Any,
) -> Dataset:
    """Read the images of a Ray dataset.

        images = ray.data.read_parquet("s3://bucket/crops")
        edge_crnn.scale.ray.read(images, "plate.tflite").drop_columns(["image"]).write_parquet("s3://bucket/readings")

    Args:
        dataset: the dataset.
        model: the name of a model or its path on every machine; None: "plates", as for `open_reader`.
        column: the column with the images: the bytes of image files, structures with such `bytes`, or paths. Pixels are
            not accepted, because Ray decodes them in the driver's colour order; read files with
            `ray.data.read_binary_files`.
        into: the new column. It has a structure with the columns of `read-all`, except `image`; see `scale.rows`.
        actors: number of readers; None: one per core of the cluster, or one per GPU with `gpus`.
        gpus: GPUs that an actor reserves, such as 1 with `engine="tensorrt"`.
        **options: further options of `open_reader`, such as `grammar` or `min_confidence`.

    Returns:
        The dataset with the column `into`. An image that cannot be read has an `error` there.

    Raises:
        BackendUnavailable: Ray is not installed.
        InputError: the dataset has the column `into`, or lacks `column`.
    """
    ray = _ray()
    names = dataset.schema().names
    if column not in names:
        raise InputError(f"the dataset has no column {column!r}, found {', '.join(names)}; name one with column=")
    if into in names:
        raise InputError(f"the dataset has a column {into!r} already; name another with into=")
    return dataset.map_batches(
        _Batches,
        fn_constructor_args=(partial(open_reader, model, **{**options, "workers": 1}), column, into),
        batch_size=_BATCH,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=actors or _default_actors(ray, gpus)),
        num_cpus=_CORES,
        num_gpus=gpus or None,
    )


class _Batches:
    """Appends the readings of a batch to it."""

    def __init__(self, open_it: Callable[[], Reader], column: str, into: str) -> None:
        self._reader = open_it()
        self._model, _ = digests(self._reader)
        self._column = column
        self._into = into

    def __call__(self, table: Any) -> Any:
        import pyarrow as pa

        images = [contents.of_value(self._column, value) for value in table.column(self._column).to_pylist()]
        rows = []
        for _, result in results(self._reader, [("", image) for image in images]):
            values = row("", result, self._model)
            del values["image"]
            rows.append(values)
        return table.append_column(self._into, pa.array(rows, structure()))


@dataclass
class _Worker:
    """An actor, its task, and the stream of the events of its task."""

    actor: Any
    task: Task
    events: Any
    progress: Progress = field(default_factory=Progress)
    has_begun: bool = False


def read_parts(
    workplace: Workplace,
    parts: Iterable[tuple[int, Part]],
    workers: int | None,
    advance: Callable[[int], None],
    *,
    address: str,
    gpus: float = 0.0,
) -> Generator[Outcome, None, None]:
    """Read parts with actors on a cluster and yield their outcomes as they are ready; see `local.read_parts`.

    Args:
        workplace: the job, and the way to open a reader, on machines that all have the inputs and the output.
        parts: numbers and parts, which are taken as actors become free.
        workers: number of actors; None: one per core of the cluster, or one per GPU with `gpus`.
        advance: as for `local.read_parts`.
        address: the cluster, such as ray://head:10001, or `local` to start one on this machine.
        gpus: GPUs that an actor reserves.

    Raises:
        BackendUnavailable: Ray is not installed.
        BackendError: there is no cluster at this address, or actors die before they can read.
        EdgeCrnnError: see `read_part` and `Workplace.reader`.
    """
    ray = _ray()
    try:
        ray.init(address, ignore_reinit_error=True, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise BackendError(f"{address}: no Ray cluster answers ({error}); check the address") from error
    cluster = _Cluster(ray, workplace, Tasks(parts), advance, gpus)
    try:
        yield from cluster.run(workers or _default_actors(ray, gpus))
    finally:
        cluster.close()


class _Parts:
    """Reads parts in an actor. The reader is opened with the first part, so that its error is that of a method."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._reader: Reader | None = None

    def read(self, task: Task) -> Generator[Any, None, None]:
        if self._reader is None:
            self._reader = self._workplace.reader()
        yield None  # the reader is open
        yield from read_part(self._workplace, task, self._reader)


class _Cluster:
    def __init__(
        self, ray: Any, workplace: Workplace, tasks: Tasks, advance: Callable[[int], None], gpus: float
    ) -> None:
        self._ray = ray
        self._workplace = ray.put(workplace)
        self._tasks = tasks
        self._advance = advance
        self._actor = ray.remote(num_cpus=_CORES, num_gpus=gpus or None, scheduling_strategy="SPREAD")(_Parts)
        self._workers: list[_Worker] = []

    def run(self, count: int) -> Generator[Outcome, None, None]:
        while True:
            while len(self._workers) < count and (task := self._tasks.next()) is not None:
                actor = self._actor.remote(self._workplace)
                self._workers.append(_Worker(actor, task, _events(actor, task)))
            if not self._workers:
                return
            ready, _ = self._ray.wait([worker.events for worker in self._workers], num_returns=1)
            (worker,) = (worker for worker in self._workers if worker.events is ready[0])
            outcome = self._step(worker)
            if outcome is not None:
                yield outcome

    def close(self) -> None:
        """End the actors. This loses no result, because shards are written completely or not at all."""
        for worker in self._workers:
            self._ray.kill(worker.actor)

    def _step(self, worker: _Worker) -> Outcome | None:
        """Take the next event of a worker; return the outcome of its task if it has ended."""
        try:
            event = self._ray.get(next(worker.events))
        except self._ray.exceptions.RayTaskError as error:
            raise (error.cause or error) from None
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.ObjectLostError) as error:
            return self._bury(worker, error)
        if isinstance(event, Outcome):
            self._go_on(worker)
            return event
        if event is None:
            worker.has_begun = True
            self._tasks.begun()
        else:
            self._advance(worker.progress.add(event))
        return None

    def _go_on(self, worker: _Worker) -> None:
        task = self._tasks.next()
        if task is None:
            self._workers.remove(worker)
            self._ray.kill(worker.actor)
            return
        self._workers[self._workers.index(worker)] = _Worker(worker.actor, task, _events(worker.actor, task))

    def _bury(self, worker: _Worker, error: Exception) -> Outcome | None:
        self._workers.remove(worker)
        self._ray.kill(worker.actor)
        self._advance(-worker.progress.images)
        if worker.has_begun:
            return self._tasks.died(worker.task, worker.progress.place, type(error).__name__)
        end = str(error).splitlines()[0]
        advice = "check the memory of the machines, and that edge-crnn is installed on them"
        self._tasks.not_begun(worker.task, "actors", end, advice)
        return None


def _events(actor: Any, task: Task) -> Any:
    """Return the stream of the events of a task."""
    return actor.read.options(num_returns="streaming").remote(task)


def _default_actors(ray: Any, gpus: float) -> int:
    resources: Mapping[str, float] = ray.cluster_resources()
    return max(1, int(resources.get("GPU", 0) / gpus if gpus else resources.get("CPU", 1)))


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise BackendUnavailable(
            f"Ray is not installed, or does not start ({error}); pip install 'edge-crnn[ray]'"
        ) from error
    return ray
