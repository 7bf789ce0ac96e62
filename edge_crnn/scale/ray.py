"""Reads with Ray: the images of a Ray dataset, or the parts of a job on the machines of a cluster.

Actors open one reader each and decode images themselves, so that only paths or the bytes of files travel. Those that
read parts reserve one core each. Those that read a dataset reserve half of one, although they keep a core busy, which
leaves room for the tasks that load the dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import BackendError, BackendUnavailable, InputError
from ..reader import Reader, open_reader
from . import contents
from .parts import Part
from .rows import row, structure
from .tasks import Event, Outcome, Progress, Task, Tasks
from .work import Workplace, digests, read_part, results

if TYPE_CHECKING:
    from ray.data import Dataset

_CORES = 0.5
"""Cores that an actor reserves that reads a dataset."""
_BATCH = 64
"""Images that such an actor reads at a time."""
_BLOCK = 512
"""Images of a block, which one actor reads as a whole. Ray makes blocks of up to 128 MiB, which is some 20,000 crops of
plates, so that most actors would have nothing to do."""


def read(
    dataset: Dataset,
    model: str | None = None,
    *,
    column: str = "image",
    into: str = "reading",
    actors: int | None = None,
    gpus: float | None = None,
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
        gpus: GPUs that an actor reserves; None: see `gpus_for`.
        **options: further options of `open_reader`, such as `grammar` or `min_confidence`.

    Returns:
        The dataset with the column `into`. An image that cannot be read has an `error` there.

    Raises:
        BackendUnavailable: Ray is not installed.
        InputError: the dataset has the column `into`, or lacks `column`.
        BackendError: actors reserve GPUs, and the cluster has too few for one.
    """
    _ray()
    from ray.data import ActorPoolStrategy

    gpus = gpus_for(model, options.get("engine")) if gpus is None else gpus
    names = dataset.schema().names
    if column not in names:
        raise InputError(f"the dataset has no column {column!r}, found {', '.join(names)}; name one with column=")
    if into in names:
        raise InputError(f"the dataset has a column {into!r} already; name another with into=")
    return dataset.repartition(target_num_rows_per_block=_BLOCK).map_batches(
        _Batches,
        fn_constructor_args=(partial(open_reader, model, **{**options, "workers": 1}), column, into),
        batch_size=_BATCH,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=actors or usable_actors(gpus)),
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


@dataclass(frozen=True)
class _Call:
    """A call of an actor that has not answered yet."""

    actor: Any
    task: Task
    begun: Any
    """The answer of the actor to its first call, which says that its reader is open."""
    progress: Progress


def connect(address: str) -> None:
    """Connect this process to a cluster, unless it is connected.

    Args:
        address: the cluster, such as ray://head:10001, or `local` to start one on this machine.

    Raises:
        BackendUnavailable: Ray is not installed, or without the client that an address of this kind needs.
        BackendError: there is no cluster at this address.
    """
    own = {"include_dashboard": False} if address == "local" else {}
    try:
        _ray().init(address, ignore_reinit_error=True, log_to_driver=False, logging_level="ERROR", **own)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise BackendError(f"{address}: no Ray cluster answers ({error}); check the address") from error
    except ImportError as error:
        raise BackendUnavailable(
            f"{address}: needs the client of Ray ({error}); pip install 'edge-crnn[ray]'"
        ) from error


def gpus_for(model: object, engine: str | None) -> float:
    """Return the number of GPUs that an actor reserves: 1 for TensorRT, which runs every `.engine`; otherwise 0."""
    return 1.0 if engine == "tensorrt" or str(model).endswith(".engine") else 0.0


def usable_actors(gpus: float) -> int:
    """Return the number of actors that the cluster has room for: one per core, or one per GPU if actors reserve GPUs.

    Args:
        gpus: GPUs that an actor reserves.

    Raises:
        BackendError: actors reserve GPUs, and the cluster has too few for one.
    """
    resources: Mapping[str, float] = _ray().cluster_resources()
    if not gpus:
        return max(1, int(resources.get("CPU", 1)))
    available = resources.get("GPU", 0.0)
    if available < gpus:
        raise BackendError(
            f"the Ray cluster reports {available:g} GPUs, expected {gpus:g} for an actor with TensorRT; add a machine"
            " with a GPU, or read with a model for the CPU"
        )
    return int(available / gpus)


def read_parts(
    workplace: Workplace,
    parts: Iterable[tuple[int, Part]],
    workers: int,
    advance: Callable[[int], None],
    *,
    gpus: float = 0.0,
) -> Generator[Outcome, None, None]:
    """Read parts with actors on the connected cluster and yield their outcomes; see `local.read_parts`.

    Args:
        workplace: the job, and the way to open a reader, on machines that all have the inputs and the output.
        parts: numbers and parts, which are taken as actors become free.
        workers: number of actors. If machines are lost, those that have no room wait until others are done.
        advance: as for `local.read_parts`, but called once for each part.
        gpus: GPUs that an actor reserves.

    Raises:
        BackendError: actors die before they can read.
        EdgeCrnnError: see `read_part` and `Workplace.reader`.
    """
    cluster = _Cluster(_ray(), workplace, Tasks(parts), advance, gpus)
    try:
        yield from cluster.run(workers)
    finally:
        cluster.close()


class _Parts:
    """Reads parts in an actor. The driver makes one call for each part.

    If the images of a part are read alone, the driver makes one call for each event instead, so that it knows which
    image ends the actor.
    """

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._events: Iterator[Event] = iter(())

    def open(self) -> None:
        """Open the reader: not in the constructor, so that its error reaches the driver as it is."""
        self._reader = self._workplace.reader()

    def begin(self, task: Task) -> Event:
        """Begin with a part, and return its outcome; or its first event, if its images are read alone."""
        self._events = read_part(self._workplace, task, self._reader)
        if task.alone:
            return self.go_on()
        return next(event for event in self._events if isinstance(event, Outcome))

    def go_on(self) -> Event:
        """Return the next event of a part whose images are read alone."""
        return next(self._events)


class _Cluster:
    def __init__(
        self, ray: Any, workplace: Workplace, tasks: Tasks, advance: Callable[[int], None], gpus: float
    ) -> None:
        self._ray = ray
        self._workplace = ray.put(workplace)
        self._tasks = tasks
        self._advance = advance
        self._actor = ray.remote(num_cpus=1, num_gpus=gpus or None, scheduling_strategy="SPREAD")(_Parts)
        self._calls: dict[Any, _Call] = {}
        """The call whose answer is awaited → what it does. There is one for each actor."""

    def run(self, count: int) -> Generator[Outcome, None, None]:
        while True:
            while len(self._calls) < count and (task := self._tasks.next()) is not None:
                actor = self._actor.remote(self._workplace)
                self._begin(actor, task, actor.open.remote())
            if not self._calls:
                return
            answers, _ = self._ray.wait(list(self._calls), num_returns=1)
            outcome = self._take(answers[0])
            if outcome is not None:
                yield outcome

    def close(self) -> None:
        """End the actors. This loses no result, because shards are written completely or not at all."""
        for call in self._calls.values():
            self._ray.kill(call.actor)

    def _begin(self, actor: Any, task: Task, begun: Any) -> None:
        self._calls[actor.begin.remote(task)] = _Call(actor, task, begun, Progress())

    def _take(self, answer: Any) -> Outcome | None:
        """Act on the answer to a call; return the outcome of its task if it has ended."""
        call = self._calls.pop(answer)
        try:
            self._ray.get(call.begun)  # its error is that of opening the reader
            event = self._ray.get(answer)
        except self._ray.exceptions.RayTaskError as error:
            self._ray.kill(call.actor)
            raise (error.cause or error) from None
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.ObjectLostError) as error:
            self._ray.kill(call.actor)
            return self._bury(call, error)
        self._tasks.begun()
        if not isinstance(event, Outcome):
            self._advance(call.progress.add(event))
            self._calls[call.actor.go_on.remote()] = call
            return None
        self._advance(event.images - call.progress.images)
        task = self._tasks.next()
        if task is None:
            self._ray.kill(call.actor)
        else:
            self._begin(call.actor, task, call.begun)
        return event

    def _bury(self, call: _Call, error: Exception) -> Outcome | None:
        """Have the task of an actor that has died done again; return its outcome if it is given up."""
        self._advance(-call.progress.images)
        try:
            self._ray.get(call.begun)
        except self._ray.exceptions.RayError:
            end = str(error).splitlines()[0]
            advice = "check the memory of the machines, and that edge-crnn is installed on them"
            self._tasks.not_begun(call.task, "actors", end, advice)
            return None
        return self._tasks.died(call.task, call.progress.place, type(error).__name__)


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise BackendUnavailable(
            f"Ray is not installed, or does not start ({error}); pip install 'edge-crnn[ray]'"
        ) from error
    return ray
