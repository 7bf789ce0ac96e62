"""Shows how conversions read compared with the trained model, and the images behind the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_crnn.binomial import binomial_interval
from edge_crnn.model.spec import Parity, ParitySet
from edge_crnn.records.accuracy import Accuracy
from edge_crnn.records.record import Record
from edge_crnn.records.verification import Detail, ReadImage, Verification

from .blocks import Block, Figure, Finding, Paragraph, Plate, Plates, Status, Table, Text
from .charts import Row, Scale, rows, scale
from .markup import Markup
from .words import between, counted, listed, megabytes, of, percent, points, tick

_MOST_SETS = 4
"""Most sets that are shown one by one; if there are more, the sets of a folder are added up, and a table lists all."""
_COUNTS = ("images", "reference_right", "artifact_right", "same_text", "same_where_right")
_CONFUSIONS = 3
"""Most confusions of an artifact that are named."""
_WORST_FIRST: tuple[Status, ...] = ("fail", "unverified", "underpowered", "pass")


@dataclass(frozen=True)
class Judged:
    """A conversion and the verdicts on its texts."""

    name: str
    parities: tuple[Parity, ...]
    file_bytes: int | None = None
    recipe: str = ""
    details: tuple[Detail, ...] = ()
    """One detail for each parity, or none at all."""
    origin: str = ""
    """The model that the conversion was slimmed from, and its size; empty if it was not slimmed."""

    @property
    def status(self) -> Status:
        """The worst of its verdicts."""
        return worst(parity.verdict for parity in self.parities)

    @property
    def sets(self) -> tuple[ParitySet, ...]:
        """The image sets of all verdicts."""
        return tuple(folder for parity in self.parities for folder in parity.sets)

    @property
    def counts(self) -> tuple[int, int]:
        """Number of images that both read correctly and alike, and number that the trained model reads correctly."""
        same = sum(folder.same_where_right for folder in self.sets)
        right = sum(folder.reference_right for folder in self.sets)
        return same, right

    @property
    def agreement(self) -> float:
        """Quotient of the counts; 1 if the trained model reads nothing correctly."""
        same, right = self.counts
        return same / right if right else 1.0


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst of at least one verdict."""
    return min(statuses, key=_WORST_FIRST.index)


def judged(record: Record) -> tuple[Judged, ...]:
    """Return the conversions that a record judges; none if it is about something else."""
    figures = record.figures
    if isinstance(figures, Accuracy):
        return tuple(
            Judged(name, tuple(folders.values()), details=tuple(figures.details.get(name, {}).values()))
            for name, folders in figures.recipes.items()
        )
    if isinstance(figures, Verification):
        return tuple(
            Judged(
                name=artifact.name,
                parities=(artifact.parity,),
                file_bytes=artifact.bytes,
                recipe=artifact.recipe,
                details=() if artifact.detail is None else (artifact.detail,),
                origin="" if artifact.teacher is None else artifact.teacher.headline,
            )
            for artifact in figures.artifacts
        )
    return ()


def images_in_words(record: Record) -> str:
    """Count the images of a record in words, such as "10,000 rendered plates"."""
    conversions = judged(record)
    count = max((sum(folder.images for folder in conversion.sets) for conversion in conversions), default=0)
    labelled = all(folder.labelled for conversion in conversions for folder in conversion.sets)
    unnamed = "labelled images" if labelled else "images"
    return f"{count:,} {record.header.images_are or unnamed}"


def finding(conversion: Judged, model: str) -> Finding:
    """Return a conversion's line in the verdict; `model` is empty if there is only one model."""
    same, right = conversion.counts
    interval = binomial_interval(same, right)
    name = f"{conversion.name} of {model}" if model else conversion.name
    title = f"{name}: the same text on {percent(conversion.agreement)} of what the trained model reads correctly"
    details = [f"{of(same, right)}, 95% interval {between(*interval)}"]
    if len(conversion.parities) == 1:
        (parity,) = conversion.parities
        details.append(_accuracy(parity))
        if parity.verdict == "underpowered":
            details.append(f"these images prove only {percent(parity.agreement_shown)}; use more images")
    if conversion.file_bytes is not None:
        details.append(megabytes(conversion.file_bytes))
    if conversion.origin:
        details.append(conversion.origin)
    return Finding(conversion.status, title, "; ".join(details))


def _accuracy(parity: Parity) -> str:
    if parity.accuracy_change is None or parity.accuracy_change_interval is None:
        return "accuracy was not measured: no image has a label"
    low, high = parity.accuracy_change_interval
    return f"accuracy {points(parity.accuracy_change)} points ({points(low)} to {points(high)})"


def accuracy_blocks(record: Record) -> list[Block]:
    """Return charts and tables of the conversions that a record judges."""
    conversions = judged(record)
    if not conversions:
        return []
    blocks: list[Block] = [Paragraph(_gates(conversions[0].parities[0]))]
    if not record.header.images_are:
        blocks.append(Paragraph("The kind of these images is not stated: the figures hold for them alone."))
    blocks.append(
        Figure(
            "Same text, of the images that the trained model reads correctly",
            _agreement(conversions),
            "Lines are 95% intervals (Clopper and Pearson).",
        )
    )
    parities = [parity for conversion in conversions for parity in conversion.parities]
    if any(parity.accuracy_change is not None for parity in parities):
        note = "Lines are paired 95% intervals."
        blocks.append(Figure("Change of accuracy, in points of 100", _change(conversions), note))
    blocks.append(_table(conversions))
    if len(_set_names(conversions)) > _MOST_SETS:
        blocks.append(_kinds(conversions))
    if all(conversion.details for conversion in conversions):
        blocks.append(_details(conversions))
    if isinstance(record.figures, Accuracy) and record.figures.absent:
        absent = "; ".join(f"{name} ({reason})" for name, reason in record.figures.absent.items())
        blocks.append(Paragraph(f"Absent: {absent}."))
    return blocks


def _gates(parity: Parity) -> str:
    return (
        f"Gate: the same text on at least {tick(parity.gate_agreement)} of what the trained model reads correctly, and"
        f" accuracy within {parity.gate_accuracy:g} points. A text is correct when all of it is; decoding is greedy."
    )


def _grouped(sets: Sequence[ParitySet], names: Sequence[str]) -> list[ParitySet]:
    """Return the sets; if `names` has many names, the sets of a folder are added up."""
    if len(names) <= _MOST_SETS:
        return list(sets)
    folders: dict[str, list[ParitySet]] = {}
    for counts in sets:
        folders.setdefault(counts.name.rpartition("/")[0] or counts.name, []).append(counts)
    return [_together(folder, inside) for folder, inside in folders.items()]


def _together(name: str, sets: Sequence[ParitySet]) -> ParitySet:
    labelled = all(counts.labelled for counts in sets)
    sums = {field: sum(getattr(counts, field) for counts in sets) for field in _COUNTS}
    return ParitySet(name, "", **sums, labelled=labelled)


def _agreement(conversions: Sequence[Judged]) -> Markup:
    gate = conversions[0].parities[0].gate_agreement
    lines: list[Row | str] = []
    lows = [gate]
    names = _set_names(conversions)
    pairs = [(conversion, counts) for conversion in conversions for counts in _grouped(conversion.sets, names)]
    for name in dict.fromkeys(counts.name for _, counts in pairs):
        shown = [pair for pair in pairs if pair[1].name == name and pair[1].reference_right]
        if shown:
            lines.append(f"{name}: {counted(shown[0][1].images, 'image')}")
        for conversion, counts in shown:
            interval = binomial_interval(counts.same_where_right, counts.reference_right)
            lows.append(interval[0])
            share = counts.same_where_right / counts.reference_right
            value = of(counts.same_where_right, counts.reference_right)
            lines.append(Row(conversion.name, value, share, conversion.status, interval))
    return rows(lines, _shares([*lows, 1.0]), [(gate, "gate")])


def _shares(values: Sequence[float]) -> Scale:
    axis = scale(values, "", tick)
    return Scale(axis.low, min(axis.high, 1.0), tuple(share for share in axis.ticks if share <= 1), "", tick)


def _change(conversions: Sequence[Judged]) -> Markup:
    lines: list[Row | str] = []
    gate = conversions[0].parities[0].gate_accuracy
    reach = [-gate, gate]
    for conversion in conversions:
        for parity in conversion.parities:
            if parity.accuracy_change is None or parity.accuracy_change_interval is None:
                continue
            low, high = parity.accuracy_change_interval
            reach += [low, high]
            where = f", {_where(parity, conversions)}" if len(conversion.parities) > 1 else ""
            value = f"{points(parity.accuracy_change)} ({points(low)} to {points(high)})"
            lines.append(Row(f"{conversion.name}{where}", value, parity.accuracy_change, parity.verdict, (low, high)))
    axis = scale(reach, "", lambda value: points(value).rstrip("0").rstrip(".") if value else "0")
    return rows(lines, axis, [(-gate, "gate"), (gate, "gate")])


def _set_names(conversions: Sequence[Judged]) -> list[str]:
    return list(dict.fromkeys(counts.name for conversion in conversions for counts in conversion.sets))


def _where(parity: Parity, conversions: Sequence[Judged]) -> str:
    return listed([counts.name for counts in _grouped(parity.sets, _set_names(conversions))])


def _table(conversions: Sequence[Judged]) -> Table:
    lines = []
    many = len(_set_names(conversions)) > _MOST_SETS
    for conversion in conversions:
        for parity in conversion.parities:
            p = "" if parity.mcnemar_p is None else f"{parity.mcnemar_p:.3g}"
            judgement = p, f"{parity.max_probability_change:.3f}", parity.verdict
            one_by_one = len(parity.sets) > 1 and not many
            if one_by_one:
                lines += [(conversion.name, *_cells(counts), "", "", "") for counts in parity.sets]
            name = "all" if one_by_one else _where(parity, conversions)
            lines.append((conversion.name, *_cells(_together(name, parity.sets)), *judgement))
    head = (
        "conversion", "images of", "images", "trained model correct", "conversion correct", "same text",
        "same where correct", "McNemar's p", "max |Δp|", "verdict",
    )  # fmt: skip
    return Table(head, tuple(lines), statuses=True)


def _cells(counts: ParitySet) -> tuple[str, ...]:
    return (
        counts.name,
        f"{counts.images:,}",
        percent(counts.reference_right / counts.images) if counts.labelled else "",
        percent(counts.artifact_right / counts.images) if counts.labelled else "",
        percent(counts.same_text / counts.images),
        of(counts.same_where_right, counts.reference_right),
    )


def _kinds(conversions: Sequence[Judged]) -> Table:
    """Return the share of every kind of image that is read correctly; a folder's total comes before its sets."""
    names = _set_names(conversions)
    columns = [
        {counts.name: counts for counts in (*conversion.sets, *_grouped(conversion.sets, names))}
        for conversion in conversions
    ]
    lines = []
    for name in sorted({name for column in columns for name in column}):
        first = next(column[name] for column in columns if name in column)
        if first.labelled:
            sets = [column.get(name) for column in columns]
            shares = ("" if counts is None else percent(counts.artifact_right / counts.images) for counts in sets)
            lines.append((name, f"{first.images:,}", percent(first.reference_right / first.images), *shares))
    head = ("images of", "images", "trained model", *(conversion.name for conversion in conversions))
    return Table(head, tuple(lines), "Read correctly, by kind of image")


def _details(conversions: Sequence[Judged]) -> Table:
    """Return a table of symbols, probabilities and confidences."""
    lines = []
    for conversion in conversions:
        for parity, detail in zip(conversion.parities, conversion.details, strict=False):
            symbols = sum(folder.symbols for folder in detail.errors)
            wrong = (sum(getattr(folder, reader) for folder in detail.errors) for reader in ("reference", "artifact"))
            lines.append(
                (
                    conversion.name,
                    _where(parity, conversions) if len(conversion.parities) > 1 else "",
                    *(f"{percent(count / symbols)} ({count:,})" for count in wrong),
                    f"{detail.mean_probability_change:.2g}",
                    points(100 * detail.mean_confidence_change),
                    f"{detail.reference_calibration_error:.4f}",
                    f"{detail.calibration_error:.4f}",
                    _confusions(detail),
                )
            )
    head = (
        "conversion", "images of", "symbols wrong, trained model", "symbols wrong", "mean |Δp|",
        "confidence, points", "calibration error, trained model", "calibration error", "confusions that changed",
    )  # fmt: skip
    return Table(head, tuple(lines), "Symbols, probabilities and confidences")


def _confusions(detail: Detail) -> str:
    texts = [
        f"{change.truth or 'nothing'} as {change.read or 'nothing'}: {change.reference} → {change.artifact}"
        for change in detail.confusions[:_CONFUSIONS]
    ]
    if len(detail.confusions) > _CONFUSIONS:
        texts.append(f"{len(detail.confusions) - _CONFUSIONS} others")
    return "; ".join(texts) or "none"


def plate_blocks(record: Record) -> list[Block]:
    """Return the images of a verification that an artifact reads differently."""
    figures = record.figures
    if not isinstance(figures, Verification):
        return []
    blocks: list[Block] = []
    if figures.changes:
        blocks.append(Plates(tuple(_changed(image) for image in figures.changes)))
    else:
        blocks.append(Paragraph("None: every image reads as it does with the trained model."))
    if figures.changed > len(figures.changes):
        blocks.append(Paragraph(f"These are {len(figures.changes):,} of {figures.changed:,}."))
    return blocks


def sample_blocks(record: Record) -> list[Block]:
    """Return some of the images of a verification that all artifacts read alike."""
    figures = record.figures
    if not isinstance(figures, Verification) or not figures.sample:
        return []
    return [Plates(tuple(map(_same, figures.sample)), sample=True)]


def _changed(image: ReadImage) -> Plate:
    texts = [] if image.truth is None else [("label", image.truth, True)]
    texts.append(("trained model", image.reference.text, image.reference.right))
    texts += [(name, reading.text, reading.right) for name, reading in image.artifacts.items()]
    return _plate(image, texts)


def _same(image: ReadImage) -> Plate:
    texts = [] if image.reference.right or image.truth is None else [("label", image.truth, True)]
    return _plate(image, [*texts, ("reads", image.reference.text, image.reference.right)])


def _plate(image: ReadImage, texts: Sequence[tuple[str, str, bool]]) -> Plate:
    """Return an image with a line for each text, which names the models that read it."""
    readers: dict[tuple[str, bool], list[str]] = {}
    for reader, text, right in texts:
        readers.setdefault((text, right), []).append(reader)
    lines = tuple(Text(", ".join(names), text, right) for (text, right), names in readers.items())
    return Plate(image.image, image.picture, lines)
