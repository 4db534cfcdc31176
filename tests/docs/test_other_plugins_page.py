"""The examples of docs/other-plugins.md pass the checks that the page sends its readers to."""

import pytest
from support.pages import blocks

from harness.checks.datasets import dataset_checks
from harness.checks.metrics import metric_checks
from harness.checks.outcome import outcomes_of
from harness.checks.reports import report_checks
from harness.hooks import MetricInfo

DATASET, METRIC, REPORT = (block.text for block in blocks("docs/other-plugins.md", "python"))
GAP = MetricInfo(name="mean-gap", summary="", target="mean_gap.metric:MeanGap")


@pytest.mark.parametrize(
    ("source", "name", "checks"),
    [
        (DATASET, "load", lambda load: dataset_checks("bright-pixels", load)),
        (METRIC, "MeanGap", lambda metric: metric_checks(metric, GAP)),
        (REPORT, "write", report_checks),
    ],
)
def test_an_example_passes_its_checks(source, name, checks):
    namespace = {"__name__": "example"}
    exec(source, namespace)
    found = {outcome.name: outcome for outcome in outcomes_of(checks(namespace[name]))}
    assert {outcome.verdict for outcome in found.values()} == {"passed"}, found
