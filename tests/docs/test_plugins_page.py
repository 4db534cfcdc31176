"""The tutorial of docs/plugins.md, carried out as it stands: commands, model and claims."""

import itertools
import json
import math
import os
import shlex
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
import torch
from support.pages import blocks

from harness.contract import Batch, DataSpec, HasLikelihood
from harness.scaffold import Family, render

SPEC = DataSpec.images((1, 2, 2), levels=4)

# In the place of "digits", whose six systems take minutes.
BRIEF = """
name = "digits"
datasets = ["digits"]
models = ["prototypes"]
budget = "5 steps"
references = false
[evaluation]
samples = 50
batch_size = 50
curve = [0.5]
likelihood_images = 5
speed_batch_sizes = [1]
speed_seconds = 0.02
"""


def texts(language):
    return [block.text for block in blocks("docs/plugins.md", language)]


def commands():
    return [line for text in texts("sh") for line in text.splitlines()]


@pytest.fixture
def model():
    source, _ = texts("python")
    namespace = {"__name__": "prototypes.model"}
    exec(source, namespace)
    torch.manual_seed(0)
    prototypes = namespace["Prototypes"]
    return prototypes(SPEC, prototypes.Config(components=3))


def test_probabilities_sum_to_one(model):
    every = torch.tensor(list(itertools.product(range(4), repeat=4)), dtype=torch.uint8)
    assert isinstance(model, HasLikelihood)
    nats = model.log_likelihood(every.view(-1, 1, 2, 2)).nats
    assert nats.double().exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_equal_prototypes_are_uniform(model):
    torch.nn.init.zeros_(model.network.weight)
    image = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    assert model.log_likelihood(image).nats.item() == pytest.approx(-4 * math.log(4))


def test_it_learns_that_pixels_agree_and_samples_so(model):
    images = torch.tensor([0, 3, 3, 3], dtype=torch.uint8).repeat(16)[:, None, None, None]
    images = images.expand(-1, 1, 2, 2)
    for step in range(300):
        model.training_step(Batch(images, None), step / 300)
    drawn = model.sample(3000).flatten(1)
    assert (drawn == drawn[:, :1]).float().mean() > 0.97, "pixels of a sample are alike"
    assert {0, 3} >= set(drawn[(drawn == drawn[:, :1]).all(1)].unique().tolist())


def written_by_hand():
    """The model's lines that are not blank and that harness new had not written."""
    ours = texts("python")[0].splitlines()
    theirs = render("prototypes", Family.likelihood)["prototypes/model.py"].splitlines()
    return [line for line in ours if line.strip()], [
        line for line in ours if line.strip() and line not in theirs
    ]


def test_it_takes_no_more_than_the_page_promises():
    whole, new = written_by_hand()
    assert len(whole) <= 30 and len(new) < len(whole)
    assert len(commands()) <= 5


def test_the_page_says_how_the_plugin_is_found():
    (project,) = texts("toml")
    written = render("prototypes", Family.likelihood)
    entry_points = tomllib.loads(project)["project"]["entry-points"]
    assert entry_points == tomllib.loads(written["pyproject.toml"])["project"]["entry-points"]
    _, ours = texts("python")
    namespace = {}
    exec(ours, namespace)
    [info] = namespace["harness_models"]()
    assert (info.name, info.target) == ("prototypes", "prototypes.model:Prototypes")


class Shell:
    """Carries out commands of a page, in a virtual environment beside the one of the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / ".venv", with_pip=False)
        self.python = folder / ".venv/bin/python"
        [packages] = (folder / ".venv/lib").glob("python*/site-packages")
        ours = [path for path in sys.path if "site-packages" in path]
        lines = [f"import site; site.addsitedir({path!r})" for path in ours]
        (packages / "ours.pth").write_text("\n".join(lines) + "\n")
        # Nothing is downloaded: what a plugin is built with is there.
        offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_QUIET": "1"}
        threads = {"OMP_NUM_THREADS": "1", "GENHARNESS_CACHE": str(folder / "cache")}
        self.environment = os.environ | offline | threads

    def run(self, command: str) -> str:
        """Run a command of pip, pytest or harness; return what it printed."""
        result = subprocess.run(
            [self.python, "-m", *shlex.split(command)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
        return result.stdout


def test_the_tutorial_leads_to_a_row(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "brief.toml").write_text(BRIEF)
    shell = Shell(tmp_path)
    new, install, check, run = commands()
    shell.run(new)
    shell.run(install)
    model = tmp_path / "prototypes/prototypes/model.py"
    model.write_text(texts("python")[0])
    assert "failed" not in shell.run(check)
    assert " digits " in run
    shell.run(run.replace(" digits ", " brief.toml ") + " --tracking off")
    paths = tmp_path.glob("results/digits/trials/*/row.json")
    [row] = (json.loads(path.read_text()) for path in paths)
    assert (row["label"], row["status"]) == ("prototypes", "ok")
    assert row["metrics"]["bits_per_dim"]["value"] > 0
