"""Records → a report: the verdict first, then for each machine what was found on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edge_crnn.records.bench import Record as BenchRecord

from . import accuracy, confidence, device, speed
from .accuracy import Judged, judged, worst
from .blocks import Block, Number, Paragraph, Part, Report, Section, Status, Table
from .boards import Group, grouped
from .records import Record
from .suites import Engines, Verification
from .words import counted, day, listed, megabytes, percent

_OF_RECORDS: tuple[tuple[str, Callable[[Record], list[Block]]], ...] = (
    ("Does the text hold?", accuracy.accuracy_blocks),
    ("Images that read differently", accuracy.plate_blocks),
    ("Accuracy against time", speed.trade_off_blocks),
    ("How long one image takes", speed.latency_blocks),
    ("How many images a second", speed.throughput_blocks),
    ("Instructions of one image", speed.instruction_blocks),
    ("On a GPU", speed.gpu_blocks),
    ("Can confidences be trusted?", confidence.confidence_blocks),
    ("Decoding", speed.decoding_blocks),
    ("A sample of the other images", accuracy.sample_blocks),
)
"""Heading → what a record of a workstation has to say under it."""

_OF_DEVICES: tuple[tuple[str, Callable[[BenchRecord], list[Block]]], ...] = (
    ("How long one image takes", device.latency_blocks),
    ("As a camera gives them", device.camera_blocks),
    ("As minutes pass", device.sustained_blocks),
    ("The artifacts and the board", device.board_blocks),
)
"""Heading → what a record of `edge-crnn bench` has to say under it."""

_ORDER = (
    "Does the text hold?",
    "Images that read differently",
    "Accuracy against time",
    "How long one image takes",
    "How many images a second",
    "As a camera gives them",
    "As minutes pass",
    "Instructions of one image",
    "On a GPU",
    "Can confidences be trusted?",
    "Decoding",
    "The artifacts and the board",
    "A sample of the other images",
)


_NUMBERS = 4


def compose(records: Sequence[Record], notes: Sequence[str] = ()) -> Report:
    """The report of at least one record; notes are of whoever asks for it."""
    groups = grouped(records)
    conversions = [each for record in records for each in judged(record)]
    status = worst(each.status for each in conversions) if conversions else None
    models = _models(records)
    findings = [
        accuracy.finding(each, _model(record) if len(models) > 1 else "")
        for record in records
        for each in judged(record)
    ]
    findings += [found for record in records if (found := speed.busy(record))]
    findings += [found for record in records for found in speed.missed(record)]
    findings += [found for _, record in _benched(records) for found in device.findings(record)]
    return Report(
        status=status,
        headline=_headline(status, conversions),
        about=_about(records, groups),
        numbers=_numbers(records, conversions) if len(groups) == 1 and len(models) <= 1 else (),
        findings=tuple(findings),
        notes=tuple(notes),
        parts=tuple(_part(group, records, several_models=len(models) > 1) for group in groups),
        sections=(_provenance(groups),),
    )


def _headline(status: Status | None, conversions: Sequence[Judged]) -> str:
    failed = [each.name for each in conversions if each.status == "fail"]
    if status is None:
        return "Measured, without a verdict on the text"
    if failed:
        return f"{listed(failed)} {'does' if len(failed) == 1 else 'do'} not read what the trained model reads"
    if status == "underpowered":
        return "Nothing differs beyond the gate, but there are too few images to rule it out"
    many = len(conversions)
    who = conversions[0].name if many == 1 else "Both conversions" if many == 2 else f"All {many} conversions"
    return f"{who} {'reads' if many == 1 else 'read'} what the trained model reads"


def _about(records: Sequence[Record], groups: Sequence[Group]) -> str:
    pictured = list(dict.fromkeys(accuracy.pictured(each) for each in records if judged(each)))
    dates = sorted({each.date[:10] for each in records})
    when = day(dates[0]) if len(dates) == 1 else f"{day(dates[0])} to {day(dates[-1])}"
    models = _models(records)
    told = [f"trained model {listed(models)}" if models else "", listed(pictured)]
    if len(groups) == 1:
        return "; ".join(filter(None, (*told, groups[0].title, when)))
    apart = f"{len(groups)} machines or settings, each in a part of its own: {'; '.join(each.title for each in groups)}"
    return ". ".join(filter(None, ("; ".join(filter(None, (*told, when))), apart)))


def _models(records: Sequence[Record]) -> list[str]:
    """Each once; the file's hash tells models of one name apart."""
    return list(dict.fromkeys(_model(each) for each in records if each.source_sha256))


def _model(record: Record) -> str:
    return f"{record.model or 'model'} {record.source_sha256[:8]}" if record.source_sha256 else ""


def _numbers(records: Sequence[Record], conversions: Sequence[Judged]) -> tuple[Number, ...]:
    numbers = []
    if conversions:
        least = min(conversions, key=lambda each: each.agreement)
        others = [each for each in conversions if each is not least]
        alike = others and all(each.agreement == least.agreement for each in others)
        who = f"all {len(conversions)} conversions" if alike else least.name + ", the least" * bool(others)
        numbers.append(Number(percent(least.agreement), "", f"same text, where the trained model is right: {who}"))
    quotable = [record for record in records if not speed.busy(record)]
    runs = [run for record in quotable if isinstance(record.body, Engines) for run in record.body.runs]
    found = next(filter(None, (speed.against_keras(run) for run in sorted(runs, key=lambda run: run.threads))), None)
    if found is not None:
        ours, times = found
        run = next(run for run in runs if ours in run.timings)
        threads = counted(run.threads, "thread")
        numbers.append(Number(f"{ours.ms:.1f}", "ms", f"an image, {threads}: {ours.engine}, our fastest"))
        numbers.append(Number(f"{times:.1f}", "times", f"as fast as {speed.REFERENCE}, {threads}"))
        size, unit = megabytes(ours.file_bytes).split()
        numbers.append(Number(size, unit, f"the file of {ours.engine}"))
    numbers += [each for _, record in _benched(records) for each in device.numbers(record)]
    return tuple(numbers[:_NUMBERS])


def _part(group: Group, records: Sequence[Record], *, several_models: bool) -> Part:
    found: dict[str, dict[str, list[Block]]] = {title: {} for title in _ORDER}
    for record in group.records:
        model = _model(record) if several_models else ""
        for title, blocks_of in _OF_RECORDS:
            found[title].setdefault(model, []).extend(blocks_of(record))
    benched = list(_benched(group.records))
    for origin, bench in benched:
        of = origin if len(benched) > 1 else ""
        for title, blocks_from in _OF_DEVICES:
            found[title].setdefault(of, []).extend(blocks_from(bench))
    found["How many images a second"].setdefault("", []).extend(device.throughput_blocks(benched))
    for record in records:  # texts do not depend on the machine, times do
        if isinstance(record.body, Verification):
            blocks = device.trade_off_blocks(benched, record.body, _model(record), record.board)
            found["Accuracy against time"].setdefault("", []).extend(blocks)
    sections = [
        Section(f"{title} — {of}" if of else title, tuple(blocks))
        for title, parts in found.items()
        for of, blocks in parts.items()
        if blocks
    ]
    dates = sorted({day(each.date) for each in group.records})
    return Part(group.title, listed(dates), tuple(sections))


def _benched(records: Sequence[Record]) -> Iterator[tuple[str, BenchRecord]]:
    return ((each.origin, each.body) for each in records if isinstance(each.body, BenchRecord))


def _provenance(groups: Sequence[Group]) -> Section:
    rows = [
        (record.origin, " — ".join(filter(None, (record.command, _model(record), group.title, day(record.date)))))
        for group in groups
        for record in group.records
    ]
    blocks: list[Block] = [
        Paragraph("Every figure above comes from these files; the commands measure it again."),
        Table((), tuple(rows)),
        *(Table((), tuple(group.facts.items()), group.title) for group in groups),
    ]
    return Section("Commands, machine and versions", tuple(blocks))
