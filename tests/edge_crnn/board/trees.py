"""Boards as the files that tell of them, path → content: put together from what owners of such boards published.

Only what is read is there. Where a board's file was not to be found, its content follows the kernel's source.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TypeAlias

Tree: TypeAlias = dict[str, str]

A53 = "fp asimd evtstrm crc32 cpuid"
A76 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
CARMEL = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm dcpop"
A78AE = f"{A76} uscat ilrcpc flagm paca pacg"
V3AE = f"{A78AE} sve sve2 i8mm bf16"


def plant(tree: Tree, root: Path) -> Path:
    """Write a tree below `root`; what lies in usr/bin becomes a program."""
    for name, content in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        if name.startswith("usr/bin/"):
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return root


def device_tree(model: str, *compatible: str) -> Tree:
    return {"proc/device-tree/model": f"{model}\0", "proc/device-tree/compatible": "\0".join((*compatible, ""))}


def arm(cores: int, part: str, features: str, implementer: str = "0x41", behind: str = "") -> Tree:
    block = "processor\t: {}\nBogoMIPS\t: 108.00\nFeatures\t: {}\nCPU implementer\t: {}\nCPU architecture: 8\n"
    block += "CPU variant\t: 0x0\nCPU part\t: {}\nCPU revision\t: 1\n"
    blocks = [block.format(number, features, implementer, part) for number in range(cores)]
    return {"proc/cpuinfo": "\n".join([*blocks, behind])}


def x86(cores: int, name: str, flags: str) -> Tree:
    block = "processor\t: {}\nvendor_id\t: x\nmodel name\t: {}\ncpu MHz\t\t: 2596.138\nflags\t\t: {}\nbugs\t\t:\n"
    return {"proc/cpuinfo": "\n".join(block.format(number, name, flags) for number in range(cores))}


def cpufreq(cores: int, governor: str, khz: int, max_khz: int, limit_khz: int | None = None, driver: str = "x") -> Tree:
    folder = "sys/devices/system/cpu/cpu{}/cpufreq"
    return {
        f"{folder.format(number)}/{name}": f"{value}\n"
        for number in range(cores)
        for name, value in {
            "scaling_governor": governor,
            "scaling_cur_freq": khz,
            "scaling_max_freq": max_khz if limit_khz is None else limit_khz,
            "cpuinfo_max_freq": max_khz,
            "scaling_driver": driver,
        }.items()
    }


def thermal(**zones: int) -> Tree:
    """Return the files of thermal zones, from name → millidegrees; - is written _ in the name."""
    files: Tree = {}
    for number, (name, heat) in enumerate(zones.items()):
        folder = f"sys/class/thermal/thermal_zone{number}"
        files |= {f"{folder}/type": f"{name.replace('_', '-')}\n", f"{folder}/temp": f"{heat}\n"}
    return files


def memory(total_kb: int, available_kb: int, swap_kb: int = 0, swap_free_kb: int = 0) -> Tree:
    return {
        "proc/meminfo": f"MemTotal:       {total_kb} kB\nMemFree:         1000 kB\nMemAvailable:   {available_kb} kB\n"
        f"SwapTotal:      {swap_kb} kB\nSwapFree:       {swap_free_kb} kB\nHugePages_Total:       0\n",
        "proc/loadavg": "0.52 0.40 0.31 2/213 4711\n",
    }


def system(pretty: str, name: str, kernel: str, page_kb: int = 4) -> Tree:
    return {
        "etc/os-release": f'PRETTY_NAME="{pretty}"\nNAME="x"\nID={name}\n',
        "proc/sys/kernel/osrelease": f"{kernel}\n",
        "proc/self/smaps": f"5500-5600 r--p 00000000 00:00 0  /x\nSize:    4 kB\nKernelPageSize:       {page_kb} kB\n",
    }


BOOKWORM = ("Debian GNU/Linux 12 (bookworm)", "debian")
JAMMY = ("Ubuntu 22.04.5 LTS", "ubuntu")
NOBLE = ("Ubuntu 24.04.3 LTS", "ubuntu")


def jetson(release: str, revision: str, modes: dict[int, str], mode: int) -> Tree:
    listed = "".join(
        f"< POWER_MODEL ID={number} NAME={name} >\nCPU_ONLINE CORE_0 1\n" for number, name in modes.items()
    )
    return {
        "etc/nv_tegra_release": f"# {release} (release), REVISION: {revision}, GCID: 1, BOARD: generic, EABI: aarch64,"
        " DATE: Wed Jan  8 01:49:37 UTC 2025\n",
        "etc/nvpmodel.conf": f"# comment\n{listed}< PM_CONFIG DEFAULT=0 >\n",
        "var/lib/nvpmodel/status": f"pmode:{mode:04} fmode:fan_mode_quiet",
    }


def ina3221(number: int, **rails: tuple[int, int]) -> Tree:
    """Rail → millivolts and milliamperes."""
    folder = f"sys/class/hwmon/hwmon{number}"
    files = {f"{folder}/name": "ina3221\n", f"{folder}/in7_label": "sum of shunt voltages\n"}
    for channel, (name, (volts, amperes)) in enumerate(rails.items(), 1):
        files |= {
            f"{folder}/in{channel}_label": f"{name}\n",
            f"{folder}/in{channel}_input": f"{volts}\n",
            f"{folder}/curr{channel}_input": f"{amperes}\n",
        }
    return files


def overcurrent(under: int, average: int, instantaneous: int) -> Tree:
    counts = {"oc1": under, "oc2": average, "oc3": instantaneous}
    files = {f"sys/class/hwmon/hwmon9/{name}_event_cnt": f"{count}\n" for name, count in counts.items()}
    return {"sys/class/hwmon/hwmon9/name": "soctherm_oc\n", **files}


PMIC = """   3V7_WL_SW_A current(0)=0.10000000A
   3V3_SYS_A current(1)=0.10832820A
  VDD_CORE_A current(7)=1.42880000A
 3V7_WL_SW_V volt(8)=3.70000000V
   3V3_SYS_V volt(9)=3.30910500V
  VDD_CORE_V volt(15)=0.90659250V
     EXT5V_V volt(24)=5.05716000V
      BATT_V volt(25)=0.00000000V
"""

UNKNOWN = 'error=1 error_msg="Command not registered"\n'


def vcgencmd(throttled: int, pmic: str = UNKNOWN) -> Tree:
    code = f"case $1 in\nget_throttled) echo throttled={throttled:#x} ;;\n*) cat <<'END'\n{pmic}END\nesac\n"
    return {"usr/bin/vcgencmd": f"#!/bin/sh\n{code}"}


PI_3 = {
    **device_tree("Raspberry Pi 3 Model B Rev 1.2", "raspberrypi,3-model-b", "brcm,bcm2837"),
    **arm(
        4, "0xd03", A53, behind="Hardware\t: BCM2835\nRevision\t: a02082\nModel\t\t: Raspberry Pi 3 Model B Rev 1.2\n"
    ),
    **cpufreq(4, "ondemand", 600_000, 1_200_000, driver="cpufreq-dt"),
    **thermal(cpu_thermal=48_312),
    **memory(933_000, 512_000, 102_396, 102_396),
    **system(*BOOKWORM, "6.6.51+rpt-rpi-v8"),
    "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
}

PI_4 = {
    **device_tree("Raspberry Pi 4 Model B Rev 1.4", "raspberrypi,4-model-b", "brcm,bcm2711"),
    **arm(4, "0xd08", A53),
    **cpufreq(4, "ondemand", 1_800_000, 1_800_000, driver="cpufreq-dt"),
    **thermal(cpu_thermal=83_764),
    **memory(3_884_000, 3_100_000, 102_396, 50_000),
    **system(*BOOKWORM, "6.6.51+rpt-rpi-v8"),
    # Throttled for the heat now; under-voltage earlier, of which the kernel's file knows nothing any more.
    "sys/devices/platform/soc/soc:firmware/get_throttled": "c000c\n",
    **vcgencmd(0xD000C),
}

PI_5 = {
    **device_tree("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b", "brcm,bcm2712"),
    **arm(4, "0xd0b", A76),
    **cpufreq(4, "ondemand", 1_500_000, 2_400_000, driver="cpufreq-dt"),
    **thermal(cpu_thermal=50_700),
    **memory(8_245_000, 6_900_000, 204_784, 204_784),
    **system(*BOOKWORM, "6.6.51+rpt-rpi-2712", page_kb=16),
    "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled": "0\n",
    **vcgencmd(0, PMIC),
}

ORIN_NANO = {
    **device_tree(
        "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        *("nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234"),
    ),
    **arm(6, "0xd42", A78AE),
    **cpufreq(6, "schedutil", 729_600, 1_728_000, 1_510_400, driver="tegra194-cpufreq"),
    **thermal(cpu_thermal=51_250, gpu_thermal=52_437, tj_thermal=52_437),
    # The zone of what is switched off cannot be read; here it is empty.
    "sys/class/thermal/thermal_zone7/type": "cv0-thermal\n",
    "sys/class/thermal/thermal_zone7/temp": "",
    "sys/class/thermal/thermal_zone0/trip_point_0_type": "active\n",
    "sys/class/thermal/thermal_zone0/trip_point_0_temp": "50000\n",
    "sys/class/thermal/thermal_zone0/trip_point_1_type": "passive\n",
    "sys/class/thermal/thermal_zone0/trip_point_1_temp": "99000\n",
    "sys/class/thermal/thermal_zone0/trip_point_2_type": "critical\n",
    "sys/class/thermal/thermal_zone0/trip_point_2_temp": "104500\n",
    "sys/class/thermal/cooling_device0/type": "pwm-fan\n",
    "sys/class/thermal/cooling_device0/cur_state": "2\n",
    "sys/class/thermal/cooling_device1/type": "cpufreq-cpu0\n",
    "sys/class/thermal/cooling_device1/cur_state": "0\n",
    "sys/class/devfreq/17000000.gpu/cur_freq": "306000000\n",
    "sys/class/devfreq/17000000.gpu/max_freq": "1020000000\n",
    **ina3221(3, VDD_IN=(5000, 1000), VDD_CPU_GPU_CV=(5000, 200), VDD_SOC=(5000, 300)),
    **overcurrent(0, 0, 0),
    **memory(7_802_000, 5_500_000, 3_901_000, 3_901_000),
    **system(*JAMMY, "5.15.148-tegra"),
    **jetson("R36", "4.3", {0: "15W", 1: "25W", 2: "MAXN_SUPER", 3: "7W"}, 0),
}

ORIN_NX = {
    **device_tree(
        "NVIDIA Jetson Orin NX Engineering Reference Developer Kit",
        *("nvidia,p3768-0000+p3767-0000", "nvidia,p3767-0000", "nvidia,tegra234"),
    ),
    **arm(8, "0xd42", A78AE),
    **cpufreq(8, "schedutil", 1_984_000, 1_984_000, driver="tegra194-cpufreq"),
    **thermal(cpu_thermal=60_000, tj_thermal=97_000),
    "sys/class/thermal/thermal_zone1/trip_point_0_type": "passive\n",
    "sys/class/thermal/thermal_zone1/trip_point_0_temp": "99000\n",
    "sys/class/thermal/cooling_device1/type": "cpufreq-cpu0\n",
    "sys/class/thermal/cooling_device1/cur_state": "3\n",
    **ina3221(1, VDD_IN=(5016, 2000)),
    **overcurrent(0, 15, 37),
    **memory(15_656_000, 12_000_000, 7_828_000, 7_000_000),
    **system(*JAMMY, "5.15.136-tegra"),
    **jetson("R36", "3.0", {0: "MAXN", 1: "10W", 2: "15W", 3: "25W"}, 0),
}

AGX_ORIN = {
    **device_tree(
        "NVIDIA Jetson AGX Orin Developer Kit",
        *("nvidia,p3737-0000+p3701-0005", "nvidia,p3701-0005", "nvidia,tegra234"),
    ),
    **arm(8, "0xd42", A78AE),
    # 8 of 12 cores run in this mode.
    "sys/devices/system/cpu/online": "0-7\n",
    "sys/devices/system/cpu/present": "0-11\n",
    **cpufreq(8, "schedutil", 1_113_600, 2_201_600, driver="tegra194-cpufreq"),
    **thermal(cpu_thermal=45_500, tj_thermal=46_000),
    **ina3221(3, VDD_GPU_SOC=(19_600, 170), VDD_CPU_CV=(19_600, 50), VIN_SYS_5V0=(4968, 953)),
    **ina3221(4, NC=(0, 0), VDDQ_VDD2_1V8AO=(4968, 80)),
    **memory(64_286_000, 58_000_000, 32_143_000, 32_143_000),
    **system(*JAMMY, "5.15.148-tegra"),
    **jetson("R36", "4.4", {0: "MAXN", 1: "MODE_15W", 2: "MODE_30W", 3: "MODE_50W"}, 2),
}

XAVIER_NX = {
    **device_tree(
        "NVIDIA Jetson Xavier NX Developer Kit",
        *("nvidia,p3509-0000+p3668-0000", "nvidia,p3509-0000", "nvidia,tegra194"),
    ),
    **arm(6, "0x004", CARMEL, implementer="0x4e"),
    **cpufreq(6, "schedutil", 1_190_400, 1_907_200, driver="tegra194-cpufreq"),
    **thermal(CPU_therm=41_500, PMIC_Die=100_000),
    **ina3221(2, VDD_IN=(5000, 900), VDD_CPU_GPU_CV=(5000, 100), VDD_SOC=(5000, 200)),
    **memory(7_100_000, 5_000_000, 3_550_000, 3_550_000),
    **system("Ubuntu 20.04.6 LTS", "ubuntu", "5.10.216-tegra"),
    **jetson("R35", "6.0", {0: "MODE_15W_2CORE", 8: "MODE_20W_6CORE"}, 8),
}

AGX_XAVIER = {
    **device_tree("Jetson-AGX", "nvidia,p2972-0000", "nvidia,tegra194"),
    **arm(8, "0x004", CARMEL, implementer="0x4e"),
    **cpufreq(8, "schedutil", 1_190_400, 2_265_600, driver="tegra194-cpufreq"),
    **ina3221(2, GPU=(12_000, 100), CPU=(12_000, 50), SOC=(12_000, 100)),
    **ina3221(3, CV=(12_000, 0), VDDRQ=(12_000, 40), SYS5V=(5000, 500)),
    **memory(31_900_000, 28_000_000),
    **system("Ubuntu 20.04.6 LTS", "ubuntu", "5.10.104-tegra"),
    **jetson("R35", "4.1", {0: "MAXN", 2: "MODE_15W"}, 2),
}

THOR = {
    **device_tree(
        "NVIDIA Jetson AGX Thor Developer Kit",
        *("nvidia,p4071-0000+p3834-0008", "nvidia,p3834-0008", "nvidia,tegra264"),
    ),
    **arm(14, "0xd83", V3AE),
    **cpufreq(14, "schedutil", 972_000, 2_601_000),
    **thermal(tj_thermal=55_100, cpu_thermal=53_700),
    **ina3221(3, VDD_GPU=(12_000, 0), VDD_CPU_SOC_MSS=(12_000, 500), VIN_SYS_5V0=(5000, 1300)),
    "sys/class/hwmon/hwmon4/name": "ina238\n",
    "sys/class/hwmon/hwmon4/label": "VIN\n",
    "sys/class/hwmon/hwmon4/in1_input": "20000\n",
    "sys/class/hwmon/hwmon4/curr1_input": "1150\n",
    **overcurrent(0, 0, 179),
    **memory(128_800_000, 120_000_000),
    **system(*NOBLE, "6.8.12-tegra"),
    **jetson("R38", "4.0", {0: "MAXN", 1: "120W"}, 0),
}

LAPTOP = {
    **x86(8, "11th Gen Intel(R) Core(TM) i7-1165G7  @ 2.80GHz", "fpu lm avx avx2 avx512f avx512_vnni"),
    **cpufreq(8, "powersave", 1_200_000, 4_700_000, driver="intel_pstate"),
    **thermal(acpitz=27_800, x86_pkg_temp=61_000),
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "0\n",
    "sys/devices/system/cpu/cpu3/thermal_throttle/package_throttle_count": "412\n",
    "sys/class/dmi/id/sys_vendor": "LENOVO\n",
    "sys/class/dmi/id/product_name": "20XW00ABGE\n",
    "sys/class/dmi/id/product_version": "ThinkPad X1 Carbon Gen 9\n",
    "sys/class/dmi/id/chassis_type": "10\n",
    "sys/class/power_supply/AC/type": "Mains\n",
    "sys/class/power_supply/AC/online": "0\n",
    "sys/class/power_supply/BAT0/type": "Battery\n",
    "sys/class/powercap/intel-rapl:0/name": "package-0\n",
    "sys/class/powercap/intel-rapl:0/energy_uj": "250000000\n",
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850\n",
    "sys/class/powercap/intel-rapl:0:0/name": "core\n",
    "sys/class/powercap/intel-rapl:0:0/energy_uj": "90000000\n",
    **memory(16_000_000, 9_000_000, 2_000_000, 2_000_000),
    **system(*NOBLE, "6.8.0-45-generic"),
}

SERVER = {
    **x86(4, "AMD EPYC 7313 16-Core Processor", "fpu lm avx avx2"),
    **cpufreq(4, "ondemand", 1_500_000, 3_000_000, 2_000_000, driver="acpi-cpufreq"),
    "sys/class/hwmon/hwmon0/name": "k10temp\n",
    "sys/class/hwmon/hwmon0/temp1_input": "40125\n",
    "sys/class/dmi/id/sys_vendor": "To Be Filled By O.E.M.\n",
    "sys/class/dmi/id/product_name": "System Product Name\n",
    "sys/class/dmi/id/board_vendor": "Supermicro\n",
    "sys/class/dmi/id/board_name": "H12SSL-i\n",
    "sys/class/dmi/id/chassis_type": "23\n",
    "sys/class/powercap/intel-rapl:0/name": "package-0\n",
    "sys/class/powercap/intel-rapl:0/energy_uj": "",
    **memory(131_000_000, 120_000_000),
    **system(*BOOKWORM, "6.1.0-25-amd64"),
}

VM = {
    **x86(2, "AMD EPYC", "fpu lm avx avx2 hypervisor"),
    "sys/class/dmi/id/sys_vendor": "QEMU\n",
    "sys/class/dmi/id/product_name": "Standard PC (Q35 + ICH9, 2009)\n",
    "sys/class/dmi/id/chassis_type": "1\n",
    **memory(4_000_000, 3_000_000),
    **system(*BOOKWORM, "6.1.0-25-cloud-amd64"),
}

DOCKER = {
    ".dockerenv": "",
    "sys/fs/cgroup/memory.max": "536870912\n",
    "sys/fs/cgroup/cpu.max": "150000 100000\n",
}


def in_docker(board: Tree) -> Tree:
    """A container sees the host's kernel, and files of its own image."""
    kept = {name: content for name, content in board.items() if name.split("/")[0] in ("proc", "sys")}
    return {**kept, "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\n', **DOCKER}


BARE: dict[str, Tree] = {
    "Pi 3": PI_3,
    "Pi 4": PI_4,
    "Pi 5": PI_5,
    "Orin Nano": ORIN_NANO,
    "Orin NX": ORIN_NX,
    "AGX Orin": AGX_ORIN,
    "Xavier NX": XAVIER_NX,
    "AGX Xavier": AGX_XAVIER,
    "Thor": THOR,
    "laptop": LAPTOP,
    "server": SERVER,
    "VM": VM,
}
TREES: dict[str, Tree] = {**BARE, **{f"{name}, docker": in_docker(tree) for name, tree in BARE.items()}, "nothing": {}}
