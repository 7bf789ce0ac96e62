"""The cores and the memory that this process may use; in a container, often less than the machine has.

A process belongs to control groups. Each group and each of its ancestors can have a limit, and the tightest one counts.
Affinity (`taskset`, `docker --cpuset-cpus`) and quotas (`docker --cpus`) limit the cores independently of each other.

Sources: cgroups(7), proc_pid_mountinfo(5); in the Linux kernel's documentation, admin-guide/cgroup-v2 (cpu.max,
memory.max, memory.high), scheduler/sched-bwc (cpu.cfs_quota_us) and admin-guide/cgroup-v1/memory.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from . import tree
from .memory import meminfo

_PROCESS_BYTES = 100 << 20
"""Memory of Python, NumPy, OpenCV and the libraries of an engine (88 MiB on x86-64 with LiteRT)."""
_WORKER_BYTES = 32 << 20
"""Memory in which a worker decodes and prepares an image of some 8 megapixels."""
_READING_BYTES = 200 << 20
"""Memory of a process that reads archives, with pyarrow (207 MiB with the plate model)."""
_ENGINE_FACTOR = 2
"""Bytes of an engine per byte of its model; LiteRT packs the weights and needs 1.3."""
_TRAINING_BYTES = 1800 << 20
"""Memory of a training (1,680 MiB for plates in batches of 32, with TensorFlow)."""
_HELPER_BYTES = 96 << 20
"""Memory of a process that renders or loads images for it (78 MiB)."""
_NO_LIMIT = 1 << 62
"""A limit beyond this is none: version 1 writes the largest whole number of pages."""


def usable_workers(model_bytes: int = 0, root: Path = tree.ROOT) -> int:
    """Return how many engines can run in parallel: one per usable core, fewer if memory is short, at least one.

    Args:
        model_bytes: size of the model that each engine loads.
        root: folder that has the kernel's `proc` and `sys`.
    """
    return _fitting(usable_cores(root), _PROCESS_BYTES, _WORKER_BYTES + _ENGINE_FACTOR * model_bytes, root)


def usable_processes(model_bytes: int = 0, root: Path = tree.ROOT) -> int:
    """Return how many processes with an engine each can run in parallel; for the rest, see `usable_workers`."""
    return _fitting(usable_cores(root), _PROCESS_BYTES, _READING_BYTES + _ENGINE_FACTOR * model_bytes, root)


def usable_helpers(root: Path = tree.ROOT) -> int:
    """Return how many processes can prepare images for a training: one less than there are usable cores, fewer if
    memory is short, at least one.

    Args:
        root: folder that has the kernel's `proc` and `sys`.
    """
    return _fitting(usable_cores(root) - 1, _TRAINING_BYTES, _HELPER_BYTES, root)


def _fitting(most: int, base_bytes: int, bytes_each: int, root: Path) -> int:
    """Return how many parts of a size fit into the usable memory beside `base_bytes`: at least 1, at most `most`."""
    limits = [limit for limit in (memory_limit(root), meminfo(root).get("MemTotal")) if limit is not None]
    if limits:
        most = min(most, (min(limits) - base_bytes) // bytes_each)
    return max(1, most)


def usable_cores(root: Path = tree.ROOT) -> int:
    """Return the number of cores that this process may use: the smaller of its affinity and its quota, rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(root)
    return cores if quota is None else min(cores, math.ceil(quota))


def cpu_quota(root: Path = tree.ROOT) -> float | None:
    """Return the processor time per unit of time that this process may use, in cores; None if there is no quota."""
    quotas = [_version_2_quota(group) for group in _groups(root, "")]
    quotas += [_version_1_quota(group) for group in _groups(root, "cpu")]
    return min((quota for quota in quotas if quota is not None), default=None)


def memory_limit(root: Path = tree.ROOT) -> int | None:
    """Return the memory in bytes that this process may use; None if there is no limit below the machine's memory."""
    limits = [tree.integer(group / name) for group in _groups(root, "") for name in ("memory.max", "memory.high")]
    limits += [tree.integer(group / "memory.limit_in_bytes") for group in _groups(root, "memory")]
    total = meminfo(root).get("MemTotal", math.inf)
    return min((limit for limit in limits if limit is not None and 0 < limit < min(total, _NO_LIMIT)), default=None)


def largest_memory(root: Path = tree.ROOT) -> int | None:
    """Return the memory in bytes, swap included, that this process can never exceed; None if that is not known.

    It is the machine's memory, or the tightest of the control groups' hard limits and of those that `ulimit` sets.
    `memory.high` is none.
    """
    sizes = meminfo(root)
    swap = sizes.get("SwapTotal", 0)
    totals = [sizes["MemTotal"] + swap] if "MemTotal" in sizes else []
    for group in _groups(root, ""):
        limit = tree.integer(group / "memory.max")
        swap_limit = tree.integer(group / "memory.swap.max")
        if limit is not None:
            totals.append(limit + (swap if swap_limit is None else min(swap, swap_limit)))
    for group in _groups(root, "memory"):
        limit = tree.integer(group / "memory.limit_in_bytes")
        totals += [limit + swap] if limit is not None else []
        with_swap = tree.integer(group / "memory.memsw.limit_in_bytes")
        totals += [with_swap] if with_swap is not None else []
    return min((total for total in [*totals, *_process_limits()] if total > 0), default=None)


def _process_limits() -> list[int]:
    """Return the limits of this process' address space and data; see getrlimit(2)."""
    try:
        import resource  # not on Windows
    except ImportError:
        return []
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    return [limit for limit in limits if limit != resource.RLIM_INFINITY]


def _version_2_quota(group: Path) -> float | None:
    quota, _, period = (tree.text(group / "cpu.max") or "").partition(" ")
    return _cores(tree.as_integer(quota), tree.as_integer(period))


def _version_1_quota(group: Path) -> float | None:
    return _cores(tree.integer(group / "cpu.cfs_quota_us"), tree.integer(group / "cpu.cfs_period_us"))


def _cores(quota_us: int | None, period_us: int | None) -> float | None:
    if quota_us is None or period_us is None or quota_us <= 0 or period_us <= 0:
        return None
    return quota_us / period_us


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process' control group and of its ancestors, as far as they are visible.

    Args:
        root: folder that has the kernel's `proc` and `sys`.
        controller: cpu or memory in version 1 of control groups; empty for version 2.
    """
    group = _group_of_process(root, controller)
    for mounted, place in _mounts(root, controller):
        # A group outside the mounted part, such as that of a container's host, is not visible.
        below = group.relative_to(mounted) if group.is_relative_to(mounted) else PurePosixPath()
        names = () if ".." in below.parts else below.parts
        for depth in range(len(names) + 1):
            yield place.joinpath(*names[:depth])


def _group_of_process(root: Path, controller: str) -> PurePosixPath:
    for line in (tree.text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controller in controllers.split(",") and path:
            return PurePosixPath(path)
    return PurePosixPath("/")


def _mounts(root: Path, controller: str) -> list[tuple[PurePosixPath, Path]]:
    """Return which group is mounted at which folder; the usual folder if the kernel does not say."""
    mounts = []
    for line in (tree.text(root / "proc/self/mountinfo") or "").splitlines():
        place, _, about = line.partition(" - ")
        places = [_unescaped(field) for field in place.split(" ")]
        kind, _, options = about.partition(" ")
        is_wanted = kind == "cgroup" and controller in re.split("[ ,]", options) if controller else kind == "cgroup2"
        if is_wanted and len(places) > 4:
            mounts.append((PurePosixPath(places[3]), root / places[4].lstrip("/")))
    return mounts or [(PurePosixPath("/"), root / "sys/fs/cgroup" / controller)]


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
