"""Groups of models that cannot be told apart, as letters: models that share one belong together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from harness_reports.columns import column
from harness_reports.statistics.comparisons import ALIKE, TOO_FEW, pairwise
from harness_reports.statistics.intervals import LEVEL
from harness_reports.statistics.observations import COMPARABLE


def groups(observations: pd.DataFrame, level: float = LEVEL) -> dict[tuple[object, ...], str]:
    """Return the letters of every entry, by metric, table, heading, kind and label.

    Letters run from the best: who shares A with the best cannot be told apart from it. Metrics
    without a direction have none, nor has an entry with too few seeds for a verdict on any pair.
    """
    ranked = [metric for metric in observations["metric"].unique() if column(metric).better]
    pairs = pairwise(observations[observations["metric"].isin(ranked)], level)
    means = observations.groupby([*COMPARABLE, "label"], sort=False)["value"].mean()
    found: dict[tuple[object, ...], str] = {}
    for key, family in pairs.groupby(COMPARABLE, sort=False):
        metric, *_ = key = tuple(key)
        lower = column(str(metric)).better == "lower"
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

    By insertion and absorption (H.-P. Piepho, Journal of Computational and Graphical Statistics 13,
    2004): one group of all is split at each pair that is apart, and groups within others are
    dropped.

    Args:
        labels: the best first; letters are given in this order.
        apart: pairs of labels that are told apart.
    """
    position = {label: i for i, label in enumerate(labels)}
    found = [(1 << len(labels)) - 1]
    for first, second in apart:
        one, other = 1 << position[first], 1 << position[second]
        split = [group for group in found if group & one and group & other]
        kept = [group for group in found if not (group & one and group & other)]
        for group in (part for whole in split for part in (whole & ~one, whole & ~other)):
            if not any(group & larger == group for larger in kept):
                kept = [smaller for smaller in kept if smaller & group != smaller] + [group]
        found = kept
    bits = [[i for i in range(len(labels)) if group >> i & 1] for group in found]
    ordered = sorted(bits)
    return {
        label: "".join(_letter(g) for g, members in enumerate(ordered) if i in members)
        for i, label in enumerate(labels)
    }


def _letter(index: int) -> str:
    """Return A to Z, then a letter with its round: A2, B2, ..."""
    turn, letter = divmod(index, 26)
    return chr(ord("A") + letter) + (str(turn + 1) if turn else "")
