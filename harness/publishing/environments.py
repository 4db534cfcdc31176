"""The environments and the machines that rows come from, each once with its trials."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from harness.errors import UserError
from harness.files.validation import validation_messages
from harness.results import Results
from harness.row import Row


class Environment(BaseModel):
    """What of ``harness.plugins.provenance.record_environment`` is alike for all trials of a run.

    Attributes:
        commit: of the working tree that the harness ran from.
        dirty: whether tracked files differed from it.
        python: version.
        platform: operating system.
        packages: versions by name.
        direct: origin of packages that are on no index; "" for local files.
        trials: that ran in it.
    """

    commit: str | None = None
    dirty: bool | None = None
    python: str = ""
    platform: str = ""
    packages: dict[str, str] = Field(default_factory=dict)
    direct: dict[str, str] = Field(default_factory=dict)
    trials: tuple[str, ...] = ()

    @property
    def tree(self) -> str:
        """The commit, for display."""
        if self.commit is None:
            return "no commit recorded"
        return f"commit {self.commit}" + (" with uncommitted changes" if self.dirty else "")

    def pins(self) -> str:
        """Return the packages as a requirements file for pip."""
        shown = ", ".join(self.trials[:3]) + (", ..." if len(self.trials) > 3 else "")
        lines = [
            f"# Python {self.python}, {self.platform}",
            f"# genharness: {self.tree}",
            f"# {len(self.trials)} rows: {shown}",
        ]
        if any("+" in version for version in self.packages.values()):
            lines.append("# Versions with a + are builds of PyTorch's own index, not of PyPI.")
        for name, version in self.packages.items():
            origin = self.direct.get(name)
            if origin is None:
                lines.append(f"{name}=={version}")
            elif origin:
                lines.append(f"{name} @ {origin}")
            else:
                lines.append(f"# {name}=={version} was installed from files")
        return "\n".join(lines) + "\n"


def environments(results: Results) -> list[Environment]:
    """Return the distinct environments of rows, that of most rows first.

    Raises:
        UserError: the record of one holds something else.
    """
    recorded = (
        (row.trial, _read(row.trial, results.environments[row.trial]))
        for row in results.rows
        if row.trial in results.environments
    )
    distinct = _distinct((trial, env.model_dump(exclude={"trials"})) for trial, env in recorded)
    return [Environment.model_validate(environment) for environment in distinct]


def _read(trial: str, record: bytes) -> Environment:
    try:
        return Environment.model_validate_json(record)
    except ValidationError as error:
        raise UserError(
            f"the environment.json of trial {trial} is damaged: {validation_messages(error)[0]}; "
            "remove it"
        ) from None


def machines(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the distinct machines of rows, that of most rows first, with their ``trials``."""
    return _distinct((row.trial, row.hardware) for row in rows if row.hardware)


def _distinct(items: Iterable[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    trials: dict[str, list[str]] = {}
    for trial, facts in items:
        trials.setdefault(json.dumps(facts, sort_keys=True), []).append(trial)
    most_first = sorted(trials.items(), key=lambda item: (-len(item[1]), item[0]))
    return [{**json.loads(facts), "trials": found} for facts, found in most_first]
