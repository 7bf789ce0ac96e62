from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.watch.page.words import LANGUAGES, preferred, static_files, words

OF_THE_SERVER = {"language", "otherLanguage", "otherLanguageLink", "camera", "editable"}


def test_all_languages_have_the_same_words_with_the_same_values() -> None:
    def shape(language: str) -> dict[str, set[str]]:
        return {key: set(re.findall(r"\{\w+\}", word)) for key, word in words(language).items()}

    assert all(shape(language) == shape("en") for language in LANGUAGES)
    assert all(word.strip() for language in LANGUAGES for word in words(language).values())


def test_every_word_is_used_and_no_word_is_missing() -> None:
    scripts = "".join(file.content.decode() for name, file in static_files().items() if name.endswith(".js"))
    page = static_files()["index.html"].content.decode()
    wanted = set(re.findall(r"\{\{(\w+)\}\}", page)) - OF_THE_SERVER
    wanted |= set(re.findall(r"""say\(\s*"(\w+)\"""", scripts))
    assert wanted <= words("en").keys()
    assert {key for key in words("en") if key not in wanted and f'"{key}"' not in scripts} == set()


def test_every_file_of_the_page_is_served() -> None:
    page = static_files()["index.html"].content.decode()
    scripts = "".join(file.content.decode() for file in static_files().values())
    names = re.findall(r'(?:src|href)="/static/([\w.]+)"', page) + re.findall(r'from "\./([\w.]+)"', scripts)
    assert {"page.js", "live.js", "style.css"} <= set(names)
    assert set(names) <= static_files().keys()


@pytest.mark.parametrize("header", ["ko", "KO-kr", "fr, ko;q=0.2", "en;q=0.1,ko;q=0.2"])
def test_korean_is_preferred(header: str) -> None:
    assert preferred(header) == "ko"


@given(st.text(st.sampled_from("koen-;q=0.19, *"), max_size=40))
def test_any_header_gives_a_language(header: str) -> None:
    assert preferred(header) in LANGUAGES
