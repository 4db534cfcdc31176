"""REPRODUCE.md: how to run the rows of a report again, and what to expect."""

from __future__ import annotations

import re

from harness.errors import visible
from harness.publishing.agreement import LEVEL, repeats_bits
from harness.publishing.environments import environments, machines
from harness.results import Results


def instructions(results: Results) -> str:
    """Return the page, in Markdown."""
    return (
        "\n\n".join(
            [
                f"# Reproducing {_text(results.benchmark)}",
                "In this folder, with genharness installed:",
                "    harness verify .        # do the tables follow from the rows? runs nothing\n"
                "    harness reproduce .     # run every row again and compare",
                "`harness reproduce . TRIAL` or `--only LABEL` runs some of them.",
                "## What to expect",
                _expected(results),
                "## Where the rows come from",
                *(_environments(results) or ["No environment was recorded."]),
                *_machines(results),
            ]
        )
        + "\n"
    )


def _expected(results: Results) -> str:
    trained = [row for row in results.rows if row.status == "ok"]
    exact = [row for row in trained if repeats_bits(row)]
    parts = [f"{len(results.rows)} rows, {len(trained)} of them with figures."]
    if exact:
        parts.append(
            f"{len(exact)} of them have a budget that does not depend on the clock, or none: on a "
            "machine of the same kind, samples and weights come out bit for bit, and all figures "
            "but timings with them."
        )
    if len(exact) < len(trained) or exact:
        parts.append(
            f"{'Elsewhere' if exact else 'Their budget is of time:'} "
            f"figures agree within the interval, at {LEVEL:.0%}, of one more training of the same "
            "model, as far as the seeds in this report tell how trainings differ."
        )
    parts.append("Timings are compared and never asked to agree.")
    return " ".join(parts)


def _environments(results: Results) -> list[str]:
    lines = []
    for number, env in enumerate(environments(results), start=1):
        packages = f"packages{'' if number == 1 else f'-{number}'}.txt"
        lines.append(
            f"- {_count(len(env.trials))}: {_text(env.tree)}, Python {_text(env.python)}, "
            f"`pip install -r {packages}`"
        )
    return ["\n".join(lines)] if lines else []


def _machines(results: Results) -> list[str]:
    lines = []
    for machine in machines(results.rows):
        parts = [machine.get("gpu"), machine.get("cpu"), machine.get("instructions")]
        parts += [f"{machine.get('threads')} threads", f"torch {machine.get('torch')}"]
        what = _text(", ".join(str(part) for part in parts if part))
        lines.append(f"- {_count(len(machine['trials']))}: {what}")
    return ["\n".join(lines)] if lines else []


def _text(value: object) -> str:
    """Return what rows of others say, on one line that Markdown shows as it is."""
    line = " ".join(visible(str(value)).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"[\\`*\[\]|]", r"\\\g<0>", line)


def _count(rows: int) -> str:
    return f"{rows} {'row' if rows == 1 else 'rows'}"
