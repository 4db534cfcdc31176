"""Built-in model family: generative adversarial networks."""

from __future__ import annotations

from harness.hooks import ModelInfo, hookimpl


@hookimpl
def harness_models() -> list[ModelInfo]:
    """List the models of this family."""
    return [
        ModelInfo(
            name="dcgan",
            summary="Deep convolutional GAN: transposed convolutions, non-saturating loss.",
            target="harness_gan.dcgan:DCGAN",
            tags=("image", "latent"),
            family="adversarial",
            paper="Radford, Metz and Chintala, 2016, arXiv:1511.06434",
        ),
        ModelInfo(
            name="lsgan",
            summary="Least-squares GAN: DCGAN's networks, squared errors of logits.",
            target="harness_gan.lsgan:LSGAN",
            tags=("image", "latent"),
            family="adversarial",
            paper="Mao, Li, Xie et al., 2017, arXiv:1611.04076",
        ),
        ModelInfo(
            name="sngan",
            summary="Spectrally normalised GAN: residual networks, hinge loss.",
            target="harness_gan.sngan:SNGAN",
            tags=("image", "latent"),
            family="adversarial",
            paper="Miyato, Kataoka, Koyama and Yoshida, 2018, arXiv:1802.05957",
        ),
    ]
