"""A likelihood's record: what it is of, and what it took, as figures beside the value."""

import json
from dataclasses import replace

import pytest
import torch
from support.rows import make_row
from support.toys import SPEC, Config, Regressor, dataset, split

from harness.contract import DataSpec, LogLikelihood
from harness.features.pixels import Pixels
from harness.frame import rows_frame
from harness.measurement.baselines import measure_anchors, measure_null
from harness.measurement.likelihood import measure_likelihood
from harness.measurement.sampling import Sampler
from harness.measurement.scorer import SampleScorer
from harness.measurement.tasks import TaskScorer
from harness.measurement.timing import measure_speed
from harness.metrics.frechet import FrechetDistance
from harness.plugins.registry import registry
from harness.row import Measurement, Row

SMALL = DataSpec.images((1, 4, 4), levels=17, classes=2)
TOOK = {
    "vae": ({"importance_samples": 5}, {"k": 5, "evaluations": 5}),
    "realnvp": ({"dequantisations": 3}, {"k": 3}),
    "ddpm": ({"steps": 20, "likelihood_terms": 6}, {"evaluations": 7}),
    "score-sde": ({"likelihood_steps": 3, "probes": 2}, {"evaluations": 12, "probes": 2}),
}


def test_every_family_with_a_likelihood_is_here():
    found = {
        name
        for name, entry in registry().models.items()
        if hasattr(registry().load(entry.info), "log_likelihood")
        and entry.info.target.startswith("harness_")
    }
    assert found == set(TOOK)


@pytest.mark.parametrize("name", TOOK)
def test_the_record_says_what_it_took(name):
    settings, took = TOOK[name]
    model_class = registry().load(registry().model(name).info)
    torch.manual_seed(0)
    model = model_class(SMALL, replace(model_class.Config(), **settings))
    test = split(5, spec=SMALL)
    found = measure_likelihood(model, test, images=5, batch_size=3, seed=0)
    assert found.details.items() >= took.items()
    assert found.details.items() >= {"images": 5, "dimensions": 16, "levels": 17}.items()
    assert set(found.details) <= {"images", "dimensions", "levels", "evaluations", "k", "probes"}
    assert found.protocol.startswith("5 images of test, D = 16, 17 levels; ")


def test_evaluations_are_counted_not_claimed():
    class Busy(Regressor):
        def log_likelihood(self, x, y=None):
            for _ in range(6):
                self.network(torch.zeros(1, 4))
            return LogLikelihood(-x.flatten(1).sum(1).float(), "exact")

    model = Busy(SPEC, Config())
    found = measure_likelihood(model, split(20), images=20, batch_size=8, seed=0)
    assert found.details["evaluations"] == 6
    assert not model.network._forward_hooks


def test_anchors_and_the_null_model_have_the_same_record():
    data = dataset(60)
    what = {"dimensions": 4, "levels": 4}
    for measured in measure_anchors(data, 20).values():
        assert measured.details == what | {"images": 20}
        assert measured.protocol.startswith("20 images of test, D = 4, 4 levels; ")
    scorer = SampleScorer(data, Pixels(SPEC), {"fid": FrechetDistance}, torch.device("cpu"))
    null, _ = measure_null(
        data, scorer, TaskScorer(data, scorer.extractor, {}, torch.device("cpu")), 20, {}
    )
    assert null["bits_per_dim"].details == what


def test_timings_have_the_tail_of_a_call_and_the_other_batches():
    sampler = Sampler(Regressor(), seed=0, batch_size=8, precision="fp32")
    found = measure_speed(sampler, (16, 4), 0.0)
    assert found["latency"].protocol.startswith("median seconds of 1 batches of 1,")
    assert found["latency"].details["p95"] >= found["latency"].value
    assert set(found["images_per_second"].details) == {"batch_1", "batch_4"}
    assert all(speed > 0 for speed in found["images_per_second"].details.values())


def test_details_are_columns_of_the_frame_and_absent_where_there_are_none():
    message = Measurement(value=3.1, kind="estimate", details={"k": 64, "evaluations": 400.0})
    rows = [make_row("vae", metrics={"bits_per_dim": message}), make_row("dcgan")]
    frame = rows_frame(rows)
    assert frame["bits_per_dim.k"].tolist()[0] == 64
    assert frame["bits_per_dim.evaluations"].tolist()[0] == 400
    assert not any(column.startswith(("fid.k", "bits_per_dim.details")) for column in frame)
    again = Row.model_validate_json(rows[0].model_dump_json())
    assert again == rows[0]
    assert isinstance(again.metrics["bits_per_dim"].details["k"], int)
    # Rows from before there were details are written again byte by byte.
    written = json.loads(rows[1].model_dump_json())
    assert all("details" not in measured for measured in written["metrics"].values())
