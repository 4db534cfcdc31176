"""Built-in model family: diffusion."""

from __future__ import annotations

from harness.hooks import ModelInfo, hookimpl


@hookimpl
def harness_models() -> list[ModelInfo]:
    """List the models of this family."""
    return [
        ModelInfo(
            name="ddpm",
            summary="Denoising diffusion in discrete time: ancestral or DDIM sampling.",
            target="harness_diffusion.ddpm:DDPM",
            type="diffusion",
        ),
        ModelInfo(
            name="score-sde",
            summary="Score-based model of the VP SDE: predictor-corrector, likelihood by the ODE.",
            target="harness_diffusion.score_sde:ScoreSDE",
            type="score SDE",
        ),
    ]
