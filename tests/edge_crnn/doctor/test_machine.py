from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_crnn.board.board import board
from edge_crnn.board.snapshot import snapshot
from edge_crnn.doctor.check import Check
from edge_crnn.doctor.machine import checks
from tests.edge_crnn.board.trees import BARE, SERVER, TREES, Tree, cpufreq, in_docker, memory, plant, thermal


def of(tree: Tree, root: Path) -> dict[str, Check]:
    plant(tree, root)
    # Python's own facts are this process's, whatever the tree.
    return {check.name: check for check in checks(replace(board(root), python_bits=64), snapshot(root))}


SAYS = {
    "Pi 3": {
        "board": "ok Raspberry Pi 3 Model B Rev 1.2, BCM2837",
        "processor": "ok 4 × Cortex-A53 with neon; no dotprod, so int8 gains less",
        "system": "ok Debian GNU/Linux 12 (bookworm), 64-bit, kernel 6.6.51+rpt-rpi-v8",
        "memory": "ok 0.9 GiB, 0.5 GiB available, swap 0.1 GiB",
        "clocks": "ok ondemand, 0.60 of 1.20 GHz",
        "temperature": "ok 48 °C (cpu-thermal)",
        "throttling": "ok none now",
    },
    "Pi 4": {
        "temperature": "warn 84 °C (cpu-thermal)",
        "throttling": "warn now: throttled, soft temperature limit; since the start: under-voltage",
    },
    "Pi 5": {
        "processor": "ok 4 × Cortex-A76 with neon, dotprod, fp16",
        "system": "ok Debian GNU/Linux 12 (bookworm), 64-bit, kernel 6.6.51+rpt-rpi-2712, pages of 16 KiB",
        "power": "ok 2.0 W, sum of 3 rails of the power chip, without devices on the 5 V input",
    },
    "Orin Nano": {
        "jetpack": "ok JetPack 6.2 (L4T 36.4.3)",
        "power mode": "warn 15W (mode 0), slower than MAXN_SUPER",
        "clocks": "ok schedutil, 0.73 of 1.73 GHz; GPU 0.31 of 1.02 GHz",
        "throttling": "ok none since the start",
        "power": "ok 5.0 W, rail VDD_IN",
    },
    "Orin NX": {
        "power mode": "ok MAXN (mode 0)",
        "temperature": "warn 97 °C (tj-thermal), slows down at 99 °C",
        "throttling": "warn now: cpufreq-cpu0 slowed because of heat;"
        " since the start: average over-current (15 times), instantaneous over-current (37 times)",
    },
    "AGX Orin": {
        "processor": "ok 8 × Cortex-A78AE with neon, dotprod, fp16; 4 more are offline",
        "power mode": "warn MODE_30W (mode 2), slower than MAXN",
    },
    "Xavier NX": {
        "jetpack": "warn JetPack 5.1.4 (L4T 35.6.0)",
        "power mode": "ok MODE_20W_6CORE (mode 8)",
        "temperature": "ok 42 °C (CPU-therm)",
    },
    "AGX Xavier": {"board": "ok Jetson-AGX, Tegra194 (Xavier)", "memory": "ok 30.4 GiB, 26.7 GiB available, no swap"},
    "Thor": {
        "jetpack": "ok JetPack 7.1 (L4T 38.4.0)",
        "throttling": "warn since the start: instantaneous over-current (179 times)",
        "power": "ok 23.0 W, rail VIN",
    },
    "laptop": {
        "board": "ok LENOVO ThinkPad X1 Carbon Gen 9, laptop",
        "clocks": "ok powersave, 1.20 of 4.70 GHz",
        "throttling": "ok since the start: too hot (412 times)",
        "power": "warn on battery",
    },
    "server": {
        "board": "ok Supermicro H12SSL-i, server",
        "clocks": "warn ondemand, 1.50 of 3.00 GHz, limited to 2.00",
        "temperature": "ok 40 °C (k10temp)",
    },
    "VM": {
        "board": "ok QEMU Standard PC (Q35 + ICH9, 2009), virtual machine (QEMU)",
        "clocks": "ok no governor, 2.60 GHz",
    },
    "Pi 4, docker": {"throttling": "warn now: throttled, soft temperature limit"},
    "Pi 5, docker": {
        "system": "ok Debian GNU/Linux 13 (trixie), 64-bit, kernel 6.6.51+rpt-rpi-2712, pages of 16 KiB,"
        " in a container (docker), limited to 1.5 cores",
        "memory": "ok 7.9 GiB, 6.6 GiB available, swap 0.2 GiB, limited to 0.5 GiB",
    },
    "Orin Nano, docker": {"jetpack": "warn no /etc/nv_tegra_release", "power mode": "absent unknown in a container"},
    "nothing": {
        "board": "ok unknown",
        "processor": "warn unknown",
        "system": "ok unknown system, 64-bit",
        "memory": "absent unknown",
    },
}


@pytest.mark.parametrize("name", SAYS)
def test_checks_of_a_board(name: str, tmp_path: Path) -> None:
    lines = {check.name: f"{check.status} {check.found}" for check in of(TREES[name], tmp_path).values()}
    assert {check: lines.get(check) for check in SAYS[name]} == SAYS[name]


@pytest.mark.parametrize("name", TREES)
def test_warnings_have_a_fix_and_other_checks_have_none(name: str, tmp_path: Path) -> None:
    by_name = of(TREES[name], tmp_path)
    assert {check.status for check in by_name.values()} <= {"ok", "warn", "absent"}
    assert {name for name, check in by_name.items() if check.fix} == {
        name for name, check in by_name.items() if check.status == "warn"
    }


@pytest.mark.parametrize("name", TREES)
def test_checks_that_do_not_apply_are_left_out(name: str, tmp_path: Path) -> None:
    by_name = of(TREES[name], tmp_path)
    is_jetson = any(board in name for board in ("Orin", "Xavier", "Thor"))
    assert ("power mode" in by_name) == ("jetpack" in by_name) == is_jetson
    assert "throttling" in by_name or "Pi" not in name


FIXES = {
    "slow power mode": (BARE["Orin Nano"], "power mode", "sudo nvpmodel -m 2  # MAXN_SUPER, if the power"),
    "capped clock": (SERVER, "clocks", "echo 3000000 | sudo tee"),
    "lowest clock": (
        {**SERVER, **cpufreq(4, "powersave", 1, 2, driver="acpi-cpufreq")},
        *("clocks", "echo schedutil | sudo tee"),
    ),
    "under-voltage": (BARE["Pi 4"], "throttling", "use a 5 V supply"),
    "over-current": (BARE["Thor"], "throttling", "use a stronger power supply"),
    "hot": (BARE["Pi 4"], "temperature", "add a heat sink or a fan"),
    "old JetPack": (BARE["AGX Xavier"], "jetpack", "install JetPack 6 if the board supports it"),
    "no release in a container": (in_docker(BARE["Thor"]), "jetpack", "docker run --runtime nvidia -v /etc/nv_"),
    "no swap to build with": (
        {**BARE["Orin Nano"], **memory(7_800_000, 7_000_000)},
        "memory",
        "add swap",
    ),
    "little memory": ({**BARE["Pi 3"], **memory(400_000, 90_000)}, "memory", "close other programs"),
    "little memory allowed": (
        {**in_docker(BARE["Pi 5"]), "sys/fs/cgroup/memory.max": "100000000\n"},
        *("memory", "close other programs or raise the limit"),
    ),
    "musl": ({**BARE["Pi 5"], "etc/os-release": "ID=alpine\n"}, "system", "use a system with glibc"),
}


@pytest.mark.parametrize(("tree", "name", "fix"), FIXES.values(), ids=FIXES)
def test_fixes(tree: Tree, name: str, fix: str, tmp_path: Path) -> None:
    check = of(tree, tmp_path)[name]
    assert check.status == "warn"
    assert check.fix is not None
    assert check.fix.startswith(fix)


def test_a_system_of_32_bits(tmp_path: Path) -> None:
    plant(BARE["Pi 4"], tmp_path)
    by_name = {check.name: check for check in checks(replace(board(tmp_path), python_bits=32), snapshot(tmp_path))}
    assert by_name["system"].status == "warn"
    assert "32-bit" in by_name["system"].found
    assert by_name["system"].fix == "install a 64-bit system: LiteRT has no wheels for 32 bits"


def test_a_pi_whose_firmware_cannot_be_queried(tmp_path: Path) -> None:
    sources = ("usr/bin/vcgencmd", "sys/devices/platform/soc/soc:firmware/get_throttled")
    tree = {name: content for name, content in BARE["Pi 4"].items() if name not in sources}
    check = of(tree, tmp_path)["throttling"]
    assert (check.status, check.found) == ("warn", "the firmware cannot be queried")
    assert check.fix is not None
    assert "usermod -aG video" in check.fix
    inside = of(in_docker(tree), tmp_path / "inside")["throttling"]
    assert (inside.status, inside.fix) == ("absent", None)


@pytest.mark.parametrize(("milli", "status"), [(79_000, "ok"), (80_000, "warn"), (-500, "ok")])
def test_temperature_without_a_reported_limit(milli: int, status: str, tmp_path: Path) -> None:
    assert of({**BARE["Pi 3"], **thermal(cpu_thermal=milli)}, tmp_path)["temperature"].status == status


def test_the_zone_nearest_to_its_limit_is_shown(tmp_path: Path) -> None:
    tree = {**BARE["VM"], **thermal(gpu=82_000, board=78_000)}
    trip = "sys/class/thermal/thermal_zone0/trip_point_0"
    temperature = of({**tree, f"{trip}_type": "passive\n", f"{trip}_temp": "99000\n"}, tmp_path)["temperature"]
    assert (temperature.status, temperature.found) == ("ok", "78 °C (board)")
