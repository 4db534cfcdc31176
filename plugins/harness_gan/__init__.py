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
            name="sngan",
            summary="Spectrally normalised GAN: residual networks, hinge loss.",
            target="harness_gan.sngan:SNGAN",
            tags=("image", "latent"),
            family="adversarial",
            paper="Miyato, Kataoka, Koyama and Yoshida, 2018, arXiv:1802.05957",
        ),
    ]
