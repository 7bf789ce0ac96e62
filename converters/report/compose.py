"""Composes a report from records: the verdict first, then a part for each machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from edge_crnn.records.bench import Record as BenchRecord
from edge_crnn.records.engines import REFERENCE, Engines
from edge_crnn.records.record import Record
from edge_crnn.records.verification import Verification

from . import accuracy, confidence, device, speed
from .accuracy import Judged, judged, worst
from .blocks import Block, Number, Paragraph, Part, Report, Section, Status, Table
from .boards import Group, grouped
from .words import counted, day, listed, megabytes, percent

_Blocks: TypeAlias = Callable[[Record], list[Block]]
_DeviceBlocks: TypeAlias = Callable[[BenchRecord], list[Block]]


def _nothing(_: object) -> list[Block]:
    return []


_TRADE_OFF = "Accuracy against time"
_THROUGHPUT = "How many images a second"
_SECTIONS: tuple[tuple[str, _Blocks, _DeviceBlocks], ...] = (
    ("Does the text hold?", accuracy.accuracy_blocks, _nothing),
    ("Images that read differently", accuracy.plate_blocks, _nothing),
    (_TRADE_OFF, speed.trade_off_blocks, _nothing),
    ("How long one image takes", speed.latency_blocks, device.latency_blocks),
    (_THROUGHPUT, speed.throughput_blocks, _nothing),
    ("Frames from a camera", _nothing, device.camera_blocks),
    ("Sustained load", _nothing, device.sustained_blocks),
    ("Instructions for one image", speed.instruction_blocks, _nothing),
    ("On a GPU", speed.gpu_blocks, _nothing),
    ("Can confidences be trusted?", confidence.confidence_blocks, _nothing),
    ("Decoding", speed.decoding_blocks, _nothing),
    ("The artifacts and the board", _nothing, device.board_blocks),
    ("A sample of the other images", accuracy.sample_blocks, _nothing),
)
"""Heading, blocks from the records of benchmarks and verifications, and blocks from those of `edge-crnn bench`."""

_NUMBERS = 4


def compose(records: Sequence[Record], notes: Sequence[str] = ()) -> Report:
    """Compose the report of at least one record.

    Args:
        records: the records.
        notes: the user's own paragraphs, which follow the verdict.
    """
    groups = grouped(records)
    conversions = [conversion for record in records for conversion in judged(record)]
    status = worst(conversion.status for conversion in conversions) if conversions else None
    models = _models(records)
    findings = [
        accuracy.finding(conversion, _model(record) if len(models) > 1 else "")
        for record in records
        for conversion in judged(record)
    ]
    findings += filter(None, map(speed.busy, records))
    findings += [criterion for record in records for criterion in speed.missed(record)]
    findings += [noisy for _, record in _benched(records) for noisy in device.findings(record)]
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
    failed = [conversion.name for conversion in conversions if conversion.status == "fail"]
    if status is None:
        return "Measured, without a verdict on the text"
    if failed:
        return f"{listed(failed)} {'does' if len(failed) == 1 else 'do'} not read what the trained model reads"
    if status == "underpowered":
        return "Nothing differs beyond the gate, but there are too few images to rule it out"
    if len(conversions) == 1:
        return f"{conversions[0].name} reads what the trained model reads"
    all_of_them = "Both" if len(conversions) == 2 else f"All {len(conversions)}"
    return f"{all_of_them} conversions read what the trained model reads"


def _about(records: Sequence[Record], groups: Sequence[Group]) -> str:
    images = list(dict.fromkeys(accuracy.images_in_words(record) for record in records if judged(record)))
    dates = sorted({record.header.date[:10] for record in records})
    when = day(dates[0]) if len(dates) == 1 else f"{day(dates[0])} to {day(dates[-1])}"
    models = _models(records)
    subject = [f"trained model {listed(models)}" if models else "", listed(images)]
    if len(groups) == 1:
        return "; ".join(filter(None, (*subject, groups[0].title, when)))
    titles = "; ".join(group.title for group in groups)
    about = "; ".join(filter(None, (*subject, when)))
    return f"{about}. {len(groups)} machines or settings, each in a part of its own: {titles}"


def _models(records: Sequence[Record]) -> list[str]:
    """Return the trained models without repeats; the file's hash tells models of the same name apart."""
    return list(dict.fromkeys(_model(record) for record in records if record.header.source_sha256))


def _model(record: Record) -> str:
    return f"{record.header.model or 'model'} {record.header.source_sha256[:8]}" if record.header.source_sha256 else ""


def _numbers(records: Sequence[Record], conversions: Sequence[Judged]) -> tuple[Number, ...]:
    numbers = []
    if conversions:
        least = min(conversions, key=lambda conversion: conversion.agreement)
        others = [conversion for conversion in conversions if conversion is not least]
        alike = others and all(conversion.agreement == least.agreement for conversion in others)
        if alike:
            name = f"all {len(conversions)} conversions"
        elif others:
            name = f"{least.name}, the least"
        else:
            name = least.name
        numbers.append(Number(percent(least.agreement), "", f"same text, where the trained model is correct: {name}"))
    quotable = [record for record in records if not speed.busy(record)]
    runs = [run for record in quotable if isinstance(record.figures, Engines) for run in record.figures.runs]
    for run in sorted(runs, key=lambda run: run.threads):
        compared = speed.against_keras(run)
        if compared is None:
            continue
        ours, times = compared
        threads = counted(run.threads, "thread")
        numbers.append(Number(f"{ours.ms:.1f}", "ms", f"an image, {threads}: {ours.engine}, our fastest"))
        numbers.append(Number(f"{times:.1f}", "times", f"as fast as {REFERENCE}, {threads}"))
        size, unit = megabytes(ours.file_bytes).split()
        numbers.append(Number(size, unit, f"the file of {ours.engine}"))
        break
    numbers += [number for _, record in _benched(records) for number in device.numbers(record)]
    return tuple(numbers[:_NUMBERS])


def _part(group: Group, records: Sequence[Record], *, several_models: bool) -> Part:
    benched = list(_benched(group.records))
    sections = []
    for title, of_records, of_devices in _SECTIONS:
        blocks: dict[str, list[Block]] = {}
        for record in group.records:
            blocks.setdefault(_model(record) if several_models else "", []).extend(of_records(record))
        for origin, bench in benched:
            blocks.setdefault(origin if len(benched) > 1 else "", []).extend(of_devices(bench))
        if title == _THROUGHPUT:
            blocks.setdefault("", []).extend(device.throughput_blocks(benched))
        if title == _TRADE_OFF:
            blocks.setdefault("", []).extend(_trade_offs(benched, records))
        sections += [
            Section(f"{title} — {subject}" if subject else title, tuple(shown))
            for subject, shown in blocks.items()
            if shown
        ]
    dates = sorted({day(record.header.date) for record in group.records})
    return Part(group.title, listed(dates), tuple(sections))


def _trade_offs(benched: Sequence[tuple[str, BenchRecord]], records: Sequence[Record]) -> Iterator[Block]:
    """Combine the verifications of all machines with the times of one, since texts do not depend on the machine."""
    for record in records:
        if isinstance(record.figures, Verification):
            yield from device.trade_off_blocks(benched, record.figures, _model(record), record.board_name)


def _benched(records: Sequence[Record]) -> Iterator[tuple[str, BenchRecord]]:
    for record in records:
        if isinstance(record.figures, BenchRecord):
            yield record.origin, record.figures


def _provenance(groups: Sequence[Group]) -> Section:
    rows = [
        (
            record.origin,
            " — ".join(filter(None, (record.header.command, _model(record), group.title, day(record.header.date)))),
        )
        for group in groups
        for record in group.records
    ]
    blocks: list[Block] = [
        Paragraph("Every figure above comes from these files; the commands measure it again."),
        Table((), tuple(rows)),
        *(Table((), tuple(group.facts.items()), group.title) for group in groups),
    ]
    return Section("Commands, machine and versions", tuple(blocks))
