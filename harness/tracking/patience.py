"""A call that is left behind when it takes too long, whatever it waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class TookTooLong(Exception):
    """A call did not return within its time; its thread may still be at it."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what a call returns, or raise what it raises, if it does so in time.

    MLflow's own limits do not bound a call: that on a request counts the silence between two bytes,
    and a server may ask for an hour before the next attempt.

    Raises:
        TookTooLong: it did not; its thread, a daemon, is left behind.
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
        raise TookTooLong(f"no answer within {seconds:g} s") from None
