"""The contents of pages in Markdown: command lines, Python blocks, links and headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

_PROGRAM = re.compile(r"^(?:sudo )?(?:(?:env|\.venv)/bin/)?edge-crnn (?=[a-z-])")
_END_OF_COMMAND = ("|", "||", ">", "&&", ";", "…")


def command_lines(page: str) -> Iterator[str]:
    """Yield every `edge-crnn …` that stands on a line of its own in a code block, without the program's name."""
    for line in code_lines(page):
        if _PROGRAM.match(line):
            yield _PROGRAM.sub("", line)


def commands_in_text(page: str) -> Iterator[str]:
    """Yield every `edge-crnn …` that stands in a sentence, without the program's name."""
    for span in re.findall(r"`([^`\n]+)`", page):
        if _PROGRAM.match(span):
            yield _PROGRAM.sub("", span)


def code_lines(page: str) -> Iterator[str]:
    """Yield the lines of all code blocks, without their indentation and prompt; continued lines are joined."""
    joined = re.sub(r"\\\n\s*", "", page)
    for line in joined.splitlines():
        if line.startswith("    ") or _is_fenced(joined, line):
            yield line.strip().removeprefix("$ ")


def words(command: str) -> list[str]:
    """Split a command line as a shell does, up to its comment, pipe or redirection."""
    split = shlex.split(command, comments=True)
    ends = [place for place, word in enumerate(split) if word in _END_OF_COMMAND]
    return split[: min(ends, default=len(split))]


def python_blocks(page: str) -> list[str]:
    """Return the fenced blocks of Python."""
    return re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def links(page: str) -> list[tuple[str, str]]:
    """Return target and anchor of each link that leads to no other site, outside code."""
    text = re.sub(r"^```.*?^```|`[^`\n]+`", "", page, flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text)
    return [(target, anchor) for target, anchor in targets if not re.match(r"[a-z]+:", target)]


def anchors(path: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _is_fenced(page: str, line: str) -> bool:
    return any(line in block.splitlines() for block in re.findall(r"^```\w*\n(.*?)^```", page, re.M | re.S))
