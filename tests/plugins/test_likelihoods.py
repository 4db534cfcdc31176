"""Every installed likelihood against a density of known entropy; there is no list to keep."""

import math

import numpy as np
import pytest
import torch

from harness.checks.probability import SLACK
from harness.checks.subject import build, seeded, train
from harness.contract import Batch, DataSpec, HasLikelihood
from harness.plugins.registry import registry
from harness_datasets.known_density import Density

TINY = DataSpec.images((1, 2, 2), levels=4)
DENSITY = Density("mixture", 2, 2)
STEPS, BATCH = 100, 32
MODELS = {
    name: model_class
    for name, entry in registry().models.items()
    if issubclass(model_class := registry().load(entry.info), HasLikelihood)
}


def draw(n, seed):
    return torch.from_numpy(DENSITY.sample(n, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", MODELS)
def test_no_likelihood_is_below_the_entropy_of_a_known_density(name):
    """Fresh images cost at least what the best code would take, H, after any training."""
    if reason := MODELS[name].supports(TINY):
        pytest.skip(reason)
    model = build(MODELS[name], TINY, {})
    for step, images in enumerate(draw(STEPS * BATCH, 0).split(BATCH)):
        train(model, Batch(images, None), range(step, step + 1), STEPS)
    with seeded(0), torch.no_grad():
        scored = model.eval().log_likelihood(draw(500, 1))
    nats = -scored.nats.double()
    error = float(nats.std()) / math.sqrt(len(nats))
    slack = SLACK[scored.kind] * TINY.dimensions * math.log(2)
    assert float(nats.mean()) > DENSITY.entropy - 3 * error - slack
    assert scored.kind == "exact" or scored.detail, "how it was computed, for the table"
