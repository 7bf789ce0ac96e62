"""A fake Triton server: real HTTP and our backend's own code, without Triton's scheduler and processes."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from edge_crnn.reader import Reader
from edge_crnn.scale.triton.backend import OUTPUTS, read
from edge_crnn.scale.triton.wire import LENGTH_HEADER, READING, packed, reading_json, unpacked

Answer = tuple[int, dict[str, str], bytes]


class FakeServer:
    """Serves one model at `url` until it is closed; `port` lets a second one take its place."""

    def __init__(self, reader: Reader | None, port: int = 0, most: int = 64) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        """Path and JSON of every request for readings."""
        self.connections: list[socket.socket] = []
        self.change: Callable[[Answer], Answer] = lambda answer: answer
        """Changes the answers to requests for readings."""
        self.parameters = {"sha256": "12ab", "edge_crnn": "0.5.0"}
        self._reader = reader
        self._most = most
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                fake.connections.append(self.connection)

            def do_GET(self) -> None:
                self._send(fake.describe(self.path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v2/repository/index":
                    self._send((200, {}, json.dumps([{"name": "plates"}, {"name": "plates_network"}]).encode()))
                    return
                self._send(fake.change(fake.infer(self.path, body, int(self.headers[LENGTH_HEADER]))))

            def _send(self, answer: Answer) -> None:
                status, headers, body = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def describe(self, path: str) -> Answer:
        outputs = {"plates": list(OUTPUTS), "plates_network": ["probabilities"]}
        model = path.removeprefix("/v2/models/").removesuffix("/config")
        if model not in outputs:
            return 400, {}, json.dumps({"error": f"Request for unknown model: '{model}' is not found"}).encode()
        config = {
            "max_batch_size": self._most,
            "output": [{"name": name} for name in outputs[model]],
            "parameters": {name: {"string_value": value} for name, value in self.parameters.items()},
        }
        return 200, {}, json.dumps(config).encode()

    def infer(self, path: str, body: bytes, length: int) -> Answer:
        head = json.loads(body[:length])
        self.requests.append((path, head))
        (tensor,) = head["inputs"]
        data = body[length:]
        assert tensor["parameters"]["binary_data_size"] == len(data)
        images: Any = unpacked(data) if tensor["datatype"] == "BYTES" else np.frombuffer(data, np.uint8)
        if tensor["datatype"] != "BYTES":
            images = list(images.reshape(tensor["shape"]))
        assert len(images) == tensor["shape"][0] <= self._most
        assert self._reader is not None
        content = packed([reading_json(result) for result in read(self._reader, images)])
        output = {"name": READING, "datatype": "BYTES", "shape": [len(images), 1]}
        head = json.dumps({"outputs": [{**output, "parameters": {"binary_data_size": len(content)}}]}).encode()
        return 200, {LENGTH_HEADER: str(len(head))}, head + content

    def close(self) -> None:
        """End the service and its open connections, as the death of a server does."""
        self._server.shutdown()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
