"""Anybody's images: what is read, what is compared with what, and what is refused."""

import json
import math
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image
from support.stand_in_inception import publish
from torch.testing import assert_close
from typer.testing import CliRunner

import harness.evaluate.audit as audit_module
from harness.cli import app
from harness.cli.evaluate_command import _dumped
from harness.contract import DataSpec
from harness.errors import UserError
from harness.evaluate.audit import _answers, _line, _run, audit
from harness.evaluate.audit_libraries import LIBRARIES, answers
from harness.evaluate.samples import evaluate_images
from harness.features.inception import Inception, InceptionLegacyTensorFlow
from harness.features.pixels import Pixels
from harness.files.image_sets import open_images
from harness.measurement.extraction import extract
from harness.metrics.frechet import frechet_distance
from harness.metrics.moments import moments
from harness.plugins.registry import registry
from harness.row import Measurement
from harness_datasets import digits

SHAPE = (6, 5)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENHARNESS_CACHE", str(tmp_path / "cache"))


def pictures(n, seed=0, shape=SHAPE, top=256):
    return np.random.default_rng(seed).integers(0, top, (n, *shape)).astype(np.uint8)


def folder(path, images, suffix="png"):
    path.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(path / f"{index:03}.{suffix}")
    return str(path)


def file(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def evaluate(samples, reference, **options):
    options.setdefault("metrics", ["fid"])
    return evaluate_images(samples, reference, registry(), **options)


def frechet(a, b, levels=256):
    """The distance in pixels of grey images (N, H, W), by the parts that tests hold elsewhere."""
    extractor = Pixels(DataSpec.images((1, *a.shape[1:]), levels))
    found = (extract(extractor, x[:, None]) for x in (a, b))
    return float(frechet_distance(*(moments(f.vectors for f in batches) for batches in found)))


def test_a_folder_an_npz_and_an_npy_of_the_same_images_score_the_same(tmp_path):
    fake, real = pictures(40), pictures(50, seed=1) // 2
    np.save(tmp_path / "fake.npy", fake)
    sources = [
        folder(tmp_path / "fake", fake),
        str(tmp_path / "fake.npy"),
        file(tmp_path / "fake.npz", images=fake),
        file(tmp_path / "other.npz", arr_0=fake[..., None], labels=np.zeros(40, int)),
    ]
    reference = folder(tmp_path / "real", real)
    expected = frechet(fake, real)
    for source in sources:
        found = evaluate(source, reference)
        assert found.n == 40
        assert found.metrics["fid"].value == pytest.approx(expected, rel=1e-9)
        # All images of a path are the reference; none is held out.
        assert "40 samples against 50 of train" in found.metrics["fid"].protocol
        assert "fid_test" not in found.metrics


def test_a_data_set_is_compared_with_by_both_of_its_splits(tmp_path):
    data = digits.load()
    fake = pictures(100, shape=(8, 8), top=17)
    source = file(tmp_path / "fake.npz", images=fake, levels=17)
    found = evaluate(source, "digits", features="pixels")
    for name, split in (("fid", data.train), ("fid_test", data.test)):
        expected = frechet(fake, split.x[:, 0], levels=17)
        assert found.metrics[name].value == pytest.approx(expected, rel=1e-9)


def test_the_features_are_those_that_the_data_set_is_measured_in(tmp_path):
    source = file(tmp_path / "fake.npz", images=pictures(30, shape=(8, 8), top=17))
    assert evaluate(source, "digits", metrics=["is"]).features == "digits-classifier"
    assert evaluate(source, "digits", metrics=["is"]).metrics["is"].value > 1
    plain = evaluate(source, source, metrics=["is"])
    assert plain.features == "pixels" and "class logits" in plain.metrics["is"].reason


def test_the_train_reference_is_the_headline_and_the_reference_held_out(tmp_path):
    fake, trained, other = (pictures(n, seed=n) // (n // 20) for n in (20, 40, 60))
    names = [file(tmp_path / f"{len(x)}.npz", images=x) for x in (fake, trained, other)]
    found = evaluate(names[0], names[2], train_reference=names[1])
    assert found.metrics["fid"].value == pytest.approx(frechet(fake, trained), rel=1e-9)
    assert found.metrics["fid_test"].value == pytest.approx(frechet(fake, other), rel=1e-9)
    assert names[1] in found.reference and names[2] in found.reference
    test = digits.load().test.x
    source = file(tmp_path / "d.npz", images=test[:50], levels=17)
    found = evaluate(source, "digits", train_reference=source, features="pixels")
    assert f"against {len(test)} of test" in found.metrics["fid_test"].protocol


def test_jpeg_few_images_unequal_numbers_and_another_scale_are_warned_of(tmp_path):
    fake, real = pictures(20), pictures(40, seed=1)
    reference = folder(tmp_path / "real", real)
    assert evaluate(folder(tmp_path / "good", real), reference).warnings == ()
    [jpeg, few, unequal] = evaluate(folder(tmp_path / "jpeg", fake, "jpg"), reference).warnings
    assert "20 of 20 files are JPEG" in jpeg
    assert "20 images are no more than the 30 features" in few
    assert "20 samples against 40 real images" in unequal
    dark = file(tmp_path / "dark.npz", images=real // 3)
    [scale] = evaluate(dark, reference).warnings
    assert "the largest value of the samples is 85, of the real images 255" in scale


def moments_file(path, images, **more):
    extractor = Pixels(DataSpec.images((1, *images.shape[1:])))
    vectors = torch.cat([f.vectors for f in extract(extractor, images[:, None])]).double().numpy()
    return file(path, mu=vectors.mean(0), sigma=np.cov(vectors.T), **more)


def test_moments_of_others_are_a_reference_for_what_needs_no_images(tmp_path):
    fake, real = pictures(60), pictures(80, seed=1) // 2
    source = file(tmp_path / "fake.npz", images=fake)
    reference = moments_file(tmp_path / "real.npz", real)
    found = evaluate(source, reference, metrics=["fid", "kid", "precision", "vendi"])
    assert found.metrics["fid"].value == pytest.approx(frechet(fake, real), rel=1e-9)
    text = f"60 samples against the moments in {reference}, of an unknown number of images"
    assert text in found.metrics["fid"].protocol
    for name in ("kid", "precision"):
        assert "only moments are available" in found.metrics[name].reason
    both = evaluate(source, source, train_reference=reference).metrics
    assert both["fid"] == found.metrics["fid"] and both["fid_test"].value < 1e-9
    with pytest.raises(UserError, match="such a file can be the reference"):
        evaluate(reference, source)
    other = file(tmp_path / "wide.npz", mu=np.zeros(2048), sigma=np.eye(2048))
    with pytest.raises(UserError, match="moments of 2048 features, but Pixels has 30; --features"):
        evaluate(source, other)


def test_images_beside_moments_are_the_reference(tmp_path):
    fake, real = pictures(60), pictures(80, seed=1) // 2
    reference = moments_file(tmp_path / "real.npz", real, arr_0=real)
    found = evaluate(file(tmp_path / "fake.npz", images=fake), reference)
    assert found.metrics["fid"].value == pytest.approx(frechet(fake, real), rel=1e-9)
    assert "against 80 of train" in found.metrics["fid"].protocol


@pytest.fixture
def inception(tmp_path, monkeypatch):
    monkeypatch.setattr(Inception, "weights", publish(tmp_path))


def test_features_that_resize_take_images_of_any_size(tmp_path, inception):
    """Photographs as they are in a folder, and samples of another size."""
    shapes = [(40, 30, 3), (30, 40, 3), (30, 30)] * 4
    photographs = [pictures(1, seed, shape)[0] for seed, shape in enumerate(shapes)]
    reference = folder(tmp_path / "real", photographs)
    source = file(tmp_path / "fake.npz", images=pictures(10, shape=(16, 16, 3)))
    found = evaluate(source, reference, features="inception", metrics=["kid", "is"])
    extractor = Inception(DataSpec.images((3, 16, 16)))
    alone = [
        extractor(torch.from_numpy(np.atleast_3d(image).transpose(2, 0, 1).copy())[None])
        for image in photographs
    ]
    expected = torch.cat([features.vectors for features in alone])
    assert_close(found.scorer.references["train"].features.vectors, expected, rtol=1e-4, atol=1e-4)
    assert found.metrics["kid"].value > 0 and found.metrics["is_real"].value >= 1
    assert any(
        "the first sample is 16x16 RGB, the first real image 40x30" in w for w in found.warnings
    )
    with pytest.raises(UserError, match="holds images 16x16 RGB, .* 40x30 RGB; resize"):
        evaluate(source, reference)
    with pytest.raises(
        UserError, match="0001.png is 30x40 RGB, but .*000.png is 40x30 RGB".replace("0001", "001")
    ):
        evaluate(reference, reference)


def test_the_inception_score_stands_beside_that_of_the_real_images(tmp_path):
    data = digits.load()
    source = file(tmp_path / "fake.npz", images=data.test.x[:50], levels=17)
    found = evaluate(source, "digits", metrics=["fid", "is"])
    assert list(found.metrics) == ["fid", "is", "is_real", "fid_test"]
    real = file(tmp_path / "train.npz", images=data.train.x, levels=17)
    expected = evaluate(real, "digits", metrics=["is"]).metrics["is"].value
    assert found.metrics["is_real"].value == pytest.approx(expected, rel=1e-9)
    assert f"{len(data.train)} of train" in found.metrics["is_real"].protocol
    assert "is_real" not in evaluate(source, "digits", metrics=["fid"]).metrics


def test_a_damaged_image_among_many_ends_the_evaluation(tmp_path, caplog):
    source = folder(tmp_path / "fake", pictures(20))
    (tmp_path / "fake" / "013.png").write_bytes(b"no picture")
    good = file(tmp_path / "real.npz", images=pictures(20))
    for samples, reference in ((source, good), (good, source)):
        with pytest.raises(UserError, match="013.png cannot be decoded"):
            evaluate(samples, reference)
    assert not caplog.records  # of which the traceback would be shown


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": pictures(9, shape=(5, 6))}, "holds images 5x6 grey, .* 6x5 grey; resize"),
        ({"images": pictures(9, shape=(6, 5, 3))}, "holds images 6x5 RGB, .* save them grey"),
        ({"images": pictures(9) / 255}, "images is float64 .* needs uint8"),
        ({"images": pictures(0)}, "holds no images"),
        ({"one": pictures(9), "two": pictures(9)}, "holds one, two; needs an array called images"),
        ({}, "holds nothing; needs"),
        ({"images": pictures(9), "levels": 300}, "levels is 300; needs one integer from 2 to 256"),
        ({"images": pictures(9, top=4), "levels": 8}, "has 8 levels, .* has 256 levels"),
    ],
)
def test_other_images_are_refused(tmp_path, arrays, message):
    reference = file(tmp_path / "real.npz", images=pictures(20))
    with pytest.raises(UserError, match=message):
        evaluate(file(tmp_path / "fake.npz", **arrays), reference)


def test_values_beyond_the_levels_of_the_reference_are_refused(tmp_path):
    source = file(tmp_path / "fake.npz", images=pictures(9, shape=(8, 8)))
    with pytest.raises(UserError, match=r"has the value 25\d, digits has 17 levels, 0 to 16"):
        evaluate(source, "digits")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": "nowhere"}, "nowhere: there is no such folder or file"),
        ({"reference": "dgits"}, r"no data set, folder or file .* \(did you mean 'digits'\?\)"),
        ({"train_reference": "digits"}, "digits holds images 8x8 grey with 17 levels, .* 6x5"),
        ({"metrics": ["fdi"]}, r"no metric is called 'fdi' \(did you mean 'fid'\?\)"),
        ({"features": "pixel"}, r"did you mean 'pixels'"),
        ({"features": "digits-classifier"}, "features 'digits-classifier': the digits classifier"),
    ],
)
def test_wrong_names_are_answered(tmp_path, change, message):
    source = file(tmp_path / "some.npz", images=pictures(20))
    with pytest.raises(UserError, match=message):
        evaluate(**{"samples": source, "reference": source} | change)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut short"])
@pytest.mark.parametrize("suffix", ["npz", "npy", "txt"])
def test_a_damaged_file_is_named(tmp_path, suffix, content):
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"bad\.{suffix}"):
        open_images(str(path))


def test_an_archive_under_the_name_of_an_array_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=pictures(3))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(UserError, match="is an .npz file; rename it"):
        open_images(str(tmp_path / "a.npy"))


@pytest.fixture
def evaluated(tmp_path):
    images = digits.load().test.x[:200]
    noisy = np.clip(images.astype(int) + pictures(200, shape=(1, 8, 8), top=4), 0, 16)
    source = file(tmp_path / "noisy.npz", images=noisy.astype(np.uint8))
    reference = file(tmp_path / "real.npz", images=images, levels=17)
    return evaluate(source, reference, features="digits-classifier", metrics=["fid", "is", "kid"])


@pytest.fixture
def in_this_process(monkeypatch):
    """Spare a process for each library: importing torch anew takes longer than the rest."""
    pytest.importorskip("cleanfid")
    monkeypatch.setattr(audit_module, "_run", lambda *arguments: dict(answers(*arguments)))


def assert_agreement(evaluated):
    lines = {(line.metric, line.library.split()[0]): line for line in audit(evaluated)}
    assert lines.keys() == {(m, library) for library in LIBRARIES for m in LIBRARIES[library]}
    for (metric, _), line in lines.items():
        # Both compute KID in the features' float32: differences of cubes of sums.
        tolerance = 1e-3 if metric == "kid" else 1e-5
        assert line.ours == evaluated.metrics[metric].value
        assert abs(line.difference) < tolerance, line


@pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")
def test_the_audit_finds_the_libraries_in_agreement(evaluated, in_this_process):
    assert_agreement(evaluated)


@pytest.mark.slow
def test_the_audit_finds_them_in_agreement_each_in_a_process_of_its_own(evaluated):
    pytest.importorskip("cleanfid")
    assert_agreement(evaluated)


@pytest.mark.parametrize("features", ["inception", "inception-legacy-tensorflow"])
def test_the_audit_has_clean_fid_resize_the_images_too(
    tmp_path, inception, in_this_process, features, monkeypatch
):
    shapes = [(40, 30, 3), (30, 40, 3), (30, 30)] * 2
    real = [pictures(1, seed, shape)[0] for seed, shape in enumerate(shapes)]
    reference = folder(tmp_path / "real", real)
    source = file(tmp_path / "fake.npz", images=pictures(6, shape=(16, 16, 3)) // 4)
    found = evaluate(source, reference, features=features, metrics=["kid"])

    def own(line):
        return "from the images, by its own network" in line.note

    [line] = filter(own, audit(found))
    assert line.library.startswith("clean-fid") and abs(line.difference) < 1e-3
    # The same images resized by another's rule would be found out.
    monkeypatch.setattr(Inception, "clean_fid", "legacy_pytorch")
    monkeypatch.setattr(InceptionLegacyTensorFlow, "clean_fid", "clean")
    [line] = filter(own, audit(found))
    assert abs(line.difference) > 1e-3


def test_the_audit_of_moments_is_refused(tmp_path):
    pytest.importorskip("cleanfid")
    reference = moments_file(tmp_path / "real.npz", pictures(40))
    found = evaluate(file(tmp_path / "fake.npz", images=pictures(40)), reference)
    with pytest.raises(UserError, match="--audit needs the real images, and .*real.npz holds"):
        audit(found)


def test_what_a_library_prints_is_kept_though_it_ends_its_process():
    printed = 'a warning\n{"is": 3.5}\n{"kid": NaN}\n'
    done = subprocess.CompletedProcess([], -11, printed, "")
    found = _answers(done, ["is", "kid", "fid"])
    lines = [_line(metric, 3.0, "it 1.0", answer) for metric, answer in found.items()]
    assert [(line.value, line.note) for line in lines] == [
        (3.5, ""),
        (None, "the library returned nan"),
        (None, "the library crashed its process (SIGSEGV)"),
    ]
    assert lines[0].difference == pytest.approx(1 / 6)
    assert {line.ours for line in lines} == {3.0}
    assert _answers(subprocess.CompletedProcess([], 1, "", ""), ["fid"]) == {
        "fid": "the library crashed its process (exit code 1)"
    }


def test_what_a_library_raises_is_reported(monkeypatch):
    def fail(parts):
        raise RuntimeError(f"{len(parts)} parts")

    monkeypatch.setitem(LIBRARIES, "mine", {"fid": fail, "kid": lambda parts: 2.0})
    assert dict(answers("mine", {}, ["fid", "kid"])) == {
        "fid": "the library raised RuntimeError: 0 parts",
        "kid": 2.0,
    }


def test_a_library_is_asked_in_a_process_for_the_metrics_that_are_wanted():
    """This one answers before it is imported, which would take seconds."""
    features = {"samples": torch.zeros(2, 2), "real": torch.zeros(2, 2)}
    assert _run("torchmetrics", features, ["is"]) == {"is": "these features have no class logits"}


def test_json_has_no_infinity(tmp_path):
    """Classes that no real image has are infinitely far from theirs."""
    data = digits.load()
    labels = data.test.y
    real = file(tmp_path / "real.npz", images=data.test.x[labels == 0], levels=17)
    fake = file(tmp_path / "fake.npz", images=data.test.x[labels == 1], levels=17)
    command = ["evaluate", fake, "--reference", real, "--features", "digits-classifier"]
    done = CliRunner().invoke(app, [*command, "--metrics", "label_kl,fid", "--json"])

    def refuse(constant):
        raise AssertionError(constant)

    text = json.loads(done.stdout, parse_constant=refuse)["metrics"]
    assert text["label_kl"]["value"] is None
    assert "no image of" in text["label_kl"]["reason"]
    assert text["fid"]["value"] > 0 and text["fid"]["reason"] is None
    table = CliRunner().invoke(app, [*command, "--metrics", "label_kl"]).stdout
    assert any(line.split()[:2] == ["label_kl", "-"] for line in table.splitlines())


def test_a_figure_that_is_infinite_is_null_in_json_with_the_reason():
    found = _dumped(Measurement(value=math.inf, error=math.nan, reason="few images"))
    assert (found["value"], found["error"]) == (None, None)
    assert found["reason"] == "the value is inf; few images"
    finite = Measurement(value=2.5, error=0.5, protocol="somehow")
    assert _dumped(finite) == finite.model_dump()


def test_the_command_prints_json_or_a_table(tmp_path):
    source = file(tmp_path / "some.npz", images=pictures(40))
    command = ["evaluate", source, "--reference", source, "--metrics", "fid, is"]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    text = json.loads(done.stdout)
    assert text["metrics"]["fid"]["value"] == pytest.approx(0, abs=1e-9)
    assert (text["n"], text["features"]) == (40, "pixels")
    lines = CliRunner().invoke(app, command).stdout.splitlines()
    assert lines[0].startswith(f"40 images of {source}")
    [line] = [line for line in lines if line.startswith("fid")]
    assert "40 samples against 40 of train" in line


def test_a_device_that_is_not_there_is_an_error_of_the_user(tmp_path):
    source = file(tmp_path / "some.npz", images=pictures(40))
    for device in ("gpu", "cuda:99", "meta"):
        command = ["evaluate", source, "--reference", source, "--device", device]
        assert isinstance(CliRunner().invoke(app, command).exception, UserError)
