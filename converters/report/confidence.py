"""Can confidences be trusted? What `benchmarks.confidence` found on images that nothing was fitted on."""

from __future__ import annotations

from edge_crnn.binomial import binomial_interval

from .blocks import Block, Figure, Paragraph, Table
from .charts import Line, Row, plot, rows, scale
from .markup import Markup
from .records import Record
from .suites import Trust
from .words import between, of, percent, tick

_TONES = ("s5", "s2", "s1")
_NAMES = {"nothing": "as it was", "temperature": "temperature", "temperature, isotonic": "isotonic"}


def confidence_blocks(record: Record) -> list[Block]:
    """Of a study."""
    body = record.body
    if not isinstance(body, Trust):
        return []
    held = body.judged[0].images
    blocks: list[Block] = [
        Paragraph(
            f"Recipe {body.artifact.recipe}; fitted on {body.fit.images:,} images, judged on {held:,} others. A text is"
            " right when all of it is."
        ),
        Figure(
            "How often readings are right against how sure they said they were",
            _reliability(body),
            "Each dot stands for as many readings as any other of its line; on the dashed line, confidences say how"
            " often they are right.",
        ),
        _errors(body),
    ]
    if body.fit.coverage:
        note = f"On the {body.fit.images:,} images that the temperature was fitted on; the table is of the others."
        title = "How often accepted readings are right against how many are accepted"
        blocks.append(Figure(title, _coverage(body), note))
    blocks.append(_outcomes(body))
    if body.rejections:
        title = f"Pictures that are no plate, rejected at the threshold for {percent(body.rejected_at)}"
        blocks.append(Figure(title, _rejections(body), "Lines are 95% intervals."))
    blocks.append(_rankings(body))
    return blocks


def _reliability(body: Trust) -> Markup:
    lines, least = [], 1.0
    for each, tone in zip(body.judged, _TONES, strict=False):
        points = tuple((one.confidence, one.right) for one in each.reliability)
        least = min([least, *(value for point in points for value in point)])
        lines.append(Line(_NAMES.get(each.fitted, each.fitted), points, tone, dots=True))
    x = scale([least, 1.0], "confidence", tick)
    y = scale([least, 1.0], "right", tick)
    diagonal = Line("", ((x.low, x.low), (x.high, x.high)), "rule")
    return plot(x, y, lines=[diagonal, *(each for each in lines if each.points)], height=320)


def _errors(body: Trust) -> Table:
    lines = [
        (
            _NAMES.get(each.fitted, each.fitted),
            f"{each.temperature:.3f}",
            str(each.points or ""),
            of(each.right, each.images),
            f"{each.calibration_error:.4f}",
        )
        for each in body.judged
    ]
    head = ("fitted", "temperature", "isotonic points", "right", "expected calibration error")
    return Table(head, tuple(lines))


def _coverage(body: Trust) -> Markup:
    points = [(one.accepted / body.fit.images, one.right / one.accepted) for one in body.fit.coverage if one.accepted]
    line = Line("", tuple(points), "s1", dots=len(points) < 30)
    x = scale([0.0, *(share for share, _ in points), 1.0], "accepted", tick)
    y = scale([*(precision for _, precision in points), 1.0], "right of the accepted", tick)
    return plot(x, y, lines=[line], height=260)


def _outcomes(body: Trust) -> Table:
    lines = [
        (
            percent(each.target),
            "none shows it" if each.threshold is None else f"{each.threshold:.4f}",
            of(each.accepted, each.images),
            of(each.right, each.accepted),
            between(*each.precision_interval),
        )
        for each in body.outcomes
    ]
    head = ("wanted precision", "threshold", "accepted", "right of these", "95% interval")
    return Table(head, tuple(lines), "What a wanted precision gave on the other images")


def _rejections(body: Trust) -> Markup:
    lines = []
    for each in body.rejections:
        value = f"{of(each.rejected, each.pictures)}, the surest {each.highest:.3f}"
        share = each.rejected / each.pictures
        lines.append(Row(each.kind, value, share, "ours", binomial_interval(each.rejected, each.pictures)))
    return rows(lines, scale([bound for each in lines for bound in (each.span or ())] + [1.0], "rejected", tick))


def _rankings(body: Trust) -> Table:
    lines = [
        (each.measure, f"{each.auroc:.4f}", *(percent(share) for share in each.coverage)) for each in body.rankings
    ]
    head = ("measure", "AUROC", *(f"accepted at {percent(target)}" for target in body.targets))
    return Table(head, tuple(lines), "How well measures tell right from wrong")
