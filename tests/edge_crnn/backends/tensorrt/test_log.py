from __future__ import annotations

from pathlib import Path

import pytest

from edge_crnn.backends.tensorrt.log import Log, make_logger
from tests.fake_tensorrt import VERSIONS, tensorrt


@pytest.mark.parametrize("version", VERSIONS)
def test_the_first_error_is_the_reason(version: str) -> None:
    trt = tensorrt(version)
    log = Log()
    logger = make_logger(trt, log)
    assert log.first == ""
    assert log.reason(ValueError("what Python says")) == "what Python says"
    assert log.reason(None) == "no reason was given"
    for severity, message in ((logger.WARNING, "slow"), (logger.ERROR, "the cause"), (logger.INTERNAL_ERROR, "more")):
        logger.log(severity, message)
    assert (log.first, log.reason(ValueError("what Python says"))) == ("the cause", "the cause")
    log.forget()
    logger.log(logger.INTERNAL_ERROR, "x" * 1000)
    assert log.first == "x" * 500


def test_errors_without_end_take_no_memory_without_end() -> None:
    log = Log()
    for number in range(1000):
        log.add("ERROR", str(number), True)
    assert (log.first, len(log._errors)) == ("0", 20)


def test_everything_goes_into_the_file(tmp_path: Path) -> None:
    with Log(tmp_path / "log.txt") as log:
        log.add("VERBOSE", "a tactic", False)
        log.add("ERROR", "no memory", True)
    log.add("INFO", "too late", False)
    assert (tmp_path / "log.txt").read_text() == "VERBOSE: a tactic\nERROR: no memory\n"
