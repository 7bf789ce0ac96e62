from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge_crnn.board.heat import Throttling, Zone
from edge_crnn.board.power import Counter, Power, PowerMode, joules
from edge_crnn.board.snapshot import Snapshot, snapshot
from tests.edge_crnn.board.trees import BARE, LAPTOP, PI_4, SERVER, VM, Tree, plant, vcgencmd


def of(name: str, root: Path) -> Snapshot:
    return snapshot(plant(BARE[name], root))


HOTTEST = {
    "Pi 3": Zone("cpu-thermal", 48.312, None),
    "Pi 4": Zone("cpu-thermal", 83.764, None),
    "Pi 5": Zone("cpu-thermal", 50.7, None),
    "Orin Nano": Zone("gpu-thermal", 52.437, None),
    "Orin NX": Zone("tj-thermal", 97.0, 99.0),
    "AGX Orin": Zone("tj-thermal", 46.0, None),
    "Xavier NX": Zone("CPU-therm", 41.5, None),
    "AGX Xavier": None,
    "Thor": Zone("tj-thermal", 55.1, None),
    "laptop": Zone("x86-pkg-temp", 61.0, None),
    "server": Zone("k10temp", 40.125, None),
    "VM": None,
}


@pytest.mark.parametrize("name", BARE)
def test_the_warmest_zone(name: str, tmp_path: Path) -> None:
    hottest = of(name, tmp_path).hottest
    expected = HOTTEST[name]
    if expected is None:
        assert hottest is None
    else:
        assert hottest is not None
        assert (hottest.name, hottest.slows_at) == (expected.name, expected.slows_at)
        assert hottest.celsius == pytest.approx(expected.celsius)


def test_the_limit_of_a_zone_is_its_lowest_passive_trip(tmp_path: Path) -> None:
    (zone,) = (zone for zone in of("Orin Nano", tmp_path).zones if zone.name == "cpu-thermal")
    assert zone.slows_at == 99.0


CLOCKS = {
    "Pi 3": (4, 600.0, 1200.0, 1200.0, ("ondemand",), "cpufreq-dt", None),
    "Pi 5": (4, 1500.0, 2400.0, 2400.0, ("ondemand",), "cpufreq-dt", None),
    "Orin Nano": (6, 729.6, 1510.4, 1728.0, ("schedutil",), "tegra194-cpufreq", 306.0),
    "laptop": (8, 1200.0, 4700.0, 4700.0, ("powersave",), "intel_pstate", None),
    "server": (4, 1500.0, 2000.0, 3000.0, ("ondemand",), "acpi-cpufreq", None),
    "VM": (2, 2596.138, None, None, (), None, None),
}


@pytest.mark.parametrize("name", CLOCKS)
def test_clocks(name: str, tmp_path: Path) -> None:
    clocks = of(name, tmp_path).clocks
    core = clocks.cores[-1]
    assert [core.number for core in clocks.cores] == list(range(len(clocks.cores)))
    facts = (len(clocks.cores), core.mhz, core.limit_mhz, core.max_mhz, clocks.governors, clocks.driver, clocks.gpu_mhz)
    assert facts == CLOCKS[name]


def test_cores_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    cores = {f"sys/devices/system/cpu/cpu{number}/cpufreq/scaling_cur_freq": f"{number}000\n" for number in (10, 9, 1)}
    taken = snapshot(plant({**cores, "sys/devices/system/cpu/cpu2x/cpufreq/scaling_cur_freq": "5\n"}, tmp_path))
    assert [(core.number, core.mhz) for core in taken.clocks.cores] == [(1, 1.0), (9, 9.0), (10, 10.0)]


OVERCURRENT = ("under-voltage", "average over-current", "instantaneous over-current")
HOT = ("throttled", "soft temperature limit")
THROTTLING = {
    "Pi 3": Throttling((), (), {}, 0, since_start=False),
    "Pi 4": Throttling(HOT, ("under-voltage", *HOT), {}, 0xD000C),
    "Pi 5": Throttling((), (), {}, 0),
    "Orin Nano": Throttling((), (), dict.fromkeys(OVERCURRENT, 0), None),
    "Orin NX": Throttling(
        *(("cpufreq-cpu0 slowed because of heat",), OVERCURRENT[1:]),
        *(dict(zip(OVERCURRENT, (0, 15, 37), strict=True)), None),
    ),
    "laptop": Throttling((), ("too hot",), {"too hot": 412}, None),
    "VM": None,
}


@pytest.mark.parametrize("name", THROTTLING)
def test_throttling(name: str, tmp_path: Path) -> None:
    assert of(name, tmp_path).throttling == THROTTLING[name]


FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"


@pytest.mark.parametrize(
    ("bits", "now", "occurred"),
    [
        ("1", ("under-voltage",), ()),
        ("2", ("clock capped",), ()),
        ("4", ("throttled",), ()),
        ("8", ("soft temperature limit",), ()),
        ("10000", (), ("under-voltage",)),
        ("20000", (), ("clock capped",)),
        ("40000", (), ("throttled",)),
        ("80000", (), ("soft temperature limit",)),
        ("0x50005", ("under-voltage", "throttled"), ("under-voltage", "throttled")),
    ],
)
def test_each_bit_of_a_pi_in_words(bits: str, now: tuple[str, ...], occurred: tuple[str, ...], tmp_path: Path) -> None:
    state = snapshot(plant({FIRMWARE: f"{bits}\n"}, tmp_path)).throttling
    assert state == Throttling(now, occurred, {}, int(bits, 16), since_start=False)


def test_vcgencmd_takes_precedence_over_the_kernel(tmp_path: Path) -> None:
    now = ("under-voltage", "throttled")
    state = snapshot(plant({FIRMWARE: "0\n", **vcgencmd(0x50005)}, tmp_path)).throttling
    assert state == Throttling(now, now, {}, 0x50005)


@pytest.mark.parametrize("program", ["#!/bin/sh\necho no\n", "#!/bin/sh\necho throttled=0x5\nexit 1\n", "no program"])
def test_a_vcgencmd_that_fails_tells_nothing(program: str, tmp_path: Path) -> None:
    taken = snapshot(plant({"usr/bin/vcgencmd": program}, tmp_path))
    assert taken.throttling is None
    assert taken.power is None


WATTS = {
    "Pi 4": None,
    "Pi 5": (0.1 * 3.7 + 0.1083282 * 3.309105 + 1.4288 * 0.9065925, "sum of 3 rails of the power chip"),
    "Orin Nano": (5.0, "rail VDD_IN"),
    "AGX Orin": (19.6 * 0.17 + 19.6 * 0.05 + 4.968 * 0.953 + 4.968 * 0.08, "sum of 4 rails"),
    "Xavier NX": (4.5, "rail VDD_IN"),
    "AGX Xavier": (1.2 + 0.6 + 1.2 + 0 + 0.48 + 2.5, "sum of 6 rails"),
    "Thor": (23.0, "rail VIN"),
    "server": None,
    "VM": None,
}


@pytest.mark.parametrize("name", WATTS)
def test_watts(name: str, tmp_path: Path) -> None:
    power = of(name, tmp_path).power
    expected = WATTS[name]
    if expected is None:
        assert power is None
    else:
        assert power is not None
        assert power.watts == pytest.approx(expected[0])
        assert power.source.startswith(expected[1])
        assert power.counters == ()


def test_watts_of_each_rail(tmp_path: Path) -> None:
    power = of("Orin Nano", tmp_path).power
    assert power is not None
    assert power.rails == pytest.approx({"VDD_IN": 5.0, "VDD_CPU_GPU_CV": 1.0, "VDD_SOC": 1.5})


def test_energy_of_an_x86_processor(tmp_path: Path) -> None:
    """The core's counter is a part of its package's."""
    before = snapshot(plant(LAPTOP, tmp_path)).power
    (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").write_text("262000000\n", encoding="utf-8")
    after = snapshot(tmp_path).power
    assert before is not None
    assert after is not None
    assert (before.watts, [counter.name for counter in before.counters]) == (None, ["package-0"])
    assert joules(before, after) == pytest.approx(12.0)


def counted(*counters: Counter) -> Power:
    return Power(None, "", {}, counters)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (counted(Counter("a", 10, 100)), counted(Counter("a", 15, 100)), 5),
        (counted(Counter("a", 90, 100)), counted(Counter("a", 15, 100)), 25),
        (counted(Counter("a", 90, None)), counted(Counter("a", 15, None)), None),
        (counted(Counter("a", 1, 9), Counter("b", 1, 9)), counted(Counter("a", 2, 9), Counter("b", 3, 9)), 3),
        (counted(Counter("a", 10, 100)), counted(Counter("b", 15, 100)), None),
        (counted(), counted(), None),
    ],
)
def test_energy_in_between(before: Power, after: Power, expected: float | None) -> None:
    assert joules(before, after) == expected


MODES = {
    "Pi 5": None,
    "Orin Nano": (PowerMode(0, "15W", {"15W": 0, "25W": 1, "MAXN_SUPER": 2, "7W": 3}), "MAXN_SUPER"),
    "AGX Orin": (PowerMode(2, "MODE_30W", {"MAXN": 0, "MODE_15W": 1, "MODE_30W": 2, "MODE_50W": 3}), "MAXN"),
    "Xavier NX": (PowerMode(8, "MODE_20W_6CORE", {"MODE_15W_2CORE": 0, "MODE_20W_6CORE": 8}), None),
}


@pytest.mark.parametrize("name", MODES)
def test_power_modes(name: str, tmp_path: Path) -> None:
    mode = of(name, tmp_path).power_mode
    expected = MODES[name]
    assert mode == (expected and expected[0])
    assert (mode and mode.fastest) == (expected and expected[1])


def test_until_a_power_mode_is_chosen_the_default_holds(tmp_path: Path) -> None:
    tree = {name: content for name, content in BARE["Orin Nano"].items() if not name.startswith("var/")}
    tree["etc/nvpmodel.conf"] = tree["etc/nvpmodel.conf"].replace("DEFAULT=0", "DEFAULT=1")
    mode = snapshot(plant(tree, tmp_path)).power_mode
    assert mode is not None
    assert mode.name == "25W"


def test_the_rest(tmp_path: Path) -> None:
    taken = of("Pi 4", tmp_path)
    assert taken.load == (0.52, 0.40, 0.31)
    assert taken.memory_available_bytes == 3_100_000 * 1024
    assert taken.swap_used_bytes == (102_396 - 50_000) * 1024
    age = datetime.now(timezone.utc) - datetime.fromisoformat(taken.taken_at)
    assert 0 <= age.total_seconds() < 60


@pytest.mark.parametrize(
    ("tree", "expected"),
    [(LAPTOP, True), ({**LAPTOP, "sys/class/power_supply/AC/online": "1\n"}, False), (SERVER, None), (VM, None)],
)
def test_on_battery(tree: Tree, expected: bool | None, tmp_path: Path) -> None:
    assert snapshot(plant(tree, tmp_path)).on_battery is expected


def test_a_pi_that_reports_no_memory(tmp_path: Path) -> None:
    taken = snapshot(plant({**PI_4, "proc/meminfo": "SwapTotal: 1 MB\n"}, tmp_path))
    assert (taken.memory_available_bytes, taken.swap_used_bytes) == (None, None)
