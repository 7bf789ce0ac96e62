"""What is being read is found by who comes after a kill, whatever the kill left of the file."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_crnn.errors import OutputError
from edge_crnn.serve.arrivals import Arrival
from edge_crnn.serve.attempts import Attempts

ARRIVALS = [Arrival(n, name, n) for n, name in enumerate(["a.png", "b\nc.png", os.fsdecode(b"\xff.png"), '"d\\.png'])]
ENDLESS = Arrival(2**63, "x" * 255, 2**63)


def killed(attempts: Attempts) -> None:
    os.close(attempts._file)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["begin", "end", "kill", "cut", "close"]), st.sampled_from([*ARRIVALS, ENDLESS]))
    )
)
def test_it_counts_as_a_table_does(tmp_path: Path, steps: list[tuple[str, Arrival]]) -> None:
    path = tmp_path / "reading"
    path.unlink(missing_ok=True)
    expected: Counter[Arrival] = Counter()
    attempts = Attempts(path)
    for step, arrival in steps:
        if step == "begin":
            attempts.begin(arrival)
            expected[arrival] += 1
        elif step == "end":
            attempts.end(arrival)
            del expected[arrival]
        else:
            if step == "close":
                attempts.close()
                assert not path.exists()
                expected.clear()
            else:
                killed(attempts)
            if step == "cut":
                with path.open("ab") as file:
                    file.write(b'[17, "half a na')
            attempts = Attempts(path)
        assert [attempts.count(each) for each in (*ARRIVALS, ENDLESS)] == [
            expected[each] for each in (*ARRIVALS, ENDLESS)
        ]
    attempts.close()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | st.sampled_from([b"\0" * 4096, b"[" * 100_000, b'[1, "a", 1, 1]\n', b'[true, "a", 1]\n', b"{}\n"]))
def test_what_is_none_of_ours_counts_nothing(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "reading"
    path.write_bytes(data)
    with Attempts(path) as attempts:
        assert path.read_bytes() == b""
        attempts.begin(ARRIVALS[0])
        assert attempts.count(ARRIVALS[0]) == 1
    assert not path.exists()


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        OutputError, match=r"none/reading: cannot be opened \(No such file or directory\); name an output"
    ):
        Attempts(tmp_path / "none" / "reading")
    with pytest.raises(OutputError, match=r"cannot be opened \(Is a directory\)"):
        Attempts(tmp_path)
