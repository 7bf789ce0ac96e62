"""Does the text hold? Conversions against the trained model, and the images behind the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_crnn.binomial import binomial_interval
from edge_crnn.model.spec import Parity, ParitySet

from ..verify.detail import Detail
from .blocks import Block, Figure, Finding, Paragraph, Plate, Plates, Status, Table, Text
from .charts import Row, Scale, rows, scale
from .markup import Markup
from .records import Record
from .suites import Accuracy, Picture, Verification
from .words import between, counted, listed, megabytes, of, percent, points, tick

_MOST_SETS = 4
"""Sets that are shown one by one; of more, those in one folder are counted together, and a table has each."""
_COUNTS = ("images", "reference_right", "artifact_right", "same_text", "same_where_right")
_CONFUSIONS = 3
_WORST: tuple[Status, ...] = ("fail", "unverified", "underpowered", "pass")


@dataclass(frozen=True)
class Judged:
    """A conversion and all that was found out about its texts."""

    name: str
    parities: tuple[Parity, ...]
    file_bytes: int | None = None
    recipe: str = ""
    details: tuple[Detail, ...] = ()
    """Of each parity, or none."""

    @property
    def status(self) -> Status:
        """The worst of its verdicts."""
        return worst(each.verdict for each in self.parities)

    @property
    def sets(self) -> tuple[ParitySet, ...]:
        """Every folder that it was held to."""
        return tuple(each for parity in self.parities for each in parity.sets)

    @property
    def counts(self) -> tuple[int, int]:
        """Images on which it reads the same, of those that the trained model reads right."""
        return sum(each.same_where_right for each in self.sets), sum(each.reference_right for each in self.sets)

    @property
    def agreement(self) -> float:
        """Share of them; 1 where the trained model reads nothing right."""
        same, right = self.counts
        return same / right if right else 1.0


def worst(statuses: Iterable[Status]) -> Status:
    """Of verdicts; there is at least one."""
    return min(statuses, key=_WORST.index)


def judged(record: Record) -> tuple[Judged, ...]:
    """The conversions of a record that is about them."""
    body = record.body
    if isinstance(body, Accuracy):
        return tuple(
            Judged(name, tuple(folders.values()), details=tuple(body.details.get(name, {}).values()))
            for name, folders in body.recipes.items()
        )
    if isinstance(body, Verification):
        return tuple(
            Judged(each.name, (each.parity,), each.bytes, each.recipe, (each.detail,) if each.detail else ())
            for each in body.artifacts
        )
    return ()


def pictured(record: Record) -> str:
    """What was read, for a sentence: 10,000 rendered plates."""
    found = judged(record)
    count = max((sum(each.images for each in one.sets) for one in found), default=0)
    labelled = all(each.labelled for one in found for each in one.sets)
    return f"{count:,} {record.images or ('labelled images' if labelled else 'images')}"


def finding(each: Judged, model: str) -> Finding:
    """Its line in the verdict; `model` is told where there are several."""
    same, right = each.counts
    low, high = binomial_interval(same, right)
    name = f"{each.name} of {model}" if model else each.name
    title = f"{name}: the same text on {percent(each.agreement)} of what the trained model reads right"
    details = [f"{of(same, right)}, 95% interval {between(low, high)}"]
    if len(each.parities) == 1:
        (parity,) = each.parities
        details.append(_accuracy(parity))
        if parity.verdict == "underpowered":
            details.append(f"these images show {percent(parity.agreement_shown)}: more would show more")
    if each.file_bytes is not None:
        details.append(megabytes(each.file_bytes))
    return Finding(each.status, title, "; ".join(details))


def _accuracy(parity: Parity) -> str:
    if parity.accuracy_change is None or parity.accuracy_change_interval is None:
        return "accuracy was not measured: no image has a label"
    low, high = parity.accuracy_change_interval
    return f"accuracy {points(parity.accuracy_change)} points ({points(low)} to {points(high)})"


def accuracy_blocks(record: Record) -> list[Block]:
    """Of a record of conversions."""
    found = judged(record)
    if not found:
        return []
    blocks: list[Block] = [Paragraph(_gates(found[0].parities[0]))]
    if not record.images:
        blocks.append(Paragraph("Nobody said what these images are: the figures hold for them alone."))
    blocks.append(
        Figure(
            "Same text, of the images that the trained model reads right",
            _agreement(found),
            "Lines are 95% intervals (Clopper and Pearson).",
        )
    )
    if any(parity.accuracy_change is not None for each in found for parity in each.parities):
        blocks.append(Figure("Change of accuracy, in points of 100", _change(found), "Lines are paired 95% intervals."))
    blocks.append(_table(found))
    if len(_set_names(found)) > _MOST_SETS:
        blocks.append(_kinds(found))
    if all(each.details for each in found):
        blocks.append(_details(found))
    if isinstance(record.body, Accuracy) and record.body.absent:
        absent = "; ".join(f"{name} ({reason})" for name, reason in record.body.absent.items())
        blocks.append(Paragraph(f"Absent: {absent}."))
    return blocks


def _gates(parity: Parity) -> str:
    return (
        f"Gate: the same text on at least {tick(parity.gate_agreement)} of what the trained model reads right, and"
        f" accuracy within {parity.gate_accuracy:g} points. A text is right when all of it is; decoding is greedy."
    )


def _grouped(sets: Sequence[ParitySet], names: Sequence[str]) -> list[ParitySet]:
    """The sets; where there are many of them, as `names` tells, those in one folder as one."""
    if len(names) <= _MOST_SETS:
        return list(sets)
    folders: dict[str, list[ParitySet]] = {}
    for each in sets:
        folders.setdefault(each.name.rpartition("/")[0] or each.name, []).append(each)
    return [_together(folder, inside) for folder, inside in folders.items()]


def _together(name: str, sets: Sequence[ParitySet]) -> ParitySet:
    labelled = all(each.labelled for each in sets)
    counts = {count: sum(getattr(each, count) for each in sets) for count in _COUNTS}
    return ParitySet(name, "", **counts, labelled=labelled)


def _agreement(found: Sequence[Judged]) -> Markup:
    lines: list[Row | str] = []
    lows = [found[0].parities[0].gate_agreement]
    names = _set_names(found)
    grouped = [(each, one) for each in found for one in _grouped(each.sets, names)]
    for name in dict.fromkeys(one.name for _, one in grouped):
        groups = [(each, one) for each, one in grouped if one.name == name and one.reference_right]
        if groups:
            lines.append(f"{name}: {counted(groups[0][1].images, 'image')}")
        for each, one in groups:
            interval = binomial_interval(one.same_where_right, one.reference_right)
            lows.append(interval[0])
            share = one.same_where_right / one.reference_right
            value = of(one.same_where_right, one.reference_right)
            lines.append(Row(each.name, value, share, each.status, interval))
    axis = _shares([*lows, 1.0])
    return rows(lines, axis, [(found[0].parities[0].gate_agreement, "gate")])


def _shares(values: Sequence[float]) -> Scale:
    axis = scale(values, "", tick)
    return Scale(axis.low, min(axis.high, 1.0), tuple(each for each in axis.ticks if each <= 1), "", tick)


def _change(found: Sequence[Judged]) -> Markup:
    lines: list[Row | str] = []
    gate = found[0].parities[0].gate_accuracy
    reach = [-gate, gate]
    for each in found:
        for parity in each.parities:
            if parity.accuracy_change is None or parity.accuracy_change_interval is None:
                continue
            low, high = parity.accuracy_change_interval
            reach += [low, high]
            where = f", {_where(parity, found)}" if len(each.parities) > 1 else ""
            value = f"{points(parity.accuracy_change)} ({points(low)} to {points(high)})"
            lines.append(Row(f"{each.name}{where}", value, parity.accuracy_change, parity.verdict, (low, high)))
    axis = scale(reach, "", lambda value: points(value).rstrip("0").rstrip(".") if value else "0")
    return rows(lines, axis, [(-gate, "gate"), (gate, "gate")])


def _set_names(found: Sequence[Judged]) -> list[str]:
    return list(dict.fromkeys(one.name for each in found for one in each.sets))


def _where(parity: Parity, found: Sequence[Judged]) -> str:
    return listed([each.name for each in _grouped(parity.sets, _set_names(found))])


def _table(found: Sequence[Judged]) -> Table:
    lines = []
    many = len(_set_names(found)) > _MOST_SETS
    for each in found:
        for parity in each.parities:
            p = "" if parity.mcnemar_p is None else f"{parity.mcnemar_p:.3g}"
            judged = p, f"{parity.max_probability_change:.3f}", parity.verdict
            apart = len(parity.sets) > 1 and not many
            if apart:
                lines += [(each.name, *_counts(one), "", "", "") for one in parity.sets]
            name = "all" if apart else _where(parity, found)
            lines.append((each.name, *_counts(_together(name, parity.sets)), *judged))
    head = (
        "conversion", "images of", "images", "trained model right", "conversion right", "same text",
        "same where right", "McNemar's p", "max |Δp|", "verdict",
    )  # fmt: skip
    return Table(head, tuple(lines), statuses=True)


def _counts(one: ParitySet) -> tuple[str, ...]:
    return (
        one.name,
        f"{one.images:,}",
        percent(one.reference_right / one.images) if one.labelled else "",
        percent(one.artifact_right / one.images) if one.labelled else "",
        percent(one.same_text / one.images),
        of(one.same_where_right, one.reference_right),
    )


def _kinds(found: Sequence[Judged]) -> Table:
    """Who reads how much of which kind of image; those of a folder together come first."""
    names = _set_names(found)
    shown = [[*_grouped(each.sets, names), *each.sets] for each in found]
    lines = []
    for name in sorted(dict.fromkeys(one.name for sets in shown for one in sets)):
        sets = [next((one for one in each if one.name == name), None) for each in shown]
        known = next(one for one in sets if one is not None)
        if known.labelled:
            shares = ("" if one is None else percent(one.artifact_right / one.images) for one in sets)
            lines.append((name, f"{known.images:,}", percent(known.reference_right / known.images), *shares))
    head = ("images of", "images", "trained model", *(each.name for each in found))
    return Table(head, tuple(lines), "Read right, by kind of image")


def _details(found: Sequence[Judged]) -> Table:
    """Symbols, probabilities and confidences."""
    lines = []
    for each in found:
        for parity, detail in zip(each.parities, each.details, strict=False):
            symbols = sum(one.symbols for one in detail.errors)
            wrong = (sum(getattr(one, who) for one in detail.errors) for who in ("reference", "artifact"))
            told = [
                f"{one.truth or 'nothing'} as {one.read or 'nothing'}: {one.reference} → {one.artifact}"
                for one in detail.confusions[:_CONFUSIONS]
            ]
            more = [f"{len(detail.confusions) - _CONFUSIONS} others"] if len(detail.confusions) > _CONFUSIONS else []
            lines.append(
                (
                    each.name,
                    _where(parity, found) if len(each.parities) > 1 else "",
                    *(f"{percent(one / symbols)} ({one:,})" for one in wrong),
                    f"{detail.mean_probability_change:.2g}",
                    points(100 * detail.mean_confidence_change),
                    f"{detail.reference_calibration_error:.4f}",
                    f"{detail.calibration_error:.4f}",
                    "; ".join(told + more) or "none",
                )
            )
    head = (
        "conversion", "images of", "symbols wrong, trained model", "symbols wrong", "mean |Δp|",
        "confidence, points", "calibration error, trained model", "calibration error", "confusions that changed",
    )  # fmt: skip
    return Table(head, tuple(lines), "Symbols, probabilities and confidences")


def plate_blocks(record: Record) -> list[Block]:
    """The images of a verification: those that read otherwise, then some of the others."""
    body = record.body
    if not isinstance(body, Verification):
        return []
    blocks: list[Block] = []
    if body.changes:
        blocks.append(Plates(tuple(_changed(each) for each in body.changes)))
    else:
        blocks.append(Paragraph("None: every image reads as with the trained model."))
    if body.changed > len(body.changes):
        blocks.append(Paragraph(f"These are {len(body.changes):,} of {body.changed:,}."))
    return blocks


def sample_blocks(record: Record) -> list[Block]:
    """Some of the images on which all agree."""
    body = record.body
    if not isinstance(body, Verification) or not body.sample:
        return []
    return [Plates(tuple(map(_same, body.sample)), sample=True)]


def _changed(each: Picture) -> Plate:
    texts = [] if each.truth is None else [("label", each.truth, True)]
    texts = [*texts, ("trained model", each.reference.text, each.reference.right)]
    return _plate(each, [*texts, *((name, found.text, found.right) for name, found in each.artifacts.items())])


def _same(each: Picture) -> Plate:
    texts = [] if each.reference.right or each.truth is None else [("label", each.truth, True)]
    return _plate(each, [*texts, ("reads", each.reference.text, each.reference.right)])


def _plate(each: Picture, texts: Sequence[tuple[str, str, bool]]) -> Plate:
    """Who reads alike shares a line."""
    readers: dict[tuple[str, bool], list[str]] = {}
    for reader, text, right in texts:
        readers.setdefault((text, right), []).append(reader)
    return Plate(
        each.image,
        each.picture,
        tuple(Text(", ".join(names), text, right) for (text, right), names in readers.items()),
    )
