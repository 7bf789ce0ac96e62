"""Limits of control groups, as Docker, Kubernetes, systemd and nested groups write them."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.board.limits import (
    cpu_quota,
    largest_memory,
    memory_limit,
    usable_cores,
    usable_helpers,
    usable_processes,
    usable_workers,
)
from tests.edge_crnn.board.trees import BARE, Tree, memory, plant

MIB = 1 << 20
V2 = "30 23 0:26 {} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "32 31 0:29 {0} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
V1 += "35 31 0:32 {0} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"

DOCKER_2: Tree = {
    "proc/self/cgroup": "0::/\n",
    "proc/self/mountinfo": V2.format("/"),
    "sys/fs/cgroup/cpu.max": "200000 100000\n",
    "sys/fs/cgroup/memory.max": f"{512 * MIB}\n",
}
DOCKER_1: Tree = {
    "proc/self/cgroup": "4:memory:/docker/ab12\n2:cpu,cpuacct:/docker/ab12\n0::/docker/ab12\n",
    "proc/self/mountinfo": V1.format("/docker/ab12"),
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{512 * MIB}\n",
}
KUBERNETES: Tree = {
    "proc/self/cgroup": "0::/kubepods/pod1/c1\n",
    "proc/self/mountinfo": V2.format("/"),
    "sys/fs/cgroup/kubepods/cpu.max": "max 100000\n",
    "sys/fs/cgroup/kubepods/pod1/cpu.max": "200000 100000\n",
    "sys/fs/cgroup/kubepods/pod1/c1/cpu.max": "600000 100000\n",
    "sys/fs/cgroup/kubepods/memory.max": "max\n",
    "sys/fs/cgroup/kubepods/pod1/memory.max": f"{512 * MIB}\n",
    "sys/fs/cgroup/kubepods/pod1/c1/memory.max": f"{900 * MIB}\n",
}
SYSTEMD: Tree = {
    "proc/self/cgroup": "0::/system.slice/edge\n",
    "proc/self/mountinfo": V2.format("/"),
    "sys/fs/cgroup/system.slice/edge/cpu.max": "100000 50000\n",
    "sys/fs/cgroup/system.slice/edge/memory.high": f"{512 * MIB}\n",
    "sys/fs/cgroup/system.slice/edge/memory.max": f"{600 * MIB}\n",
}
HYBRID: Tree = {
    "proc/self/cgroup": "4:memory:/jobs/7\n2:cpu,cpuacct:/jobs\n0::/\n",
    "proc/self/mountinfo": V1.format("/") + V2.format("/").replace("cgroup rw", "cgroup/unified rw"),
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_quota_us": "20000\n",
    "sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_period_us": "10000\n",
    "sys/fs/cgroup/memory/jobs/memory.limit_in_bytes": f"{512 * MIB}\n",
    "sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes": "9223372036854771712\n",
}
NESTED_IN_DOCKER_1: Tree = {
    **DOCKER_1,
    "proc/self/cgroup": "4:memory:/docker/ab12/job\n2:cpu,cpuacct:/docker/ab12/job\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "400000\n",
    "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "200000\n",
    "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
}
ELSEWHERE: Tree = {
    "proc/self/cgroup": "0::/a\n",
    "proc/self/mountinfo": V2.format("/").replace("/sys/fs/cgroup", "/my\\040groups"),
    "my groups/a/cpu.max": "200000 100000\n",
    "my groups/memory.max": f"{512 * MIB}\n",
}
UNKNOWN_MOUNTS: Tree = {name: text for name, text in KUBERNETES.items() if name != "proc/self/mountinfo"}
LIMITED = [DOCKER_2, DOCKER_1, KUBERNETES, SYSTEMD, HYBRID, NESTED_IN_DOCKER_1, ELSEWHERE, UNKNOWN_MOUNTS]
GROUP = "sys/fs/cgroup/system.slice/edge"
NAMES = ["docker 2", "docker 1", "kubernetes", "systemd", "hybrid", "nested", "elsewhere", "unknown mounts"]


@pytest.fixture
def of_64_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)


@pytest.mark.usefixtures("of_64_cores")
@pytest.mark.parametrize("limited", LIMITED, ids=NAMES)
def test_the_tightest_group_limits_cores_and_memory(limited: Tree, tmp_path: Path) -> None:
    """A quota is not in the affinity: a container of 2 cores got 64 engines.

    Reported as ollama#17916 and PaddleOCR#5712.
    """
    root = plant({**memory(131_000_000, 120_000_000), **limited}, tmp_path)
    assert cpu_quota(root) == 2.0
    assert memory_limit(root) == 512 * MIB
    assert usable_cores(root) == usable_workers(root=root) == 2


@pytest.mark.usefixtures("of_64_cores")
@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 64), ("150000 100000", 2), ("10000 100000", 1), ("6400000 100000", 64), ("9000000 100000", 64)],
)
def test_a_quota_counts_up_to_the_affinity_and_part_of_a_core_is_a_core(quota: str, cores: int, tmp_path: Path) -> None:
    assert usable_cores(plant({"sys/fs/cgroup/cpu.max": f"{quota}\n"}, tmp_path)) == cores


def test_the_affinity_counts_below_the_quota(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert usable_cores(plant({"sys/fs/cgroup/cpu.max": "800000 100000\n"}, tmp_path)) == 2


def test_without_affinity_the_machine_s_cores_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert usable_cores(tmp_path) == 8
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path) == 1


@pytest.mark.usefixtures("of_64_cores")
@pytest.mark.parametrize(
    ("limit", "model", "workers"),
    [(64, 0, 1), (140, 0, 1), (240, 0, 4), (512, 8, 8), (512, 100, 1), (512, 1000, 1), (1 << 20, 8, 64)],
)
def test_little_memory_means_few_engines(limit: int, model: int, workers: int, tmp_path: Path) -> None:
    """In the same container as above, engines were opened until memory ran out (ollama#17916)."""
    root = plant({"sys/fs/cgroup/memory.max": f"{limit * MIB}\n"}, tmp_path)
    assert usable_workers(model * MIB, root) == workers


@pytest.mark.parametrize(("cores", "helpers"), [(1, 1), (2, 1), (5, 4)])
def test_one_usable_core_is_left_to_a_training(
    cores: int, helpers: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The default was the number of the host's cores: the kind of ollama#17916 and PaddleOCR#5712."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert usable_helpers(tmp_path) == helpers


@pytest.mark.usefixtures("of_64_cores")
@pytest.mark.parametrize(("limit", "helpers"), [(512, 1), (2048, 2), (4096, 23), (65536, 63)])
def test_little_memory_means_few_helpers_of_a_training(limit: int, helpers: int, tmp_path: Path) -> None:
    assert usable_helpers(plant({"sys/fs/cgroup/memory.max": f"{limit * MIB}\n"}, tmp_path)) == helpers


@pytest.mark.usefixtures("of_64_cores")
@pytest.mark.parametrize(("limit", "processes"), [(256, 1), (1024, 4), (65536, 64)])
def test_little_memory_means_few_processes_with_an_engine(limit: int, processes: int, tmp_path: Path) -> None:
    root = plant({"sys/fs/cgroup/memory.max": f"{limit * MIB}\n"}, tmp_path)
    assert usable_processes(8 * MIB, root) == processes


@pytest.mark.usefixtures("of_64_cores")
def test_a_small_machine_limits_engines_without_a_group(tmp_path: Path) -> None:
    assert usable_workers(8 * MIB, plant(memory(512 << 10, 300 << 10), tmp_path)) == 8


@pytest.mark.usefixtures("of_64_cores")
@pytest.mark.parametrize("board", BARE.values(), ids=BARE)
def test_a_machine_without_groups_has_no_limit(board: Tree, tmp_path: Path) -> None:
    root = plant(board, tmp_path)
    assert (cpu_quota(root), memory_limit(root), usable_cores(root)) == (None, None, 64)


@pytest.mark.parametrize(
    ("group", "mounted", "quota"),
    [
        ("/", "/../..", 2.0),  # a host's group seen from a container's namespace
        ("/../other", "/", 2.0),
        ("/docker/other", "/docker/ab12", 2.0),
        ("/deep/er", "/", 1.0),
    ],
)
def test_a_group_that_is_not_visible_has_the_limits_of_its_mount(
    group: str, mounted: str, quota: float, tmp_path: Path
) -> None:
    files = {
        "proc/self/cgroup": f"0::{group}\n",
        "proc/self/mountinfo": V2.format(mounted),
        "sys/fs/cgroup/cpu.max": "200000 100000\n",
        "sys/fs/cgroup/deep/cpu.max": "100000 100000\n",
        "sys/fs/other/cpu.max": "50000 100000\n",
    }
    assert cpu_quota(plant(files, tmp_path)) == quota


@pytest.mark.parametrize(
    ("files", "mebibytes"),
    [
        ({}, 1000),
        (memory(800 << 10, 1), 800),
        (memory(600 << 10, 1, swap_kb=300 << 10), 900),
        ({**memory(800 << 10, 1, swap_kb=50 << 10), **SYSTEMD}, 650),
        ({**memory(800 << 10, 1), **SYSTEMD}, 600),
        ({**memory(800 << 10, 1, swap_kb=50 << 10), **SYSTEMD, f"{GROUP}/memory.swap.max": "0\n"}, 600),
        ({**memory(800 << 10, 1, swap_kb=50 << 10), **SYSTEMD, f"{GROUP}/memory.swap.max": "max\n"}, 650),
        ({**memory(800 << 10, 1, swap_kb=50 << 10), **DOCKER_1}, 562),
        ({**DOCKER_1, "sys/fs/cgroup/memory/memory.memsw.limit_in_bytes": f"{300 * MIB}\n"}, 300),
        (KUBERNETES, 512),
    ],
)
def test_memory_that_can_never_be_exceeded(
    files: Tree, mebibytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1000 * MIB if kind == resource.RLIMIT_AS else -1, -1))
    assert largest_memory(plant(files, tmp_path)) == mebibytes * MIB


@settings(deadline=None)  # every example writes files
@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.text(st.sampled_from("01:/.- \nmaxcpugroup2,\0\\"), max_size=60)
            for name in (
                "proc/self/cgroup",
                "proc/self/mountinfo",
                "proc/meminfo",
                "sys/fs/cgroup/cpu.max",
                "sys/fs/cgroup/memory.max",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us",
            )
        },
    )
)
def test_malformed_files_are_no_limits_or_positive_ones(tmp_path_factory: pytest.TempPathFactory, files: Tree) -> None:
    root = plant(files, tmp_path_factory.mktemp("root"))
    quota = cpu_quota(root)
    limit = memory_limit(root)
    assert quota is None or quota > 0
    assert limit is None or limit > 0
    most = largest_memory(root)
    assert most is None or most > 0
    assert 1 <= usable_workers(root=root) <= usable_cores(root)


def test_here() -> None:
    assert 1 <= usable_workers() <= usable_cores() <= len(os.sched_getaffinity(0))
