"""Records every epoch in a CSV file for programs and in a chart for people."""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..errors import BackendUnavailable
from ..files import write_atomically

LOG = "log.csv"
CURVE = "curve.png"


@dataclass(frozen=True)
class Row:
    """The figures of an epoch; those of `metrics.Score` describe the validation images at its end."""

    epoch: int
    images: int
    """Number of images since the first epoch."""
    seconds: float
    """Seconds since the start of the first epoch, without the pauses of a resumed run."""
    learning_rate: float
    loss: float
    """Training loss in nats per image, averaged over the epoch."""
    exact: float
    character_error_rate: float
    letter_accuracy: float
    edit_distance: float

    def __str__(self) -> str:
        rate = self.images / self.seconds
        return (
            f"epoch {self.epoch}: loss {self.loss:.3f}, exact {self.exact:.2%}, character errors"
            f" {self.character_error_rate:.2%}, letters {self.letter_accuracy:.2%}; {self.images:,} images,"
            f" {rate:.0f}/s"
        )


def require_matplotlib() -> None:
    """Check before a training that its curve can be drawn.

    Raises:
        BackendUnavailable: Matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise BackendUnavailable("the curve of a training needs Matplotlib: pip install 'edge-crnn[train]'")


def write_history(folder: Path, rows: Sequence[Row]) -> None:
    """Write `log.csv` and `curve.png`.

    Raises:
        OutputError: the folder cannot be written.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    write_atomically(folder / LOG, text.getvalue().encode())
    write_atomically(folder / CURVE, _curve(rows))


def _curve(rows: Sequence[Row]) -> bytes:
    """Draw loss and errors over the images seen, as PNG."""
    # Unlike pyplot, these classes open no window and have no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    seen = [row.images / 1000 for row in rows]
    left = figure.add_subplot()
    left.plot(seen, [row.loss for row in rows], color="tab:grey", label="loss of training")
    left.set(xlabel="thousand images", ylabel="nats per image", yscale="log")
    right = left.twinx()
    errors = {
        "texts not correct": ([1 - row.exact for row in rows], "tab:red"),
        "character errors": ([row.character_error_rate for row in rows], "tab:blue"),
    }
    for label, (values, colour) in errors.items():
        right.plot(seen, [100 * max(value, 1e-5) for value in values], color=colour, label=label, marker=".")
    right.set(ylabel="% of the validation images", yscale="log")
    figure.legend(loc="outside upper center", ncols=3)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
