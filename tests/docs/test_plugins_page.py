"""The plugin of docs/plugins.md does what the page says."""

import importlib
import itertools
import math
import re
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from harness.benchmark import parse_benchmark
from harness.contract import Batch, DataSpec, HasLikelihood
from harness.registry import Registry

ROOT = Path(__file__).parents[2]
SPEC = DataSpec((1, 2, 2), levels=4)


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)


@pytest.fixture
def package(tmp_path, monkeypatch):
    model, init = blocks("docs/plugins.md", "python")
    (tmp_path / "my_pixels").mkdir()
    (tmp_path / "my_pixels" / "model.py").write_text(model)
    (tmp_path / "my_pixels" / "__init__.py").write_text(init)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("my_pixels")
    for name in ("my_pixels", "my_pixels.model"):
        sys.modules.pop(name, None)


@pytest.fixture
def model(package):
    (info,) = package.harness_models()
    cls = Registry.load(info)
    return cls(SPEC, cls.Config())


def test_probabilities_sum_to_one(model):
    torch.nn.init.normal_(model.network.logits)
    every = torch.tensor(list(itertools.product(range(4), repeat=4)), dtype=torch.uint8)
    assert isinstance(model, HasLikelihood)
    nats = model.log_likelihood(every.view(-1, 1, 2, 2)).nats
    assert nats.double().exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_a_fresh_model_is_uniform(model):
    image = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    assert model.log_likelihood(image).nats.item() == pytest.approx(-4 * math.log(4))


def test_it_learns_the_marginals_and_samples_them(model):
    torch.manual_seed(0)
    images = torch.tensor([0, 3, 3, 3], dtype=torch.uint8).repeat(16)[:, None, None, None]
    images = images.expand(-1, 1, 2, 2)
    for step in range(200):
        model.training_step(Batch(images, None), step / 200)
    drawn = model.sample(4000)
    assert drawn.dtype == torch.uint8 and drawn.shape == (4000, 1, 2, 2)
    frequencies = torch.bincount(drawn.flatten().long(), minlength=4) / drawn.numel()
    torch.testing.assert_close(frequencies, torch.tensor([0.25, 0.0, 0.0, 0.75]), atol=0.03, rtol=0)


def test_the_entry_point_is_of_our_group():
    (project,) = blocks("docs/plugins.md", "toml")
    assert tomllib.loads(project)["project"]["entry-points"]["harness"] == {
        "my-pixels": "my_pixels"
    }


def test_the_benchmark_files_of_the_pages_are_valid():
    texts = [text for page in ("README.md", "docs/benchmarks.md") for text in blocks(page, "toml")]
    benchmarks = [parse_benchmark(text, "page") for text in texts if "budget" in text]
    assert [benchmark.name for benchmark in benchmarks] == ["my-benchmark", "clothes"]
