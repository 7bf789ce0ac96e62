from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_crnn.backends import BackendFacts, check_batch
from edge_crnn.errors import InputError

FACTS = BackendFacts("one", "1", "float32", (3, 2, 1), "float32", None)


@given(
    hnp.arrays(
        st.sampled_from(["float32", "float64", "uint8"]),
        st.sampled_from([(0, 3, 2, 1), (2, 3, 2, 1), (1, 2, 3, 1), (3, 2, 1), (2, 3, 2), (6,), ()]),
    )
)
def test_valid_batch_passes(batch: np.ndarray) -> None:
    good = batch.ndim == 4 and batch.shape[1:] == (3, 2, 1) and batch.dtype == "float32" and np.isfinite(batch).all()
    with contextlib.nullcontext() if good else pytest.raises(InputError, match=r"^one: .*(expected|check)"):
        check_batch(batch, FACTS)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((5, 2, 3, 1), ": axes 1 and 2 look swapped"),
        ((3, 2, 1), ": the batch axis is missing"),
        ((5, 2, 3, 3), ""),
        ((5, 3, 2, 3), ""),
        ((5, 1, 3, 2), ""),
    ],
)
def test_hints(shape: tuple[int, ...], hint: str) -> None:
    with pytest.raises(InputError) as caught:
        check_batch(np.zeros(shape, np.float32), FACTS)
    assert str(caught.value) == f"one: found shape {shape}, expected (N, 3, 2, 1) float32{hint}"
