"""Instructions are counted right, and our artifacts need no more of them than the record says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.instructions import CPUS, MAKERS, Counter, costlier, measure, recorded
from benchmarks.peers.source import Source
from edge_crnn.errors import BackendUnavailable
from tests.arm.conftest import CACHE, ROOT

pytestmark = pytest.mark.arm_full

RESULTS = ROOT / "benchmarks" / "results"
RECORD = RESULTS / "instructions.json"


@pytest.fixture(scope="module")
def counter() -> Counter:
    """Return a counter with the recorded versions of the engines, since newer ones may need other instructions."""
    try:
        return Counter(CACHE, json.loads(RECORD.read_text(encoding="utf-8"))["counted_versions"])
    except BackendUnavailable as error:
        pytest.skip(str(error))


RETURN = 0xD65F03C0
WORDS = {
    "dot": [0x4E829420, 0x6F82E020],  # sdot v0.4s, v1.16b, v2.16b; udot v0.4s, v1.16b, v2.4b[0]
    "simd": [0x4E22CC20],  # fmla v0.4s, v1.4s, v2.4s
    "memory": [0x3DC003E0, 0xF94003E0],  # ldr q0, [sp]; ldr x0, [sp]
    "scalar": [0x8B000000, 0xD503201F],  # add x0, x0, x0; nop
}
PROGRAM = """
import ctypes, mmap, os, sys
from benchmarks.counted import mark
times, end, *words = sys.argv[1:]
for word in words:
    program = bytes.fromhex(word) * int(times) + bytes.fromhex(end)
    memory = mmap.mmap(-1, len(program), prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(program)
    function = ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
    function()
    mark(os.SEEK_SET)
    function()
    mark(os.SEEK_CUR)
"""


def test_each_instruction_is_counted_once_and_in_its_class(counter: Counter) -> None:
    names = [name for name, words in WORDS.items() for _ in words]
    words = [word.to_bytes(4, "little").hex() for encodings in WORDS.values() for word in encodings]
    times, end = 10_000, RETURN.to_bytes(4, "little").hex()
    nothing, *counts = counter.count("cortex-a76", "-c", PROGRAM, str(times), end, "", *words)
    assert len(counts) == len(names)
    for name, count in zip(names, counts, strict=True):
        for field in WORDS:
            extra = getattr(count, field) - getattr(nothing, field)  # Python's own way to the call varies
            assert extra == pytest.approx(times * (field == name), abs=times / 5), (name, field)


@pytest.mark.parametrize(
    ("model", "names", "record"),
    [
        ("plates", ["edge-crnn int8", "edge-crnn dynamic", "edge-crnn int8-full"], RECORD),
        ("plates-slim", ["edge-crnn int8"], RESULTS / "instructions-slim.json"),
    ],
)
def test_our_artifacts_take_no_more_instructions_than_recorded(
    model: str, names: list[str], record: Path, counter: Counter, tmp_path: Path
) -> None:
    source = Source(ROOT / "models" / f"{model}.keras", ROOT / "samples" / "calibration", tmp_path)
    counts = measure(counter, source, [MAKERS[name](source) for name in names])
    assert len(counts) == len(names) * len(CPUS)
    assert costlier(counts, recorded(record)) == []
