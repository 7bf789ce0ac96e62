"""Fixtures of the backends that tests of benchmarks use, too."""

from __future__ import annotations

from tests.edge_crnn.backends.conftest import on_gpu

__all__ = ["on_gpu"]
