"""Our artifacts against the other engines that run the same network on a CPU.

    python -m benchmarks.peers [--threads 1 2] [--rounds 9] [-o benchmarks/results/peers.json]

Batch 1, a different plate in each call, every engine on as many cores as it has threads.
"""

from __future__ import annotations

import sys

from ..study import main
from .engines import OURS, PEERS

if __name__ == "__main__":
    sys.exit(main("peers", __doc__, {**OURS, **PEERS}, threads=(1, 2)))
