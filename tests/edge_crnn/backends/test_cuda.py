from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from edge_crnn.backends import cuda
from edge_crnn.errors import BackendUnavailable


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    cuda._driver.cache_clear()
    yield
    cuda._driver.cache_clear()


def library(monkeypatch: pytest.MonkeyPatch, **functions: tuple[Callable[..., int], tuple[Any, ...]]) -> None:
    """A libcuda.so.1 of real C functions, declared as in cuda.h."""
    made = {name: ctypes.CFUNCTYPE(ctypes.c_int, *types)(function) for name, (function, types) in functions.items()}
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(**made))


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_LIBRARY", "libcuda_of_nobody.so.1")
    with pytest.raises(BackendUnavailable, match=r"^there is no NVIDIA driver \(libcuda_of_nobody.so.1: .*; JetPack"):
        cuda.gpu()


def test_a_driver_without_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    library(monkeypatch, cuInit=(lambda _: 0, (ctypes.c_uint,)))
    with pytest.raises(BackendUnavailable, match=r"^the NVIDIA driver is too old \(.*; CUDA 11.4 or newer is needed$"):
        cuda.gpu()
