"""A peer on a GPU: the same network in PyTorch, float16, with CUDA graphs, in a process of its own.

The process runs in the machine's own Python, which has PyTorch but no TensorRT. It communicates in lines of JSON over
stdin and stdout. It uses the best settings: channels last, cuDNN's own choice of kernels, a bidirectional LSTM of cuDNN
for each pair, pinned memory on the host, and a graph for each batch size.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from edge_crnn.backends.base import Probabilities
from edge_crnn.errors import BackendError, BackendUnavailable, EdgeCrnnError

from ..gpu.set import INPUT, Layer, read, read_network, spell
from ..gpu.work import Way, Work

READ = 512
"""The number of images that the peer reads once, to show that it is the same network."""

_ROOT = Path(__file__).parents[2]
_PATIENCE_S = 300.0
_WARM_UP = 3
_FUNCTIONS = ("linear", "relu", "relu6", "tanh", "sigmoid")


class Peer:
    """PyTorch in its process.

    Args:
        python: the machine's own Python, by name or path.
        folder: the prepared set of a model.
        sizes: the batch sizes to time.
        device: `cuda`; or `cpu`, in float32 and without graphs, to try it out.

    Raises:
        BackendUnavailable: the Python, PyTorch or a GPU is missing, or the network has an unsupported layer.
    """

    def __init__(self, python: str, folder: Path, sizes: Sequence[int], device: str = "cuda") -> None:
        program = shutil.which(python)
        if program is None:
            raise BackendUnavailable(f"found no program {python}; name a Python that has PyTorch")
        words = ["-m", "benchmarks.peers.torch", str(folder.resolve()), "--device", device, "--sizes", *map(str, sizes)]
        self._process = subprocess.Popen(
            [program, *words], cwd=_ROOT, env=outside(os.environ), stdin=-1, stdout=-1, text=True
        )
        first = self._answer()
        if "absent" in first:
            self.close()
            raise BackendUnavailable(f"{program}: {first['absent']}")
        self.versions: dict[str, str] = first["versions"]
        self.labels: list[str] = first["labels"]
        """The texts that it reads in the first `READ` images, or in all if there are fewer."""

    def times(self, way: Way, n: int, calls: int) -> list[float]:
        """Return the times of calls in milliseconds; see `Work.times`."""
        assert self._process.stdin is not None
        try:
            print(json.dumps([way, n, calls]), file=self._process.stdin, flush=True)
        except OSError as error:
            raise BackendError(f"PyTorch: its process has ended ({error}); its messages are on stderr") from error
        return cast("list[float]", self._answer()["ms"])

    @property
    def pid(self) -> int:
        """The ID of its process."""
        return self._process.pid

    def close(self) -> None:
        """End the process; a second call does nothing."""
        if self._process.stdin is not None:
            self._process.stdin.close()  # the process ends with its stdin
        if self._process.stdout is not None:
            self._process.stdout.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        guard = threading.Timer(_PATIENCE_S, self._process.kill)
        guard.start()
        try:
            line = self._process.stdout.readline()
        finally:
            guard.cancel()
        if not line:
            code = self._process.wait()
            raise BackendError(f"PyTorch: its process ended with {code}; its messages are on stderr")
        return json.loads(line)


def outside(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the paths into the Python of PYTHONHOME, which belongs to this process alone."""
    home = environment.get("PYTHONHOME")
    if home is None:
        return dict(environment)
    brought = Path(home).resolve().parent
    kept = {name: value for name, value in environment.items() if name != "PYTHONHOME"}
    for name in ("PYTHONPATH", "LD_LIBRARY_PATH", "PATH"):
        parts = [part for part in kept.get(name, "").split(os.pathsep) if part]
        own = [part for part in parts if not Path(part).resolve().is_relative_to(brought)]
        kept[name] = os.pathsep.join(own)
        if not own:
            del kept[name]
    return kept


# --- in the peer's process -------------------------------------------------------------------------------------------


def network(layers: Sequence[Layer], torch: Any, device: str, kind: Any) -> Callable[[Any], Any]:
    """Return a function from (N, H, W, C) uint8 to (N, T, C) float32 probabilities, computed in the dtype `kind`.

    Values are channels last throughout; convolutions take and return views.

    Raises:
        BackendUnavailable: a layer is not supported here.
    """
    steps = [(layer.name, layer.settings.get("inputs", ()), _step(layer, torch, device, kind)) for layer in layers]
    last = {taken: name for name, inputs, _ in steps for taken in inputs}

    def run(x: Any) -> Any:
        values = {INPUT: x}
        for name, inputs, step in steps:
            values[name] = x = step(*(values[taken] for taken in inputs or (INPUT,)))
            for taken in {taken for taken in inputs if last[taken] == name}:
                del values[taken]
        return x.float()

    return run


def _step(layer: Layer, torch: Any, device: str, kind: Any) -> Callable[[Any], Any]:
    functional, settings = torch.nn.functional, layer.settings
    weights = {
        name: torch.from_numpy(weight.astype(np.float32)).to(device, kind) for name, weight in layer.weights.items()
    }
    match layer.kind:
        case "Input":
            axes = (0, 2, 1, 3) if settings["axes"] == "WHC" else (0, 1, 2, 3)
            scale, offset = settings["scale"], settings["offset"]
            return lambda x: (x.float() * scale + offset).to(kind).permute(axes).contiguous()
        case "Conv" if tuple(settings["dilation"]) == (1, 1) and settings["groups"] == 1:
            kernel = weights["kernel"].permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
            strides, pads = tuple(settings["strides"]), _pads(settings["pads"])
            act = _function(settings["activation"], torch)

            def convolve(x: Any) -> Any:
                x = x.permute(0, 3, 1, 2)
                if pads[0] == pads[1] and pads[2] == pads[3]:
                    x = functional.conv2d(x, kernel, weights["bias"], strides, (pads[2], pads[0]))
                else:
                    x = functional.conv2d(functional.pad(x, pads), kernel, weights["bias"], strides)
                return act(x.permute(0, 2, 3, 1))

            return convolve
        case "Pool" if settings["mode"] == "max":
            size, strides, pads = tuple(settings["size"]), tuple(settings["strides"]), _pads(settings["pads"])

            def pool(x: Any) -> Any:
                x = x.permute(0, 3, 1, 2)
                if any(pads):
                    x = functional.pad(x, pads, value=float("-inf"))
                return functional.max_pool2d(x, size, strides).permute(0, 2, 3, 1)

            return pool
        case "Affine":
            act = _function(settings["activation"], torch)
            return lambda x: act(torch.addcmul(weights["shift"], x, weights["scale"]))
        case "Unary" if settings["function"] in _FUNCTIONS:
            act = _function(settings["function"], torch)
            return lambda x: act(x.clone())  # a copy, since other layers may take x, too
        case "Softmax":
            return lambda x: x.float().softmax(dim=-1)
        case "Reshape":
            shape = tuple(settings["target"])
            return lambda x: x.reshape(x.shape[0], *shape)
        case "Permute":
            order = (0, *(axis + 1 for axis in settings["axes"]))
            return lambda x: x.permute(order)
        case "Dense":
            matrix, act = weights["kernel"].T.contiguous(), _function(settings["activation"], torch)
            return lambda x: act(functional.linear(x, matrix, weights["bias"]))
        case "Recurrent":
            return _recurrent(layer, torch, device, kind)
    raise BackendUnavailable(f"a {layer.kind} with {dict(settings)} is not supported by the peer")


def _recurrent(layer: Layer, torch: Any, device: str, kind: Any) -> Callable[[Any], Any]:
    names = [name for name in ("forward", "backward") if layer.settings[name] is not None]
    for name in names:
        cell, gate = layer.settings[name], layer.settings[f"{name}.recurrent_activation"]
        if cell != "LstmCell" or gate != "sigmoid":
            raise BackendUnavailable(f"a {cell} with gates of {gate} is not supported by the peer")
    units = {layer.weights[f"{name}.recurrent"].shape[0] for name in names}
    if len(units) > 1 or names == ["backward"]:
        raise BackendUnavailable("an LSTM backward alone, or of two widths, is not supported by the peer")
    width = units.pop()
    lstm = torch.nn.LSTM(layer.weights["forward.kernel"].shape[0], width, bidirectional=len(names) == 2)
    for name, end in zip(names, ("", "_reverse"), strict=False):  # gates in the same order: i, f, g, o
        for theirs, ours in (("weight_ih", "kernel"), ("weight_hh", "recurrent"), ("bias_ih", "bias")):
            value = layer.weights[f"{name}.{ours}"].astype(np.float32)
            getattr(lstm, f"{theirs}_l0{end}").copy_(torch.from_numpy(np.ascontiguousarray(value.T)))
        getattr(lstm, f"bias_hh_l0{end}").zero_()
    lstm = lstm.to(device, kind).eval()  # in training mode, cuDNN keeps more values
    lstm.flatten_parameters()
    merge = layer.settings["merge"] if len(names) == 2 else "concat"

    def run(x: Any) -> Any:
        program = lstm(x.transpose(0, 1))[0].transpose(0, 1)
        if merge == "concat":
            return program
        ahead, back = program[..., :width], program[..., width:]
        return {"sum": torch.add, "product": torch.mul, "average": lambda a, b: (a + b) / 2}[merge](ahead, back)

    return run


def _function(name: str, torch: Any) -> Callable[[Any], Any]:
    functions: dict[str, Callable[[Any], Any]] = {
        "linear": lambda x: x,
        "relu": torch.relu_,
        "relu6": partial(torch.clamp_, min=0, max=6),
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
    }
    return functions[name]


def _pads(pads: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Return the pads as left, right, top and bottom, the order of PyTorch."""
    (top, bottom), (left, right) = pads
    return left, right, top, bottom


class _Captured:
    """The network captured at one batch size, from the host's memory to the host's memory."""

    def __init__(self, run: Callable[[Any], Any], torch: Any, shape: tuple[int, ...], stream: Any, pool: Any) -> None:
        self._torch, self._stream = torch, stream
        self._host = torch.zeros(shape, dtype=torch.uint8).pin_memory()
        self._taken = self._host.to("cuda")
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):  # cuDNN tries its kernels
                run(self._taken)
        stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool, stream=stream):
            self._given = run(self._taken)
        self._answer = torch.zeros(self._given.shape).pin_memory()

    def infer(self, batch: npt.NDArray[np.uint8]) -> Probabilities:
        self._host.numpy()[...] = batch
        with self._torch.cuda.stream(self._stream):
            self._taken.copy_(self._host, non_blocking=True)
            self._graph.replay()
            self._answer.copy_(self._given, non_blocking=True)
        self._stream.synchronize()
        return cast(Probabilities, self._answer.numpy().copy())


def _open(torch: Any, folder: Path, shape: tuple[int, ...], sizes: Sequence[int], device: str) -> Any:
    """Return a function that infers a batch of one of these sizes."""
    if device == "cpu":
        plain = network(read_network(folder), torch, device, torch.float32)
        return lambda batch: plain(torch.from_numpy(np.ascontiguousarray(batch))).numpy()
    if not torch.cuda.is_available():
        raise BackendUnavailable(f"PyTorch {torch.__version__} finds no GPU; run it on a machine with an NVIDIA GPU")
    torch.backends.cudnn.benchmark = True
    run = network(read_network(folder), torch, device, torch.float16)
    stream, pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()
    captured = {n: _Captured(run, torch, (n, *shape), stream, pool) for n in sizes}
    return lambda batch: captured[len(batch)].infer(batch)


def serve(folder: Path, sizes: Sequence[int], device: str) -> None:
    """Answer the requests on stdin until it ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # keeps the output of libraries out of the answers

    def answer(**values: object) -> None:
        print(json.dumps(values), file=answers, flush=True)

    try:
        import torch
    except (ImportError, OSError) as error:
        answer(absent=f"PyTorch does not start ({error})")
        return
    with torch.inference_mode():
        try:
            prepared = read(folder)
            shape = prepared.artifact.spec.input.shape
            infer = _open(torch, folder, shape, sizes, device)
        except EdgeCrnnError as error:
            answer(absent=str(error))
            return
        most = max(sizes)
        batches = [prepared.pixels[start : start + most] for start in range(0, min(READ, len(prepared.pixels)), most)]
        labels = [
            label for batch in batches if len(batch) == most for label in spell(infer(batch), prepared.artifact.spec)
        ]
        versions = {
            "torch": str(torch.__version__),
            "cuda": str(torch.version.cuda),
            "cudnn": str(torch.backends.cudnn.version()),
            "python": sys.version.partition(" ")[0],
            "device": torch.cuda.get_device_name() if device == "cuda" else "CPU",
        }
        answer(versions=versions, labels=labels)
        work = Work(infer, prepared.artifact.spec, prepared.pixels, prepared.pictures)
        for line in sys.stdin:
            way, n, calls = json.loads(line)
            answer(ms=work.times(way, n, calls))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sizes", type=int, nargs="+", required=True)
    arguments = parser.parse_args()
    serve(arguments.folder, arguments.sizes, arguments.device)
