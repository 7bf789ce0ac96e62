"""Ask a Triton server for readings with NVIDIA's own client, over HTTP or gRPC.

    pip install 'tritonclient[all]'
    python triton_clients.py http localhost:8000 plate.jpg
    python triton_clients.py grpc localhost:8001 plate.jpg

The server runs a repository that `edge-crnn export plates --to triton repository` wrote. From Python with edge-crnn,
`edge_crnn.scale.triton.client.Client` needs no further package.
"""

import importlib
import sys
from pathlib import Path

import numpy as np

protocol, address, *paths = sys.argv[1:]
triton = importlib.import_module(f"tritonclient.{protocol}")
with triton.InferenceServerClient(address) as server:
    images = np.array([[Path(path).read_bytes()] for path in paths], np.object_)
    tensor = triton.InferInput("image", list(images.shape), "BYTES")
    tensor.set_data_from_numpy(images)
    answer = server.infer("plates", [tensor])
    text, confidence, accepted, error = (
        answer.as_numpy(name).ravel() for name in ("text", "confidence", "accepted", "error")
    )
for number, path in enumerate(paths):
    reading = text[number].decode() or error[number].decode()
    print(path, reading, f"{confidence[number]:.4f}", "" if accepted[number] else "rejected", sep="\t")
