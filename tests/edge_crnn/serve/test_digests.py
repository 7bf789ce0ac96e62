from __future__ import annotations

import random
import subprocess
import sys
from array import array

import pytest

from edge_crnn.serve.digests import Digests

GROWTH = """
import random
from array import array

import numpy as np

from edge_crnn.board.memory import rss_bytes
from edge_crnn.serve.digests import Digests

np.ones(3 << 20)  # the heap keeps what is smaller than the largest array that was ever freed
draw = random.Random(1)
digests = Digests(array("Q"))
for number in range(250_000):
    if number == 50_000:
        before = rss_bytes()
    digests.add(draw.getrandbits(64))
print((rss_bytes() - before) / 200_000)
"""


def test_digests_are_a_set() -> None:
    draw = random.Random(7)
    first, second = ([draw.getrandbits(64) for _ in range(count)] for count in (500, 9000))
    digests = Digests(array("Q", [*first, *first[:3]]))
    plain = set(first)
    assert len(digests) == len(plain)
    for digest in [*second, *first[:50], *second[:50], 0, 2**64 - 1]:
        assert (digest in digests) is (digest in plain)
        digests.add(digest)
        plain.add(digest)
    assert len(digests) == len(plain)
    assert all(digest in digests for digest in plain)
    assert not any(digest + 1 in digests for digest in plain if digest + 1 not in plain and digest < 2**64 - 1)


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_digest_takes_8_bytes_however_far_the_set_grows() -> None:
    output = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True).stdout
    assert 6 < float(output) < 11
