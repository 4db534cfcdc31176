"""Metrics: of samples in the features of a frozen network, of likelihoods, and of speed."""

from __future__ import annotations

from harness.hooks import MetricInfo, hookimpl


@hookimpl
def harness_metrics() -> list[MetricInfo]:
    """Return the metrics of sets of samples."""
    return [
        *_frechet(),
        MetricInfo(
            name="is",
            summary="Inception Score: one class per sample, all classes (Salimans et al., 2016)",
            target="harness.metrics.inception_score:InceptionScore",
            label="IS",
            lower_is_better=False,
        ),
        MetricInfo(
            name="kid",
            summary="unbiased MMD^2, kernel (x.y / d + 1)^3, all pairs (Binkowski et al., 2018)",
            target="harness.metrics.kernel:KernelDistance",
            label="KID",
        ),
        MetricInfo(
            name="mmd",
            summary="unbiased MMD^2, Gaussian kernel; CMMD in CLIP's (Jayasumana et al., 2024)",
            target="harness.metrics.kernel:GaussianDistance",
            label="MMD²",
        ),
        *_neighbours(),
        *_copies(),
        *_diversity(),
        *_tasks(),
    ]


def _tasks() -> list[MetricInfo]:
    return [
        MetricInfo(
            name="label_accuracy",
            summary="samples that the classifier takes for the label that was asked for",
            target="harness.metrics.label_accuracy:LabelAccuracy",
            label="accuracy",
            lower_is_better=False,
            conditions=("label",),
        ),
        MetricInfo(
            name="psnr",
            summary="peak signal-to-noise ratio of samples to their true pairs, in dB",
            target="harness.metrics.signal_to_noise:PeakSignalNoiseRatio",
            label="PSNR",
            lower_is_better=False,
            conditions=("image", "video"),
        ),
        MetricInfo(
            name="ssim",
            summary="structural similarity of samples and their true pairs (Wang et al., 2004)",
            target="harness.metrics.structural_similarity:StructuralSimilarity",
            label="SSIM",
            lower_is_better=False,
            conditions=("image",),
        ),
    ]


def _frechet() -> list[MetricInfo]:
    target = "harness.metrics.frechet:FrechetDistance"
    return [
        MetricInfo(
            name="fid",
            summary="Frechet distance of samples' features to the real ones (Heusel et al., 2017)",
            target=target,
            label="FID",
        ),
        MetricInfo(
            name="fid_mean_term",
            summary="the part of FID that the means account for, |m_a - m_b|^2",
            target=target,
            label="FID, means",
        ),
        MetricInfo(
            name="fid_covariance_term",
            summary="the part of FID that the covariances account for",
            target=target,
            label="FID, covariances",
        ),
        MetricInfo(
            name="fid_infinity",
            summary="FID extrapolated to infinitely many samples (Chong and Forsyth, 2020)",
            target="harness.metrics.frechet_infinity:ExtrapolatedFrechetDistance",
            label="FID∞",
        ),
    ]


def _neighbours() -> list[MetricInfo]:
    target = "harness.metrics.neighbours:Neighbours"
    return [
        MetricInfo(
            name="precision",
            summary="samples among the neighbours of real images (Kynkaanniemi et al., 2019)",
            target=target,
            label="precision",
            lower_is_better=False,
        ),
        MetricInfo(
            name="recall",
            summary="real images among the neighbours of samples (Kynkaanniemi et al., 2019)",
            target=target,
            label="recall",
            lower_is_better=False,
        ),
        MetricInfo(
            name="density",
            summary="neighbourhoods of real images that hold a sample (Naeem et al., 2020)",
            target=target,
            label="density",
            lower_is_better=False,
        ),
        MetricInfo(
            name="coverage",
            summary="real images with a sample in their neighbourhood (Naeem et al., 2020)",
            target=target,
            label="coverage",
            lower_is_better=False,
        ),
        MetricInfo(
            name="memorisation",
            summary="samples nearer to a training image than 99% of unseen real ones; flags copies",
            target=target,
            label="memorised",
        ),
        MetricInfo(
            name="c_t",
            summary="rank test of distances to train against held-out ones' (Meehan et al., 2020)",
            target=target,
            label="C_T",
            lower_is_better=False,
        ),
        MetricInfo(
            name="auth_pct",
            summary="samples farther from a training image than its neighbour (Alaa et al., 2022)",
            target=target,
            label="AuthPct",
            lower_is_better=False,
        ),
    ]


def _copies() -> list[MetricInfo]:
    target = "harness.metrics.mifid:MemorisationInformedDistance"
    return [
        MetricInfo(
            name="mifid",
            summary="FID with a penalty on copies of training images (Bai et al., 2021)",
            target=target,
            label="MiFID",
        ),
        MetricInfo(
            name="mifid_test",
            summary="the same with FID to held-out images, which a copy of all train has too",
            target=target,
            label="MiFID test",
        ),
        MetricInfo(
            name="fid_gap",
            summary="FID to train minus FID to held-out images; lower for copies of the former",
            target=target,
            label="FID gap",
            lower_is_better=False,
        ),
    ]


def _diversity() -> list[MetricInfo]:
    target = "harness.metrics.diversity:LabelDiversity"
    return [
        MetricInfo(
            name="modes",
            summary="classes that the classifier finds among the samples",
            target=target,
            label="modes",
            lower_is_better=False,
        ),
        MetricInfo(
            name="label_kl",
            summary="KL divergence of the samples' predicted classes from the real ones, in nats",
            target=target,
            label="label KL",
        ),
        MetricInfo(
            name="vendi",
            summary="effective number of different images (Friedman and Dieng, 2023)",
            target="harness.metrics.diversity:VendiScore",
            label="Vendi",
            lower_is_better=False,
        ),
    ]
