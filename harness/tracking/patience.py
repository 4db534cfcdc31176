"""Calls with a timeout, whatever they wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class CallTimeout(Exception):
    """A call did not return in time; its thread may still be running."""


def call_with_timeout(seconds: float, call: Callable[[], T]) -> T:
    """Return what a call returns, or raise what it raises, if it does so in time.

    MLflow's own timeouts do not bound a call: that of a request limits the time between two bytes,
    and a server may request an hour's delay before the next attempt.

    Raises:
        CallTimeout: it did not; its daemon thread is abandoned.
    """
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, name="MLflow", daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError:
        if answer.done():  # its own
            raise
        raise CallTimeout(f"no answer within {seconds:g} s") from None
