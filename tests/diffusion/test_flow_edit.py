"""Edits along the difference of two velocities: on a field of velocities whose edits can be calculated."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from avsim.diffusion.flow_edit import flow_edit
from avsim.diffusion.guidance import Guidance
from avsim.diffusion.levels import shifted
from avsim.diffusion.tasks import Given, Task, all_given, first
from avsim.errors import InputError
from avsim.models.pair import Latents, Pair
from tests.diffusion.conftest import SPEC

SLOPE = 0.7
PULL = {"a ball": 0.5, "a bell": -1.0, "": 0.2, "noise": 0.9}
PLAIN = Guidance(1.0)


class Field(nn.Module):
    """v = SLOPE x + the pull of the caption: the noise cancels in the difference of two captions."""

    shifts = Pair(3.0, 0.5)

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.calls = []

    def context(self, captions, spec):
        return captions[0]

    def forward(self, x, s, context):
        self.calls.append((context, x, s))
        return x.each(lambda x: SLOPE * x + PULL[context])


def clean() -> Latents:
    random = torch.Generator().manual_seed(0)
    return Latents(
        torch.randn(1, 4, *SPEC.video, generator=random), torch.randn(1, 6, SPEC.audio, generator=random)
    )


def edit(model, task, target="a bell", steps=3, guidance=PLAIN, source_guidance=PLAIN, x=None, **how):
    return flow_edit(
        model, "a ball", target, SPEC, clean() if x is None else x, task, steps=steps, guidance=guidance,
        source_guidance=source_guidance, **how,
    )  # fmt: skip


def moved(pull: float, start: float, shift: float, steps: int) -> float:
    """By how much Euler's steps along dz/ds = SLOPE (z - x) + pull move each value."""
    points = [shifted(start * (1 - i / steps), shift) for i in range(steps + 1)]
    by = 0.0
    for now, then in pairwise(points):
        by += (then - now) * (SLOPE * by + pull)
    return by


@pytest.mark.parametrize(("start", "steps"), [(1.0, 1), (0.6, 3), (1.0, 4)])
def test_it_moves_every_value_as_eulers_steps_along_the_difference_do(start, steps):
    model, x = Field(), clean()
    found = edit(model, Task("edit", start=start), steps=steps)
    for mine, given, shift in zip(found, x, model.shifts, strict=True):
        expected = given + moved(PULL["a bell"] - PULL["a ball"], start, shift, steps)
        torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-5)


def test_a_step_asks_once_for_each_prompt_at_the_level_it_starts_from():
    model = Field()
    edit(model, Task("edit", start=0.8), steps=4)
    prompts = [context for context, _, _ in model.calls]
    assert len(prompts) == 8
    assert all(set(both) == {"a ball", "a bell"} for both in zip(prompts[::2], prompts[1::2], strict=True))
    for i, (_, _, s) in enumerate(model.calls):
        for level, shift in zip(s, model.shifts, strict=True):
            assert level.unique().tolist() == pytest.approx([shifted(0.8 * (1 - (i // 2) / 4), shift)])


def test_noise_is_fresh_in_each_step_and_a_function_of_seed_and_row():
    def noises(**how):
        model = Field()
        edit(model, Task("edit"), steps=3, **how)
        x = clean().video.flatten(2).mT  # to tokens
        return [
            (each.video - (1 - s.video[..., None]) * x) / s.video[..., None]
            for context, each, s in model.calls
            if context == "a ball"
        ]

    one, again, other = noises(seed=1), noises(seed=1), noises(seed=2)
    row = noises(seed=1, first_row=1)
    for step, noise in enumerate(one):
        assert abs(noise.mean()) < 0.15 and abs(noise.std() - 1) < 0.1
        assert torch.equal(noise, again[step])
        assert not torch.isclose(noise, other[step]).all() and not torch.isclose(noise, row[step]).all()
    assert abs(torch.corrcoef(torch.stack(one).flatten(1))[0, 1]) < 0.15
    for each, same in zip(noises(), noises(seed=0, first_row=0), strict=True):
        assert torch.equal(each, same)


def test_each_prompt_has_its_own_guidance_away_from_the_negative_prompt():
    wanted, source = Guidance(3.0, negative_prompt="noise"), Guidance(1.5, negative_prompt="not this one")
    found = edit(Field(), Task("edit"), guidance=wanted, source_guidance=source)
    target = PULL["a bell"] + 2.0 * (PULL["a bell"] - PULL["noise"])
    origin = PULL["a ball"] + 0.5 * (PULL["a ball"] - PULL["noise"])
    expected = clean().audio + moved(target - origin, 1.0, 0.5, 3)  # guidance leaves the slope as it is
    torch.testing.assert_close(found.audio, expected, rtol=1e-5, atol=1e-5)


def test_intervals_of_guidance_are_relative_to_where_the_edit_starts():
    model, half = Field(), Guidance(2.0, guidance_start=0.5)
    model.shifts = Pair(1.0, 1.0)
    edit(model, Task("edit", start=0.4), steps=4, guidance=half)
    levels = [s.video.max().item() for context, _, s in model.calls if context == ""]
    assert levels == pytest.approx([0.4, 0.3, 0.2])


def test_what_is_given_stays_bit_for_bit_and_is_not_guided():
    model, x = Field(), clean()
    x.audio[0, 0, 0] = -0.0
    guidance = Guidance(1.0, modality_scale=2.0, audio_modality_scale=2.0)
    found = edit(model, Task("edit", audio=all_given), guidance=guidance, x=x)
    assert torch.equal(found.audio.view(torch.int32), x.audio.view(torch.int32))
    assert (found.video - x.video).abs().min() > 0.1
    alone = [each for _, each, _ in model.calls if len(each.present()) == 1]
    assert len(alone) == 3 and all(each.audio is None for each in alone)  # the audio is given
    found = edit(Field(), Task("edit", video=first), x=x)
    assert torch.equal(found.video[:, :, 0], x.video[:, :, 0])
    torch.testing.assert_close(found.video[:, :, 1:], x.video[:, :, 1:] + moved(-1.5, 1.0, 3.0, 3))
    model = Field()
    edit(model, Task("edit", start=0.3), guidance=guidance)  # neither is given: each is guided by the other
    alone = [each for _, each, _ in model.calls if len(each.present()) == 1]
    assert len(alone) == 2 * 3


def test_a_modality_that_is_absent_stays_absent():
    only = Latents(clean().video, None)
    model = Field()
    found = edit(model, Task("edit", audio=None), guidance=Guidance(1.0, modality_scale=2.0), x=only)
    assert found.audio is None and len(model.calls) == 2 * 3  # there is no partner to be guided by
    torch.testing.assert_close(found.video, only.video + moved(-1.5, 1.0, 3.0, 3), rtol=1e-5, atol=1e-5)


def test_what_cannot_be_edited_is_named():
    with pytest.raises(InputError, match="0 sampler steps; at least 1"):
        edit(Field(), Task("edit"), steps=0)
    for x in (Latents(clean().video, None), Latents(None, clean().audio)):
        with pytest.raises(InputError, match="needs the latents of the modalities"):
            edit(Field(), Task("edit"), x=x)
    with pytest.raises(InputError, match=r"must lie in \[0, 1\]"):
        Given(None, torch.tensor([0.5, 1.1]))
    with pytest.raises(InputError, match=r"must lie in \[0, 1\]"):
        Given(torch.full((1, 1, 1), -0.1), None)
