from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.scale import parquet, tar
from edge_crnn.scale.parts import Part, images_per_part, split
from edge_crnn.scale.storage import File

files = st.builds(
    File,
    st.sampled_from(["a.png", "b.jpg", "c.PARQUET", "d.tar", "e\udc80.png", "\u2028\n.png"]),
    st.none() | st.integers(0, 1 << 60),
    st.none() | st.text(),
)


@given(st.builds(Part, st.sampled_from(["images", "tar"]), st.lists(files).map(tuple), st.integers(0), st.none()))
def test_a_part_is_what_its_line_says(part: Part) -> None:
    line = part.dumps()
    assert line.isascii()
    assert "\n" not in line
    assert Part.parse(line.encode()) == part


def positions(parts: list[Part]) -> list[tuple[str, int]]:
    """Return the images that parts read: path and position."""
    found = []
    for part in parts:
        if part.kind == "images":
            assert part.images == len(part.files)
            found += [(file.path, 0) for file in part.files]
        else:
            stop = 3 if part.stop is None else part.stop
            places = range(part.start, stop) if part.picked is None else part.picked
            found += [(part.files[0].path, place) for place in places]
    return found


shards = st.lists(
    st.tuples(st.sampled_from(["png", "parquet", "tar"]), st.lists(st.integers(0, 40_000), max_size=5)), max_size=60
)


@given(shards, st.integers(1, 200))
def test_every_image_is_in_one_part(shards: list[tuple[str, list[int]]], sample: int) -> None:
    groups = {f"{number}.{kind}": counts for number, (kind, counts) in enumerate(shards)}
    images = []
    for path, counts in groups.items():
        count = {"png": 1, "tar": 3, "parquet": sum(counts)}[path.rpartition(".")[2]]
        images += [(path, place) for place in range(count)]
    listed = [File(path) for path in groups]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "row_counts", lambda file, *_: groups[file.path])
        patch.setattr(tar, "count", lambda file, folder: 3)
        assert positions(list(split(listed, "", ""))) == images
        sampled = positions(list(split(listed, "", "", sample)))
        assert sampled == positions(list(split(listed, "", "", sample)))
    assert len(set(sampled)) == len(sampled) == min(sample, len(images))
    assert set(sampled) <= set(images)


@pytest.mark.parametrize(
    ("groups", "runs"),
    [
        ([20] * 5, [(0, 60), (60, 100)]),
        ([70, 10], [(0, 35), (35, 70), (70, 80)]),
        ([1600], [(start, start + 100) for start in range(0, 1600, 100)]),
        ([100_000] * 3, [(start, start + 6250) for start in range(0, 300_000, 6250)]),
        ([304_000], [(start, start + 16_000) for start in range(0, 304_000, 16_000)]),
        ([], []),
        ([0, 0], []),
    ],
)
def test_parts_are_whole_row_groups_or_up_to_16_slices_of_one(
    groups: list[int], runs: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "row_counts", lambda *_: groups)
    assert [(part.start, part.stop) for part in split([File("a.parquet")], "", "")] == runs


@pytest.mark.parametrize(
    ("count", "readers", "sizes"),
    [
        (5, 1, {5}),
        (100, 1, {50}),
        (64_000, 8, {500}),
        (1_000_000, 1, {4081, 4082}),
        (1_000_000, 256, {244, 245}),
        (1_000_000, 2048, {1024, 1023}),
    ],
)
def test_the_size_of_parts_fits_the_job(count: int, readers: int, sizes: set[int]) -> None:
    parts = split([File("a.png")] * count, "", "", readers=readers)
    assert {len(part.files) for part in parts} == sizes


@given(st.integers(0, 20_000), st.integers(1, 5000))
def test_parts_are_balanced_and_few(count: int, readers: int) -> None:
    sizes = [part.images or 0 for part in split([File("a.png")] * count, "", "", readers=readers)]
    assert sum(sizes) == count
    assert max(sizes, default=0) - min(sizes, default=0) <= 1
    assert len(sizes) <= max(16 * readers, -(-count // 4096))
    assert all(size >= min(count, 32) for size in sizes)


@given(st.lists(st.integers(0, 5000), max_size=50), st.integers(1, 500))
def test_parts_of_row_groups_are_balanced(groups: list[int], readers: int) -> None:
    most = images_per_part(sum(groups), readers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "row_counts", lambda *_: groups)
        parts = list(split([File("a.parquet")], "", "", readers=readers))
    ends = list(itertools.accumulate(groups))
    whole = [part for part in parts if part.stop in ends and part.start in (0, *ends)]
    for group, end in zip(groups, ends, strict=True):
        slices = [part.images or 0 for part in parts if end - group <= part.start and (part.stop or 0) <= end]
        assert len(slices) <= 16
        if group > most:
            assert sum(slices) == group
            assert max(slices) - min(slices) <= 1
    for part, following in itertools.pairwise(whole):
        if part.stop == following.start:
            assert (part.images or 0) + (following.images or 0) > most
