from __future__ import annotations

from typing import Any

from benchmarks.scale.__main__ import table


def way(elapsed: list[float], busy: list[float]) -> dict[str, Any]:
    return {
        "images a second": 100.0,
        "processor ms per image": 3.0,
        "s by turn": elapsed,
        "processor s by turn": busy,
        "MiB of the largest worker by turn": [200.0, 150.0, 201.0],
    }


def test_ratios_are_those_of_the_plain_loop() -> None:
    lines = table(
        {
            "images": 3000,
            "distinct images": 1000,
            "format": "jpg",
            "readers": 2,
            "ways": {"plain loop": way([1, 2, 3], [2, 2, 2]), "Ray": way([2, 2.5, 3.0], [3, 3, 2])},
            "texts that differ": {"plain loop": 0, "Ray": 7},
            "processor ms by stage": {"engine": 1.7},
        }
    )
    assert "1,000 of them distinct" in lines[0]
    assert "| Ray | 100 | 0.80 | 3.00 | 0.75 | 200, 201 | 7 |" in lines
    assert lines[-1] == "| engine | 1.700 |"
