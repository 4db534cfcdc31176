"""Permissions of files that bind the tests too, also where they run as root."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_VERSION = 0x20080522  # of capset(2): two words of 32 capabilities
_OVERRIDES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Words(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32 * 3) for name in ("low", "high"))


@contextmanager
def bound_by_modes() -> Iterator[None]:
    """Let this thread, and those that it starts, read and write only what modes of files allow."""
    if os.geteuid():
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, words = _Header(_VERSION, 0), _Words()

    def call(name: str) -> None:
        if getattr(libc, name)(ctypes.byref(header), ctypes.byref(words)):
            pytest.skip(f"{name}: {os.strerror(ctypes.get_errno())}")

    call("capget")
    effective = words.low[0]  # permitted and inheritable stay as they are
    words.low[0] = effective & ~_OVERRIDES
    call("capset")
    try:
        yield
    finally:
        words.low[0] = effective
        call("capset")
