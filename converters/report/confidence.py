"""Shows whether confidences can be trusted, as `benchmarks.confidence` measured on images outside the fit."""

from __future__ import annotations

from edge_crnn.binomial import binomial_interval
from edge_crnn.records.confidence import ConfidenceStudy
from edge_crnn.records.record import Record

from .blocks import Block, Figure, Paragraph, Table
from .charts import Line, Row, plot, rows, scale
from .markup import Markup
from .words import between, of, percent, tick

_TONES = ("s5", "s2", "s1")
_NAMES = {"nothing": "not fitted", "temperature": "temperature", "temperature, isotonic": "isotonic"}


def confidence_blocks(record: Record) -> list[Block]:
    """Return charts and tables of a study of confidences."""
    figures = record.figures
    if not isinstance(figures, ConfidenceStudy):
        return []
    judged = figures.judged[0].images
    blocks: list[Block] = [
        Paragraph(
            f"Recipe {figures.artifact.recipe}; fitted on {figures.fit.images:,} images, judged on {judged:,} others."
            " A text is correct when all of it is."
        ),
        Figure(
            "How often readings are correct against their confidence",
            _reliability(figures),
            "All dots of a line stand for equally many readings; on the dashed line, readings are correct as often as"
            " their confidence says.",
        ),
        _errors(figures),
    ]
    if figures.fit.coverage:
        note = f"Measured on the {figures.fit.images:,} images of the fit; the table below covers the others."
        title = "How often accepted readings are correct against how many are accepted"
        blocks.append(Figure(title, _coverage(figures), note))
    blocks.append(_outcomes(figures))
    if figures.rejections:
        title = f"Images without a plate, rejected at the threshold for {percent(figures.rejected_at)}"
        blocks.append(Figure(title, _rejections(figures), "Lines are 95% intervals."))
    blocks.append(_rankings(figures))
    return blocks


def _reliability(figures: ConfidenceStudy) -> Markup:
    lines = []
    for calibrated, tone in zip(figures.judged, _TONES, strict=False):
        points = tuple((group.confidence, group.right) for group in calibrated.reliability)
        lines.append(Line(_NAMES.get(calibrated.fitted, calibrated.fitted), points, tone, dots=True))
    least = min((value for line in lines for point in line.points for value in point), default=1.0)
    x = scale([least, 1.0], "confidence", tick)
    y = scale([least, 1.0], "correct", tick)
    diagonal = Line("", ((x.low, x.low), (x.high, x.high)), "rule")
    return plot(x, y, lines=[diagonal, *(line for line in lines if line.points)], height=320)


def _errors(figures: ConfidenceStudy) -> Table:
    lines = [
        (
            _NAMES.get(calibrated.fitted, calibrated.fitted),
            f"{calibrated.temperature:.3f}",
            str(calibrated.points or ""),
            of(calibrated.right, calibrated.images),
            f"{calibrated.calibration_error:.4f}",
        )
        for calibrated in figures.judged
    ]
    head = ("fitted", "temperature", "isotonic points", "correct", "expected calibration error")
    return Table(head, tuple(lines))


def _coverage(figures: ConfidenceStudy) -> Markup:
    fit = figures.fit
    points = [(fit.coverage_of(point), point.right / point.accepted) for point in fit.coverage if point.accepted]
    line = Line("", tuple(points), "s1", dots=len(points) < 30)
    x = scale([0.0, *(share for share, _ in points), 1.0], "accepted", tick)
    y = scale([*(precision for _, precision in points), 1.0], "correct of the accepted", tick)
    return plot(x, y, lines=[line], height=260)


def _outcomes(figures: ConfidenceStudy) -> Table:
    lines = [
        (
            percent(outcome.target),
            "none reaches it" if outcome.threshold is None else f"{outcome.threshold:.4f}",
            of(outcome.accepted, outcome.images),
            of(outcome.right, outcome.accepted),
            between(*outcome.precision_interval),
        )
        for outcome in figures.outcomes
    ]
    head = ("target precision", "threshold", "accepted", "correct of these", "95% interval")
    return Table(head, tuple(lines), "Thresholds for a target precision, judged on the other images")


def _rejections(figures: ConfidenceStudy) -> Markup:
    lines = []
    bounds = [1.0]
    for kind in figures.rejections:
        value = f"{of(kind.rejected, kind.pictures)}, highest confidence {kind.highest:.3f}"
        interval = binomial_interval(kind.rejected, kind.pictures)
        bounds += interval
        lines.append(Row(kind.kind, value, kind.rejected / kind.pictures, "ours", interval))
    return rows(lines, scale(bounds, "rejected", tick))


def _rankings(figures: ConfidenceStudy) -> Table:
    lines = [(ranking.measure, f"{ranking.auroc:.4f}", *map(percent, ranking.coverage)) for ranking in figures.rankings]
    head = ("measure", "AUROC", *(f"accepted at {percent(target)}" for target in figures.targets))
    return Table(head, tuple(lines), "How well the measures tell correct from wrong readings")
