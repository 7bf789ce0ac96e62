from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_crnn.board.board import Board, board
from edge_crnn.board.snapshot import snapshot
from tests.budget import examples
from tests.edge_crnn.board.trees import BARE, LAPTOP, PI_5, TREES, VM, Tree, in_docker, plant, x86

IS = {
    "Pi 3": ("raspberry-pi", "Raspberry Pi 3 Model B Rev 1.2", "BCM2837", "Cortex-A53", ("neon",), None),
    "Pi 4": ("raspberry-pi", "Raspberry Pi 4 Model B Rev 1.4", "BCM2711", "Cortex-A72", ("neon",), None),
    "Pi 5": (
        *("raspberry-pi", "Raspberry Pi 5 Model B Rev 1.0", "BCM2712"),
        *("Cortex-A76", ("neon", "dotprod", "fp16"), None),
    ),
    "Orin Nano": (
        *("jetson", "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "Tegra234 (Orin)"),
        *("Cortex-A78AE", ("neon", "dotprod", "fp16"), "6.2"),
    ),
    "Orin NX": (
        *("jetson", "NVIDIA Jetson Orin NX Engineering Reference Developer Kit", "Tegra234 (Orin)"),
        *("Cortex-A78AE", ("neon", "dotprod", "fp16"), "6.0"),
    ),
    "AGX Orin": (
        *("jetson", "NVIDIA Jetson AGX Orin Developer Kit", "Tegra234 (Orin)"),
        *("Cortex-A78AE", ("neon", "dotprod", "fp16"), "6.2.1"),
    ),
    "Xavier NX": (
        *("jetson", "NVIDIA Jetson Xavier NX Developer Kit", "Tegra194 (Xavier)"),
        *("Carmel", ("neon", "fp16"), "5.1.4"),
    ),
    "AGX Xavier": ("jetson", "Jetson-AGX", "Tegra194 (Xavier)", "Carmel", ("neon", "fp16"), "5.1.2"),
    "Thor": (
        *("jetson", "NVIDIA Jetson AGX Thor Developer Kit", "Tegra264 (Thor)", "Neoverse-V3AE"),
        *(("neon", "dotprod", "i8mm", "fp16", "bf16", "sve"), "7.1"),
    ),
    "laptop": (
        *("pc", "LENOVO ThinkPad X1 Carbon Gen 9", None, "11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz"),
        *(("avx2", "avx512", "vnni"), None),
    ),
    "server": ("pc", "Supermicro H12SSL-i", None, "AMD EPYC 7313 16-Core Processor", ("avx2",), None),
    "VM": ("pc", "QEMU Standard PC (Q35 + ICH9, 2009)", None, "AMD EPYC", ("avx2",), None),
}


@pytest.mark.parametrize("name", BARE)
def test_which_board_it_is(name: str, tmp_path: Path) -> None:
    machine = board(plant(BARE[name], tmp_path))
    assert (machine.kind, machine.model, machine.soc, machine.cpu.name, machine.cpu.features, machine.jetpack) == IS[
        name
    ]
    assert machine.cpu.architecture == ("x86_64" if machine.kind == "pc" else "aarch64")
    assert machine.container is None


@pytest.mark.parametrize("name", BARE)
def test_the_same_board_from_inside_a_container(name: str, tmp_path: Path) -> None:
    bare, inside = (
        board(plant(tree, tmp_path / place))
        for place, tree in {"bare": BARE[name], "inside": in_docker(BARE[name])}.items()
    )
    assert inside == dataclasses.replace(
        bare,
        os="Debian GNU/Linux 13 (trixie)",
        os_id="debian",
        container="docker",
        memory_limit_bytes=512 << 20,
        cpu_limit=1.5,
        l4t=None,  # of the host's files
        jetpack=None,
    )


def test_facts_of_a_pi_5(tmp_path: Path) -> None:
    pi = board(plant(PI_5, tmp_path))
    assert pi.os == "Debian GNU/Linux 12 (bookworm)"
    assert pi.os_id == "debian"
    assert pi.kernel == "6.6.51+rpt-rpi-2712"
    assert pi.page_bytes == 16384
    assert pi.memory_bytes == 8_245_000 * 1024
    assert pi.swap_bytes == 204_784 * 1024
    assert (pi.cpu.implementer, pi.cpu.part, pi.cpu.cores) == ("0x41", "0xd0b", 4)
    assert (pi.form, pi.virtual, pi.memory_limit_bytes, pi.cpu_limit) == (None, None, None, None)


def test_cores_that_a_power_mode_switches_off(tmp_path: Path) -> None:
    cpu = board(plant(BARE["AGX Orin"], tmp_path)).cpu
    assert (cpu.cores, cpu.cores_offline) == (8, 4)


@pytest.mark.parametrize(
    ("revision", "release", "jetpack"),
    [
        ("R36 (release), REVISION: 4.7,", "36.4.7", "6.2.1"),
        ("R36 (release), REVISION: 4.0,", "36.4.0", "6.1"),
        ("R39 (release), REVISION: 2.1,", "39.2.1", "7.2.1"),
        ("R36 (release), REVISION: 9.9,", "36.9.9", "6"),
        ("R99 (release), REVISION: 1.0,", "99.1.0", None),
        ("none of these", None, None),
    ],
)
def test_releases_of_jetson_linux(revision: str, release: str | None, jetpack: str | None, tmp_path: Path) -> None:
    jetson = board(plant({"etc/nv_tegra_release": f"# {revision} GCID: 1, BOARD: generic\n"}, tmp_path))
    assert (jetson.l4t, jetson.jetpack) == (release, jetpack)


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (VM, "QEMU"),
        ({"sys/class/dmi/id/sys_vendor": "VMware, Inc.\n"}, "VMware"),
        ({"sys/class/dmi/id/product_name": "Virtual Machine\n"}, "Hyper-V"),
        ({"proc/sys/kernel/osrelease": "5.15.153.1-microsoft-standard-WSL2\n"}, "WSL"),
        ({"sys/hypervisor/type": "xen\n"}, "xen"),
        (x86(1, "x", "fpu lm hypervisor"), "a hypervisor"),
        (LAPTOP, None),
    ],
)
def test_virtual_machines(tree: Tree, expected: str | None, tmp_path: Path) -> None:
    assert board(plant(tree, tmp_path)).virtual == expected


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({".dockerenv": ""}, "docker"),
        ({"run/.containerenv": ""}, "podman"),
        ({"run/systemd/container": "systemd-nspawn\n"}, "systemd-nspawn"),
        ({".dockerenv": "", "proc/1/cgroup": "0::/kubepods/besteffort/pod1\n"}, "kubernetes"),
        ({"proc/1/cgroup": "1:name=systemd:/lxc/web\n"}, "lxc"),
        ({"proc/1/cgroup": "0::/init.scope\n"}, None),
    ],
)
def test_containers(tree: Tree, expected: str | None, tmp_path: Path) -> None:
    assert board(plant(tree, tmp_path)).container == expected


def test_limits_of_an_older_container(tmp_path: Path) -> None:
    groups = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    machine = board(plant({**VM, **groups}, tmp_path))
    assert (machine.memory_limit_bytes, machine.cpu_limit) == (1 << 30, 0.5)


def test_no_limits(tmp_path: Path) -> None:
    groups = {
        "sys/fs/cgroup/memory.max": "max\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/cpu.max": "max 100000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
    }
    machine = board(plant({**VM, **groups}, tmp_path))
    assert (machine.memory_limit_bytes, machine.cpu_limit) == (None, None)


def test_a_32_bit_system_on_a_pi(tmp_path: Path) -> None:
    features = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm crc32"
    core = f"processor\t: 0\nmodel name\t: ARMv7 Processor rev 3 (v7l)\nFeatures\t: {features}\n"
    core += "CPU implementer\t: 0x41\nCPU part\t: 0xd08\n"
    cpu = board(plant({**BARE["Pi 4"], "proc/cpuinfo": core}, tmp_path)).cpu
    assert (cpu.architecture, cpu.name) == ("armv7l", "Cortex-A72")


def test_two_kinds_of_cores_and_one_that_is_not_known(tmp_path: Path) -> None:
    core = "processor\t: {}\nFeatures\t: fp asimd{}\nCPU implementer\t: 0x41\nCPU part\t: {}\n"
    kinds = [("", "0xd05"), (" asimddp", "0xd0b"), (" asimddp", "0xfff")]
    blocks = [core.format(number, more, part) for number, (more, part) in enumerate(kinds)]
    cpu = board(plant({"proc/cpuinfo": "\n".join(blocks)}, tmp_path)).cpu
    assert cpu.name == "Cortex-A55 + Cortex-A76 + part 0xfff of implementer 0x41"
    assert cpu.features == ("neon",)


def test_nothing_to_read(tmp_path: Path) -> None:
    machine = board(tmp_path / "none")
    unknown = [value for name, value in dataclasses.asdict(machine).items() if not name.startswith("python")]
    nothing = {
        **dict.fromkeys(dataclasses.asdict(machine.cpu)),
        "features": (),
        "cores_offline": 0,
        "hypervisor": False,
    }
    assert unknown == ["other", None, None, None, nothing, *[None] * 12]
    assert machine.python_bits in (32, 64)
    assert machine.python.split()[1].startswith("3.")


def test_this_machine() -> None:
    machine = board()
    assert isinstance(machine, Board)
    assert machine.cpu.cores
    assert machine.memory_bytes
    snapshot()


@pytest.mark.parametrize("name", TREES)
def test_all_of_it_goes_to_json(name: str, tmp_path: Path) -> None:
    root = plant(TREES[name], tmp_path)
    facts = [dataclasses.asdict(board(root)), dataclasses.asdict(snapshot(root))]
    again = json.loads(json.dumps(facts, allow_nan=False))
    assert again[0]["model"] == facts[0]["model"]


PATHS = sorted({path for tree in TREES.values() for path in tree if not path.startswith("usr/bin/")})
GARBAGE = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"", b"\0", b"-1", b"0", b"9" * 19, b"9" * 5000, b"1e9", b"nan", b"0-3,x,9-1", b"max max", b"0 0"]
    ),
    st.text("processor:CPUpartmodelname \t\n0x419", max_size=80).map(str.encode),
)


@given(files=st.dictionaries(st.sampled_from(PATHS), GARBAGE, max_size=60))
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_raises_nothing(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    root = plant(BARE["Orin Nano"], tmp_path_factory.mktemp("garbage"))
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    json.dumps([dataclasses.asdict(board(root)), dataclasses.asdict(snapshot(root))], allow_nan=False)


def test_folders_and_loops_in_place_of_files_raise_nothing(tmp_path: Path) -> None:
    for number, name in enumerate(PATHS):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 2:
            path.mkdir()
        else:
            path.symlink_to(path)
    facts = [dataclasses.asdict(board(tmp_path)), dataclasses.asdict(snapshot(tmp_path))]
    assert facts[0]["model"] is None
    json.dumps(facts, allow_nan=False)
