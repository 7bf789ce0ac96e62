"""Shows on a machine with a GPU what is said of TensorRT engines: their texts, their speed, their memory, their builds.

    python -m benchmarks.gpu OUT.json

Needs what `python -m benchmarks.gpu.texts` prepared on a workstation, TensorRT, pycuda and NumPy; PyTorch, which ours
is compared with, on the machine's own Python. OUT.json has each criterion, the figures behind it, the GPU and all
versions; it is written anew after each part, so that a run that is cut short leaves what it had found. Exit status: 0
all criteria are met, 3 one is missed or was not run, 1 nothing can be run here.
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
"""Fewer show nothing."""
LEAST_CALLS = 10_000
TEXT_SIZES = (1, 3, 8, 32, 256)
CALLS = {1: 200, 8: 100, 32: 60, 256: 30}
"""Images at once → timed calls a round."""
TIMED = "plates"
"""Model whose speed, memory and builds count."""

_AGREEMENT = 0.999
_FASTER, _AS_FAST = 1.7, 1 / 1.5
_HOST_GROWTH = 4 << 20
_SAME_NETWORK = 0.99
_OF_ALL = ("texts", "speed")
_CANNOT = 1


def planned() -> Criteria:
    """All that must be shown."""
    found = []
    for model in MODELS:
        what = "engines shown to compute in float16"
        found.append(Criterion(f"{model}: half precision", "engine", model, what, "at least", 1))
        for n in TEXT_SIZES:
            what = "of the images read as Keras reads them, in the worst order"
            found.append(Criterion(f"{model}: text, {n} at once", "texts", model, what, "at least", _AGREEMENT))
        what = "readings that depend on the number of images, their order or their position"
        found.append(Criterion(f"{model}: batch invariance", "texts", model, what, "at most", 0))
    for way in WAYS:
        for n, least in ((256, _FASTER), (1, _AS_FAST)):
            what = "times PyTorch's speed"
            found.append(Criterion(f"speed, {way}, {n} at once", "speed", TIMED, what, "at least", least))
    grown = "bytes more at the end than in the second tenth of the calls"
    other = "readings that one reader alone does not give"
    left = "engines, or processes, that a killed build leaves"
    asked = "builds for two processes that ask at the same time"
    found += [
        Criterion("memory of the host", "memory", TIMED, grown, "at most", _HOST_GROWTH),
        Criterion("memory of the device", "memory", TIMED, grown, "at most", 0),
        Criterion("readers in two threads", "readers", TIMED, other, "at most", 0),
        Criterion("builds, killed", "builds", TIMED, left, "at most", 0),
        Criterion("builds, two at once", "builds", TIMED, asked, "at most", 1),
    ]
    return Criteria(found)


@dataclass(frozen=True)
class Runtime:
    """What opens engines; a test has another."""

    about: Mapping[str, str]
    """The GPU, its driver, TensorRT and pycuda."""
    engine: Callable[[Artifact, BuildOptions], Artifact]
    open: Callable[[Artifact], Backend]
    device_bytes: Callable[[], int]
    """In use on the whole GPU."""
    build_command: tuple[str, ...] = (sys.executable, "-m", "benchmarks.gpu.builds")
    peer_device: str = "cuda"


class Check:
    """One run: goes through the parts, and writes what it knows after each."""

    def __init__(self, arguments: argparse.Namespace, runtime: Runtime, command: str) -> None:
        self.criteria = planned()
        self._given, self._runtime = arguments, runtime
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
        """All models and parts that were asked for; the exit status.

        Raises:
            DatasetError: no model is prepared.
        """
        for part in {*PARTS} - {*self._given.only}:
            self.criteria.not_run("left out by --only", part=part)
        sets = self._sets()
        if not sets:
            raise DatasetError(f"{self._given.sets}: no set; python -m benchmarks.gpu.texts prepares them")
        for given in sets:
            self._model(given)
        return self.criteria.status

    def save(self) -> None:
        """Write the JSON."""
        seconds = round(time.monotonic() - self._started, 1)
        self._know(criteria=tuple(self.criteria), seconds=seconds)
        save(self._given.output, self._header, self._figures)

    def _know(self, **more: Any) -> None:
        """Put what was found into the figures."""
        self._figures = dataclasses.replace(self._figures, **more)

    def _sets(self) -> list[GpuSet]:
        found = []
        for name in MODELS:
            if name not in self._given.models:
                self.criteria.not_run("left out by --models", model=name)
                continue
            try:
                found.append(read(self._given.sets / name))
            except EdgeCrnnError as error:
                self.criteria.not_run(str(error), model=name)
        return found

    def _model(self, given: GpuSet) -> None:
        name = given.name
        self._know(sets={**self._figures.sets, name: given.about})
        _say(f"{name}: {given.about.what}; its engine")
        try:
            started = time.monotonic()
            engine = self._runtime.engine(given.artifact, self._options)
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
            onnx_bytes=len(given.artifact.payload),
            seconds_until_there=round(seconds, 1),
        )
        self._know(engines={**self._figures.engines, name: built})
        precision = tools.get("precision", "nothing is said of its precision")
        self.criteria.judge(f"{name}: half precision", int(precision.startswith("float16")), precision)
        parts: dict[str, Callable[[], None]] = {
            "texts": lambda: self._texts(given, backend),
            "speed": lambda: self._speed(given, backend),
            "memory": lambda: self._memory(given, backend),
            "readers": lambda: self._readers(given, engine),
            "builds": lambda: self._builds(given),
        }
        with closing(backend):
            for part in self._given.only:
                if name == TIMED or part in _OF_ALL:
                    _say(f"{name}: {part}")
                    try:
                        parts[part]()
                    except EdgeCrnnError as error:
                        self.criteria.not_run(f"{type(error).__name__}: {error}", model=name, part=part)
                    self.save()

    def _texts(self, given: GpuSet, backend: Backend) -> None:
        name, images = given.name, len(given.pixels)
        singles, found = read_all(backend.infer, given, TEXT_SIZES)
        turned = [turn(backend.infer, given, singles, n) for n in TEXT_SIZES if 1 < n <= images]
        self._know(texts=(*self._figures.texts, *found), turned=(*self._figures.turned, *turned))
        few = f"{images:,} images are too few, {IMAGES:,} are asked for" if images < IMAGES else ""
        for n in TEXT_SIZES:
            worst = min((each for each in found if each.n == n), key=lambda each: each.same_as_reference)
            note = f"{worst.same_as_reference:,} of {images:,} as {given.about.reference}, {worst.order}"
            self.criteria.judge(f"{name}: text, {n} at once", worst.same_as_reference / images, note, few)
        other = sum(images - each.same_as_singles for each in found) + sum(each.other for each in turned)
        readings = sum(each.images for each in found) + sum(each.readings for each in turned)
        change = max(each.max_probability_change for each in found)
        note = f"{readings:,} readings held to those of the images alone; probabilities move by at most {change:.2g}"
        self.criteria.judge(f"{name}: batch invariance", other, note, few)

    def _speed(self, given: GpuSet, backend: Backend) -> None:
        peer = None
        try:
            peer = Peer(self._given.torch_python, self._given.sets / given.name, list(CALLS), self._runtime.peer_device)
            self._know(peer=peer.versions)
            absent = _other_network(peer, given)
        except (BackendUnavailable, BackendError) as error:
            absent = f"PyTorch is absent: {error}"
        if absent:
            self._know(peer={"absent": absent})
        ours = Work(backend.infer, given.artifact.spec, given.pixels, given.pictures)
        contention = Contention([os.getpid(), *([] if peer is None else [peer.pid])])
        try:
            timer = None if absent else peer
            found = [
                interleave(given.name, ours, timer, way, n, self._given.rounds, calls)
                for way in WAYS
                for n, calls in CALLS.items()
            ]
            others = contention.cores()
        finally:
            if peer is not None:
                peer.close()
        self._know(speed=(*self._figures.speed, *found))
        if given.name != TIMED:
            return
        self._know(other_cores=others)
        if absent:
            self.criteria.not_run(absent, part="speed")
            return
        for each in found:
            name = f"speed, {each.way}, {each.images} at once"
            if each.images not in (1, 256):
                continue
            assert each.ratio is not None  # PyTorch is there
            note = f"{each.ours_ms:.3f} ms (p90 {each.ours_p90_ms:.3f}), PyTorch {each.peer_ms:.3f} ms"
            self.criteria.judge(name, each.ratio, f"{note} (p90 {each.peer_p90_ms:.3f}), {len(each.ours)} rounds")

    def _memory(self, given: GpuSet, backend: Backend) -> None:
        most = backend.facts.max_batch or max(CALLS)
        found = soak(backend.infer, given.pixels, most, self._given.calls, self._runtime.device_bytes)
        self._know(soak=found)
        few = "" if found.calls >= LEAST_CALLS else f"{found.calls:,} calls are too few, {LEAST_CALLS:,} are asked for"
        sizes = f"{found.calls:,} calls with {found.sizes[0]} to {found.sizes[-1]} images"
        note = f"{sizes}, resident size of the process"
        self.criteria.judge(
            "memory of the host", found.host_growth, f"{note}, {found.host[-1] / 1e6:.0f} MB at the end", few
        )
        note = f"{sizes}, memory in use on the whole GPU as its driver tells it"
        self.criteria.judge(
            "memory of the device", growth(found.device), f"{note}, {found.device[-1] / 1e6:.0f} MB", few
        )

    def _readers(self, given: GpuSet, engine: Artifact) -> None:
        with ExitStack() as stack:

            def reader() -> Reader:
                return stack.enter_context(Reader(engine.spec, lambda: self._runtime.open(engine)))

            first, second = reader(), reader()
            alone = [each.label for each in first.read_batch(list(given.pixels))]
            other = side_by_side([first, second], given.pixels, alone)
        readings = 2 * len(alone)
        self.criteria.judge("readers in two threads", other, f"{readings:,} readings, each reader with its own engine")

    def _builds(self, given: GpuSet) -> None:
        with tempfile.TemporaryDirectory(prefix="edge-crnn-") as folder:
            path, command = given.artifact.path, self._runtime.build_command
            asked = Builds(path, self._options, Path(folder) / "asked", command)
            opened = asked.at_once(2)
            engines = len(asked.engines())
            whole = max(each.seconds for each in opened)
            places = [Path(folder) / f"killed-{part}" for part in MOMENTS]
            killed = [Builds(path, self._options, place, command) for place in places]
            kills = [each.kill(part * whole) for each, part in zip(killed, MOMENTS, strict=True)]
            again = killed[-1].at_once(1)
        builds = {"killed": tuple(kills), "afterwards": tuple(again), "two at once": tuple(opened)}
        self._know(builds=builds)
        shown = [each for each in kills if each.under_way]
        left = sum(each.left + (not each.others_ended) for each in shown)
        moments = ", ".join(f"{each.after_s:.1f}" for each in shown)
        ended = "" if shown else "each build had made its engine before it could be killed"
        note = f"killed after {moments} s; asked for again, the engine is there after {again[0].seconds:.1f} s"
        self.criteria.judge("builds, killed", left, note, ended)
        made = sum(each.builds for each in opened)
        same = len({each.engine for each in opened}) == 1 and engines == 1
        note = f"both there after {', '.join(f'{each.seconds:.1f}' for each in opened)} s"
        wrong = "" if made and same else f"{made} builds, {engines} engines in the cache, not the same for both"
        self.criteria.judge("builds, two at once", made, note, wrong)


def _other_network(peer: Peer, given: GpuSet) -> str:
    """Why the peer is no peer; nothing if it reads as Keras does."""
    same = sum(a == b for a, b in zip(peer.labels, given.labels, strict=False))
    if same >= _SAME_NETWORK * len(peer.labels):
        return ""
    return f"PyTorch reads {len(peer.labels) - same} of {len(peer.labels)} images otherwise: it is not the same network"


def tensorrt() -> Runtime:
    """TensorRT on this machine's GPU.

    Raises:
        BackendUnavailable: something is missing; the message names all that is.
    """
    tensorrt_version, _ = require("the GPU check")
    from edge_crnn.backends.tensorrt.engine import TrtBackend

    gpu, pycuda, driver = cuda.gpu(), import_module("pycuda"), import_module("pycuda.driver")
    driver.init()
    context = driver.Device(gpu.index).retain_primary_context()  # which the engines work in, too
    about = {
        **{name: str(value) for name, value in dataclasses.asdict(gpu).items()},
        "tensorrt": tensorrt_version,
        "pycuda": str(getattr(pycuda, "VERSION_TEXT", "of unknown version")),
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
    """The command; its exit status."""
    usual = BuildOptions()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", type=Path, metavar="OUT.json")
    parser.add_argument("--sets", type=Path, default=Path("build/gpu"), help="where benchmarks.gpu.texts put them")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts of the check")
    parser.add_argument("--torch-python", default="python3", help="Python that has PyTorch (default: %(default)s)")
    parser.add_argument("--batches", type=int, nargs=3, default=(1, 32, 256), metavar=("MIN", "OPT", "MAX"))
    parser.add_argument("--workspace", type=int, default=usual.workspace, metavar="BYTES")
    parser.add_argument("--tactic-sources", nargs="*", metavar="NAME", help="default: TensorRT's own choice")
    parser.add_argument("--cache", type=Path, help="keep the engines of this run there (default: keep none)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=LEAST_CALLS, help="at mixed batch sizes")
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
