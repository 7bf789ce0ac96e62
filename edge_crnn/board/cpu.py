"""Facts about the processor, from /proc/cpuinfo."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from . import tree

_PARTS = {
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd04"): "Cortex-A35",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd09"): "Cortex-A73",
    ("0x41", "0xd0a"): "Cortex-A75",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd41"): "Cortex-A78",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd46"): "Cortex-A510",
    ("0x41", "0xd47"): "Cortex-A710",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4f"): "Neoverse-V2",
    ("0x41", "0xd83"): "Neoverse-V3AE",
    ("0x4e", "0x003"): "Denver 2",
    ("0x4e", "0x004"): "Carmel",
}
"""Implementer and part → name. Source: Arm's technical reference manuals (MIDR_EL1), and Linux, asm/cputype.h."""

_FEATURES = {
    "neon": ("asimd", "neon"),
    "dotprod": ("asimddp",),
    "i8mm": ("i8mm",),
    "fp16": ("asimdhp",),
    "bf16": ("bf16", "avx512_bf16"),
    "sve": ("sve",),
    "avx2": ("avx2",),
    "avx512": ("avx512f",),
    "vnni": ("avx512_vnni", "avx_vnni"),
    "amx": ("amx_int8",),
}
"""Instruction set that speeds a network up → the kernel's names for it."""


@dataclass(frozen=True)
class Cpu:
    """The facts about a processor that the kernel reports."""

    name: str | None
    """Model, such as Cortex-A76; different kinds of cores are joined by +."""
    architecture: str | None
    """aarch64, armv7l, x86_64 …: that of the process that reads /proc/cpuinfo, not of the kernel."""
    implementer: str | None
    """Implementer of the first core, such as 0x41 for Arm."""
    part: str | None
    """Part number of the first core, such as 0xd0b for a Cortex-A76."""
    features: tuple[str, ...]
    """Instruction sets that all cores have, among neon, dotprod, i8mm, fp16, bf16, sve, avx2, avx512, vnni and amx."""
    cores: int | None
    """Cores that are online; hardware threads, where a core has two."""
    cores_offline: int
    """Cores that are switched off, as by some power modes."""
    hypervisor: bool
    """Whether an x86 processor reports that it is virtual."""


def cpu(root: Path = tree.ROOT) -> Cpu:
    """Return the facts about the processor."""
    blocks = _blocks(tree.text(root / "proc/cpuinfo") or "")
    first = blocks[0] if blocks else {}
    flags = [set((block.get("Features") or block.get("flags") or "").split()) for block in blocks]
    common = set.intersection(*flags) if flags else set()
    online = _count(tree.text(root / "sys/devices/system/cpu/online"))
    present = _count(tree.text(root / "sys/devices/system/cpu/present"))
    cores = online or len(blocks) or None
    return Cpu(
        name=_name(blocks),
        architecture=_architecture(common),
        implementer=first.get("CPU implementer"),
        part=first.get("CPU part"),
        features=tuple(feature for feature, tokens in _FEATURES.items() if common & set(tokens)),
        cores=cores,
        cores_offline=max(present - online, 0) if present and online else 0,
        hypervisor="hypervisor" in common,
    )


def megahertz(root: Path) -> dict[int, float]:
    """Return the clock of each core, which x86 kernels report without cpufreq, too."""
    clocks = {}
    for block in _blocks(tree.text(root / "proc/cpuinfo") or ""):
        clock = re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,6})?", block.get("cpu MHz", ""))
        number = tree.as_integer(block["processor"])
        if clock and number is not None:
            clocks[number] = float(clock[0])
    return clocks


def _blocks(content: str) -> list[dict[str, str]]:
    """Return the fields of each core. After the last core, some kernels list fields of the whole board."""
    blocks = []
    for paragraph in re.split(r"\n\s*\n", content):
        fields = dict(re.findall(r"^([^:\n]+?)[ \t]*:[ \t]*(.*?)[ \t]*$", paragraph, re.M))
        if "processor" in fields:
            blocks.append(fields)
    return blocks


def _name(blocks: list[dict[str, str]]) -> str | None:
    names = dict.fromkeys(filter(None, map(_core_name, blocks)))
    return " + ".join(names) or None


def _core_name(block: dict[str, str]) -> str | None:
    implementer, part = block.get("CPU implementer"), block.get("CPU part")
    if implementer is None or part is None:
        return " ".join(block.get("model name", "").split()) or None
    # Arm kernels give all cores of an architecture the same name, if any: ARMv8 Processor rev 0 (v8l).
    return _PARTS.get((implementer, part), f"part {part} of implementer {implementer}")


def _architecture(features: set[str]) -> str | None:
    if "asimd" in features:
        return "aarch64"
    if "neon" in features or "vfp" in features:
        return "armv7l"
    if "lm" in features:
        return "x86_64"
    return "i686" if "fpu" in features else None


def _count(ranges: str | None) -> int:
    """Count the numbers in a list such as 0-3,6."""
    count = 0
    for span in (ranges or "").split(","):
        first, _, last = span.partition("-")
        low, high = tree.as_integer(first), tree.as_integer(last or first)
        if low is not None and high is not None and 0 <= low <= high:
            count += high - low + 1
    return count
