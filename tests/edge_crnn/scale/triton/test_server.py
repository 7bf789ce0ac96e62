"""The repository, the backend and the client with a real Triton server, whose place an environment variable names."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.triton.server import PYTHON, ROOT, Server, problem
from edge_crnn.cli.main import main
from edge_crnn.errors import BackendError, ImageError
from edge_crnn.model.artifact import load
from edge_crnn.reader import open_reader
from edge_crnn.scale.triton.client import Client
from edge_crnn.scale.triton.repository import Serving, network_config, reader_config

pytestmark = pytest.mark.slow

PARSE = """
import json, pathlib, sys
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2
for name in sys.argv[1:]:
    config = text_format.Parse(pathlib.Path(name).read_text(), model_config_pb2.ModelConfig())
    print(json.dumps(json_format.MessageToDict(config, preserving_proto_field_name=True)))
"""


@pytest.fixture(scope="module")
def server(tiny_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if reason := problem():
        pytest.skip(reason)
    repository = tmp_path_factory.mktemp("repository")
    words = ["export", str(tiny_artifact), "--to", "triton", str(repository), "--name", "plates", "--instances", "2"]
    assert main([*words, "--delay", "20"]) == 0
    running = Server(repository, tmp_path_factory.mktemp("server"))
    running.start()
    yield running
    running.kill()


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def test_files_and_pixels_read_as_they_do_here(
    server: Server, tiny_artifact: Path, tiny_pictures: list[np.ndarray]
) -> None:
    images = [*map(png, tiny_pictures), *tiny_pictures, cv2.resize(tiny_pictures[0], (64, 32)), b"garbage"]
    with Client(server.url) as client, open_reader(tiny_artifact) as reader:
        there, here = list(client.read_each(images)), list(reader.read_each(images))
    assert [str(result) for result in there] == [str(result) for result in here]
    assert isinstance(there[-1], ImageError)
    for mine, other in zip(here[:-1], there[:-1], strict=True):  # the server may have another NumPy
        assert mine.confidence == pytest.approx(other.confidence, abs=1e-9)  # type: ignore[union-attr]


def test_requests_of_many_clients_are_read_together(
    server: Server, tiny_pictures: list[np.ndarray], tiny_labels: list[str]
) -> None:
    def read(number: int) -> str:
        if number % 8 == 7:
            with pytest.raises(ImageError):
                client.read(b"garbage")
            return ""
        return client.read(png(tiny_pictures[number % 8])).label

    with Client(server.url) as client, ThreadPoolExecutor(32) as pool:
        labels = list(pool.map(read, range(128)))
    assert labels == [*tiny_labels[:7], ""] * 16
    sizes = [batch["batch_size"] for batch in server.statistics("plates")["batch_stats"]]
    assert max(sizes) > 1


def test_what_the_server_says_of_the_model(server: Server, tiny_artifact: Path) -> None:
    artifact = load(tiny_artifact)
    assert artifact.spec.artifact is not None
    with Client(server.url) as client:
        assert client.facts()["sha256"] == artifact.spec.artifact.payload_sha256
    with Client(server.url, "gates") as client, pytest.raises(BackendError, match="no model 'gates', found plates"):
        client.facts()


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_the_example_reads(
    protocol: str, server: Server, tiny_pictures: list[np.ndarray], tiny_labels: list[str], tmp_path: Path
) -> None:
    image, garbage = tmp_path / "a.png", tmp_path / "b.png"
    image.write_bytes(png(tiny_pictures[0]))
    garbage.write_bytes(b"garbage")
    address = f"127.0.0.1:{server.ports[0 if protocol == 'http' else 1]}"
    command = [
        os.environ[PYTHON],
        str(ROOT / "examples/triton_clients.py"),
        protocol,
        address,
        str(image),
        str(garbage),
    ]
    first, second = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    assert first.split("\t")[:2] == [str(image), tiny_labels[0]]
    assert "not an image" in second
    assert second.endswith("rejected")


def test_a_server_that_is_killed_is_waited_for(
    server: Server, tiny_pictures: list[np.ndarray], tiny_labels: list[str]
) -> None:
    said: list[str] = []
    server.kill()
    starter = threading.Timer(0.5, server.start)
    starter.start()
    with Client(server.url, say=said.append) as client:
        assert [reading.label for reading in client.read_batch(list(map(png, tiny_pictures)))] == tiny_labels
    starter.join()
    assert ["away" in line for line in said] == [True, False]


def test_protobuf_parses_every_configuration(tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    """Of a network alone, only the configuration is tested: the package has no backend that runs it."""
    if reason := problem():
        pytest.skip(reason)
    artifact = load(tiny_onnx())
    assert artifact.spec.artifact is not None
    facts = replace(artifact.spec.artifact, format="engine", batch=8)
    engine = replace(artifact, spec=replace(artifact.spec, artifact=facts))
    configs = {
        "reader": reader_config(artifact, "plates", Serving(reader={"grammar": '"\\[가-힣]\n'})),
        "network": network_config(artifact, "plates_network", Serving(gpus=True, instances=2)),
        "plan": network_config(engine, "plates_network", Serving(gpus=True)),
    }
    for name, config in configs.items():
        (tmp_path / name).write_text(config)
    command = [os.environ[PYTHON], "-c", PARSE, *(str(tmp_path / name) for name in configs)]
    lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    reader, network, plan = map(json.loads, lines)
    assert (plan["platform"], plan["max_batch_size"]) == ("tensorrt_plan", 8)
    assert json.loads(reader["parameters"]["settings"]["string_value"]) == {"grammar": '"\\[가-힣]\n'}
    assert [tensor["name"] for tensor in reader["input"]] == ["image", "pixels"]
    assert network["platform"] == "onnxruntime_onnx"
    assert network["instance_group"] == [{"count": 2, "kind": "KIND_GPU"}]
    assert network["dynamic_batching"] == {"max_queue_delay_microseconds": "2000"}
    assert [warm["batch_size"] for warm in network["model_warmup"]] == [1, 64]
