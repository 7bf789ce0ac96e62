"""Jobs whose driver is a process of its own, on a Ray cluster of two nodes.

The driver, actors and nodes are killed at random moments; or the driver is outside the cluster.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.edge_crnn.scale.killed import ROOT, check_rows, children, start, write_images

IMAGES = 1600
SECONDS = 0.01
"""Time for reading an image."""
KILLS = 20
ACTORS_DIED = b"ended before they could read"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the children of a process are listed in /proc"),
    pytest.mark.filterwarnings("ignore"),  # Ray leaves sockets and files to the garbage collector
]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start a cluster whose head has no cores, so that all actors are on two other nodes."""
    ray = pytest.importorskip("ray", reason="Ray comes with edge-crnn[ray]")
    pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # where the actors find the stub
    monkeypatch.setenv("RAY_worker_niceness", "0")  # or they would starve beside other programs
    cluster = ray.cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_images(tmp_path / "in", IMAGES)


def raylet(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def actors(node: Any) -> list[int]:
    """Return the actors on a node that read parts."""
    return [child for child in children(raylet(node)) if _command(child).startswith(b"ray::_Parts")]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


def kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def kill_node(cluster: Any, node: Any) -> None:
    """Kill all processes of a node at once, as a power failure does."""
    kill([raylet(node), *actors(node)])
    cluster.remove_node(node, allow_graceful=False)


def await_shards(output: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while len(list(output.glob("part-*"))) < count:
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_every_image_is_read_once(cluster: Any, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    chance = random.Random(20)
    victims = chance.sample(["driver", "actor", "node"] * 7, KILLS)
    kills: Counter[str] = Counter()
    process = start(folder, output, SECONDS, cluster.address)
    while victims:
        time.sleep(chance.uniform(0.1, 3))
        running = [pid for node in cluster.worker_nodes for pid in actors(node)]
        if process.poll() is None and (running or victims[-1] != "actor"):
            victim = victims.pop()
            kills[victim] += 1
            if victim == "driver":
                process.kill()
                process.wait()
            elif victim == "node":
                kill_node(cluster, chance.choice(sorted(cluster.worker_nodes, key=raylet)))
                cluster.add_node(num_cpus=1)
            else:
                kill([chance.choice(running)])
        if process.poll() is not None:
            _, errors = process.communicate(timeout=60)
            assert process.returncode in (0, -signal.SIGKILL) or ACTORS_DIED in errors, errors.decode()
            if process.returncode == 0:  # more work for the other kills
                for shard in chance.sample(sorted(output.glob("part-*")), 12):
                    shard.unlink()
            process = start(folder, output, SECONDS, cluster.address)
    _, errors = process.communicate(timeout=600)
    while process.returncode and ACTORS_DIED in errors:
        process = start(folder, output, SECONDS, cluster.address)
        _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()
    assert kills.total() == KILLS
    check_rows(output, IMAGES)


def test_a_job_continues_on_the_other_node(cluster: Any, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = start(folder, output, SECONDS, cluster.address)
    await_shards(output, 3, process)
    node, other = cluster.worker_nodes
    assert actors(node)
    kill_node(cluster, node)
    done = len(list(output.glob("part-*")))
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()
    assert list(cluster.worker_nodes) == [other]
    assert done < 25
    check_rows(output, IMAGES)


def test_a_driver_outside_the_cluster(cluster: Any, folder: Path, tmp_path: Path) -> None:
    """Ray Client, whose addresses begin with ray://, lacks some of what drivers in the cluster have."""
    pytest.importorskip("grpc", reason="Ray Client comes with ray[client]")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [f"--address={cluster.address}", "--host=127.0.0.1", f"--port={port}"]
    server = subprocess.Popen(
        [sys.executable, "-m", "ray.util.client.server", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await_port(port)
        process = start(folder, tmp_path / "out", SECONDS, f"ray://127.0.0.1:{port}")
        await_shards(tmp_path / "out", 3, process)
        kill([pid for node in cluster.worker_nodes for pid in actors(node)][:1])
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()
    finally:
        server.kill()
        server.communicate()
    check_rows(tmp_path / "out", IMAGES)


def await_port(port: int) -> None:
    deadline = time.monotonic() + 100
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
