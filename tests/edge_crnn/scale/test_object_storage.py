"""Jobs whose inputs and results are in object storage: a server that speaks S3 runs on this machine."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import cv2
import numpy as np
import pytest

from edge_crnn.cli.main import main
from edge_crnn.errors import DatasetError
from edge_crnn.scale import storage
from edge_crnn.scale.inputs import list_files
from tests.edge_crnn.scale.killed import children, start

IMAGES = 400

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # those of the server and its client
]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start the server with a bucket that is named `crops`, and return fsspec's file system."""
    s3fs = pytest.importorskip("s3fs", reason="S3 needs s3fs")
    server_module = pytest.importorskip("moto.server", reason="the server comes with moto[server]")
    server = server_module.ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    urlopen(Request(f"{url}/moto-api/reset", method="POST")).close()  # servers of a process share their buckets
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("NO_PROXY", host)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    system.mkdir("crops")
    yield system
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def rows(system: Any, output: str) -> list[dict[str, Any]]:
    shards = sorted(system.glob(f"{output}/part-*.jsonl"))
    return [json.loads(line) for shard in shards for line in system.cat_file(shard).splitlines()]


def test_every_image_is_read_once_whatever_is_killed(bucket: Any) -> None:
    for number in range(IMAGES):
        bucket.pipe_file(f"crops/in/{number:04d}.png", f"text {number}".encode())
    chance = random.Random(3)
    kills = 0
    for _ in range(30):
        process = start("s3://crops/in", "s3://crops/out", 0.01)
        time.sleep(chance.uniform(1, 4))
        if kills < 8 and process.poll() is None:
            os.kill(chance.choice([process.pid, *children(process.pid)]), signal.SIGKILL)
            kills += 1
        _, errors = process.communicate(timeout=300)
        if process.returncode == 0 and kills == 8:
            break
        assert process.returncode in (0, -signal.SIGKILL), errors.decode()
        if process.returncode == 0:  # more work for the other kills
            bucket.invalidate_cache()
            shards = bucket.glob("crops/out/part-*")
            for shard in chance.sample(shards, len(shards) // 2):
                bucket.rm_file(shard)
    else:
        pytest.fail("the job is never done")
    bucket.invalidate_cache()
    written = rows(bucket, "crops/out")
    assert [row["image"] for row in written] == [f"s3://crops/in/{number:04d}.png" for number in range(IMAGES)]
    assert [row["text"] for row in written] == [f"text {number}" for number in range(IMAGES)]


def test_the_command_reads_parquet_and_writes_it(
    bucket: Any, tiny_artifact: Path, tiny_pictures: list[np.ndarray], tiny_labels: list[str]
) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    images = [cv2.imencode(".png", tiny_pictures[number % 8])[1].tobytes() for number in range(200)]
    file = io.BytesIO()
    parquet.write_table(pa.table({"image": images}), file, row_group_size=150)
    bucket.pipe_file("crops/in/a.parquet", file.getvalue())
    words = ["read-all", "s3://crops/in/*.parquet", "-o", "s3://crops/out", "--format", "parquet", "--workers", "2"]
    words += ["--model", str(tiny_artifact)]
    assert main(words) == 0
    bucket.invalidate_cache()
    shards = sorted(bucket.glob("crops/out/part-*.parquet"))
    tables = [parquet.read_table(io.BytesIO(bucket.cat_file(shard))) for shard in shards]
    assert [text for table in tables for text in table["text"].to_pylist()] == [tiny_labels[n % 8] for n in range(200)]
    first = bucket.info(shards[0])["LastModified"]
    bucket.rm_file(shards[1])
    assert main(words) == 0
    bucket.invalidate_cache()
    assert sorted(bucket.glob("crops/out/part-*.parquet")) == shards
    assert bucket.info(shards[0])["LastModified"] == first


def test_a_shard_that_has_changed_is_noticed(bucket: Any) -> None:
    bucket.pipe_file("crops/in/a.tar", b"before")
    (file,) = list_files(["s3://crops/in/a.tar"])
    assert not file.has_changed(storage.status(file.path))
    bucket.pipe_file("crops/in/a.tar", b"behind")
    bucket.invalidate_cache()
    assert file.has_changed(storage.status(file.path))
    with pytest.raises(DatasetError, match="cannot be read"):
        list_files(["s3://crops/in/missing.tar"])
