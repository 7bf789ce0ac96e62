"""Count the instructions of one plate's inference on the processors of Raspberry Pi 4 and 5, by class, under emulation.

python -m benchmarks.instructions [--engines NAME… [--keep]] [-o benchmarks/results/instructions.json]

Instructions are not times: a core executes up to four at once, waits for memory, and lowers its clock when hot. Use
them to compare engines of equal precision. They do not depend on the machine that counts.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from edge_crnn.dataset import find_images
from edge_crnn.errors import BackendError, BackendUnavailable, InputError
from edge_crnn.images import load_image
from edge_crnn.preprocess import preprocess
from edge_crnn.records.instructions import InstructionClasses, InstructionCount, Instructions
from edge_crnn.records.record import load_record

from .peers import ncnn
from .peers.engines import OURS, PEERS, build
from .peers.rounds import Engine
from .peers.source import Source
from .record import header, save, typed

TOLERANCE = 0.03
"""The share by which an artifact may need more instructions than before. Two runs differ by 0.00003."""

CPUS = {"cortex-a72": "Pi 4", "cortex-a76": "Pi 5"}
PACKAGES = ("ai-edge-litert", "ncnn", "numpy", "onnxruntime", "opencv-python-headless")
"""The packages that the engines need on the emulated board."""

_HERE = Path(__file__).parent
_ROOT = _HERE.parent
_ARM = _ROOT / "tests" / "arm"
_SITE = "counted"
_UNAVAILABLE = 69
_CALLS = 2
"""The first call also sets things up."""
_CPUINFO = {
    "cortex-a72": ("0xd08", "fp asimd evtstrm crc32 cpuid"),
    "cortex-a76": ("0xd0b", "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp asimdrdm lrcpc asimddp"),
}
"""Part number and features, as Linux on the boards reports them."""


def _ncnn_float32(source: Source) -> Engine:
    return ncnn.engine(source, "ncnn float32", "float32.param")


def _ncnn_int8(source: Source) -> Engine:
    return ncnn.engine(source, "ncnn int8", "int8.param", source.ranges)


_PEERS = {**OURS, **PEERS, "ncnn int8": _ncnn_int8, "ncnn float32": _ncnn_float32}
MAKERS: Mapping[str, Callable[[Source], Engine]] = {
    name: _PEERS[name]
    for name in (
        "edge-crnn int8", "edge-crnn dynamic", "edge-crnn int8-full", "ONNX Runtime int8", "ncnn int8",
        "edge-crnn float32", "ONNX Runtime float32", "ncnn float32",
    )
}  # fmt: skip
"""The engines by name. float16 is left out: its weights become float32 when they are loaded."""


class Counter:
    """An emulated Debian with the engines, and a QEMU that counts instructions.

    Debian 12's QEMU is the last that Debian built with plugins. It shows the host's /proc/cpuinfo, from which engines
    choose their kernels, so the board's file replaces it.

    Args:
        cache: the folder that keeps all of it.
        versions: versions of `PACKAGES`, by package; a missing one means the newest.

    Raises:
        BackendUnavailable: this machine cannot download or run it.
    """

    def __init__(self, cache: Path, versions: Mapping[str, str] | None = None) -> None:
        self._root, self._qemu, self._plugin = cache / "bookworm", cache / "counting-qemu", cache / "instructions.so"
        requirements = [f"{name}=={(versions or {})[name]}" if name in (versions or {}) else name for name in PACKAGES]
        _run([_ARM / "root.sh", "bookworm", self._root])
        _run([_ARM / "site.sh", self._root, _SITE, *requirements])
        if not self._qemu.exists():
            _run([_ARM / "unpack.sh", "amd64", "bookworm", self._qemu, "qemu-user"])
        _run(["gcc", "-O2", "-shared", "-fPIC", "-o", self._plugin, _HERE / "instructions.c"])

    @property
    def versions(self) -> dict[str, str]:
        """The installed versions of `PACKAGES`."""
        packages = metadata.distributions(path=[str(self._root / "opt" / _SITE)])
        return dict(sorted((package.name, package.version) for package in packages if package.name in PACKAGES))

    def count(self, cpu: str, *words: str | Path) -> list[InstructionClasses]:
        """Run `python3 WORDS…` in the project's folder; return the instructions between each pair of marks."""
        part, features = _CPUINFO[cpu]
        facts = f"Features\t: {features}\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: {part}\n"
        cores = "\n".join(f"processor\t: {number}\n{facts}" for number in range(4))
        (self._root / "proc" / "cpuinfo").write_text(cores, encoding="utf-8")
        libraries = self._qemu / "lib"
        emulator: list[str | Path] = [
            self._qemu / "lib64" / "ld-linux-x86-64.so.2",
            "--library-path",
            libraries / "x86_64-linux-gnu",
        ]
        emulator += [self._qemu / "usr" / "bin" / "qemu-aarch64", "-plugin", self._plugin]
        emulator += ["-cpu", cpu, "-L", self._root, self._root / "usr" / "bin" / "python3"]
        path = os.pathsep.join([str(_ROOT), str(self._root / "opt" / _SITE)])
        done = _run([*emulator, *words], {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"})
        return [InstructionClasses(*map(int, line.split())) for line in re.findall("^instructions: (.+)$", done, re.M)]


def measure(
    counter: Counter, source: Source, engines: Iterable[Engine], cpus: Iterable[str] = CPUS
) -> list[InstructionCount]:
    """Count each engine on each processor, on the first calibration image."""
    picture = load_image(next(iter(find_images(source.calibration))))
    counts = []
    for engine in engines:
        image = source.work / "image.npy"
        np.save(image, preprocess([picture], engine.image))
        for cpu in cpus:
            opener = f"{engine.open.__module__}:{engine.open.__name__}"
            words: list[str | Path] = ["-m", "benchmarks.counted", opener, engine.path, image, str(_CALLS)]
            classes = counter.count(cpu, *words)[-1]
            counts.append(InstructionCount(engine.name, cpu, classes))
            print(_row(counts[-1]), flush=True)
    return counts


def table(counts: Sequence[InstructionCount]) -> list[str]:
    """Return the lines of a Markdown table, in millions of instructions."""
    head = "| engine | processor | all | dot product | SIMD | loads and stores | scalar |"
    return [head, "|---|---|---|---|---|---|---|", *map(_row, counts)]


def recorded(path: Path) -> list[InstructionCount]:
    """Return the counts of a file that `main` wrote.

    Raises:
        InputError: the file cannot be read, or is a record of another kind.
    """
    return list(_figures(path).counts)


def _figures(path: Path) -> Instructions:
    figures = load_record(path).figures
    if not isinstance(figures, Instructions):
        raise InputError(f"{path}: found {figures.SUITE!r}, expected {Instructions.SUITE!r}; name another file")
    return figures


def costlier(counts: Iterable[InstructionCount], before: Iterable[InstructionCount]) -> list[str]:
    """Describe the engines that need more instructions than before, beyond `TOLERANCE`."""
    limits = {(count.engine, count.cpu): count.instructions.total * (1 + TOLERANCE) for count in before}
    return [
        f"{count.engine} on {count.cpu} needs {count.instructions.total:,} instructions,"
        f" expected at most {limits[count.engine, count.cpu]:,.0f}"
        for count in counts
        if count.instructions.total > limits[count.engine, count.cpu]
    ]


def _row(count: InstructionCount) -> str:
    classes = count.instructions
    figures = (classes.total, classes.dot, classes.simd, classes.memory, classes.scalar)
    cells = [count.engine, f"{count.cpu} ({CPUS[count.cpu]})", *(f"{figure / 1e6:.1f}" for figure in figures)]
    return f"| {' | '.join(cells)} |"


def _run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> str:
    """Run a command in the project's folder, and return its stderr."""
    environment = {**os.environ, "PYTHON": sys.executable, **(environment or {})}
    try:
        done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BackendUnavailable(
            f"{command[0]} is not installed, so that instructions cannot be counted here; install it"
        ) from error
    if done.returncode == _UNAVAILABLE:
        raise BackendUnavailable(f"instructions cannot be counted here: {done.stderr.strip()}")
    if done.returncode:
        raise BackendError(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stderr


def main() -> int:
    """Count instructions, and write them as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instructions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--engines", nargs="+", choices=tuple(MAKERS), default=list(MAKERS), metavar="NAME")
    parser.add_argument("--keep", action="store_true", help="keep the counts of other engines in the output file")
    parser.add_argument("--model", type=Path, default=Path("models/plates.keras"))
    parser.add_argument("--calibration", type=Path, default=Path("samples/calibration"))
    parser.add_argument("--cache", type=Path, default=Path(os.environ.get("EDGE_CRNN_ARM_CACHE", "build/arm")))
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results/instructions.json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-crnn-") as work:
        source = Source(args.model, args.calibration, Path(work))
        counter = Counter(args.cache.absolute())
        about = header(typed("instructions"), source_sha256=source.sha256)
        before = _others(args.output, args.engines, source.sha256, counter.versions) if args.keep else []
        engines, absent = build(source, {name: MAKERS[name] for name in args.engines})
        for name, reason in absent.items():
            print(f"{name} is absent: {reason}", file=sys.stderr)
        by_engine = {(count.engine, count.cpu): count for count in [*before, *measure(counter, source, engines)]}
    counts = tuple(by_engine[name, cpu] for name in MAKERS for cpu in CPUS if (name, cpu) in by_engine)
    save(args.output, about, Instructions(counter.versions, counts))
    print(f"written to {args.output}", file=sys.stderr)
    return 0


def _others(
    path: Path, engines: Sequence[str], source_sha256: str, versions: Mapping[str, str]
) -> list[InstructionCount]:
    """Return the recorded counts of the other engines."""
    if load_record(path).header.source_sha256 != source_sha256 or _figures(path).counted_versions != versions:
        raise InputError(
            f"{path}: was counted with another model or other packages; omit --keep to count all engines again"
        )
    return [count for count in recorded(path) if count.engine not in engines]


if __name__ == "__main__":
    sys.exit(main())
