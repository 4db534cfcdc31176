"""Built-in model family: autoencoders."""

from __future__ import annotations

from harness.hooks import ModelInfo, hookimpl


@hookimpl
def harness_models() -> list[ModelInfo]:
    """List the models of this family."""
    return [
        ModelInfo(
            name="vae",
            summary="Convolutional VAE with a discretised logistic likelihood.",
            target="harness_autoencoders.vae:VAE",
            type="variational autoencoder",
        )
    ]
