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
            tags=("image", "likelihood", "steps"),
            family="diffusion",
            paper="Ho, Jain and Abbeel, 2020, arXiv:2006.11239",
        ),
        ModelInfo(
            name="score-sde",
            summary="Score-based model of the VP SDE: predictor-corrector, likelihood by the ODE.",
            target="harness_diffusion.score_sde:ScoreSDE",
            tags=("image", "likelihood", "steps"),
            family="score SDE",
            paper="Song, Sohl-Dickstein, Kingma et al., 2021, arXiv:2011.13456",
        ),
    ]
