"""Compares the time steps that labels need with those of a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..alphabet import Alphabet
from ..ctc.lexicon import steps_of
from ..errors import DatasetError


def require_steps(labels: Sequence[tuple[Path, str]], alphabet: Alphabet, steps: int, folder: Path) -> None:
    """Check that a network can write every label: CTC takes a step for each symbol, and a blank between two equal ones.

    Args:
        labels: image and label.
        alphabet: the symbols of the labels.
        steps: time steps of the network that the decoder reads.
        folder: the folder of the images, for a message.

    Raises:
        DatasetError: some labels need more steps; the message counts them and shows the longest.
    """
    needs = [(steps_of(alphabet.encode(label)), label, path) for path, label in labels]
    too_long = [need for need in needs if need[0] > steps]
    if too_long:
        most, label, path = max(too_long, key=lambda need: need[0])
        raise DatasetError(
            f"{folder}: {len(too_long):,} of {len(labels):,} labels do not fit into the {steps} time steps of the"
            f" network, such as {label!r} of {path}, which needs {most} (a repeated symbol also needs a blank);"
            " correct these labels, remove the images, or use a network for wider images"
        )
