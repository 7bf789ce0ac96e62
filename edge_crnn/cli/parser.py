"""The argument parser of every command: short usage, 80 columns, suggestions, and warnings for former names."""

from __future__ import annotations

import argparse
import difflib
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from ..errors import InputError
from ..terminal import one_line

COLUMNS = 80
"""Widest help, also on wider terminals."""


class UsageError(InputError):
    """The arguments of a command do not fit together, or those in its configuration file are wrong."""


class CommandParser(argparse.ArgumentParser):
    """Parses the words after `edge-crnn NAME`.

    Args:
        prog: the words that run the command, such as `edge-crnn read`.
        summary: one sentence about the command.
        details: paragraph with further information.
        examples: whole command lines, shown before the options.
        renamed: former name of an option → its name now.
    """

    def __init__(
        self,
        prog: str,
        *,
        summary: str = "",
        details: str = "",
        examples: Sequence[str] = (),
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        paragraphs = [_filled(paragraph) for paragraph in (summary, details) if paragraph]
        if examples:
            paragraphs.append("\n  ".join(["example:" if len(examples) == 1 else "examples:", *examples]))
        super().__init__(prog, description="\n\n".join(paragraphs), formatter_class=_Formatter)
        self.renamed = dict(renamed or {})

    def format_usage(self) -> str:
        """Return the usage with required arguments only; the help lists all others."""
        return f"usage: {self.prog} {self._short_usage()}\n"

    def format_help(self) -> str:
        """Return the help, which begins with the short usage."""
        self.usage = f"{self.prog} {self._short_usage()}".replace("%", "%%")
        return super().format_help()

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse the words as argparse does, after replacing former names and refusing unknown ones."""
        words = self._current(sys.argv[1:] if args is None else args)
        self._refuse_unknown(words)
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Print the message and where to find help, and exit with 2."""
        self.exit(2, f"{self.prog}: {one_line(message)}\nSee {self.prog} --help.\n")

    def _short_usage(self) -> str:
        shown = [action for action in self._actions if action.required or not action.option_strings]
        formatter = argparse.HelpFormatter("", width=10_000)  # so wide that nothing is wrapped
        formatter.add_usage(None, shown, [], prefix="")
        return f"[options] {formatter.format_help().strip()}".strip()

    def _current(self, words: Sequence[str]) -> list[str]:
        """Replace former names of options, with a warning for every name."""
        current = list(words)
        warned = set()
        for place, word in enumerate(current):
            if word == "--":
                break
            former, equals, value = word.partition("=")
            name = self.renamed.get(former)
            if name is None:
                continue
            current[place] = f"{name}{equals}{value}"
            if former not in warned:
                print(f"{self.prog}: {former} is now {name}", file=sys.stderr)
                warned.add(former)
        return current

    def _refuse_unknown(self, words: Sequence[str]) -> None:
        """Report an unknown option before argparse reports a missing argument instead."""
        options = self._option_string_actions
        for word in words:
            if word == "--":
                break
            name = word.partition("=")[0]
            is_option = word.startswith("--") and " " not in word
            if is_option and not any(option.startswith(name) for option in options):
                self.error(f"unknown option {name}{did_you_mean(name, options)}")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Wraps at 80 columns, and at narrower terminals."""

    def __init__(self, prog: str, **settings: Any) -> None:
        settings.setdefault("width", min(COLUMNS, shutil.get_terminal_size().columns))
        super().__init__(prog, **settings)

    def _split_lines(self, text: str, width: int) -> list[str]:
        """Wrap the help of an argument, but keep names such as edge-crnn and --dry-run whole."""
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


def _filled(paragraph: str) -> str:
    return textwrap.fill(paragraph, COLUMNS, break_on_hyphens=False)


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return the end of a message that suggests the name nearest to `word`; empty if no name is near."""
    nearest = difflib.get_close_matches(word, list(names), n=1)
    return f"; did you mean {nearest[0]}?" if nearest else ""
