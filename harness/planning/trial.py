"""A trial: one training and evaluation, fully resolved, with an identity."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from harness.files.text import storable
from harness.machine.precision import Precision
from harness.planning.benchmark import Evaluation, Needs
from harness.row import Row

BUDGET_PROTOCOL = 1
MEASUREMENT_PROTOCOL = 1

REAL, NULL = "real", "null"
REFERENCES = {REAL: "test set", NULL: "noise, mean image"}
"""Reference rows, with their type in tables."""

PLANNED = ("evaluation", "plugin", "features", "needs")
"""Parts of a trial that its row stores unchanged, under ``planned``."""


class Trial(BaseModel):
    """Everything that determines a trial's row.

    Attributes:
        data_kind: of x; no part of the identity, which has the fingerprint.
        evaluation: how it is measured, with nothing left to defaults that depend on the data.
        plugin: distribution, version and source digest of the model, versions of the libraries that
            it brings along, and which features and metrics come from other distributions.
        features: name and digest of the extractor; under "further", where robustness is asked for,
            those that differ from it only in their training seed.
        protocol: versions of the budget's and the measurement's rules.
        averaging: maximum half-life of the averaged weights, in images.
        checkpoint_seconds: not part of the identity, as is what follows.
        needs: resources of its worker.
        unsupported: why the model cannot run on the data, or None.
        fault: error of a plugin while the trial was planned, which ends it, or None.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    benchmark: str
    dataset: str
    data_kind: str = ""
    fingerprint: str
    model: str
    label: str
    type: str
    config: dict[str, Any]
    seed: int
    budget: str
    precision: Precision
    compile: bool
    averaging: float
    evaluation: Evaluation
    plugin: dict[str, str]
    features: dict[str, str]
    protocol: dict[str, int] = Field(
        default_factory=lambda: {"budget": BUDGET_PROTOCOL, "measurement": MEASUREMENT_PROTOCOL}
    )
    checkpoint_seconds: float = 60.0
    patience_seconds: float = 900.0
    needs: Needs = Needs()
    unsupported: str | None = None
    fault: str | None = None

    @property
    def id(self) -> str:
        """Identity: the first 16 hexadecimal digits of the SHA-256 of ``identity``."""
        content = json.dumps(self.identity, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that determines the row, as JSON."""
        exempt: Any = {
            "checkpoint_seconds": True,
            "patience_seconds": True,
            "needs": {"memory"} if self.needs.devices > 1 else True,
            "unsupported": True,
            "fault": True,
            "data_kind": True,
            "evaluation": {"robustness": True},  # implied by the features, with their hashes
        }
        return self.model_dump(mode="json", exclude=exempt)

    @property
    def title(self) -> str:
        """Its title: label, data set and seed."""
        return f"{self.label} on {self.dataset}, seed {self.seed}"

    @property
    def is_reference(self) -> bool:
        """Whether it measures the data or noise, without training."""
        return self.model in REFERENCES

    def row(self, status: Any, reason: str | None = None, **found: Any) -> Row:
        """Return the trial's row, with the fields of ``found``; very long text is shortened."""
        evaluation = self.evaluation
        return Row(
            trial=self.id,
            benchmark=self.benchmark,
            dataset=self.dataset,
            data_kind=self.data_kind,
            fingerprint=self.fingerprint,
            model=self.model,
            label=self.label,
            type=self.type,
            seed=self.seed,
            budget=self.budget,
            config=self.config,
            status=status,
            reason=storable(reason),
            protocol=self.protocol
            | {
                "features": f"{self.features['name']} {self.features['digest'][:12]}",
                "samples": evaluation.samples,
                "sample_sets": evaluation.sample_sets,
                "precision": self.precision,
                "compile": self.compile,
                "averaging": self.averaging,
            },
            planned=self.model_dump(mode="json", include=set(PLANNED)),
            **storable(found),
        )

    @classmethod
    def of(cls, row: Row) -> Trial:
        """Return the trial of a row; its ``id`` is the row's, unless the row was changed.

        Raises:
            ValueError: the row does not record its plan, or records an invalid one.
        """
        missing = [name for name in PLANNED if name not in row.planned]
        if missing:
            raise ValueError(f"the row does not record its {', '.join(missing)}")
        own = (
            *("benchmark", "dataset", "data_kind", "fingerprint"),
            *("model", "label", "type", "config", "seed"),
        )
        settings = {name: row.protocol.get(name) for name in ("precision", "compile", "averaging")}
        versions = {name: row.protocol.get(name) for name in ("budget", "measurement")}
        return cls.model_validate(
            {name: getattr(row, name) for name in own}
            | {name: row.planned[name] for name in PLANNED}
            | settings
            | {
                "budget": row.budget,
                "protocol": versions,
                "unsupported": row.reason if row.status == "skipped" else None,
            }
        )
