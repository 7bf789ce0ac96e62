from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.faults.sample import without_repeats

AROUND = [("open", "a.tflite"), ("read", "a.tflite"), ("read", "a.tflite"), ("open", "images/labels.csv")]


@given(st.integers(0, 30), st.integers(1, 3))
def test_of_alike_images_the_first_second_middle_and_last_are_selected(count: int, passes: int) -> None:
    work = [(call, f"images/{index:03}.png") for index in range(count) for call in ("open", "read", "read")]
    operations = [*AROUND, *work * passes, *AROUND]
    selected = [number - 1 for number in without_repeats(operations)]
    assert [operations[index] for index in selected if index < len(AROUND)] == AROUND
    assert [operations[index] for index in selected if index >= len(operations) - len(AROUND)] == AROUND
    telling = sorted({index for index in (0, 1, count // 2, count - 1) if 0 <= index < count})
    expected = [(call, f"images/{index:03}.png") for index in telling for call in ("open", "read", "read")]
    assert [operations[index] for index in selected if operations[index] in work] == expected * passes


def test_an_image_in_another_folder_or_alone_is_not_alike() -> None:
    assert without_repeats([("read", "a/0.png"), ("read", "b/0.png"), ("write", "a/0.png")]) == [1, 2, 3]
