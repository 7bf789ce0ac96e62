"""A run that takes less than a minute and needs no TensorFlow: `python -m pytest -p tests.fast`, or `make test-fast`.

It leaves out tests that use the fixture `keras`, and those marked `tensorflow` or `thorough`. Two checks keep the run
that way: importing TensorFlow fails, as it does where TensorFlow is not installed, and so does a test that uses more
than `LIMIT_SECONDS` of processor time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator

import pytest
from hypothesis import settings

TENSORFLOW = ("tensorflow", "keras", "tf_keras")
LIMIT_SECONDS = 3.0
"""The processor time that a test may use, in this process and in those that it waits for.

The slowest tests need a third of this, so that a slow machine fails none of them.
"""


def is_fast(item: pytest.Item) -> bool:
    """Return whether a test belongs to the fast run, by its marks and its fixtures."""
    fixtures = getattr(item, "fixturenames", ())
    return (
        "keras" not in fixtures and not any(item.iter_markers("tensorflow")) and not any(item.iter_markers("thorough"))
    )


def processor_seconds() -> float:
    """Return the processor time of this process and of its ended children, in seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def pytest_configure() -> None:
    for name in TENSORFLOW:
        sys.modules[name] = None  # type: ignore[assignment]  # documented: importing it raises ModuleNotFoundError
    settings.load_profile("brief")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=[item for item in items if not is_fast(item)])
    items[:] = filter(is_fast, items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    before = processor_seconds()
    result = yield
    seconds = processor_seconds() - before
    if seconds > LIMIT_SECONDS:
        pytest.fail(
            f"{seconds:.1f} s of processor time, expected at most {LIMIT_SECONDS:g} s in the fast run;"
            " shorten the test, or mark it `thorough`",
            pytrace=False,
        )
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if any(
        "tensorflow" in str(report.longrepr) or "keras" in str(report.longrepr)
        for report in terminalreporter.getreports("failed")
    ):
        terminalreporter.write_line(
            "The fast run blocks TensorFlow. A test that needs it uses the fixture `keras` or is marked `tensorflow`."
        )
