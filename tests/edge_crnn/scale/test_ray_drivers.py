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

from tests.edge_crnn.scale.stub import rows

ROOT = Path(__file__).parents[3]
IMAGES = 1600
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
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(IMAGES):
        (folder / f"{number:04d}.png").write_bytes(b"broken" if number % 50 == 7 else f"text {number}".encode())
    return folder


def start(address: str, folder: Path, output: Path) -> subprocess.Popen[bytes]:
    words = [str(folder), str(output), "2", "0.01", address]
    command = [sys.executable, "-m", "tests.edge_crnn.scale.stub", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def raylet(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def actors(node: Any) -> list[int]:
    """Return the actors on a node that read parts."""
    pid = raylet(node)
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            if Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"ray::_Parts"):
                found.append(int(child))
        except OSError:
            continue
    return found


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


def check(output: Path) -> None:
    found = rows(output)
    assert [row["image"].rpartition("/")[2] for row in found] == [f"{number:04d}.png" for number in range(IMAGES)]
    for number, row in enumerate(found):
        is_broken = number % 50 == 7
        assert row["text"] == (None if is_broken else f"text {number}")
        assert (row["error"] is not None) == is_broken
    assert not [path for path in output.iterdir() if path.name.endswith(".partial")]


def await_shards(output: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while len(list(output.glob("part-*"))) < count:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_every_image_is_read_once(cluster: Any, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    chance = random.Random(20)
    victims = chance.sample(["driver", "actor", "node"] * 7, KILLS)
    kills: Counter[str] = Counter()
    process = start(cluster.address, folder, output)
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
            process = start(cluster.address, folder, output)
    _, errors = process.communicate(timeout=600)
    while process.returncode and ACTORS_DIED in errors:
        process = start(cluster.address, folder, output)
        _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()
    assert kills.total() == KILLS
    check(output)


def test_a_job_continues_on_the_other_node(cluster: Any, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = start(cluster.address, folder, output)
    await_shards(output, 3, process)
    node, other = cluster.worker_nodes
    assert actors(node)
    kill_node(cluster, node)
    done = len(list(output.glob("part-*")))
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()
    assert list(cluster.worker_nodes) == [other]
    assert done < 25
    check(output)


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
        process = start(f"ray://127.0.0.1:{port}", folder, tmp_path / "out")
        await_shards(tmp_path / "out", 3, process)
        kill([pid for node in cluster.worker_nodes for pid in actors(node)][:1])
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()
    finally:
        server.kill()
        server.communicate()
    check(tmp_path / "out")


def await_port(port: int) -> None:
    deadline = time.monotonic() + 100
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
