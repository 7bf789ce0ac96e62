"""Fixtures of others that benchmarks are tested with, too."""

from __future__ import annotations

from tests.edge_crnn.backends.conftest import on_gpu

__all__ = ["on_gpu"]
