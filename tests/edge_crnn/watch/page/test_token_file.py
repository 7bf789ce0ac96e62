from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from edge_crnn.errors import InputError, OutputError
from edge_crnn.watch.page.token_file import read_token


def test_a_missing_file_is_created_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = read_token(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(token) >= 40
    assert read_token(file) == token
    assert list(tmp_path.iterdir()) == [file]


def test_processes_that_create_it_together_agree(tmp_path: Path) -> None:
    tokens: list[str] = []
    threads = [threading.Thread(target=lambda: tokens.append(read_token(tmp_path / "token"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens) == 8
    assert len(set(tokens)) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "token"
    read_token(file)
    file.chmod(mode)
    with pytest.raises(InputError, match="chmod 600"):
        read_token(file)


@pytest.mark.parametrize("content", ["", "short", "spaces in a token that is long enough", "토큰" * 20, "x" * 2000])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content, encoding="utf-8")
    file.chmod(0o600)
    with pytest.raises(InputError, match="holds no token"):
        read_token(file)


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot read or create"):
        read_token(tmp_path / "missing" / "token")


def test_a_wide_umask_changes_nothing(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        read_token(tmp_path / "token")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
