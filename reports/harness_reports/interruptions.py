"""Notes on device time that was interrupted, or spent on a busy machine or on several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.row import Row

NOTED = 0.1
"""Minimum share of device time without CPU time that is noted."""


def interruptions(rows: Sequence[Row]) -> Iterator[str]:
    """Yield notes on the device time of an entry, whose rows differ in the seed."""
    for row in rows:
        what = f"seed {row.seed}" if len(rows) > 1 else "the trial"
        usage = row.usage
        if len(row.provenance.get("machines", ())) > 1:
            yield f"{what} went on elsewhere: its seconds are of several machines"
        if usage.paused:
            yield f"{what} was paused for {usage.paused:.1f} s, which are not charged"
        if usage.idle > NOTED * usage.seconds:
            share = usage.idle / usage.seconds
            yield f"{what} had no CPU time in {share:.0%} of its seconds"
