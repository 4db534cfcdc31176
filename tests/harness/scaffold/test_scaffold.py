"""Every template is a model whose mathematics is right; names are checked, nothing overwritten."""

import importlib.util
import itertools
import math
import shutil
import subprocess
import sys
import tomllib

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from typer.testing import CliRunner

from harness.checks import NotApplicable, checks_for
from harness.checks.datasets import dataset_checks
from harness.checks.metrics import metric_checks
from harness.checks.outcome import outcomes_of
from harness.checks.reports import report_checks
from harness.checks.subject import all_images
from harness.cli import app
from harness.contract import Batch, DataSpec
from harness.errors import UserError
from harness.features.base import Features
from harness.metrics.base import Reference
from harness.metrics.moments import moments
from harness.planning.trial import REFERENCES
from harness.plugins.kinds import Kind
from harness.plugins.papers import paper
from harness.scaffold import RESERVED, SUMMARIES, TYPES, Family, render, write_plugin

SPEC = DataSpec.images((1, 4, 4), levels=5, classes=3)
OTHER_KINDS = [kind for kind in Kind if kind is not Kind.model]


def template(family):
    """Return the model's module of a rendered template, imported."""
    name = f"toy_{family.name}"
    spec = importlib.util.spec_from_loader(name, loader=None)
    module = importlib.util.module_from_spec(spec)
    exec(compile(render(name, family)[f"{name}/model.py"], name, "exec"), module.__dict__)
    return module


def model_of(family):
    return getattr(template(family), f"Toy{family.name.title().replace('_', '')}")


def build(family, spec=SPEC, **settings):
    torch.manual_seed(0)
    model_class = model_of(family)
    return model_class(spec, model_class.Config(**settings))


CHECKS = [
    pytest.param(check, id=f"{family}-{check.name}")
    for family in Family
    for check in checks_for(model_of(family))
]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    "spec", [SPEC, DataSpec.images((3, 6, 5), levels=256)], ids=["grey", "colour"]
)
def test_every_template_passes_the_checks(check, spec):
    try:
        check.run(spec)
    except NotApplicable as reason:
        pytest.skip(str(reason))


def test_the_linear_autoregression_draws_what_it_scores():
    spec = DataSpec.images((1, 1, 3), levels=3)
    model = build(Family.likelihood, spec)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.5)
        every = all_images(spec)
        expected = model.log_likelihood(every).nats.exp()
        drawn = model.sample(20_000)
    index = (drawn.flatten(1).long() * torch.tensor([9, 3, 1])).sum(1)
    found = torch.bincount(index, minlength=27) / 20_000
    assert expected.sum().item() == pytest.approx(1, abs=1e-5)
    assert expected.max() < 0.5, "too plain a case"
    torch.testing.assert_close(found, expected, atol=0.012, rtol=0)


def test_a_sub_pixel_of_the_linear_autoregression_sees_those_before_it_alone():
    network = build(Family.likelihood).network
    torch.nn.init.normal_(network.weight)
    x = torch.rand(1, 16) * 4
    jacobian = torch.autograd.functional.jacobian(lambda x: network(x)[0], x)[0, :, 0]
    assert torch.equal(jacobian != 0, torch.ones(16, 16).tril(-1).bool())


def test_the_flows_density_is_that_of_its_samples_by_autograd():
    model = build(Family.flow, DataSpec.images((1, 2, 2), levels=4), layers=4, width=8).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    z = torch.randn(3, 4, dtype=torch.float64)

    def image(z):
        return (model.network(z[None])[0].sigmoid() - 0.05) / 0.9

    for one in z:
        log_det = torch.autograd.functional.jacobian(image, one).slogdet().logabsdet
        expected = Normal(0, 1).log_prob(one).sum() - log_det
        assert model.log_density(image(one)[None]).item() == pytest.approx(expected.item())


def test_the_adversaries_losses_are_those_of_the_paper():
    model = build(Family.gan)
    for parameter in model.discriminator.parameters():
        torch.nn.init.zeros_(parameter)
    losses = model.training_step(Batch(torch.zeros(8, 1, 4, 4, dtype=torch.uint8), None), 0.0)
    assert losses["discriminator"].item() == pytest.approx(2 * math.log(2))
    # The generator meets a discriminator that has just learnt to tell: it cannot do better.
    assert losses["generator"].item() >= math.log(2) - 1e-3


def gaussian_posterior(x_t, a, s, mean, std):
    """E[x | x_t] and E[e | x_t] for x ~ N(mean, std^2), e ~ N(0, 1), x_t = a x + s e."""
    gain = (x_t - a * mean) / (a**2 * std**2 + s**2)
    return mean + a * std**2 * gain, s * gain


def assert_moments(images, mean, std):
    x = images.double() / 127.5 - 1
    assert x.mean().item() == pytest.approx(mean, abs=0.005)
    assert x.std().item() == pytest.approx(std, rel=0.03)


def test_diffusion_with_the_ideal_denoiser_draws_the_gaussian():
    model = build(Family.diffusion, DataSpec.images((1, 4, 4)), sampling_steps=200)

    def ideal(x_t, t):
        a, s = (t[:, None] * math.pi / 2).cos(), (t[:, None] * math.pi / 2).sin()
        x, e = gaussian_posterior(x_t, a, s, 0.2, 0.15)
        return a * e - s * x

    model.network.forward = ideal
    assert_moments(model.sample(2000), 0.2, 0.15)


def test_diffusion_learns_v_of_the_states_it_is_shown():
    model = build(Family.diffusion, DataSpec.images((1, 4, 4)))
    white = torch.full((64, 1, 4, 4), 255, dtype=torch.uint8)

    def ideal(x_t, t):
        """For x = 1 the noise is known: e = (x_t - a) / s."""
        a, s = (t[:, None] * math.pi / 2).cos(), (t[:, None] * math.pi / 2).sin()
        return a * (x_t - a) / s - s + 0 * model.network.net[0].bias.sum()

    model.network.forward = ideal
    assert model.training_step(Batch(white, None), 0.0)["loss"].item() < 1e-6


def test_the_conditional_model_with_the_ideal_velocity_draws_each_classs_gaussian():
    model = build(Family.conditional, DataSpec.images((1, 4, 4), classes=2), sampling_steps=300)
    means = torch.tensor([-0.3, 0.4])

    def ideal(x_t, t, y):
        t = t[:, None]
        x, e = gaussian_posterior(x_t, 1 - t, t, means[y][:, None], 0.15)
        return e - x

    model.network.forward = ideal
    for label, mean in enumerate(means.tolist()):
        assert_moments(model.sample(2000, torch.full((2000,), label)), mean, 0.15)


def test_the_conditional_model_learns_the_velocity_of_the_states_it_is_shown():
    model = build(Family.conditional, DataSpec.images((1, 4, 4)))
    white = torch.full((64, 1, 4, 4), 255, dtype=torch.uint8)

    def ideal(x_t, t, y):
        """For x = 1 the noise is known: x_t = 1 + t (e - 1)."""
        return (x_t - 1) / t[:, None] + 0 * model.network.leave.bias.sum()

    model.network.forward = ideal
    assert model.training_step(Batch(white, None), 0.0)["loss"].item() < 1e-6


def test_the_conditional_model_learns_which_label_is_which():
    model = build(Family.conditional, DataSpec.images((1, 2, 2), classes=2), width=32)
    labels = torch.arange(64) % 2
    images = (labels * 255).to(torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    for step in range(300):
        model.training_step(Batch(images, labels), step / 300)
    with torch.no_grad():
        drawn = model.sample(40, torch.arange(40) % 2).float().mean((1, 2, 3)) / 255
    assert drawn[::2].max() < 0.45 and drawn[1::2].min() > 0.55


def test_each_stage_moves_its_own_half_and_sees_only_its_share_of_the_budget():
    model = build(Family.two_stage)
    batch = Batch(torch.randint(5, (8, 1, 4, 4), dtype=torch.uint8), None)

    def moved(progress):
        before = {name: value.clone() for name, value in model.named_parameters()}
        model.training_step(batch, progress)
        after = dict(model.named_parameters())
        return {
            name.partition(".")[0] for name in after if not torch.equal(before[name], after[name])
        }

    assert moved(0.59) == {"encoder", "network"}
    assert moved(0.6) == {"prior"}


def test_the_prior_of_the_two_stages_is_a_mixture_of_gaussians():
    torch.manual_seed(0)
    prior = template(Family.two_stage).GaussianMixture(3, 2)
    with torch.no_grad():
        prior.logits.normal_()
        prior.log_scales.normal_().mul_(0.5)
        z = torch.randn(7, 2)
        parts = Independent(Normal(prior.means, prior.log_scales.exp()), 1)
        ideal = MixtureSameFamily(Categorical(logits=prior.logits), parts)
        torch.testing.assert_close(prior.log_prob(z), ideal.log_prob(z))
        drawn = prior.sample(40_000)
        torch.testing.assert_close(drawn.mean(0), ideal.mean, atol=0.03, rtol=0)
        torch.testing.assert_close(drawn.var(0), ideal.variance, atol=0.05, rtol=0.03)


def modules(kind):
    """Return what a rendered template of a kind defines, and what its package does."""
    texts = render(f"toy-{kind}", kind)
    own, package = {"__name__": f"toy_{kind}"}, {}
    exec(texts[f"toy_{kind}/{kind}.py"], own)
    exec(texts[f"toy_{kind}/__init__.py"], package)
    [info] = package[f"harness_{kind.plural}"]()
    assert (info.name, info.target.partition(":")[0]) == (f"toy-{kind}", f"toy_{kind}.{kind}")
    return own, info, own[info.target.partition(":")[2]]


def verdicts(checks):
    return {outcome.name: (outcome.verdict, outcome.message) for outcome in outcomes_of(checks)}


def test_the_data_set_passes_its_checks_and_has_the_entropy_that_it_says():
    own, info, load = modules(Kind.dataset)
    found = verdicts(dataset_checks(info.name, load))
    assert {name for name, (verdict, _) in found.items() if verdict != "passed"} == {"splits"}
    assert "drawn from a known density" in found["splits"][1]
    p = [own["probability"](sum(x), 4) for x in itertools.product((0, 1), repeat=4)]
    assert sum(p) == pytest.approx(1)
    assert own["entropy"](4) == pytest.approx(-sum(each * math.log(each) for each in p))


def test_the_metric_passes_its_checks_and_is_a_distance_in_standard_deviations():
    _, info, metric_class = modules(Kind.metric)
    assert set(verdicts(metric_checks(metric_class, info)).values()) == {("passed", "")}
    torch.manual_seed(0)
    real = torch.randn(50, 3, dtype=torch.float64)
    metric = metric_class(Reference("train", moments([real])))
    metric.update(Features(real - 1.5 * real.std(0), None))
    assert metric.compute().item() == pytest.approx(1.5)


def test_the_report_passes_its_checks_and_has_means_with_their_errors(tmp_path):
    own, _, write = modules(Kind.report)
    assert set(verdicts(report_checks(write)).values()) == {("passed", "")}
    assert own["figure"]([10.0, 20.0, 30.0]) == "20.0 +- 5.8"
    assert own["figure"]([10.0, None]) == "10.0 (1 of 2 seeds)"


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_a_project_of_another_kind_has_no_blank_left(kind):
    texts = render("two-words", kind)
    project = tomllib.loads(texts["pyproject.toml"])["project"]
    assert project["entry-points"]["harness"] == {"two-words": "two_words"}
    assert f"harness check two-words --kind {kind}" in texts["README.md"]
    assert not any("$" in text for text in texts.values())


def test_a_family_is_of_models_alone(tmp_path):
    words = ["new", "toy-gauge", str(tmp_path / "it"), "--kind", "metric", "--family", "flow"]
    refused = CliRunner().invoke(app, words)
    assert "--family is for models, and this is a metric" in str(refused.exception)
    assert not (tmp_path / "it").exists()
    answer = CliRunner().invoke(app, words[:-2])
    assert answer.exit_code == 0, answer.output
    assert "harness check toy-gauge --kind metric" in answer.output


@pytest.mark.parametrize("family", Family)
def test_what_is_written_is_a_project_without_a_blank_left(family):
    texts = render("two-words", family)
    project = tomllib.loads(texts["pyproject.toml"])["project"]
    assert project["entry-points"]["harness"] == {"two-words": "two_words"}
    assert "class TwoWords(" in texts["two_words/model.py"]
    assert TYPES[family] in texts["two_words/__init__.py"]
    assert SUMMARIES[family] in texts["README.md"]
    assert not any("$" in text for text in texts.values())


@pytest.mark.parametrize(
    ("family", "number"),
    [
        (Family.gan, "1406.2661"),
        (Family.diffusion, "2006.11239"),
        (Family.conditional, "2209.03003"),
        (Family.likelihood, ""),
    ],
)
def test_a_model_that_is_written_names_its_paper_where_it_has_one(
    family, number, tmp_path, monkeypatch
):
    write_plugin(f"papers-of-{family}", family, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    found = paper(f"papers_of_{family.name}.model:Model")
    assert found.endswith(f"arXiv:{number}") if number else found == ""


def test_what_is_written_is_clean(tmp_path):
    if shutil.which("ruff", path=str(sys.prefix) + "/bin") is None:
        pytest.skip("ruff is not installed here")
    for shape in (*Family, *OTHER_KINDS):
        write_plugin(f"toy-{shape}", shape, tmp_path / shape)
    ruff = [sys.executable, "-m", "ruff"]
    (tmp_path / "ruff.toml").write_text("line-length = 100\nlint.select = ['E', 'F', 'B', 'UP']\n")
    for command in (["check"], ["format", "--check"]):
        result = subprocess.run([*ruff, *command, str(tmp_path)], capture_output=True, text=True)
        assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MyFlow", "lower-case letters.*try 'my-flow'"),
        ("my flow", "try 'my-flow'"),
        ("3-flows", "try 'flows'"),
        ("my--flow", "try 'my-flow'"),
        ("../up", "lower-case letters.*try 'up'"),
        ("", "lower-case letters"),
        ("lambda", "a keyword of Python"),
        ("json", "a module of Python's standard library"),
        ("torch", "the distribution torch"),
        ("sklearn", "a module that can be imported"),
        ("vae", "a model of genharness"),
        ("null", "a reference row"),
        ("tests", "the folder of the plugin's tests"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_with_the_reason(name, message, tmp_path):
    with pytest.raises(UserError, match=message):
        write_plugin(name, Family.likelihood, tmp_path / "project")
    assert not list(tmp_path.iterdir())


def test_a_name_may_be_that_of_another_kind(tmp_path):
    with pytest.raises(UserError, match="it is a metric of genharness"):
        write_plugin("fid", Kind.metric, tmp_path / "project")
    write_plugin("fid", Kind.report, tmp_path / "project")


def test_no_reference_row_can_be_a_name():
    assert set(REFERENCES) <= set(RESERVED)


def test_nothing_is_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sketches").mkdir()
    assert CliRunner().invoke(app, ["new", "sketches"]).exit_code == 0, "an empty folder will do"
    (tmp_path / "sketches/README.md").write_text("mine")
    refused = CliRunner().invoke(app, ["new", "sketches"])
    assert isinstance(refused.exception, UserError)
    assert "sketches exists already" in str(refused.exception)
    assert (tmp_path / "sketches/README.md").read_text() == "mine"
    (tmp_path / "a-file").touch()
    with pytest.raises(UserError, match="exists already"):
        write_plugin("sketches", Family.flow, tmp_path / "a-file")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "a-file").touch()
    with pytest.raises(UserError, match="cannot write to .*a-file/below: Not a directory"):
        write_plugin("sketches", Family.flow, tmp_path / "a-file/below")


def test_the_autoregression_refuses_images_that_it_would_never_finish():
    supports = model_of(Family.likelihood).supports
    assert supports(DataSpec.images((1, 28, 28))) is None
    assert "3072 sub-pixels" in supports(DataSpec.images((3, 32, 32)))
