"""Deferral of Ctrl-C during work that must not be left half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_interrupt() -> Iterator[None]:
    """Defer the first Ctrl-C or SIGTERM to the end of the block; a second acts at once.

    They interrupt only the main thread, so a block in another needs nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = int(signal.SIGTERM), int(signal.SIGINT)
    # A handler that was not set from Python could not be restored.
    before = {n: handler for n in numbers if (handler := signal.getsignal(n)) is not None}
    asked: list[int] = []

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def remember(number: int, frame: FrameType | None) -> None:
        restore()
        asked.append(number)

    try:
        for number in before:
            signal.signal(number, remember)
        yield
    finally:
        restore()
    for number in asked:
        signal.raise_signal(number)
