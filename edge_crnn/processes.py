"""Child processes that do not outlive their parent and leave Ctrl-C to it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator


def end_with_parent() -> None:
    """Start a thread that ends this process when its parent is killed; nothing else reports that."""
    threading.Thread(target=_wait_for_parent, name="edge-crnn-parent", daemon=True).start()


@contextlib.contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Start processes in this context that ignore Ctrl-C, which reaches all processes of a terminal.

    Outside the main thread, which alone may change this, the context has no effect.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
