"""Groups of models that cannot be told apart, as letters: models that share one belong together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from harness_reports.statistics.comparisons import ALIKE, TOO_FEW, pairwise
from harness_reports.statistics.intervals import LEVEL
from harness_reports.statistics.observations import COMPARABLE, direction


def groups(observations: pd.DataFrame, level: float = LEVEL) -> dict[tuple[object, ...], str]:
    """Return the letters of every entry, by metric, table, heading, kind and label.

    Letters run from the best: models that share A with the best cannot be told apart from it.
    Metrics
    without a direction have none, nor has an entry with too few seeds for a verdict on any pair.
    """
    metrics = observations["metric"].unique()
    better = {metric: way for metric in metrics if (way := direction(observations, metric))}
    pairs = pairwise(observations[observations["metric"].isin(list(better))], level)
    means = observations.groupby([*COMPARABLE, "label"], sort=False)["value"].mean()
    found: dict[tuple[object, ...], str] = {}
    for key, family in pairs.groupby(COMPARABLE, sort=False):
        metric, *_ = key = tuple(key)
        lower = better[str(metric)] == "lower"
        order = means.xs(key, level=tuple(COMPARABLE)).sort_values(ascending=lower).index
        judged = family[family["verdict"] != TOO_FEW]
        compared = {*judged["a"], *judged["b"]}
        present = [label for label in order if label in compared]
        apart = judged[judged["verdict"] != ALIKE]
        letters = letter_display(present, zip(apart["a"], apart["b"], strict=True))
        found |= {(*key, label): text for label, text in letters.items()}
    return found


def letter_display(labels: Sequence[str], apart: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the letters of each label: two share a letter exactly if they are not ``apart``.

    A letter is a largest group of labels none of which is apart from another (H.-P. Piepho, Journal
    of Computational and Graphical Statistics 13, 2004); four letters in a row are written "B–E".

    Args:
        labels: the best first; letters are given in this order.
        apart: pairs of labels that are told apart.
    """
    position = {label: i for i, label in enumerate(labels)}
    everyone = (1 << len(labels)) - 1
    alike = [everyone & ~(1 << i) for i in range(len(labels))]
    for a, b in apart:
        alike[position[a]] &= ~(1 << position[b])
        alike[position[b]] &= ~(1 << position[a])
    found = sorted(map(_members, _largest(alike, 0, everyone, 0)))
    own: list[list[int]] = [[] for _ in labels]
    for letter, members in enumerate(found):
        for member in members:
            own[member].append(letter)
    return {label: _letters(own[i]) for i, label in enumerate(labels)}


def _largest(alike: Sequence[int], group: int, candidates: int, tried: int) -> Iterator[int]:
    """Yield the largest groups that hold ``group``; sets are bits (Bron and Kerbosch, CACM 16)."""
    if not candidates:
        if not tried:
            yield group
        return
    pivot = max(_members(candidates | tried), key=lambda i: (alike[i] & candidates).bit_count())
    for member in _members(candidates & ~alike[pivot]):
        bit = 1 << member
        yield from _largest(alike, group | bit, candidates & alike[member], tried & alike[member])
        candidates &= ~bit
        tried |= bit


def _members(bits: int) -> list[int]:
    return [i for i in range(bits.bit_length()) if bits >> i & 1]


def _letters(indices: Sequence[int]) -> str:
    text, start = "", 0
    for i, index in enumerate(indices):
        if i + 1 == len(indices) or indices[i + 1] != index + 1:
            run = [_letter(each) for each in indices[start : i + 1]]
            text += f"{run[0]}–{run[-1]}" if len(run) > 3 else "".join(run)
            start = i + 1
    return text


def _letter(index: int) -> str:
    """Return A to Z, then a letter with its round: A2, B2, ..."""
    turn, letter = divmod(index, 26)
    return chr(ord("A") + letter) + (str(turn + 1) if turn else "")
