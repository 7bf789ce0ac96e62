from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace

import pytest

from converters.report.markdown import markdown
from converters.report.page import page
from edge_crnn.errors import InputError
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
    return [made() for made in SUITES.values()]


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
    found = verification()
    for artifact, verdict in zip(found["artifacts"], verdicts, strict=True):
        artifact["parity"]["verdict"] = verdict
    assert Browser(page(reported(found))).texts[0] == headline


def test_without_texts_there_is_no_verdict() -> None:
    report = reported(bench())
    assert report.status is None
    assert report.headline == "Measured, without a verdict on the text"


UNSHOWN = re.compile(
    r"suite|version$|flags/\d|processor_ms|load_(before|after)|calls|note$|sha256"  # for machines
    r"|same_text|max_probability|agreement$|agreement_interval|agreement_shown|set$|format|recipe$"
    r"|sets/0/(name|images|artifact_right)|gate_"  # of one set the others' figures are the same in engines
    r"|snapshots/|timings/\d/parity|minimum_ms|rounds/"
    r"|clock$|board/|board$|images/(folder|count)|decoder|engine$|notes|warm_up_ns/|rss_before|control|seconds|threads$"
    r"|results/\d/artifact|scenario/images|(artifacts|results)/1/(file|load|rss|other)"  # 1 is the control
    r"|results/5/scenario/readers"  # of a camera: one
    r"|timings/\d/ms$|shape/|width$|errors/(images|fewest_wrong|outside)|shown$"
    r"|speed/\d/(ours|peer)/0/(p90|minimum)|fit/(right|temperature|error)|coverage/\d/threshold|readings$|rejections/0/interval"
)
"""What a page does not say of a suite, or says elsewhere: a test of its own holds the counts and times behind it."""


@pytest.mark.parametrize("made", SUITES.values(), ids=SUITES)
def test_every_figure_comes_from_the_results(made: Callable[[], Json]) -> None:
    """Whatever is changed in the JSON, the page changes too."""
    found = made()
    before = page(reported(found))
    tried = 0
    for path, value in leaves(found):
        name = "/".join(map(str, path))
        if type(value) not in (int, float) or UNSHOWN.search(name):
            continue
        step = max(1, value // 10) if type(value) is int else 0.1 * value or 0.05
        for other in (value - step, value + step, value + 1):
            with contextlib.suppress(InputError):  # more images right than there are
                assert page(reported(changed(found, path, other))) != before, name
                tried += 1
                break
    assert tried >= 4


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
    found = accuracy()
    report = page(reported(found))
    assert page(reported(changed(found, ("recipes", "int8", "drawn/heavy", "sets", 0, field), value))) != report


@pytest.mark.parametrize("field", ["median_ms", "minimum_ms"])
def test_rounds_of_an_engine_are_shown(field: str) -> None:
    found = engines()
    assert page(reported(changed(found, ("runs", 0, "timings", 1, "rounds", 0, field), 5.0))) != page(reported(found))


def test_times_of_a_device_are_those_of_its_rounds() -> None:
    found = bench()
    text = Browser(page(reported(found))).text
    assert "11.0 ms" in text  # 10 of inference, 1 beside it
    for each in found["results"][0]["rounds"]:
        each["round"]["stages"]["infer"] = [2 * ns for ns in each["round"]["stages"]["infer"]]
    assert "21.0 ms" in Browser(page(reported(found))).text


@pytest.mark.parametrize("made", SUITES.values(), ids=SUITES)
def test_hostile_words_are_only_words(made: Callable[[], Json]) -> None:
    found = made()
    meant = {"suite", "verdict", "wants", "picture", "kind", "late", "method", "board", "date", "taken_at"}
    for path, value in leaves(found):
        if isinstance(value, str) and not meant & {str(path[0]), str(path[-1])}:
            found = changed(found, path, HOSTILE)
    html = page(reported(found))
    shown = Browser(html)
    assert "<script" not in html
    assert html.count("</style>") == 1
    assert {tag for tag, _ in shown.elements}.isdisjoint({"script"})
    assert HOSTILE in "".join(shown.texts)
    text = markdown(reported(found))
    assert "<script" not in text.replace(r"\<", "")
    assert not re.search(r"(?<!\\)\[a(?<!\\)\]\(", text)


def test_the_name_of_a_board_is_only_words() -> None:
    board = replace(PI, model=HOSTILE)
    hostile = json.loads(record(result([9.0], board=board), board=board).to_json())
    html = page(reported(hostile))
    assert HOSTILE in Browser(html).texts[2]
    assert "<script" not in html


def test_a_name_as_key_is_only_words_too() -> None:
    found = accuracy()
    found["recipes"] = {HOSTILE: {HOSTILE: parity(name=HOSTILE)}}
    found["machine"]["versions"] = {HOSTILE: HOSTILE}
    html = page(reported(found))
    Browser(html)
    assert "<script" not in html


def test_words_for_the_images_are_said_where_accuracy_is() -> None:
    assert "2,000 rendered plates" in Browser(page(reported(accuracy()))).text
    text = Browser(page(reported(verification()))).text
    assert "1,000 plates at a gate by night" in text
    assert "rendered" not in text
    found = verification()
    found["images_are"] = ""
    assert "Nobody said what these images are" in Browser(page(reported(found))).text


def test_images_that_differ_show_the_truth_and_both_texts() -> None:
    shown = Browser(page(reported(verification())))
    plates = [each.split("\n") for each in shown.figures if ".jpg" in each]
    assert plates[0][:5] == ["label, trained model", "서울 12 나 3456", "b.tflite", "서울 12 너 3456", "1.jpg"]
    assert plates[1][:3] == ["reads", "서울 12 나 3456", "2.jpg"]
    assert "These are 1 of 3." in shown.text
    wrong = [attributes for tag, attributes in shown.elements if tag == "dd" and attributes.get("class") == "wrong"]
    assert len(wrong) == 1


# --- machines --------------------------------------------------------------------------------------------------------


def other_machine(found: Json, **facts: Json) -> Json:
    return {**found, "machine": {**found["machine"], **facts}}


def test_figures_of_two_machines_are_in_two_parts() -> None:
    slow = other_machine(engines(), cpu="a slower CPU")
    for each in slow["runs"][0]["timings"]:
        each["ms"] *= 3
        for one in each["rounds"]:
            one["median_ms"] *= 3
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
    ("fact", "value", "told"),
    [
        ("cores", 4, "some CPU, 4 cores"),
        ("system", "Linux-6.2-x86_64-with-glibc2.36", "kernel 6.2"),
        ("versions", {"numpy": "1.26.4"}, "some CPU, 2 cores (numpy 1.26.4)"),
        ("python", "3.12.1", "some CPU, 2 cores (Python 3.12.1)"),
    ],
)
def test_one_fact_that_differs_is_another_machine(fact: str, value: Json, told: str) -> None:
    report = reported(engines(), other_machine(accuracy(), **{fact: value}))
    assert len(report.parts) == 2
    assert told in report.parts[1].title


def test_a_fact_that_only_one_tells_separates_nothing() -> None:
    more = other_machine(accuracy(), versions={"numpy": "2.4.6", "keras": "3.15.1"})
    (part,) = reported(engines(), more).parts
    assert part.title == "some CPU, 2 cores"
    text = page(reported(engines(), more))
    assert "3.15.1" in text


def test_devices_of_one_kind_in_other_settings_are_told_apart() -> None:
    text = json.dumps(bench()).replace('"performance"', '"ondemand"')
    titles = [part.title for part in reported(bench(), json.loads(text)).parts]
    name = "Raspberry Pi 5 Model B Rev 1.0"
    assert titles == [f"{name} (governor performance)", f"{name} (governor ondemand)"]


def test_a_machine_with_a_gpu_is_another_than_without() -> None:
    titles = [part.title for part in reported(engines(), gpu()).parts]
    assert titles == ["some CPU, 2 cores", "some CPU, 2 cores, some GPU"]


def test_two_models_are_told_apart() -> None:
    other = {**accuracy(), "model": "digits", "source_sha256": "8" * 64}
    report = reported(accuracy(), other)
    assert report.findings[-1].title.startswith("int8 of digits 88888888: the same text on 99.69%")
    (part,) = report.parts
    titles = [section.title for section in part.sections]
    assert titles == ["Does the text hold? — plates 77777777", "Does the text hold? — digits 88888888"]


def test_accuracy_as_verified_meets_times_of_a_device_by_the_hash_of_the_artifact() -> None:
    pi = next(part for part in reported(verification(), bench()).parts if part.title.startswith("Raspberry"))
    section = next(each for each in pi.sections if each.title == "Accuracy against time")
    assert "Texts as verified on some CPU, 2 cores." in section.blocks[0].note  # type: ignore[union-attr]
    other = verification()
    for artifact in other["artifacts"]:
        artifact["payload_sha256"] = SHA
    pi = next(part for part in reported(other, bench()).parts if part.title.startswith("Raspberry"))
    assert "Accuracy against time" not in [each.title for each in pi.sections]


# --- what may not be quoted ------------------------------------------------------------------------------------------


def test_times_from_a_busy_machine_are_marked_and_not_in_the_headline() -> None:
    report = reported(engines())
    assert [each.value for each in report.numbers] == ["9.5", "4.6", "7.6"]
    busy = changed(engines(), ("runs", 0, "other_cores"), 0.5)
    report = reported(busy)
    assert not report.numbers
    (finding,) = report.findings
    assert finding.status == "noisy"
    assert "0.5 cores" in finding.detail


def test_a_throttled_device_is_marked() -> None:
    assert not reported(bench()).findings
    told = json.dumps(asdict(throttling(now=["too hot"])))
    flagged = json.loads(json.dumps(bench()).replace('"throttling": null', f'"throttling": {told}'))
    report = reported(flagged)
    assert not report.numbers
    assert any("throttled: too hot" in each.detail for each in report.findings)


def test_artifacts_of_which_the_same_is_to_be_said_share_a_line() -> None:
    busy = [replace(result([9.8, 10.0, 10.2], place), other_cores=1.5) for place in (0, 2)]
    artifacts = [opened(path="a.tflite"), opened(path="a.tflite", control=True), opened(path="b.tflite")]
    made = json.loads(record(*busy, artifacts=artifacts).to_json())
    (finding,) = reported(made).findings
    assert finding.title == "a.tflite and b.tflite: their times are not to be quoted"
    assert finding.detail.startswith("single: busy: other programs kept 1.5 cores busy")


def test_instructions_are_told_as_what_they_are() -> None:
    text = markdown(reported(instructions()))
    assert "Counted under emulation, on no board. They are not times" in text
    assert "| ours int8 | Cortex-A76 (Pi 5) | 150.1 | 107.7 | 4.1 | 27.3 | 11.0 |" in text
    assert "| ours int8 | another | 150.1 |" in text


def test_what_a_gpu_missed_is_a_finding() -> None:
    assert not reported(gpu()).findings
    found = gpu()
    found["criteria"][0].update(met=False, figure=480.0)
    (finding,) = reported(found).findings
    assert (finding.status, finding.title) == ("fail", "texts: missed on the GPU")
    assert finding.detail == "480, at least 499 of 500 same"


def test_a_control_that_differs_is_noise() -> None:
    found = bench()
    for each in found["results"][1]["rounds"]:
        each["round"]["stages"]["infer"] = [2 * ns for ns in each["round"]["stages"]["infer"]]
    (finding,) = reported(found).findings
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
    found = verification()
    for each in found["artifacts"]:
        (one,) = each["parity"]["sets"]
        each["parity"]["sets"] = [
            {**one, "name": f"{preset}/{kind}"} for preset in ("mild", "heavy") for kind in ("long", "short", "green")
        ]
        each["detail"]["errors"] *= 6
    return found


def test_of_many_sets_those_of_a_folder_are_counted_together_and_a_table_has_each() -> None:
    shown = Browser(page(reported(with_kinds())))
    assert {"mild: 3,000 images", "heavy: 3,000 images", "2,967 of 2,970", "Read right, by kind of image"} <= set(
        shown.texts
    )
    table = markdown(reported(with_kinds())).partition("Read right, by kind of image")[2]
    assert "| mild/green | 1,000 | 99.00% | 99.10% | 99.10% |" in table
    assert "| mild | 3,000 | 99.00% | 99.10% | 99.10% |" in table
    assert table.count("mild/") == table.count("heavy/") == 3


def test_what_holds_of_all_sets_together_stands_in_a_row_of_its_own() -> None:
    def rows(found: Json) -> list[str]:
        lines = markdown(reported(found)).partition("Read right, by kind")[0].splitlines()
        return [line for line in lines if line.startswith("| a.tflite | ")]

    many, few = with_kinds(), verification()
    (one,) = few["artifacts"][0]["parity"]["sets"]
    few["artifacts"][0]["parity"]["sets"] = [one, {**one, "name": "gate/day"}]
    shares, judged = "99.00% | 99.10% | 98.70%", "0.625 | 0.125 | ✅ pass |"
    assert rows(many) == [f"| a.tflite | mild and heavy | 6,000 | {shares} | 5,934 of 5,940 | {judged}"]
    assert rows(few)[:3] == [
        f"| a.tflite | gate/night | 1,000 | {shares} | 989 of 990 |  |  |  |",
        f"| a.tflite | gate/day | 1,000 | {shares} | 989 of 990 |  |  |  |",
        f"| a.tflite | all | 2,000 | {shares} | 1,978 of 1,980 | {judged}",
    ]


def test_conversions_that_are_alike_are_not_told_apart_in_the_figures_that_count() -> None:
    (number,) = reported(verification()).numbers
    assert (number.value, number.about) == ("99.90%", "same text, where the trained model is right: all 2 conversions")


@pytest.mark.parametrize("made", [accuracy, verification])
def test_symbols_confidences_and_confusions_are_told(made: Callable[[], Json]) -> None:
    text = markdown(reported(made()))
    assert "Symbols, probabilities and confidences" in text
    told = "0.13% (12) | 0.20% (18) | 0.00025 | −1.25 | 0.0031 | 0.0062 | 8 as 3: 1 → 7; 1 as nothing: 2 → 1 |"
    assert told in text


def test_results_of_before_there_were_details_are_shown_without() -> None:
    found = verification()
    for each in found["artifacts"]:
        del each["detail"]
    assert "Symbols, probabilities" not in markdown(reported(found))


def test_conversions_that_were_not_made_are_named() -> None:
    assert "Absent: tensorrt float16 (no GPU)." in Browser(page(reported(accuracy()))).texts
