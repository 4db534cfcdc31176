"""Distortions of real digits move every metric the right way, the stronger the further."""

import importlib.util
from pathlib import Path

import pytest
import torch

from harness.features.pixels import Pixels
from harness.metrics.mifid import MemorisationInformedDistance

SCRIPT = Path(__file__).parents[3] / "scripts" / "metric_ladder.py"
HARM = ("noise", "blur", "shift", "dropped classes")
COPIES = "copies of training images"


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("metric_ladder", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENHARNESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield module


@pytest.fixture(scope="module")
def ladder(script):
    return script.climb().set_index(["distortion", "strength"])


def rises(values):
    return all(a < b for a, b in zip(values, values[1:], strict=False))


@pytest.mark.parametrize("distortion", HARM)
def test_distances_rise_with_every_distortion(ladder, distortion):
    for metric in ("fid", "kid", "mmd"):
        assert rises(ladder.loc[distortion, metric].tolist()), metric


@pytest.mark.parametrize(
    ("metric", "distortions"),
    [
        ("is", ("noise", "blur", "dropped classes")),
        ("precision", ("shift",)),
        ("recall", ("blur", "shift", "dropped classes")),
        ("coverage", HARM),
        ("auth_pct", (COPIES,)),
        ("c_t", (COPIES,)),
    ],
)
def test_what_should_fall_falls(ladder, metric, distortions):
    for distortion in distortions:
        assert rises((-ladder.loc[distortion, metric]).tolist()), distortion


def test_precision_falls_with_what_leaves_the_data_and_not_with_what_leaves_out_some(ladder):
    for distortion in ("noise", "blur", "shift"):
        found = ladder.loc[distortion, "precision"].tolist()
        assert found[-1] < 0.5 < found[0]
    assert ladder.loc["dropped classes", "precision"].min() > 0.85


def test_copies_and_nothing_else_are_flagged(ladder):
    assert not ladder.loc[list(HARM), "flagged"].any()
    assert ladder.loc[COPIES, "flagged"].tolist() == [False, True, True, True, True, True]
    shares = ladder.loc[COPIES, "memorisation"]
    assert shares.tolist() == pytest.approx(shares.index.tolist(), abs=0.02)
    # The distances that everyone reports do not see it.
    assert ladder.loc[(COPIES, 1.0), "fid"] < ladder.loc[(COPIES, 0.0), "fid"]


def test_classes_left_out_show_in_their_divergence(ladder):
    assert rises(ladder.loc["dropped classes", "label_kl"].tolist())
    assert rises((-ladder.loc["dropped classes", "vendi"]).tolist())


def test_mifid_rises_with_copies_from_the_majority_on_and_with_harm_as_fid_does(ladder):
    mifid, fid = (ladder.loc[COPIES, name].tolist() for name in ("mifid", "fid"))
    assert mifid[:3] == pytest.approx(fid[:3], rel=1e-8)
    assert rises(mifid[3:])
    assert mifid[3] > 100 * mifid[0]
    for distortion in HARM:
        assert rises(ladder.loc[distortion, "mifid"].tolist()), distortion


def test_copies_widen_the_gap_of_fid_to_train_and_to_test(script):
    """In pixels: in features that were trained on the train split it need not."""
    data, drawn = script.generator_and_held_out(script.load_dataset(script.registry(), "digits"))
    metrics = {"fid_gap": MemorisationInformedDistance}
    scorer = script.SampleScorer(data, Pixels(data.spec), metrics, torch.device("cpu"))
    images = torch.from_numpy(drawn.x)
    copied = [script.copies(data, images, None, strength) for strength in script.STEPS]
    assert rises([-scorer.score([some])["fid_gap"].value for some in copied])
