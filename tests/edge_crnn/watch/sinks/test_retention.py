from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.watch.sinks.retention import Kept, expired

_files = st.lists(
    st.builds(Kept, time=st.floats(0, 1000), path=st.text("ab", max_size=8).map(Path), size=st.integers(0, 1000)),
    max_size=30,
    unique_by=lambda file: file.path,
)


@given(_files, st.none() | st.floats(0, 1000), st.none() | st.integers(0, 10_000))
def test_the_removed_files_are_the_oldest_and_no_more_than_needed(
    files: list[Kept], keep_s: float | None, most_bytes: int | None
) -> None:
    now = 1000.0
    removed = list(expired(files, now, keep_s, most_bytes))
    oldest_first = sorted(files)
    assert removed == oldest_first[: len(removed)]
    left = oldest_first[len(removed) :]
    if keep_s is not None:
        assert all(now - file.time <= keep_s for file in left)
    total = sum(file.size for file in files)
    if most_bytes is not None:
        assert sum(file.size for file in left) <= most_bytes
    if removed:
        last = removed[-1]
        is_old = keep_s is not None and now - last.time > keep_s
        is_too_much = most_bytes is not None and total > most_bytes
        with_last = last.size + sum(file.size for file in left)
        assert is_old or (is_too_much and with_last > 0.95 * (most_bytes or 0) - 1)


def test_without_limits_nothing_is_removed() -> None:
    assert list(expired([Kept(0, Path("a"), 10**12)], 1e9, None, None)) == []
