"""A sound is drawn once more for the picture that came out, which stays as it is."""

import torch

from avsim.diffusion import JOINT, generate
from avsim.diffusion.guidance import Guidance
from avsim.diffusion.resound import AGAIN, STRENGTH, resounded
from tests.diffusion.conftest import SPEC

PROMPTS = ["a", "b", ""]


@torch.no_grad()
def test_the_picture_stays_and_its_sound_is_drawn_from_noise_again(make):
    model = make()
    drawn = generate(model, PROMPTS, SPEC, None, JOINT, steps=2, guidance=Guidance(1.0), first_row=4)
    again = resounded(model, PROMPTS, SPEC, drawn, 2, seed=1, first_row=4)
    assert torch.equal(again.video, drawn.video)
    assert (
        torch.isfinite(again.audio).all() and not torch.isclose(again.audio, drawn.audio).any(2).any(1).all()
    )
    alone = drawn.each(lambda latents: latents[1:2])
    one = resounded(model, PROMPTS[1:2], SPEC, alone, 2, seed=1, first_row=5)
    torch.testing.assert_close(one.audio, again.audio[1:2], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_it_takes_half_as_many_passes_of_the_model(make):
    model, levels = make(), []
    drawn = generate(model, PROMPTS, SPEC, None, JOINT, steps=1, guidance=Guidance(1.0))
    model.register_forward_hook(lambda *call: levels.append(call[1][1].each(lambda s: s.max().item())))
    for steps, passes in ((8, 4), (3, 1), (1, 1)):
        levels.clear()
        resounded(model, PROMPTS, SPEC, drawn, steps, seed=1)
        assert len(levels) == passes
        assert levels[0].audio == torch.tensor(STRENGTH) and all(level.video == 0 for level in levels)
    assert AGAIN.given(SPEC).video.max() == 0
