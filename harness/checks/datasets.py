"""Checks of a data set: arrays, splits, levels, labels, and that loading is repeatable."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from harness.checks.outcome import BoundCheck
from harness.checks.subject import NotApplicable, held_to_contract
from harness.dataset import Dataset, Split
from harness.plugins.dataset_validation import plural, validated_dataset

Load = Callable[[], Dataset]
MOST_SHARED = 0.01


def dataset_checks(name: str, function: Callable[..., Any], argument: str = "") -> list[BoundCheck]:
    """Return the checks of the data set called ``name``, which ``function`` loads.

    Args:
        name: as in a benchmark file, argument included; "" if it has none yet.
        function: what its info's ``target`` names.
        argument: the part after the colon; "" if there is none.
    """

    def load() -> Dataset:
        dataset = function(argument) if argument else function()
        return validated_dataset(dataset, name or getattr(dataset, "name", ""))

    @cache
    def loaded() -> Dataset:
        """Load once for all checks; not applicable where `form` reports what is wrong."""
        try:
            return load()
        except Exception as error:
            raise NotApplicable("it cannot be loaded, see `form`") from error

    checks: dict[str, Callable[[], str | None]] = {
        "form": partial(check_form, load),
        "repeatable": partial(check_repeatable, loaded, load),
        "splits": partial(check_splits, loaded),
        "levels": partial(check_levels, loaded),
        "labels": partial(check_labels, loaded),
    }
    return [
        BoundCheck(key, (check.func.__doc__ or "").partition("\n")[0], check, function)  # type: ignore[attr-defined]
        for key, check in checks.items()
    ]


def check_form(load: Load) -> None:
    """Arrays x and y are uint8 (N, ...), labels int64 (N,), as the spec says, in three splits."""
    with held_to_contract():
        load()


def check_repeatable(load: Load, again: Load) -> None:
    """Loaded twice it has one fingerprint: nothing is drawn at random without a seed."""
    first, second = load(), again()
    assert first.fingerprint == second.fingerprint, (
        f"loaded twice, its fingerprints are {first.fingerprint[:12]} and "
        f"{second.fingerprint[:12]}: splits and draws need a fixed seed, and folders an order"
    )


def check_splits(load: Load) -> str | None:
    """No split has x of another: what is held out was not seen."""
    dataset = load()
    x = plural(dataset.spec.x)
    if dataset.entropy is not None:
        raise NotApplicable(f"{x} are drawn from a known density, and may be drawn twice")
    contents = {name: _contents(split) for name, split in dataset.splits.items()}
    notes = []
    for seen, held_out in (("train", "test"), ("train", "validation"), ("validation", "test")):
        trained_on = set(contents[seen])
        shared = sum(one in trained_on for one in contents[held_out])
        share = shared / len(contents[held_out])
        finding = f"{shared} of {len(contents[held_out])} {x} of {held_out} are in {seen} too"
        assert share <= MOST_SHARED, (
            f"{finding}: a model that copies what it trained on would look as if it generalised; "
            "split by content"
        )
        notes += [finding] if shared else []
    return "; ".join(notes)


def check_levels(load: Load) -> None:
    """The spec has as many levels as the data: 17 from 0 to 16, and not 256."""
    dataset = load()
    for name, array in (("x", dataset.spec.x), ("y", dataset.spec.y)):
        # Texts of one alphabet need not use all of it in each of two roles.
        if array is None or array.kind == "label" or (name == "y" and array.kind == "text"):
            continue
        largest = max(int(split.arrays[name].max()) for split in dataset.splits.values())
        assert largest == array.levels - 1, (
            f"the largest value of {name} is {largest}, and the spec has {array.levels} levels, 0 "
            f"to {array.levels - 1}: likelihoods are of integers below `levels`, and models scale "
            f"by it; write levels={largest + 1}, or stretch the {plural(array)}"
        )


def check_labels(load: Load) -> None:
    """Every class has examples to train on, and samples are compared with all of them."""
    dataset = load()
    if not dataset.spec.classes:
        raise NotApplicable("there are no labels")
    for name in ("train", "test"):
        labels = dataset.splits[name].y
        assert labels is not None
        missing = sorted(set(range(dataset.spec.classes)) - set(labels.tolist()))
        assert not missing, (
            f"{name} has no example of {len(missing)} of {dataset.spec.classes} classes "
            f"({', '.join(map(str, missing[:5]))}): count `classes` from the labels, or split by "
            "class"
        )


def _contents(split: Split) -> list[bytes]:
    return [one.tobytes() for one in np.ascontiguousarray(split.x)]
