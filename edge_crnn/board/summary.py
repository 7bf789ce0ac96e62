"""Descriptions of a machine for people: its name, and the facts that distinguish it."""

from __future__ import annotations

from .board import Board


def name(board: Board) -> str:
    """Return a name such as `Raspberry Pi 5 Model B Rev 1.0` or `AMD EPYC 7B13, 2 cores`."""
    cpu = board.cpu
    if board.kind in ("raspberry-pi", "jetson") and board.model:
        return board.model
    processor = cpu.name or board.model or "unknown machine"
    return f"{processor}, {counted_cores(cpu.cores)}" if cpu.cores else processor


def facts(board: Board) -> dict[str, str]:
    """Return the facts that are known: name → value."""
    values: dict[str, object] = {
        "board": board.model,
        "SoC": board.soc,
        "processor": board.cpu.name,
        "cores": board.cpu.cores,
        "instruction sets": ", ".join(board.cpu.features) or None,
        "memory": None if board.memory_bytes is None else f"{board.memory_bytes / (1 << 30):.1f} GiB",
        "system": board.os,
        "kernel": board.kernel,
        "JetPack": board.jetpack,
        "Jetson Linux": board.l4t,
        "virtual machine of": board.virtual,
        "container": board.container,
        "Python": board.python.removeprefix("CPython "),
    }
    return {title: str(value) for title, value in values.items() if value is not None}


def line(board: Board) -> str:
    """Return board, processor and system in one line."""
    cores = f"{board.cpu.cores or '?'} × {board.cpu.name or board.cpu.architecture or 'unknown processor'}"
    virtual = f"in {board.virtual}" if board.virtual else None
    return ", ".join(filter(None, (board.model, cores, board.os, board.kernel, virtual, board.container)))


def counted_cores(count: int) -> str:
    """Return a text such as `1 core` or `2 cores`."""
    return f"{count} core{'s' * (count != 1)}"
