"""What a plugin shares with the harness within one process, and how it is put back."""

from __future__ import annotations

import locale
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from harness.precision import product_backends


@dataclass(frozen=True)
class Setting:
    """Something global, as people call it, with how it is read and set."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]


class Surroundings:
    """The settings of this process as they are now, to be put back after a plugin's code has run.

    Args:
        settings: what is looked after.
    """

    def __init__(self, settings: Sequence[Setting]) -> None:
        self._before = [(setting, setting.read()) for setting in settings]

    def restore(self) -> dict[str, str]:
        """Put back what has changed; return what it had been changed to, by name."""
        changed = {}
        for setting, before in self._before:
            if (now := setting.read()) != before:
                setting.write(before)
                changed[setting.name] = str(now)
        return changed


@contextmanager
def unchanged(settings: Sequence[Setting]) -> Iterator[None]:
    """Put the settings back at the end, whatever happens inside."""
    before = Surroundings(settings)
    try:
        yield
    finally:
        before.restore()


def _determinism() -> tuple[bool, bool]:
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    return torch.are_deterministic_algorithms_enabled(), warn_only


def _set_determinism(before: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _set_device(before: torch.device) -> None:
    # None instead of the CPU: a device that is set costs every function of torch some time.
    torch.set_default_device(None if before.type == "cpu" else before)


def _products() -> list[str]:
    return [backend.fp32_precision for backend in product_backends()]


def _set_products(before: list[str]) -> None:
    for backend, precision in zip(product_backends(), before, strict=True):
        backend.fp32_precision = precision


def _convolutions() -> tuple[bool, bool]:
    return torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic


def _set_convolutions(before: tuple[bool, bool]) -> None:
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = before


def _folder() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def _set_folder(before: str | None) -> None:
    if before is not None:
        os.chdir(before)


def _locale() -> str:
    return locale.setlocale(locale.LC_ALL)


def _handlers() -> tuple[Any, ...]:
    return tuple(signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM))


def _set_handlers(before: tuple[Any, ...]) -> None:
    # Handlers can be set in the main thread alone, and so changed nowhere else.
    with suppress(ValueError):
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            if handler is not None:
                signal.signal(number, handler)


def _set_environment(before: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(before)


SETTINGS = (
    Setting("default dtype", torch.get_default_dtype, torch.set_default_dtype),
    Setting("default device", torch.get_default_device, _set_device),
    Setting("gradients", torch.is_grad_enabled, torch.set_grad_enabled),
    Setting("anomaly detection", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    Setting("threads", torch.get_num_threads, torch.set_num_threads),
    Setting("deterministic algorithms", _determinism, _set_determinism),
    Setting("precision of products", _products, _set_products),
    Setting("convolutions", _convolutions, _set_convolutions),
    Setting("working directory", _folder, _set_folder),
    Setting("locale", _locale, partial(locale.setlocale, locale.LC_ALL)),
    Setting("signal handlers", _handlers, _set_handlers),
)
"""What a model can change under the harness in its trial's own process."""

ENVIRONMENT = Setting("environment", lambda: dict(os.environ), _set_environment)
"""What a driver hands to every worker that it starts."""
