import hashlib
from importlib.metadata import distributions

import pytest
from support.distributions import install, models_plugin

from harness.doctor import plugins
from harness.doctor.finding import Severity
from harness.features import classifier
from harness.features.published_weights import PublishedWeights
from harness.plugins.registry import Registry

DATASETS = """
    from pathlib import Path
    from harness.dataset import PublishedFiles
    from harness.hooks import DatasetInfo, hookimpl

    @hookimpl
    def harness_datasets():
        me = "data_plugin:"
        return [
            DatasetInfo("here", "", me + "load", files=me + "all_there"),
            DatasetInfo("away", "", me + "load", files=me + "one_missing"),
            DatasetInfo("sold", "", me + "load", files=me + "not_published"),
            DatasetInfo("made", "", me + "load"),
            DatasetInfo("yours", "", me + "load", argument="PATH"),
            DatasetInfo("lost", "", me + "laod"),
        ]

    def load(argument=None):
        raise AssertionError("a doctor loads nothing")

    def all_there():
        return PublishedFiles((Path("a"), Path("b")), ())

    def one_missing():
        return PublishedFiles((Path("a"), Path("b")), ("sub/file.gz",))

    def not_published():
        return PublishedFiles((Path("b"),), ("file.npz",), downloadable=False)
"""


@pytest.fixture
def registry_of(tmp_path, monkeypatch):
    """A function that installs distributions, each of one module, and discovers their plugins."""
    monkeypatch.syspath_prepend(tmp_path)

    def discover(**modules):
        for module, source in modules.items():
            name = module.replace("_", "-")
            install(tmp_path, name, {f"{module}.py": source}, {"point": module})
        found = distributions(path=[str(tmp_path)])
        return Registry(point for each in found for point in each.entry_points)

    return discover


def by_subject(findings):
    return {finding.subject: finding for finding in findings}


def test_sound_plugins_are_reported_with_versions(registry_of):
    found = registry_of(sound_plugin=models_plugin("one", "two"))
    [finding] = plugins.plugin_findings(found)
    assert (finding.subject, finding.verdict) == ("plugins of sound-plugin 1.0", Severity.ok)
    assert finding.found == "models: 2"


def test_a_broken_plugin(registry_of):
    [finding] = plugins.plugin_findings(registry_of(bad_plugin="import no_such_module"))
    assert finding.verdict is Severity.warning
    assert finding.subject == "plugin point of bad-plugin"
    assert "no_such_module" in finding.found and "pip uninstall bad-plugin" in finding.remedy


def test_plugins_in_conflict(registry_of):
    found = registry_of(one_plugin=models_plugin("twin"), two_plugin=models_plugin("twin"))
    [finding] = plugins.plugin_findings(found)
    assert (finding.subject, finding.verdict) == ("name twin", Severity.warning)
    assert "one-plugin 1.0" in finding.found and "two-plugin 1.0" in finding.found
    assert "uninstall or rename" in finding.remedy


def test_a_model_whose_module_cannot_be_imported(registry_of):
    found = registry_of(
        lazy_plugin=models_plugin("early", "late", target="lazy_model:Model"),
        lazy_model="import no_such_module",
    )
    findings = by_subject(plugins.target_findings(found))
    assert findings.keys() == {"model early", "model late"}
    assert findings["model late"].verdict is Severity.warning
    assert "no_such_module" in findings["model late"].found
    assert "lazy-plugin" in findings["model late"].remedy


def test_data_sets(registry_of):
    findings = by_subject(plugins.dataset_findings(registry_of(data_plugin=DATASETS)))
    found = {subject.split()[-1]: finding for subject, finding in findings.items()}
    assert {name for name, f in found.items() if f.verdict is Severity.ok} == {
        "here",
        "made",
        "yours",
    }
    assert "looked in a and b" in found["away"].found
    assert found["away"].remedy.startswith("is downloaded when first used")
    assert found["away"].remedy.endswith("put sub/file.gz in b")
    assert found["sold"].remedy == "put file.npz in b"
    assert "yours:PATH" in found["yours"].found
    assert "there is no 'laod' (did you mean 'load'?)" in found["lost"].found


def test_weights_that_are_damaged_or_missing(monkeypatch, tmp_path):
    found = Registry(p for d in distributions(name="genharness") for p in d.entry_points)
    sound = by_subject(plugins.feature_findings(found))
    ours = {f"features {name}-classifier" for name in ("digits", "mnist", "fashion-mnist")}
    assert {sound[subject].verdict for subject in ours} == {Severity.ok}

    monkeypatch.setattr(classifier, "WEIGHTS", tmp_path)
    (tmp_path / "digits.safetensors").write_bytes(b"damaged")
    findings = by_subject(plugins.feature_findings(found))
    assert findings["features pixels"].verdict is Severity.ok
    digits, mnist = (findings[f"features {name}-classifier"] for name in ("digits", "mnist"))
    assert digits.verdict is mnist.verdict is Severity.warning
    assert "damaged: SHA-256" in digits.found and "cannot read the weights" in mnist.found
    assert "install genharness again" in digits.remedy


def test_published_weights_that_are_there_missing_or_damaged(monkeypatch, tmp_path):
    monkeypatch.setenv("GENHARNESS_CACHE", str(tmp_path))
    digest = hashlib.sha256(b"weights").hexdigest()
    weights = PublishedWeights("net.pt", "https://example.org/net.pt", digest)
    missing = plugins._weights_finding("features net", weights)
    assert missing.verdict is Severity.warning and str(weights.path) in missing.found
    assert missing.remedy.endswith("put the file there, from https://example.org/net.pt")

    weights.path.parent.mkdir()
    weights.path.write_bytes(b"weights")
    assert plugins._weights_finding("features net", weights).verdict is Severity.ok
    weights.path.write_bytes(b"other")
    damaged = plugins._weights_finding("features net", weights)
    assert damaged.verdict is Severity.warning
    assert damaged.remedy == f"remove {weights.path}"
