from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.models import MODELS, PRESETS, kinds_of
from edge_crnn.dataset import load_labelled
from edge_crnn.errors import DatasetError
from edge_crnn.model.artifact import load_sidecar

ROOT = Path(__file__).parents[2]


@pytest.mark.thorough
@pytest.mark.parametrize("model", MODELS)
def test_fresh_images_are_drawn_by_kind_and_no_label_twice(model: str, tmp_path: Path) -> None:
    pytest.importorskip("koreanize_matplotlib", reason="the default fonts come with edge-crnn[train]")
    chosen = MODELS[model]
    presets = chosen.draw(tmp_path, len(chosen.kinds))
    assert [folder.name for folder in presets] == list(PRESETS)
    alphabet = load_sidecar(ROOT / chosen.path).alphabet
    labels = []
    for preset in presets:
        assert [folder.name for folder in kinds_of(preset)] == sorted(chosen.kinds)
        labels += [entry.label for kind in kinds_of(preset) for entry in load_labelled(kind, alphabet)]
    assert len(labels) == len(set(labels)) == len(PRESETS) * len(chosen.kinds)


def test_images_that_cannot_be_drawn_are_an_error(tmp_path: Path) -> None:
    MODELS["plates"].fresh(tmp_path)[0].parent.mkdir()
    MODELS["plates"].fresh(tmp_path)[0].write_text("in the way")
    with pytest.raises(DatasetError, match=r"edge-crnn synth .* has failed"):
        MODELS["plates"].draw(tmp_path, 5)


def test_a_folder_of_images_is_of_one_kind_and_one_of_folders_has_a_kind_in_each(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        kinds_of(tmp_path)
    (tmp_path / "day").mkdir()
    assert kinds_of(tmp_path) == [tmp_path / "day"]
    (tmp_path / "a.png").touch()
    assert kinds_of(tmp_path) == [tmp_path]


@pytest.mark.parametrize("model", MODELS)
def test_the_models_and_their_samples_are_in_the_tree(model: str) -> None:
    chosen = MODELS[model]
    for place in (chosen.path, chosen.samples, chosen.calibration):
        assert (ROOT / place).exists()
