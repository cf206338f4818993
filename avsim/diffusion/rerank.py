"""Best-of-n sampling of video for given audio, reranked by the model's own audio likelihood."""

from collections.abc import Sequence

import torch
from torch import Tensor

from avsim.clip import LatentSpec
from avsim.diffusion.guidance import conditional_audio_loss
from avsim.diffusion.loss import row_loss
from avsim.diffusion.noising import Noised
from avsim.models.joint import Context, JointDiT
from avsim.models.pair import Latents, Pair
from avsim.models.tokens import to_tokens
from avsim.seeds import normal_rows

NOISE_LEVELS = 0.9, 0.3  # noise levels of the audio: for its content, and for its timing
SAMPLES = 2  # noise samples at each level


@torch.no_grad()
def rerank(
    model: JointDiT,
    captions: Sequence[str],
    spec: LatentSpec,
    candidates: Sequence[Latents],
    first_row: int = 0,
) -> Latents:
    """For each row, the candidate whose video gives the audio the highest likelihood; all share that audio.

    The likelihood is measured by the audio's flow loss given the video: a diffusion classifier (2303.16203)
    whose classes are the candidates. The noise of row i depends on `first_row + i` alone and is the same for
    all candidates.
    """
    context = model.context(captions, spec)
    losses = [
        clean_audio_loss(model, context, to_tokens(each), first_row) for each in candidates
    ]  # (B,) each
    best = torch.stack(losses).argmin(0)  # (B,)
    rows = torch.arange(len(best), device=best.device)
    return candidates[0].each(lambda *same: torch.stack(same)[best, rows], *candidates[1:])


def clean_audio_loss(model: JointDiT, context: Context, x: Pair[Tensor], first_row: int = 0) -> Tensor:
    """The flow loss of audio given its video, (B,), averaged over `NOISE_LEVELS`; x (B, L, D): clean."""
    given = x.video.new_zeros(len(x.video), 1)
    losses = []
    for level in NOISE_LEVELS:
        for sample in range(SAMPLES):
            noise = normal_rows(tuple(x.audio.shape), 0, "take", sample, first_row=first_row).to(x.audio)
            audio = Noised(x.audio, noise, torch.full_like(given, level))
            losses.append(row_loss(conditional_audio_loss(model, context, x.video, given, audio)))
    return torch.stack(losses).mean(0)
