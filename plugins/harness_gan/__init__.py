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
            type="adversarial",
        ),
        ModelInfo(
            name="lsgan",
            summary="Least-squares GAN: DCGAN's networks, squared errors of logits.",
            target="harness_gan.lsgan:LSGAN",
            type="adversarial",
        ),
        ModelInfo(
            name="sngan",
            summary="Spectrally normalised GAN: residual networks, hinge loss.",
            target="harness_gan.sngan:SNGAN",
            type="adversarial",
        ),
    ]
