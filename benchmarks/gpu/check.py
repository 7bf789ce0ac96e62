"""Checks TensorRT engines on a machine with a GPU: their texts, their speed, their memory and their builds.

    python -m benchmarks.gpu OUT.json

Needs the files that `python -m benchmarks.gpu.texts` prepares on a workstation, TensorRT, pycuda and NumPy. PyTorch,
with which the engines are compared, may be installed in another Python. OUT.json holds every criterion, the figures
behind it, the GPU and all versions. It is rewritten after each part, so an interrupted run loses little. Exit status: 0
all criteria are met, 3 a criterion is missed or was not run, 1 nothing can be run here.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from edge_crnn.backends import Backend
from edge_crnn.backends.tensorrt import cuda
from edge_crnn.backends.tensorrt.build import BuildOptions
from edge_crnn.backends.tensorrt.cache import cached_engine, require
from edge_crnn.bench.contention import Contention
from edge_crnn.errors import BackendError, BackendUnavailable, DatasetError, EdgeCrnnError
from edge_crnn.files import require_place
from edge_crnn.model.artifact import Artifact
from edge_crnn.reader import Reader
from edge_crnn.records.gpu import BuiltEngine, Criterion, EngineOptions, Gpu

from ..peers.torch import Peer
from ..record import header, save, typed
from .builds import MOMENTS, Builds
from .criteria import Criteria, table
from .measure import growth, interleave, read_all, side_by_side, soak, turn
from .set import GpuSet, read
from .work import WAYS, Work

MODELS = ("plates", "digits")
PARTS = ("texts", "speed", "memory", "readers", "builds")
IMAGES = 3000
"""The fewest images from which texts are judged."""
LEAST_CALLS = 10_000
TEXT_SIZES = (1, 3, 8, 32, 256)
CALLS = {1: 200, 8: 100, 32: 60, 256: 30}
"""Images of a call → timed calls per round."""
TIMED = "plates"
"""The model whose speed, memory and builds are judged."""

_AGREEMENT = 0.999
_FASTER = 1.7
_AS_FAST = 1 / 1.5
_HOST_GROWTH = 4 << 20
_SAME_NETWORK = 0.99
_OF_ALL = ("texts", "speed")
_CANNOT = 1


def planned() -> Criteria:
    """Return all criteria."""
    criteria = []
    for model in MODELS:
        meaning = "engines shown to compute in float16"
        criteria.append(Criterion(f"{model}: half precision", "engine", model, meaning, "at least", 1))
        for n in TEXT_SIZES:
            meaning = "of the images read the same as with Keras, in the worst order"
            criteria.append(Criterion(f"{model}: text, {n} at once", "texts", model, meaning, "at least", _AGREEMENT))
        meaning = "readings that depend on the number of images, their order or their position"
        criteria.append(Criterion(f"{model}: batch invariance", "texts", model, meaning, "at most", 0))
    for way in WAYS:
        for n, least in ((256, _FASTER), (1, _AS_FAST)):
            meaning = "times PyTorch's speed"
            criteria.append(Criterion(f"speed, {way}, {n} at once", "speed", TIMED, meaning, "at least", least))
    grown = "bytes more at the end than in the second tenth of the calls"
    other = "readings that differ from those of a single reader"
    left = "engines, or processes, that a killed build leaves behind"
    both = "builds for two processes that request the same engine at the same time"
    criteria += [
        Criterion("memory of the host", "memory", TIMED, grown, "at most", _HOST_GROWTH),
        Criterion("memory of the device", "memory", TIMED, grown, "at most", 0),
        Criterion("readers in two threads", "readers", TIMED, other, "at most", 0),
        Criterion("builds, killed", "builds", TIMED, left, "at most", 0),
        Criterion("builds, two at once", "builds", TIMED, both, "at most", 1),
    ]
    return Criteria(criteria)


@dataclass(frozen=True)
class Runtime:
    """The functions that build and open engines; tests replace them."""

    about: Mapping[str, str]
    """Facts about the GPU, its driver, TensorRT and pycuda."""
    engine: Callable[[Artifact, BuildOptions], Artifact]
    open: Callable[[Artifact], Backend]
    device_bytes: Callable[[], int]
    """Returns the memory in use on the whole GPU."""
    build_command: tuple[str, ...] = (sys.executable, "-m", "benchmarks.gpu.builds")
    peer_device: str = "cuda"


class Check:
    """A run of the check, which writes its figures after every part."""

    def __init__(self, arguments: argparse.Namespace, runtime: Runtime, command: str) -> None:
        self.criteria = planned()
        self._arguments = arguments
        self._runtime = runtime
        sources = arguments.tactic_sources
        self._options = BuildOptions(
            batches=tuple(arguments.batches),
            workspace=arguments.workspace,
            tactic_sources=None if sources is None else tuple(sources),
        )
        self._started = time.monotonic()
        self._header = header(command)
        self._figures = Gpu(gpu=runtime.about)

    def run(self) -> int:
        """Check the requested models and parts; return the exit status.

        Raises:
            DatasetError: no model is prepared.
        """
        for part in {*PARTS} - {*self._arguments.only}:
            self.criteria.not_run("left out by --only", part=part)
        sets = self._sets()
        if not sets:
            raise DatasetError(f"{self._arguments.sets}: found no set; prepare one with python -m benchmarks.gpu.texts")
        for image_set in sets:
            self._model(image_set)
        return self.criteria.status

    def save(self) -> None:
        """Write the JSON."""
        seconds = round(time.monotonic() - self._started, 1)
        self._know(criteria=tuple(self.criteria), seconds=seconds)
        save(self._arguments.output, self._header, self._figures)

    def _know(self, **more: Any) -> None:
        """Add to the figures."""
        self._figures = dataclasses.replace(self._figures, **more)

    def _sets(self) -> list[GpuSet]:
        image_sets = []
        for name in MODELS:
            if name not in self._arguments.models:
                self.criteria.not_run("left out by --models", model=name)
                continue
            try:
                image_sets.append(read(self._arguments.sets / name))
            except EdgeCrnnError as error:
                self.criteria.not_run(str(error), model=name)
        return image_sets

    def _model(self, image_set: GpuSet) -> None:
        name = image_set.name
        self._know(sets={**self._figures.sets, name: image_set.about})
        _say(f"{name}: {image_set.about.what}; its engine")
        try:
            started = time.monotonic()
            engine = self._runtime.engine(image_set.artifact, self._options)
            seconds = time.monotonic() - started
            backend = self._runtime.open(engine)
        except EdgeCrnnError as error:
            self.criteria.not_run(str(error), model=name)
            self.save()
            return
        assert engine.spec.artifact is not None  # an engine's spec has it
        tools = engine.spec.artifact.tools
        built = BuiltEngine(
            tools=tools,
            options=EngineOptions(self._options.batches, self._options.workspace, self._options.tactic_sources),
            facts=backend.facts,
            bytes=len(engine.payload),
            onnx_bytes=len(image_set.artifact.payload),
            seconds_until_there=round(seconds, 1),
        )
        self._know(engines={**self._figures.engines, name: built})
        precision = tools.get("precision", "unknown precision")
        self.criteria.judge(f"{name}: half precision", int(precision.startswith("float16")), precision)
        parts: dict[str, Callable[[], None]] = {
            "texts": lambda: self._texts(image_set, backend),
            "speed": lambda: self._speed(image_set, backend),
            "memory": lambda: self._memory(image_set, backend),
            "readers": lambda: self._readers(image_set, engine),
            "builds": lambda: self._builds(image_set),
        }
        with closing(backend):
            for part in self._arguments.only:
                if name == TIMED or part in _OF_ALL:
                    _say(f"{name}: {part}")
                    try:
                        parts[part]()
                    except EdgeCrnnError as error:
                        self.criteria.not_run(f"{type(error).__name__}: {error}", model=name, part=part)
                    self.save()

    def _texts(self, image_set: GpuSet, backend: Backend) -> None:
        name = image_set.name
        images = len(image_set.pixels)
        singles, readings = read_all(backend.infer, image_set, TEXT_SIZES)
        rotations = [turn(backend.infer, image_set, singles, n) for n in TEXT_SIZES if 1 < n <= images]
        self._know(texts=(*self._figures.texts, *readings), turned=(*self._figures.turned, *rotations))
        few = f"{images:,} images are too few, {IMAGES:,} are required" if images < IMAGES else ""
        for n in TEXT_SIZES:
            worst = min(
                (reading for reading in readings if reading.n == n), key=lambda reading: reading.same_as_reference
            )
            note = f"{worst.same_as_reference:,} of {images:,} like {image_set.about.reference}, {worst.order}"
            self.criteria.judge(f"{name}: text, {n} at once", worst.same_as_reference / images, note, few)
        other = sum(images - reading.same_as_singles for reading in readings)
        other += sum(rotation.other for rotation in rotations)
        count = sum(reading.images for reading in readings) + sum(rotation.readings for rotation in rotations)
        change = max(reading.max_probability_change for reading in readings)
        note = (
            f"{count:,} readings compared with those of the images alone; probabilities change by at most {change:.2g}"
        )
        self.criteria.judge(f"{name}: batch invariance", other, note, few)

    def _speed(self, image_set: GpuSet, backend: Backend) -> None:
        peer = None
        try:
            folder = self._arguments.sets / image_set.name
            peer = Peer(self._arguments.torch_python, folder, list(CALLS), self._runtime.peer_device)
            self._know(peer=peer.versions)
            absent = _other_network(peer, image_set)
        except (BackendUnavailable, BackendError) as error:
            absent = f"PyTorch is absent: {error}"
        if absent:
            self._know(peer={"absent": absent})
        ours = Work(backend.infer, image_set.artifact.spec, image_set.pixels, image_set.pictures)
        contention = Contention([os.getpid(), *([] if peer is None else [peer.pid])])
        try:
            timer = None if absent else peer
            speeds = [
                interleave(image_set.name, ours, timer, way, n, self._arguments.rounds, calls)
                for way in WAYS
                for n, calls in CALLS.items()
            ]
            others = contention.cores()
        finally:
            if peer is not None:
                peer.close()
        self._know(speed=(*self._figures.speed, *speeds))
        if image_set.name != TIMED:
            return
        self._know(other_cores=others)
        if absent:
            self.criteria.not_run(absent, part="speed")
            return
        for speed in speeds:
            name = f"speed, {speed.way}, {speed.images} at once"
            if speed.images not in (1, 256):
                continue
            assert speed.ratio is not None  # PyTorch is there
            note = f"{speed.ours_ms:.3f} ms (p90 {speed.ours_p90_ms:.3f}), PyTorch {speed.peer_ms:.3f} ms"
            self.criteria.judge(name, speed.ratio, f"{note} (p90 {speed.peer_p90_ms:.3f}), {len(speed.ours)} rounds")

    def _memory(self, image_set: GpuSet, backend: Backend) -> None:
        most = backend.facts.max_batch or max(CALLS)
        result = soak(backend.infer, image_set.pixels, most, self._arguments.calls, self._runtime.device_bytes)
        self._know(soak=result)
        few = "" if result.calls >= LEAST_CALLS else f"{result.calls:,} calls are too few, {LEAST_CALLS:,} are required"
        sizes = f"{result.calls:,} calls with {result.sizes[0]} to {result.sizes[-1]} images"
        note = f"{sizes}, resident size of the process"
        self.criteria.judge(
            "memory of the host", result.host_growth, f"{note}, {result.host[-1] / 1e6:.0f} MB at the end", few
        )
        note = f"{sizes}, memory in use on the whole GPU according to its driver"
        self.criteria.judge(
            "memory of the device", growth(result.device), f"{note}, {result.device[-1] / 1e6:.0f} MB", few
        )

    def _readers(self, image_set: GpuSet, engine: Artifact) -> None:
        with ExitStack() as stack:

            def reader() -> Reader:
                return stack.enter_context(Reader(engine.spec, lambda: self._runtime.open(engine)))

            first, second = reader(), reader()
            alone = [reading.label for reading in first.read_batch(list(image_set.pixels))]
            other = side_by_side([first, second], image_set.pixels, alone)
        readings = 2 * len(alone)
        self.criteria.judge("readers in two threads", other, f"{readings:,} readings, each reader with its own engine")

    def _builds(self, image_set: GpuSet) -> None:
        with tempfile.TemporaryDirectory(prefix="edge-crnn-") as folder:
            path = image_set.artifact.path
            command = self._runtime.build_command
            pair = Builds(path, self._options, Path(folder) / "asked", command)
            opened = pair.at_once(2)
            engines = len(pair.engines())
            whole = max(engine.seconds for engine in opened)
            places = [Path(folder) / f"killed-{part}" for part in MOMENTS]
            killed = [Builds(path, self._options, place, command) for place in places]
            kills = [builds.kill(part * whole) for builds, part in zip(killed, MOMENTS, strict=True)]
            again = killed[-1].at_once(1)
        builds = {"killed": tuple(kills), "afterwards": tuple(again), "two at once": tuple(opened)}
        self._know(builds=builds)
        shown = [kill for kill in kills if kill.under_way]
        left = sum(kill.left + (not kill.others_ended) for kill in shown)
        moments = ", ".join(f"{kill.after_s:.1f}" for kill in shown)
        ended = "" if shown else "each build had made its engine before it could be killed"
        note = f"killed after {moments} s; requested again, the engine is ready after {again[0].seconds:.1f} s"
        self.criteria.judge("builds, killed", left, note, ended)
        built = sum(engine.builds for engine in opened)
        same = len({engine.engine for engine in opened}) == 1 and engines == 1
        note = f"both ready after {', '.join(f'{engine.seconds:.1f}' for engine in opened)} s"
        wrong = "" if built and same else f"{built} builds, {engines} engines in the cache, not the same for both"
        self.criteria.judge("builds, two at once", built, note, wrong)


def _other_network(peer: Peer, image_set: GpuSet) -> str:
    """Return why the peer cannot be compared with; an empty text if it reads the same as Keras."""
    same = sum(a == b for a, b in zip(peer.labels, image_set.labels, strict=False))
    if same >= _SAME_NETWORK * len(peer.labels):
        return ""
    different = len(peer.labels) - same
    return f"PyTorch reads {different} of {len(peer.labels)} images differently: it is not the same network"


def tensorrt() -> Runtime:
    """Return the runtime of TensorRT on this machine's GPU.

    Raises:
        BackendUnavailable: packages are missing; the message names all of them.
    """
    tensorrt_version, _ = require("the GPU check")
    from edge_crnn.backends.tensorrt.engine import TrtBackend

    gpu = cuda.gpu()
    pycuda = import_module("pycuda")
    driver = import_module("pycuda.driver")
    driver.init()
    context = driver.Device(gpu.index).retain_primary_context()  # the context of the engines
    about = {
        **{name: str(value) for name, value in dataclasses.asdict(gpu).items()},
        "tensorrt": tensorrt_version,
        "pycuda": str(getattr(pycuda, "VERSION_TEXT", "unknown version")),
    }

    def device_bytes() -> int:
        context.push()
        try:
            free, total = driver.mem_get_info()
        finally:
            driver.Context.pop()
        return int(total - free)

    return Runtime(about, cached_engine, lambda engine: TrtBackend(engine, 1), device_bytes)


def main(words: Sequence[str] | None = None, runtime: Callable[[], Runtime] = tensorrt) -> int:
    """Run the command; return its exit status."""
    usual = BuildOptions()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", type=Path, metavar="OUT.json")
    parser.add_argument(
        "--sets", type=Path, default=Path("build/gpu"), help="folder of benchmarks.gpu.texts (default: build/gpu)"
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts of the check")
    parser.add_argument("--torch-python", default="python3", help="Python that has PyTorch (default: %(default)s)")
    parser.add_argument("--batches", type=int, nargs=3, default=(1, 32, 256), metavar=("MIN", "OPT", "MAX"))
    parser.add_argument("--workspace", type=int, default=usual.workspace, metavar="BYTES")
    parser.add_argument("--tactic-sources", nargs="*", metavar="NAME", help="default: TensorRT's own choice")
    parser.add_argument("--cache", type=Path, help="folder to keep the engines in (default: keep none)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=LEAST_CALLS, help="calls at mixed batch sizes")
    arguments = parser.parse_args(words)
    command = typed("gpu", words)
    try:
        require_place(arguments.output)
        with tempfile.TemporaryDirectory(prefix="edge-crnn-") as own:
            os.environ["EDGE_CRNN_CACHE"] = str((arguments.cache or Path(own)).resolve())
            check = Check(arguments, runtime(), command)
            status = check.run()
    except EdgeCrnnError as error:
        print(f"the check cannot run here: {error}", file=sys.stderr)
        return _CANNOT
    print(table(check.criteria))
    return status


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
