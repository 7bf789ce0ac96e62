from __future__ import annotations

import os

import pytest

from edge_crnn import tensorflow_settings

NAMES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@pytest.fixture(autouse=True)
def of_3_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorflow_settings, "usable_cores", lambda: 3)
    for name in NAMES:
        monkeypatch.setenv(name, "1")  # so that it is restored
        monkeypatch.delenv(name)


def test_threads_are_as_many_as_usable_cores() -> None:
    """A quota was ignored, so that 64 threads shared 2 cores: the kind of ollama#17916 and PaddleOCR#5712."""
    tensorflow_settings.set_environment()
    assert [os.environ[name] for name in NAMES] == ["3", "3"]


def test_what_the_user_sets_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAMES[0], "7")
    tensorflow_settings.set_environment()
    assert [os.environ[name] for name in NAMES] == ["7", "3"]
