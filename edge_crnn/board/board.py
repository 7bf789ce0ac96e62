"""The facts about the machine that do not change while it runs."""

from __future__ import annotations

import platform
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from . import tree
from .cpu import Cpu, cpu
from .limits import cpu_quota, memory_limit
from .memory import meminfo

Kind: TypeAlias = Literal["raspberry-pi", "jetson", "pc", "other"]

_TEGRA = {
    "tegra210": "X1",
    "tegra186": "X2",
    "tegra194": "Xavier",
    "tegra234": "Orin",
    "tegra264": "Thor",
}
_JETPACK = {
    "35.1": "5.0.2",
    "35.2.1": "5.1",
    "35.3.1": "5.1.1",
    "35.4.1": "5.1.2",
    "35.5": "5.1.3",
    "35.6": "5.1.4",
    "35.6.1": "5.1.5",
    "35.6.2": "5.1.5",
    "36.3": "6.0",
    "36.4": "6.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.4.7": "6.2.1",
    "36.5": "6.2.2",
    "38.2": "7.0",
    "38.4": "7.1",
    "39.2": "7.2",
    "39.2.1": "7.2.1",
}
"""L4T (Jetson Linux) release → the JetPack that contains it."""
_JETPACK_SERIES = {"32": "4", "34": "5", "35": "5", "36": "6", "38": "7", "39": "7"}

_HYPERVISORS = {
    "qemu": "QEMU",
    "kvm": "KVM",
    "vmware": "VMware",
    "innotek": "VirtualBox",
    "virtualbox": "VirtualBox",
    "xen": "Xen",
    "parallels": "Parallels",
    "amazon ec2": "Amazon EC2",
    "google compute engine": "Google Compute Engine",
    "virtual machine": "Hyper-V",
}
"""Part of the firmware's vendor or product name → the hypervisor."""
_NO_NAME = re.compile(
    r"to be filled|default string|system (product|manufacturer)|not (specified|applicable)|^o\.?e\.?m", re.I
)
_FORMS = {
    **dict.fromkeys((3, 4, 6, 7, 13, 15, 16, 24, 35, 36), "desktop"),
    **dict.fromkeys((8, 9, 10, 14, 30, 31, 32), "laptop"),
    **dict.fromkeys((17, 23, 25, 28, 29), "server"),
}
"""Chassis type → form. Source: SMBIOS 3.7, section 7.4.1."""


@dataclass(frozen=True)
class Board:
    """The facts about a machine. `dataclasses.asdict` turns them into JSON."""

    kind: Kind
    """pc: any x86 machine."""
    model: str | None
    """Name in the device tree or the firmware, such as Raspberry Pi 5 Model B Rev 1.0."""
    soc: str | None
    """System on a chip, such as BCM2712 or Tegra234 (Orin)."""
    form: str | None
    """desktop, laptop or server."""
    cpu: Cpu
    memory_bytes: int | None
    swap_bytes: int | None
    page_bytes: int | None
    os: str | None
    """Operating system, such as Debian GNU/Linux 12 (bookworm)."""
    os_id: str | None
    """debian, ubuntu, alpine …"""
    kernel: str | None
    l4t: str | None
    """Release of Jetson Linux, such as 36.4.4."""
    jetpack: str | None
    """JetPack that contains this release, such as 6.2.1; for an unknown release only its series, such as 6."""
    virtual: str | None
    """Hypervisor of the virtual machine; None: not a virtual machine."""
    container: str | None
    """docker, podman, kubernetes, lxc …"""
    memory_limit_bytes: int | None
    """Memory that the container gets, where it is less than the machine has."""
    cpu_limit: float | None
    """Cores' worth of time that the container gets."""
    python: str
    """Implementation and version of this process, such as CPython 3.11.2."""
    python_bits: int
    """32 or 64."""


def board(root: Path = tree.ROOT) -> Board:
    """Return the facts about this machine, and about the Python of this process."""
    compatible = (_device_tree(root, "compatible") or "").split("\0")
    processor = cpu(root)
    memory = meminfo(root)
    l4t = _l4t(root)
    return Board(
        kind=_kind(compatible, l4t, processor),
        model=_device_tree(root, "model") or _dmi_model(root),
        soc=_soc(compatible),
        form=_FORMS.get(tree.integer(root / "sys/class/dmi/id/chassis_type") or 0),
        cpu=processor,
        memory_bytes=memory.get("MemTotal"),
        swap_bytes=memory.get("SwapTotal"),
        page_bytes=_page_bytes(root),
        os=_os_release(root).get("PRETTY_NAME"),
        os_id=_os_release(root).get("ID"),
        kernel=_kernel(root),
        l4t=l4t,
        jetpack=_jetpack(l4t),
        virtual=_virtual(root, processor),
        container=_container(root),
        memory_limit_bytes=memory_limit(root),
        cpu_limit=cpu_quota(root),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        python_bits=8 * struct.calcsize("P"),
    )


def _kind(compatible: list[str], l4t: str | None, processor: Cpu) -> Kind:
    if any(name.startswith("raspberrypi,") for name in compatible):
        return "raspberry-pi"
    if l4t or any(name.startswith("nvidia,tegra") for name in compatible):
        return "jetson"
    return "pc" if processor.architecture in ("x86_64", "i686") else "other"


def _device_tree(root: Path, name: str) -> str | None:
    return tree.text(root / "proc/device-tree" / name) or tree.text(root / "sys/firmware/devicetree/base" / name)


def _soc(compatible: list[str]) -> str | None:
    """Return the name of the chip, the last of the names: raspberrypi,5-model-b comes before brcm,bcm2712."""
    chip = compatible[-1].partition(",")[2]
    if chip in _TEGRA:
        return f"{chip.capitalize()} ({_TEGRA[chip]})"
    return chip.upper() or None


def _dmi(root: Path, name: str) -> str | None:
    value = tree.text(root / "sys/class/dmi/id" / name)
    return None if value is None or _NO_NAME.search(value) else value


def _dmi_model(root: Path) -> str | None:
    vendor, product, version = (_dmi(root, name) for name in ("sys_vendor", "product_name", "product_version"))
    if product is None:  # a mainboard that is not part of a product
        vendor, product = (_dmi(root, name) for name in ("board_vendor", "board_name"))
    elif vendor == "LENOVO" and version:  # Lenovo's product names are numbers
        product = version
    return " ".join(filter(None, (vendor, product))) or None


def _l4t(root: Path) -> str | None:
    release = tree.text(root / "etc/nv_tegra_release") or ""
    match = re.search(r"R([0-9]{1,3}) \(release\), REVISION: ([0-9.]{1,12})", release)
    return f"{match[1]}.{match[2]}" if match else None


def _jetpack(l4t: str | None) -> str | None:
    if l4t is None:
        return None
    release = re.sub(r"(\.0)+$", "", l4t)
    return _JETPACK.get(release) or _JETPACK_SERIES.get(release.partition(".")[0])


def _os_release(root: Path) -> dict[str, str]:
    """Return the fields of os-release(5)."""
    content = tree.text(root / "etc/os-release") or tree.text(root / "usr/lib/os-release") or ""
    return {name: value.strip("\"'") for name, value in re.findall(r"^([A-Z_]+)=(.*?)\s*$", content, re.M)}


def _kernel(root: Path) -> str | None:
    return tree.text(root / "proc/sys/kernel/osrelease")


def _page_bytes(root: Path) -> int | None:
    match = re.search(r"^KernelPageSize: +([0-9]{1,6}) kB$", tree.text(root / "proc/self/smaps") or "", re.M)
    return int(match[1]) << 10 if match else None


def _virtual(root: Path, processor: Cpu) -> str | None:
    if "microsoft" in (_kernel(root) or "").lower():
        return "WSL"
    firmware = " ".join(filter(None, (_dmi(root, name) for name in ("sys_vendor", "product_name")))).lower()
    for word, name in _HYPERVISORS.items():
        if word in firmware:
            return name
    return tree.text(root / "sys/hypervisor/type") or ("a hypervisor" if processor.hypervisor else None)


def _container(root: Path) -> str | None:
    groups = tree.text(root / "proc/1/cgroup") or ""
    for name in ("kubepods", "docker", "libpod", "lxc"):
        if name in groups:
            return {"kubepods": "kubernetes", "libpod": "podman"}.get(name, name)
    for mark, name in ((".dockerenv", "docker"), ("run/.containerenv", "podman")):
        if _exists(root / mark):
            return name
    return tree.text(root / "run/systemd/container")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
