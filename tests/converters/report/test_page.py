from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace

import pytest

from converters.report.markdown import markdown
from converters.report.page import page
from tests.converters.report.made import (
    SHA,
    SUITES,
    Browser,
    Json,
    accuracy,
    bench,
    changed,
    engines,
    gpu,
    instructions,
    leaves,
    parity,
    reported,
    verification,
)
from tests.edge_crnn.bench.made import PI, opened, record, result, throttling

HOSTILE = '</style><script>alert("1")</script>&amp;\'"--><svg onload=x>|`*_[a](javascript:b)'


def everything() -> list[Json]:
    return [suite() for suite in SUITES.values()]


def test_a_page_is_well_formed_and_loads_nothing() -> None:
    html = page(reported(*everything()))
    shown = Browser(html)
    assert html.startswith("<!doctype html>\n")
    assert {tag for tag, _ in shown.elements}.isdisjoint({"script", "link", "iframe", "object", "embed", "base", "a"})
    loading = {"src", "href", "srcset", "data", "xlink:href", "style", "action", "poster"}
    for _, attributes in shown.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert all((attributes[name] or "").startswith("data:image/") for name in loading & attributes.keys())
    assert "http" not in html
    assert "url(" not in html
    assert "@import" not in html


def test_the_verdict_comes_first() -> None:
    shown = Browser(page(reported(*everything())))
    title, status, headline = shown.texts[:3]
    assert status == "underpowered"
    assert title == headline
    assert headline == "Nothing differs beyond the gate, but there are too few images to rule it out"


@pytest.mark.parametrize(
    ("verdicts", "headline"),
    [
        (("pass", "pass"), "Both conversions read what the trained model reads"),
        (("pass", "fail"), "b.tflite does not read what the trained model reads"),
        (("fail", "fail"), "a.tflite and b.tflite do not read what the trained model reads"),
        (("underpowered", "pass"), "Nothing differs beyond the gate, but there are too few images to rule it out"),
    ],
)
def test_the_headline_is_the_worst_verdict(verdicts: tuple[str, str], headline: str) -> None:
    document = verification()
    for artifact, verdict in zip(document["artifacts"], verdicts, strict=True):
        artifact["parity"]["verdict"] = verdict
    assert Browser(page(reported(document))).texts[0] == headline


def test_without_texts_there_is_no_verdict() -> None:
    report = reported(bench())
    assert report.status is None
    assert report.headline == "Measured, without a verdict on the text"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("artifact_right", 985),
        ("same_where_right", 960),
        ("reference_right", 975),
        ("same_text", 900),
        ("images", 1001),
    ],
)
def test_counts_of_a_set_are_shown(field: str, value: int) -> None:
    document = accuracy()
    report = page(reported(document))
    assert page(reported(changed(document, ("recipes", "int8", "drawn/heavy", "sets", 0, field), value))) != report


@pytest.mark.parametrize("field", ["median_ms", "minimum_ms"])
def test_rounds_of_an_engine_are_shown(field: str) -> None:
    document = engines()
    assert page(reported(changed(document, ("runs", 0, "timings", 1, "rounds", 0, field), 5.0))) != page(
        reported(document)
    )


def test_times_of_a_device_are_those_of_its_rounds() -> None:
    document = bench()
    text = Browser(page(reported(document))).text
    assert "11.0 ms" in text  # 10 of inference, 1 beside it
    for played in document["results"][0]["rounds"]:
        played["round"]["stages"]["infer"] = [2 * ns for ns in played["round"]["stages"]["infer"]]
    assert "21.0 ms" in Browser(page(reported(document))).text


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_hostile_words_are_only_words(suite: Callable[[], Json]) -> None:
    document = suite()
    meant = {"suite", "verdict", "wants", "picture", "kind", "late", "method", "board", "date", "taken_at"}
    for path, value in leaves(document):
        if isinstance(value, str) and not meant & {str(path[0]), str(path[-1])}:
            document = changed(document, path, HOSTILE)
    html = page(reported(document))
    shown = Browser(html)
    assert "<script" not in html
    assert html.count("</style>") == 1
    assert {tag for tag, _ in shown.elements}.isdisjoint({"script"})
    assert HOSTILE in "".join(shown.texts)
    text = markdown(reported(document))
    assert "<script" not in text.replace(r"\<", "")
    assert not re.search(r"(?<!\\)\[a(?<!\\)\]\(", text)


def test_the_name_of_a_board_is_only_words() -> None:
    board = replace(PI, model=HOSTILE)
    hostile = json.loads(record(result([9.0], board=board), board=board).to_json())
    html = page(reported(hostile))
    assert HOSTILE in Browser(html).texts[2]
    assert "<script" not in html


def test_a_name_as_key_is_only_words_too() -> None:
    document = accuracy()
    document["recipes"] = {HOSTILE: {HOSTILE: parity(name=HOSTILE)}}
    document["machine"]["versions"] = {HOSTILE: HOSTILE}
    html = page(reported(document))
    Browser(html)
    assert "<script" not in html


def test_images_are_named_beside_the_accuracy() -> None:
    assert "2,000 rendered plates" in Browser(page(reported(accuracy()))).text
    text = Browser(page(reported(verification()))).text
    assert "1,000 plates at a gate by night" in text
    assert "rendered" not in text
    document = verification()
    document["images_are"] = ""
    assert "The kind of these images is not stated" in Browser(page(reported(document))).text


def test_images_that_differ_show_the_truth_and_both_texts() -> None:
    shown = Browser(page(reported(verification())))
    plates = [figure.split("\n") for figure in shown.figures if ".jpg" in figure]
    assert plates[0][:5] == ["label, trained model", "서울 12 나 3456", "b.tflite", "서울 12 너 3456", "1.jpg"]
    assert plates[1][:3] == ["reads", "서울 12 나 3456", "2.jpg"]
    assert "These are 1 of 3." in shown.text
    wrong = [attributes for tag, attributes in shown.elements if tag == "dd" and attributes.get("class") == "wrong"]
    assert len(wrong) == 1


# --- machines --------------------------------------------------------------------------------------------------------


def other_machine(document: Json, **facts: Json) -> Json:
    return {**document, "machine": {**document["machine"], **facts}}


def test_figures_of_two_machines_are_in_two_parts() -> None:
    slow = other_machine(engines(), cpu="a slower CPU")
    for timing in slow["runs"][0]["timings"]:
        timing["ms"] *= 3
        for played in timing["rounds"]:
            played["median_ms"] *= 3
    report = reported(engines(), slow)
    assert [part.title for part in report.parts] == ["some CPU, 2 cores", "a slower CPU, 2 cores"]
    assert not report.numbers
    assert "2 machines or settings, each in a part of its own" in report.about
    shown = Browser(page(report))
    first, second = shown.parts[0], shown.parts[1]
    assert "9.50 ms" in first
    assert "28.5 ms" in second
    assert "28.5 ms" not in first
    assert "9.50 ms" not in second


@pytest.mark.parametrize(
    ("fact", "value", "title"),
    [
        ("cores", 4, "some CPU, 4 cores"),
        ("system", "Linux-6.2-x86_64-with-glibc2.36", "kernel 6.2"),
        ("versions", {"numpy": "1.26.4"}, "some CPU, 2 cores (numpy 1.26.4)"),
        ("python", "3.12.1", "some CPU, 2 cores (Python 3.12.1)"),
    ],
)
def test_one_fact_that_differs_is_another_machine(fact: str, value: Json, title: str) -> None:
    report = reported(engines(), other_machine(accuracy(), **{fact: value}))
    assert len(report.parts) == 2
    assert title in report.parts[1].title


def test_fact_stated_by_only_one_record_separates_nothing() -> None:
    more = other_machine(accuracy(), versions={"numpy": "2.4.6", "keras": "3.15.1"})
    (part,) = reported(engines(), more).parts
    assert part.title == "some CPU, 2 cores"
    text = page(reported(engines(), more))
    assert "3.15.1" in text


def test_devices_of_one_kind_in_other_settings_are_distinguished() -> None:
    text = json.dumps(bench()).replace('"performance"', '"ondemand"')
    titles = [part.title for part in reported(bench(), json.loads(text)).parts]
    name = "Raspberry Pi 5 Model B Rev 1.0"
    assert titles == [f"{name} (governor performance)", f"{name} (governor ondemand)"]


def test_a_machine_with_a_gpu_is_another_than_without() -> None:
    titles = [part.title for part in reported(engines(), gpu()).parts]
    assert titles == ["some CPU, 2 cores", "some CPU, 2 cores, some GPU"]


def test_two_models_are_distinguished() -> None:
    other = {**accuracy(), "model": "digits", "source_sha256": "8" * 64}
    report = reported(accuracy(), other)
    assert report.findings[-1].title.startswith("int8 of digits 88888888: the same text on 99.69%")
    (part,) = report.parts
    titles = [section.title for section in part.sections]
    assert titles == ["Does the text hold? — plates 77777777", "Does the text hold? — digits 88888888"]


def test_accuracy_as_verified_meets_times_of_a_device_by_the_hash_of_the_artifact() -> None:
    pi = next(part for part in reported(verification(), bench()).parts if part.title.startswith("Raspberry"))
    section = next(section for section in pi.sections if section.title == "Accuracy against time")
    assert "Texts as verified on some CPU, 2 cores." in section.blocks[0].note  # type: ignore[union-attr]
    other = verification()
    for artifact in other["artifacts"]:
        artifact["payload_sha256"] = SHA
    pi = next(part for part in reported(other, bench()).parts if part.title.startswith("Raspberry"))
    assert "Accuracy against time" not in [section.title for section in pi.sections]


# --- what may not be quoted ------------------------------------------------------------------------------------------


def test_times_from_a_busy_machine_are_marked_and_not_in_the_headline() -> None:
    report = reported(engines())
    assert [number.value for number in report.numbers] == ["9.5", "4.6", "7.6"]
    busy = changed(engines(), ("runs", 0, "other_cores"), 0.5)
    report = reported(busy)
    assert not report.numbers
    (finding,) = report.findings
    assert finding.status == "noisy"
    assert "0.5 cores" in finding.detail


def test_a_throttled_device_is_marked() -> None:
    assert not reported(bench()).findings
    flags = json.dumps(asdict(throttling(now=["too hot"])))
    flagged = json.loads(json.dumps(bench()).replace('"throttling": null', f'"throttling": {flags}'))
    report = reported(flagged)
    assert not report.numbers
    assert any("throttled: too hot" in finding.detail for finding in report.findings)


def test_artifacts_with_the_same_warning_share_a_line() -> None:
    busy = [replace(result([9.8, 10.0, 10.2], place), other_cores=1.5) for place in (0, 2)]
    artifacts = [opened(path="a.tflite"), opened(path="a.tflite", control=True), opened(path="b.tflite")]
    (finding,) = reported(json.loads(record(*busy, artifacts=artifacts).to_json())).findings
    assert finding.title == "a.tflite and b.tflite: do not quote their times"
    assert finding.detail.startswith("single: busy: other programs kept 1.5 cores busy")


def test_instructions_are_not_presented_as_times() -> None:
    text = markdown(reported(instructions()))
    assert "Counted under emulation, not on a board. Instructions are not times" in text
    assert "| ours int8 | Cortex-A76 (Pi 5) | 150.1 | 107.7 | 4.1 | 27.3 | 11.0 |" in text
    assert "| ours int8 | another | 150.1 |" in text


def test_missed_gpu_target_is_a_finding() -> None:
    assert not reported(gpu()).findings
    document = gpu()
    document["criteria"][0].update(met=False, figure=480.0)
    (finding,) = reported(document).findings
    assert (finding.status, finding.title) == ("fail", "texts: missed on the GPU")
    assert finding.detail == "480, at least 499 of 500 same"


def test_a_control_that_differs_is_noise() -> None:
    document = bench()
    for played in document["results"][1]["rounds"]:
        played["round"]["stages"]["infer"] = [2 * ns for ns in played["round"]["stages"]["infer"]]
    (finding,) = reported(document).findings
    assert "the same artifact measured twice differs" in finding.detail


# --- Markdown --------------------------------------------------------------------------------------------------------


def test_markdown_has_the_verdict_and_the_tables() -> None:
    lines = markdown(reported(*everything())).splitlines()
    assert lines[0].startswith("# ⚠️ ")
    tables = [line for line in lines if line.startswith("|")]
    assert any("969 of 970" in line and "✅ pass" in line for line in tables)
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
    for above, below in itertools.pairwise(widths):
        assert not above or not below or above == below
    assert not any("data:image" in line or "<svg" in line for line in lines)
    assert "- 1.jpg: label, trained model **서울 12 나 3456**, b.tflite **서울 12 너 3456**" in lines


def with_kinds() -> Json:
    """A verification whose images are of three kinds at two presets."""
    document = verification()
    for artifact in document["artifacts"]:
        (image_set,) = artifact["parity"]["sets"]
        artifact["parity"]["sets"] = [
            {**image_set, "name": f"{preset}/{kind}"}
            for preset in ("mild", "heavy")
            for kind in ("long", "short", "green")
        ]
        artifact["detail"]["errors"] *= 6
    return document


def test_many_sets_are_added_up_by_folder_and_listed_in_a_table() -> None:
    shown = Browser(page(reported(with_kinds())))
    assert {"mild: 3,000 images", "heavy: 3,000 images", "2,967 of 2,970", "Read correctly, by kind of image"} <= set(
        shown.texts
    )
    table = markdown(reported(with_kinds())).partition("Read correctly, by kind of image")[2]
    assert "| mild/green | 1,000 | 99.00% | 99.10% | 99.10% |" in table
    assert "| mild | 3,000 | 99.00% | 99.10% | 99.10% |" in table
    assert table.count("mild/") == table.count("heavy/") == 3


def test_the_total_of_all_sets_has_its_own_row() -> None:
    def rows(document: Json) -> list[str]:
        lines = markdown(reported(document)).partition("Read correctly, by kind")[0].splitlines()
        return [line for line in lines if line.startswith("| a.tflite | ")]

    many = with_kinds()
    few = verification()
    (image_set,) = few["artifacts"][0]["parity"]["sets"]
    few["artifacts"][0]["parity"]["sets"] = [image_set, {**image_set, "name": "gate/day"}]
    shares = "99.00% | 99.10% | 98.70%"
    judged = "0.625 | 0.125 | ✅ pass |"
    assert rows(many) == [f"| a.tflite | mild and heavy | 6,000 | {shares} | 5,934 of 5,940 | {judged}"]
    assert rows(few)[:3] == [
        f"| a.tflite | gate/night | 1,000 | {shares} | 989 of 990 |  |  |  |",
        f"| a.tflite | gate/day | 1,000 | {shares} | 989 of 990 |  |  |  |",
        f"| a.tflite | all | 2,000 | {shares} | 1,978 of 1,980 | {judged}",
    ]


def test_conversions_that_agree_equally_share_the_large_figure() -> None:
    (number,) = reported(verification()).numbers
    assert number.value == "99.90%"
    assert number.about == "same text, where the trained model is correct: all 2 conversions"


@pytest.mark.parametrize("suite", [accuracy, verification])
def test_symbols_confidences_and_confusions_are_shown(suite: Callable[[], Json]) -> None:
    text = markdown(reported(suite()))
    assert "Symbols, probabilities and confidences" in text
    row = "0.13% (12) | 0.20% (18) | 0.00025 | −1.25 | 0.0031 | 0.0062 | 8 as 3: 1 → 7; 1 as nothing: 2 → 1 |"
    assert row in text


def test_old_results_without_details_are_shown() -> None:
    document = verification()
    for artifact in document["artifacts"]:
        del artifact["detail"]
    assert "Symbols, probabilities" not in markdown(reported(document))


def test_missing_conversions_are_named() -> None:
    assert "Absent: tensorrt float16 (no GPU)." in Browser(page(reported(accuracy()))).texts
