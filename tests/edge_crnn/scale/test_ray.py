"""Reading with a Ray cluster of two nodes on this machine."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_crnn import open_reader
from edge_crnn.errors import BackendError, BackendUnavailable, InputError
from edge_crnn.scale import ray as scale
from edge_crnn.scale.job import open_job
from edge_crnn.scale.work import Workplace
from tests.edge_crnn.scale.stub import NamesItsGpu, StubReader, refuse, rows, settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray leaves sockets and files to the garbage collector
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="Ray comes with edge-crnn[ray]")
    pytest.importorskip("ray.cluster_utils")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))  # where the actors find the stub
        patch.setenv("RAY_worker_niceness", "0")  # or they would starve beside other programs
        cluster = ray.cluster_utils.Cluster(
            initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False}
        )
        cluster.add_node(num_cpus=1)
        ray.init(cluster.address, logging_level="ERROR", log_to_driver=False)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def pids(class_name: str) -> list[int]:
    """Return the processes of actors of a class, which Ray names after it."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if place.read_bytes().startswith(f"ray::{class_name}".encode()):
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


def test_a_dataset(
    cluster: Any, tiny_artifact: Path, tiny_pictures: list[np.ndarray], tiny_labels: list[str], tmp_path: Path
) -> None:
    import ray

    images = [cv2.imencode(".png", picture)[1].tobytes() for picture in tiny_pictures]
    path = tmp_path / "plate.png"
    path.write_bytes(images[0])
    dataset = ray.data.from_items([{"number": n, "image": images[n % 8], "label": "own"} for n in range(200)])
    table = {row["number"]: row for row in scale.read(dataset, str(tiny_artifact), actors=2).take_all()}
    with open_reader(tiny_artifact, workers=1) as reader:
        expected = reader.read_batch(tiny_pictures)
    assert [table[n]["reading"]["text"] for n in range(200)] == [tiny_labels[n % 8] for n in range(200)]
    assert [table[n]["reading"]["confidence"] for n in range(8)] == [reading.confidence for reading in expected]
    assert table[0]["label"] == "own"
    others = ray.data.from_items([{"file": str(path)}, {"file": str(path) + "x"}])
    first, second = scale.read(others, str(tiny_artifact), column="file", actors=1).take_all()
    assert first["reading"]["text"] == tiny_labels[0]
    assert "cannot be read" in second["reading"]["error"]
    with pytest.raises(InputError, match="no column 'image', found file"):
        scale.read(others)


def test_a_large_block_is_work_for_several_actors(
    cluster: Any, tiny_artifact: Path, tiny_pictures: list[np.ndarray]
) -> None:
    import ray

    image = cv2.imencode(".png", tiny_pictures[0])[1].tobytes()
    dataset = ray.data.from_items([{"image": image}] * 1200, override_num_blocks=1)
    table = scale.read(dataset, str(tiny_artifact), actors=2).materialize()
    assert table.num_blocks() >= 3
    assert table.count() == 1200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(200):
        (folder / f"{number:03d}.png").write_text(f"text {number}")
    return folder


def test_a_job_whose_actors_are_killed(cluster: Any, folder: Path, tmp_path: Path) -> None:
    (folder / "040.png").write_text("deadly")
    chance = random.Random(1)
    is_over = threading.Event()

    def kill() -> None:
        for _ in range(3):
            time.sleep(chance.uniform(1, 3))
            for victim in [] if is_over.is_set() else pids("_Parts")[:1]:
                os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    counts: list[int] = []
    with open_job(str(tmp_path / "out"), settings(folder)) as job:
        workplace = Workplace(job, partial(StubReader, 0.02))  # type: ignore[arg-type]
        outcomes = list(scale.read_parts(workplace, job.waiting(), 2, counts.append))
    is_over.set()
    killer.join()
    assert all(outcome.open_because is None for outcome in outcomes)
    assert sum(counts) == 200
    found = rows(tmp_path / "out")
    assert [row["text"] for row in found] == [None if n == 40 else f"text {n}" for n in range(200)]
    assert "processes died" in found[40]["error"]


def test_errors_reach_the_caller(cluster: Any, folder: Path, tmp_path: Path) -> None:
    with open_job(str(tmp_path / "out"), settings(folder)) as job:
        workplace = Workplace(job, refuse)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="no such lexicon"):
            list(scale.read_parts(workplace, job.waiting(), 1, print))


def test_an_actor_with_a_gpu_has_it_for_itself(cluster: Any, folder: Path, tmp_path: Path) -> None:
    """The GPUs are declared; Ray hides all others from an actor."""
    import ray

    with pytest.raises(BackendError, match="reports 0 GPUs, expected 1"):
        scale.usable_actors(1.0)
    node = cluster.add_node(num_cpus=2, num_gpus=2)
    try:
        deadline = time.monotonic() + 60
        while ray.cluster_resources().get("GPU") != 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert scale.usable_actors(1.0) == 2
        with open_job(str(tmp_path / "out"), settings(folder), readers=2) as job:
            workplace = Workplace(job, partial(NamesItsGpu, 0.01))  # type: ignore[arg-type]
            list(scale.read_parts(workplace, job.waiting(), 2, lambda images: None, gpus=1.0))
    finally:
        cluster.remove_node(node)
    assert {row["text"] for row in rows(tmp_path / "out")} == {"0", "1"}


@pytest.mark.parametrize(
    ("model", "engine", "gpus"),
    [
        (None, None, 0),
        ("plate.tflite", None, 0),
        ("plate.onnx", None, 0),
        ("plate.onnx", "tensorrt", 1),
        (Path("plate.engine"), None, 1),
    ],
)
def test_only_tensorrt_takes_a_gpu(model: object, engine: str | None, gpus: float) -> None:
    assert scale.gpus_for(model, engine) == gpus


@pytest.mark.parametrize(
    ("problem", "error"),
    [(ConnectionError("no answer"), BackendError), (ImportError("no answer"), BackendUnavailable)],
)
def test_a_cluster_that_does_not_answer(
    problem: Exception, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray", reason="Ray comes with edge-crnn[ray]")
    monkeypatch.setattr(ray, "init", lambda *_, **__: (_ for _ in ()).throw(problem))
    with pytest.raises(error, match="no answer"):
        scale.connect("ray://nowhere:1")
