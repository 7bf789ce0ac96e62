from __future__ import annotations

import numpy as np
import pytest

from edge_crnn import FakeBackend
from edge_crnn.errors import InputError

SCRIPT = np.eye(3, dtype=np.float32)[:, np.newaxis]  # three images of one step each, and what each of them is
IMAGES = np.zeros((9, 2, 2, 1), np.float32)


def test_each_image_gets_the_next_row() -> None:
    backend = FakeBackend(SCRIPT, (2, 2, 1))
    seen = np.concatenate([backend.infer(IMAGES[:count]) for count in (2, 0, 3, 1)])
    assert seen.argmax(axis=-1).ravel().tolist() == [0, 1, 2, 0, 1, 2]


def test_the_script_is_no_ones_to_change() -> None:
    script = SCRIPT.copy()
    backend = FakeBackend(script, (2, 2, 1))
    output = backend.infer(IMAGES)
    script[:] = output[:] = 0.5
    np.testing.assert_array_equal(backend.infer(IMAGES)[:3], SCRIPT)


@pytest.mark.parametrize("script", [SCRIPT[:0], SCRIPT[0], SCRIPT[np.newaxis]])
def test_wrong_script_is_refused(script: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"fake: found a script \(.*\), expected \(M, T, C\) with M at least 1"):
        FakeBackend(script, (2, 2, 1))
