"""Starts a real Triton server with the Python backend, from the package nvidia-pytriton, for the benchmark and tests.

    python3 -m venv triton && triton/bin/pip install nvidia-pytriton ai-edge-litert opencv-python-headless
    export EDGE_CRNN_TRITON_PYTHON=$PWD/triton/bin/python

That package needs NumPy 1, so it has an environment of its own. The server imports edge-crnn from this clone.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PYTHON = "EDGE_CRNN_TRITON_PYTHON"
"""Environment variable with the Python of that environment."""
ROOT = Path(__file__).parents[2]
_STARTS_WITHIN_S = 120.0
_STUB = "triton_python_backend_stub"
_WHERE = (
    "import json, pathlib, pytriton, sys, sysconfig; print(json.dumps([str(pathlib.Path(pytriton.__file__).parent),"
    " sysconfig.get_paths()['purelib'], sysconfig.get_config_var('LIBDIR'), '%d.%d' % sys.version_info[:2]]))"
)


@dataclass
class Server:
    """A Triton server that can be killed and started again on the same ports."""

    repository: Path
    work: Path
    """Folder for the environment, the backend and the log of the server."""
    ports: tuple[int, int, int] = field(default_factory=lambda: free_ports(3))
    """Ports of HTTP, gRPC and metrics."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of its HTTP service."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def log(self) -> Path:
        """The file with its messages."""
        return self.work / "server.log"

    def start(self) -> None:
        """Start it, and wait until its models are ready.

        Raises:
            RuntimeError: it ended, or was not ready in time.
        """
        package, packages, libraries, version = json.loads(
            subprocess.run([os.environ[PYTHON], "-c", _WHERE], capture_output=True, check=True, text=True).stdout
        )
        environment = self.work / "env"
        if not environment.exists():
            subprocess.run([os.environ[PYTHON], "-m", "venv", "--without-pip", environment], check=True)
            packages_file = environment / f"lib/python{version}/site-packages/server.pth"
            packages_file.write_text(f"{ROOT}\n{packages}\n")
            shutil.copytree(Path(package, "tritonserver/backends/python"), self.work / "backends/python")
            shutil.copy(
                Path(package, f"tritonserver/python_backend_stubs/{version}/{_STUB}"), self.work / "backends/python"
            )
        http, grpc, metrics = self.ports
        command = [
            str(Path(package, "tritonserver/bin/tritonserver")),
            *("--model-repository", str(self.repository), "--backend-directory", str(self.work / "backends")),
            *("--http-address", "127.0.0.1", "--http-port", str(http)),
            *("--grpc-address", "127.0.0.1", "--grpc-port", str(grpc), "--metrics-port", str(metrics)),
        ]
        libraries = os.pathsep.join([str(Path(packages, "nvidia_pytriton.libs")), libraries])
        # The backend finds its packages by the Python that comes first in PATH.
        path = os.pathsep.join([str(environment / "bin"), os.environ["PATH"]])
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, "LD_LIBRARY_PATH": libraries, "PATH": path},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait()

    def kill(self) -> None:
        """End it and the processes of its models at once."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def processes(self) -> list[int]:
        """Return the process of the server and those of its models."""
        assert self.process is not None
        pid = self.process.pid
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        return [pid, *(int(child) for task in tasks for child in task.read_text().split())]

    def processor_s(self) -> float:
        """Return the processor time of these processes, in seconds; for the fields, see proc(5)."""
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.processes()]
        return sum(int(user) + int(system) for user, system in (words[11:13] for words in fields)) / os.sysconf(
            "SC_CLK_TCK"
        )

    def statistics(self, model: str) -> dict[str, Any]:
        """Return Triton's statistics of a model since the server started."""
        with urllib.request.urlopen(f"{self.url}/v2/models/{model}/stats", timeout=10) as answer:
            return dict(json.load(answer)["model_stats"][0])

    def _wait(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/v2/health/ready", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        self.kill()
        raise RuntimeError(f"the server did not start; its last messages:\n{self.log.read_text()[-2000:]}")


def problem() -> str | None:
    """Return why no server can be started; None if one can."""
    python = os.environ.get(PYTHON)
    if not python:
        return (
            f"{PYTHON} does not name the Python of an environment with nvidia-pytriton; see benchmarks/triton/server.py"
        )
    if subprocess.run([python, "-c", "import pytriton"], capture_output=True, check=False).returncode:
        return f"{python} has no nvidia-pytriton; see benchmarks/triton/server.py"
    return None


def free_ports(count: int) -> Any:
    """Return ports of 127.0.0.1 that no program uses now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = tuple(place.getsockname()[1] for place in sockets)
    for place in sockets:
        place.close()
    return ports
