"""Global state of the process that plugins may change, and its restoration."""

from __future__ import annotations

import gc
import locale
import logging
import multiprocessing
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from harness.machine.precision import product_backends


@dataclass(frozen=True)
class Setting:
    """A global setting, with how it is read and set.

    Attributes:
        name: for messages.
        read: returns its value, which can be compared.
        write: sets it to a value that was read.
        describe: describes a change, from the values before and after it.
    """

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    describe: Callable[[Any, Any], str] = lambda before, now: str(now)


class ProcessState:
    """A snapshot of the settings of this process, to be restored after a plugin's code has run.

    Args:
        settings: to be restored.
    """

    def __init__(self, settings: Sequence[Setting]) -> None:
        self._before = [(setting, setting.read()) for setting in settings]

    def restore(self) -> dict[str, str]:
        """Restore what has changed; return what it had been changed to, by name."""
        changed = {}
        for setting, before in self._before:
            if (now := setting.read()) != before:
                setting.write(before)
                changed[setting.name] = setting.describe(before, now)
        return changed


@contextmanager
def unchanged(settings: Sequence[Setting]) -> Iterator[None]:
    """Restore the settings at the end, whatever happens inside."""
    before = ProcessState(settings)
    try:
        yield
    finally:
        before.restore()


def _determinism() -> tuple[bool, bool]:
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    return torch.are_deterministic_algorithms_enabled(), warn_only


def _set_determinism(before: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _fills() -> bool:
    return bool(torch.utils.deterministic.fill_uninitialized_memory)  # type: ignore[attr-defined]


def _set_fills(before: bool) -> None:
    torch.utils.deterministic.fill_uninitialized_memory = before  # type: ignore[attr-defined]


_AUTOCAST_DEVICES = ("cpu", "cuda")


def _autocast() -> tuple[Any, ...]:
    return torch.is_autocast_cache_enabled(), *(
        (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device))
        for device in _AUTOCAST_DEVICES
    )


def _set_autocast(before: tuple[Any, ...]) -> None:
    torch.set_autocast_cache_enabled(before[0])
    for device, (enabled, dtype) in zip(_AUTOCAST_DEVICES, before[1:], strict=True):
        torch.set_autocast_enabled(device, enabled)
        torch.set_autocast_dtype(device, dtype)


_SMALL = [2.0**-1030]


def _flushes_denormals() -> bool:
    # Torch has no getter; Python uses the same registers, and computes a list item only at run
    # time.
    return bool(_SMALL[0] * 1.5 == 0.0)


def _set_device(before: torch.device) -> None:
    # None instead of the CPU: a default device slows down every function of torch.
    torch.set_default_device(None if before.type == "cpu" else before)


def _all_product_backends() -> tuple[Any, ...]:
    mkldnn: Any = torch.backends.mkldnn
    return *product_backends(), mkldnn.matmul, mkldnn.conv, mkldnn.rnn


def _products() -> list[str]:
    return [backend.fp32_precision for backend in _all_product_backends()]


def _set_products(before: list[str]) -> None:
    for backend, precision in zip(_all_product_backends(), before, strict=True):
        backend.fp32_precision = precision


_SUMS = (
    "allow_fp16_reduced_precision_reduction",
    "allow_bf16_reduced_precision_reduction",
    "allow_fp16_accumulation",
)
_ATTENTIONS = ("flash", "mem_efficient", "math", "cudnn")


def _kernels() -> tuple[list[bool], list[Any], list[bool]]:
    backends: Any = torch.backends
    return (
        [backends.cudnn.enabled, backends.mkldnn.enabled],
        [getattr(backends.cuda.matmul, name) for name in _SUMS],
        [getattr(backends.cuda, f"{name}_sdp_enabled")() for name in _ATTENTIONS],
    )


def _set_kernels(before: tuple[list[bool], list[Any], list[bool]]) -> None:
    backends: Any = torch.backends
    libraries, sums, attentions = before
    backends.cudnn.enabled, backends.mkldnn.enabled = libraries
    for name, allowed in zip(_SUMS, sums, strict=True):
        setattr(backends.cuda.matmul, name, allowed)
    for name, enabled in zip(_ATTENTIONS, attentions, strict=True):
        getattr(backends.cuda, f"enable_{name}_sdp")(enabled)


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
    # Handlers can be set only in the main thread, and so changed nowhere else.
    with suppress(ValueError):
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            if handler is not None:
                signal.signal(number, handler)


def _set_environment(before: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(before)


def _changed_names(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    # Never their values, which may be secret.
    names = before.keys() | now.keys()
    return f"other values of {', '.join(sorted(n for n in names if before.get(n) != now.get(n)))}"


def _raises(entry: tuple[Any, ...]) -> bool:
    """Whether a filter turns warnings into errors, and is not the harness's own on huge images."""
    action, _, category, *_ = entry
    return bool(action == "error" and category.__name__ != "DecompressionBombWarning")


def _errors_of_warnings() -> list[Any]:
    # Filters that only silence warnings may be changed.
    return [entry for entry in warnings.filters if _raises(entry)]


def _set_errors_of_warnings(before: list[Any]) -> None:
    kept = [entry for entry in warnings.filters if not _raises(entry)]
    warnings.filters[:] = [*before, *kept]  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


_added: list[str] = []
"""Folders that plugins have added to the path, which come last."""


def _import_path() -> list[str]:
    own = len(sys.path) - len(_added)
    return sys.path[:own] if sys.path[own:] == _added else list(sys.path)


def _set_import_path(before: list[str]) -> None:
    further = [entry for entry in sys.path if os.path.isabs(entry) and entry not in before]
    _added[:] = dict.fromkeys(further)
    sys.path[:] = [*before, *_added]


def _import_path_change(before: Sequence[str], now: Sequence[str]) -> str:
    return f"{len(set(now) - set(before))} further folders, which may only come last"


def _garbage_collection() -> tuple[bool, tuple[int, int, int]]:
    return gc.isenabled(), gc.get_threshold()


def _set_garbage_collection(before: tuple[bool, tuple[int, int, int]]) -> None:
    (gc.enable if before[0] else gc.disable)()
    gc.set_threshold(*before[1])


def _cpus() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _set_cpus(before: set[int]) -> None:
    if before:
        os.sched_setaffinity(0, before)


def _numpy_state() -> tuple[Any, ...]:
    state: Any = np.random.get_state(legacy=True)
    return state[0], state[1].tobytes(), *state[2:]


def _set_numpy_state(before: tuple[Any, ...]) -> None:
    name, keys, *rest = before
    np.random.set_state((name, np.frombuffer(keys, dtype=np.uint32), *rest))


def _torch_state() -> bytes:
    return torch.get_rng_state().numpy().tobytes()


def _set_torch_state(before: bytes) -> None:
    torch.set_rng_state(torch.frombuffer(bytearray(before), dtype=torch.uint8))


SETTINGS = (
    Setting("default dtype", torch.get_default_dtype, torch.set_default_dtype),
    Setting("default device", torch.get_default_device, _set_device),
    Setting("gradients", torch.is_grad_enabled, torch.set_grad_enabled),
    Setting("anomaly detection", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    Setting("threads", torch.get_num_threads, torch.set_num_threads),
    Setting("deterministic algorithms", _determinism, _set_determinism),
    Setting("filling of fresh memory", _fills, _set_fills),
    Setting("autocast", _autocast, _set_autocast),
    Setting("flushing of denormals", _flushes_denormals, torch.set_flush_denormal),
    Setting("precision of products", _products, _set_products),
    Setting("kernels", _kernels, _set_kernels),
    Setting("convolutions", _convolutions, _set_convolutions),
    Setting("numpy's errors", np.geterr, lambda before: np.seterr(**before)),
    Setting("warnings that are errors", _errors_of_warnings, _set_errors_of_warnings),
    Setting("disabled logging", lambda: logging.root.manager.disable, logging.disable),
    Setting("import path", _import_path, _set_import_path, _import_path_change),
    Setting(
        "start method",
        partial(multiprocessing.get_start_method, allow_none=True),
        partial(multiprocessing.set_start_method, force=True),
    ),
    Setting("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    Setting("switch interval", sys.getswitchinterval, sys.setswitchinterval),
    Setting("garbage collection", _garbage_collection, _set_garbage_collection),
    Setting("CPUs", _cpus, _set_cpus),
    Setting("working directory", _folder, _set_folder),
    Setting("locale", _locale, partial(locale.setlocale, locale.LC_ALL)),
    Setting("signal handlers", _handlers, _set_handlers),
)
"""Settings that a model can change in its trial's process."""


def _another_state(before: object, now: object) -> str:
    return "another state"


GENERATORS = (
    Setting("random numbers of Python", random.getstate, random.setstate, _another_state),
    Setting("random numbers of numpy", _numpy_state, _set_numpy_state, _another_state),
    Setting("random numbers of torch", _torch_state, _set_torch_state, _another_state),
)
"""Generators that no plugin may advance when it is imported or handles an event."""

ENVIRONMENT = Setting("environment", lambda: dict(os.environ), _set_environment, _changed_names)
"""Settings that every worker inherits from its driver."""

OF_A_DRIVER = (*SETTINGS, *GENERATORS, ENVIRONMENT)
"""Settings that plugins may not change in a driver, where they are imported and receive rows."""
