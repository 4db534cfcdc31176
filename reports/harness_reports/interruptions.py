"""What is to be known of device time that was not spent in one go on one quiet machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.row import Row

NOTED = 0.1
"""Share of the device time without CPU time from which it is noted."""


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
