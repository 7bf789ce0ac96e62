from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks.nonplates import KINDS, pictures

if not all(map(find_spec, ("PIL", "koreanize_matplotlib", "matplotlib"))):
    pytest.skip("Pillow and the fonts come with edge-crnn[train]", allow_module_level=True)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_seeded_and_differ(kind: str) -> None:
    drawn = list(pictures(kind, 3, seed=4))
    for image in drawn:
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert 8 <= image.shape[0] < image.shape[1] * 2 < 1200
    assert len({image.tobytes() for image in drawn}) == 3
    again = list(pictures(kind, 2, seed=4))
    assert all(np.array_equal(*pair) for pair in zip(again, drawn, strict=False))
    assert not np.array_equal(next(pictures(kind, 1, seed=5)), drawn[0])
