from __future__ import annotations

import sys
from importlib.metadata import entry_points

import pytest
from support.distributions import install, models_plugin

from harness.errors import UserError
from harness.hooks import ModelInfo
from harness.plugins import registry as registry_module
from harness.plugins.registry import Registry, registry, split_argument


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def discover(*distributions):
    """Return the registry of the named distributions alone."""
    points = entry_points(group="harness")
    return Registry([point for point in points if point.dist.name in distributions])


def add(site, name, source, entry_point="plugin"):
    module = name.replace("-", "_")
    install(site, name, {f"{module}.py": source}, {entry_point: module})


BROKEN = {
    "import-error": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such"),
    "syntax-error": ("def (", "SyntaxError"),
    "leaves": ("raise SystemExit('bye')", "SystemExit: bye"),
    "raises": (
        """
        from harness.hooks import hookimpl
        @hookimpl
        def harness_models():
            raise RuntimeError("no licence")
        """,
        "RuntimeError: no licence",
    ),
    "returns-none": (
        """
        from harness.hooks import hookimpl
        @hookimpl
        def harness_metrics():
            return "fid"
        """,
        "harness_metrics() returned 'fid' instead of a list",
    ),
    "returns-strings": (
        """
        from harness.hooks import hookimpl
        @hookimpl
        def harness_models():
            return ["vae"]
        """,
        "harness_models() returned 'vae' instead of a ModelInfo",
    ),
    "wrong-kind": (
        """
        from harness.hooks import DatasetInfo, hookimpl
        @hookimpl
        def harness_models():
            return [DatasetInfo("x", "y", "a:b")]
        """,
        "instead of a ModelInfo",
    ),
    "name-with-colon": (models_plugin("a:b"), "the name 'a:b'"),
    "target-without-colon": (models_plugin("a", target="package.Model"), "'package.Model' for 'a'"),
    "misspelt-hook": (
        """
        from harness.hooks import hookimpl
        @hookimpl
        def harness_modells():
            return []
        """,
        "harness_modells",
    ),
    "hook-without-mark": (
        """
        def harness_models():
            return []
        """,
        "harness_models() is not a hook, so it provides nothing: write @hookimpl above it",
    ),
    "event-without-mark": (
        models_plugin("a") + "def harness_step(trial, usage):\n    pass\n",
        "harness_step() is not a hook",
    ),
    "without-hooks": (
        "def harness_modells(): pass",
        "it provides nothing: it has none of the hooks",
    ),
    "class-instead-of-a-module": ("class Plugin: pass", "it provides nothing"),
    "misspelt-argument": (
        """
        from harness.hooks import hookimpl
        @hookimpl
        def harness_step(trail):
            pass
        """,
        "trail",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_kept_with_its_reason_and_hurts_nobody(site, name):
    source, reason = BROKEN[name]
    broken = f"broken-{name}"
    add(site, broken, source)
    add(site, "sound", models_plugin("sound-model"))
    found = discover(broken, "sound")
    assert list(found.models) == ["sound-model"]
    [plugin] = found.broken
    assert (plugin.entry_point, plugin.distribution) == ("plugin", broken)
    assert reason in plugin.reason
    with pytest.raises(UserError, match=broken):
        found.require_sound()


def test_an_entry_knows_its_info_and_where_it_comes_from(site):
    add(site, "sound", models_plugin("a", target="x.y:Z"))
    entry = discover("sound").model("a")
    assert entry.info == ModelInfo("a", "a test model", "x.y:Z")
    assert (entry.distribution, entry.version) == ("sound", "1.0")


def test_a_name_claimed_twice_names_both_distributions_and_the_rest_works(site):
    add(site, "one", models_plugin("same", "first"))
    add(site, "two", models_plugin("same", "second"))
    found = discover("one", "two")
    assert sorted(found.models) == ["first", "second"]
    for failing in (lambda: found.model("same"), found.require_sound):
        with pytest.raises(UserError) as caught:
            failing()
        assert "one 1.0" in str(caught.value) and "two 1.0" in str(caught.value)


def test_one_name_may_serve_two_kinds(site):
    add(
        site,
        "both",
        """
        from harness.hooks import DatasetInfo, ModelInfo, hookimpl
        @hookimpl
        def harness_models():
            return [ModelInfo("same", "", "a:b")]
        @hookimpl
        def harness_datasets():
            return [DatasetInfo("same", "", "a:b")]
        """,
    )
    found = discover("both")
    assert found.model("same").info != found.dataset("same").info
    assert found.conflicts == ()


def test_an_unknown_name_is_met_with_the_nearest_and_with_broken_plugins(site):
    add(site, "sound", models_plugin("realnvp", "dcgan"))
    with pytest.raises(UserError, match=r"no model is called 'RealNPV' \(did you mean 'realnvp'"):
        discover("sound").model("RealNPV")
    with pytest.raises(UserError, match="no model is called 'zzz'; there are: dcgan, realnvp$"):
        discover("sound").model("zzz")
    add(site, "sick", "import no_such_module")
    with pytest.raises(UserError, match="plugin 'plugin' of sick is broken.*may provide 'glow'"):
        discover("sound", "sick").model("glow")


def test_a_data_set_takes_an_argument_only_if_it_says_so(site):
    add(
        site,
        "data",
        """
        from harness.hooks import DatasetInfo, hookimpl
        @hookimpl
        def harness_datasets():
            return [DatasetInfo("plain", "", "a:b"), DatasetInfo("npz", "", "a:b", argument="PATH")]
        """,
    )
    found = discover("data")
    assert found.dataset("npz:/a:b.npz").info.name == "npz"
    assert split_argument("npz:/a:b.npz") == ("npz", "/a:b.npz")
    assert split_argument("plain") == ("plain", "")
    with pytest.raises(UserError, match="'plain' takes no argument, but was given '/x'"):
        found.dataset("plain:/x")


def test_loading_says_what_is_missing(site):
    source = "class Deep:\n    class Model: ...\n"
    install(site, "loadable", {"loadable_model.py": source, "loadable_sick.py": "1 / 0"})

    def load(target):
        return Registry.load(ModelInfo("m", "", target))

    assert load("loadable_model:Deep.Model").__name__ == "Model"
    with pytest.raises(UserError, match=r"'m' \(loadable_model:Dep\).*did you mean 'Deep'"):
        load("loadable_model:Dep")
    with pytest.raises(UserError, match="ModuleNotFoundError"):
        load("no_such_module:Model")
    with pytest.raises(UserError, match="ZeroDivisionError"):
        load("loadable_sick:Model")


LISTENER = """
    from harness.hooks import hookimpl
    heard = []
    @hookimpl
    def harness_step(usage):
        heard.append(usage["images"])
"""
FAILING_LISTENER = """
    from harness.hooks import hookimpl
    @hookimpl
    def harness_step(trial, usage):
        raise OSError("disc full")
"""


def test_an_event_reaches_every_plugin_though_one_fails(site, caplog):
    add(site, "listens-before", LISTENER)
    add(site, "listens-not", FAILING_LISTENER)
    add(site, "listens-too", LISTENER)
    found = discover("listens-before", "listens-not", "listens-too")
    for images in (1, 2):
        found.hooks.harness_step(trial={}, usage={"images": images})
    import listens_before
    import listens_too

    assert listens_before.heard == listens_too.heard == [1, 2]
    [record] = caplog.records
    assert record.getMessage() == (
        "plugin 'plugin' of listens-not failed in harness_step: OSError: disc full"
    )
    found.hooks.harness_trial_started(trial={})
    found.hooks.harness_trial_finished(row={})


def test_strict_makes_a_fault_fatal(site, monkeypatch):
    add(site, "sick", "import no_such_module")
    registry_module._installed.cache_clear()
    try:
        assert registry() is registry()
        assert [plugin.distribution for plugin in registry().broken] == ["sick"]
        monkeypatch.setenv("GENHARNESS_STRICT", "1")
        with pytest.raises(UserError, match="sick"):
            registry()
    finally:
        registry_module._installed.cache_clear()


def test_what_ships_with_the_harness_is_sound():
    assert discover("genharness").require_sound() is None
