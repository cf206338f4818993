import math
from dataclasses import replace
from itertools import product

import pytest
import torch

from avsim.clip import ClipSpec, LatentSpec
from avsim.diffusion import (
    ANIMATE,
    AUDIO_ONLY,
    AUDIO_TO_VIDEO,
    FOLEY,
    JOINT,
    VIDEO_ONLY,
    Given,
    Guidance,
    Latents,
    Task,
    generate,
)
from avsim.diffusion.distillation import distillation_sample, targets
from avsim.diffusion.generate import initial_tokens
from avsim.diffusion.guidance import (
    GuidanceRows,
    add_gradient,
    apply_gradient,
    audio_likelihood_gradient,
    conditioned,
    guide,
    reward_gradient,
    unimodal_velocity,
)
from avsim.diffusion.loss import token_loss
from avsim.diffusion.noising import Noised
from avsim.diffusion.tasks import all_given, none_given, until
from avsim.errors import InputError
from avsim.models.couplings import NoCoupling
from avsim.models.pair import Pair
from avsim.models.tokens import to_latents, to_tokens
from tests.diffusion.conftest import COUPLINGS, SPEC, levels, tokens


def since(start):
    return lambda spans: spans[:, 0] >= start - 1e-6


def outside(start, end):
    return lambda spans: until(start)(spans) | since(end)(spans)


def lower_half_given(spec):
    t, height, width = spec.video
    given = torch.arange(height) >= height // 2
    return lambda spans: given[:, None].expand(t, height, width)


FAST = dict(steps=2, guidance=Guidance(1.0))
TASKS = [
    JOINT, FOLEY, AUDIO_TO_VIDEO, ANIMATE,
    Task("extend", until(0.4), until(0.4)),
    Task("extend backward", since(0.4), since(0.4)),
    Task("connect", outside(0.2, 0.5), outside(0.2, 0.5)),
    Task("inpaint", lower_half_given(SPEC), all_given),
]  # fmt: skip


def latents(rows: int = 2, spec: LatentSpec = SPEC) -> Latents:
    random = torch.Generator().manual_seed(5)
    return Latents(
        torch.randn(rows, 4, *spec.video, generator=random),
        torch.randn(rows, 6, spec.audio, generator=random),
    )


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_what_is_given_comes_out_as_it_went_in_and_the_rest_is_drawn(make, task):
    held, start = latents(), task.given(SPEC)
    out = generate(make(), ["a", "b"], SPEC, held, task, **FAST, seed=1)
    for mine, theirs, level in zip(out, held, (start.video, start.audio), strict=True):
        given = (level == 0).expand_as(mine)
        assert torch.equal(mine[given], theirs[given])
        assert not torch.isclose(mine[~given], theirs[~given]).any() or given.all()


def test_tasks_give_what_they_say():
    spec = LatentSpec(ClipSpec(seconds=2.0))
    inpaint = Task("inpaint", lower_half_given(spec), all_given)
    starts = {task.name: task.given(spec) for task in (*TASKS[:-1], inpaint)}
    given = {
        name: tuple((level == 0).float().mean().item() for level in (start.video, start.audio))
        for name, start in starts.items()
    }
    assert given["joint"] == (0, 0) and given["foley"] == (1, 0) and given["visualize"] == (0, 1)
    assert given["animate"] == (pytest.approx(1 / 9), 0) and given["inpaint"] == (0.5, 1)
    extend = Task("extend", until(1.0), until(1.0)).given(spec)
    assert (spec.video_spans()[:, 1] <= 1.0).tolist() == (extend.video[:, 0, 0] == 0).tolist()
    assert (extend.audio == 0).sum() == 32
    assert VIDEO_ONLY.given(spec).audio is None and AUDIO_ONLY.given(spec).video is None


def test_a_picture_or_a_sound_alone(make):
    image = generate(make(), ["a"], LatentSpec(ClipSpec(1 / 16, 32, 48)), task=VIDEO_ONLY, **FAST)
    assert image.video.shape == (1, 4, 1, 4, 6) and image.audio is None
    sound = generate(make(), ["a"], SPEC, task=AUDIO_ONLY, **FAST)
    assert sound.video is None and sound.audio.shape == (1, 6, SPEC.audio)


def test_an_edit_starts_nearer_the_less_it_is_noised(make):
    model, held = make(), latents()
    far = []
    for s in (0.1, 0.4, 1.0):
        start = Task("edit", start=s).given(SPEC).tokens(SPEC)
        far.append((initial_tokens(model, start, held, SPEC, 2, 0, 0).video - to_tokens(held).video).norm())
    assert 0 < far[0] < far[1] < far[2]


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_the_same_seed_draws_the_same_bits_and_another_does_not(make, coupling):
    model, scales = make(coupling), Guidance(1.5, 2.0, 2.0)
    one, two, other = (
        generate(model, ["a"], SPEC, steps=2, guidance=scales, seed=seed) for seed in (3, 3, 4)
    )
    assert torch.equal(one.video, two.video) and torch.equal(one.audio, two.audio)
    assert not torch.equal(one.video, other.video) and not torch.equal(one.audio, other.audio)


def test_a_batch_is_its_clips_one_by_one(make):
    model, captions, held = make(), ["a bell", "", "rain"], latents(3)
    whole = generate(model, captions, SPEC, held, ANIMATE, steps=2, seed=7)
    for row, caption in enumerate(captions):
        mine = held.each(lambda each: each[row : row + 1])  # noqa: B023
        alone = generate(model, [caption], SPEC, mine, ANIMATE, steps=2, seed=7, first_row=row)
        for one, all_ in zip(alone, whole, strict=True):
            torch.testing.assert_close(one[0], all_[row], rtol=1e-4, atol=1e-4)


def test_one_given_clip_serves_all_rows(make):
    out = generate(make(), ["a", "b"], SPEC, latents(1), FOLEY, **FAST)
    assert torch.equal(out.video[0], out.video[1]) and not torch.equal(out.audio[0], out.audio[1])


def test_guidance_is_free_where_it_is_1(make):
    model = make()
    seen = []
    model.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    generate(model, ["a"], SPEC, steps=1, guidance=Guidance(1.0, 1.0, 1.0))
    assert len(seen) == 1
    generate(model, ["a"], SPEC, latents(1), FOLEY, steps=1, guidance=Guidance(2.0, 2.0, 2.0))
    assert len(seen) == 4  # told, without text, sound without video; the video is given: it needs no guide
    assert seen[-1].video is None
    generate(model, ["", ""], SPEC, steps=1, guidance=Guidance(2.0))
    assert len(seen) == 5  # nothing is told: nothing is left untold


def test_an_edit_is_guided_from_where_it_starts(make):
    model, seen = make(), []
    model.register_forward_hook(lambda module, args, out: seen.append(float(args[1].audio.max())))
    task = Task("edit", none_given, none_given, 0.4)
    generate(model, ["a"], SPEC, latents(1), task, steps=4, guidance=Guidance(2.0, modality_start=0.5))
    assert len(seen) > 5 and max(seen) == pytest.approx(0.4) and len(seen) > len(set(seen))


def test_below_its_least_level_nothing_is_guided(make):
    model, seen = make(), []
    model.register_forward_hook(lambda module, args, out: seen.append(float(args[1].audio.max())))
    plain = generate(model, ["a"], SPEC, latents(1), FOLEY, steps=4, guidance=Guidance(1.0), seed=1)
    unguided = list(seen)
    seen.clear()
    how = Guidance(2.0, guidance_start=unguided[2])
    some = generate(model, ["a"], SPEC, latents(1), FOLEY, steps=4, guidance=how, seed=1)
    assert seen == [level for level in unguided[:3] for _ in range(2)] + unguided[3:]
    assert not torch.equal(some.audio, plain.audio)


def test_a_sound_follows_its_words_beside_its_picture(make):
    model = make()
    told, untold = model.context(["a bell"], SPEC), model.context([""], SPEC)
    x, s = tokens(model, 1), Pair(torch.full((1, 1), 0.5), torch.full((1, 1), 0.4))
    alone = [unimodal_velocity(model, each, "audio") for each in (told, untold)]
    with torch.no_grad():
        plain = conditioned(model, told)(x, s)
        more, less = (each(x, s).audio for each in alone)
        how = Guidance(1.0, audio_text_scale=3.0)
        v = guide(model, told, untold, how, (True, True))(x, s)
    torch.testing.assert_close(v.audio, plain.audio + 2 * (more - less))
    assert torch.equal(v.video, plain.video) and not torch.equal(more, less)
    given = dict(given=latents(1), task=AUDIO_TO_VIDEO, steps=2, seed=3)
    one, other = (generate(model, ["a"], SPEC, guidance=g, **given) for g in (how, Guidance(1.0)))
    assert torch.equal(one.video, other.video)  # the sound is given


def test_the_ear_turns_a_picture_to_where_its_sound_is_sooner_heard(make):
    model = make()
    context, x = model.context(["a", "b"], SPEC), tokens(model, 2)
    s = Pair(torch.full((2, 1), 0.7), torch.zeros(2, 1))  # the sound is given
    noise = torch.randn(x.audio.shape, generator=torch.Generator().manual_seed(1))

    def heard(picture):
        sound = Noised(x.audio, noise, torch.full((2, 1), 0.8))
        v = model(Pair(picture, sound.x_s), Pair(s.video, sound.s), context)
        return token_loss(v.audio, sound).sum()

    with torch.no_grad():
        plain = conditioned(model, context)
        turned = add_gradient(
            plain, audio_likelihood_gradient(model, context, lambda call: noise), Guidance(sync_scale=0.01)
        )(x, s)
        straight = plain(x, s)
        change = straight.video - turned.video  # of the data, per level: x - s v
        assert heard(x.video + change) < heard(x.video) < heard(x.video - change)
        assert torch.equal(turned.audio, straight.audio)
    size = change.square().mean((1, 2)).sqrt()
    torch.testing.assert_close(size, torch.full((2,), 0.01 * 0.7), rtol=1e-4, atol=1e-6)


def test_the_ear_listens_where_a_picture_is_drawn_for_a_sound_and_there_is_something_to_hear(make):
    model, how = make(), Guidance(1.0, sync_scale=0.3, sync_start=0.5, sync_samples=2)
    plain, all_ = Guidance(1.0), (how, replace(how, sync_end=0.7))

    def drawn(model, task, guidance):
        return generate(model, ["a"], SPEC, latents(1), task, steps=4, guidance=guidance)

    for task, how in product((JOINT, AUDIO_TO_VIDEO, ANIMATE), all_):
        seen = []
        hook = model.register_forward_hook(lambda *call: seen.append(call[1][1].video.max().item()))  # noqa: B023
        with torch.inference_mode():
            one, other = drawn(model, task, how), drawn(model, task, plain)
        hook.remove()
        assert not torch.equal(one.video, other.video) and torch.isfinite(one.video).all()
        levels = seen[-4:]  # of the four plain steps
        heard = [level for level in levels if 0.5 <= level <= how.sync_end]
        assert heard and len(seen) == 4 + 4 + 2 * len(heard)
        if task is ANIMATE:
            assert torch.equal(one.video[:, :, 0], latents(1).video[:, :, 0])
    for task in (FOLEY, VIDEO_ONLY, AUDIO_ONLY):
        one, other = drawn(model, task, how), drawn(model, task, plain)
        assert all(torch.equal(*both) for both in zip(one.present(), other.present(), strict=True))


def test_what_is_given_takes_nothing_from_what_the_ear_turns(make):
    model = make()
    context, x = model.context(["a"], SPEC), tokens(model, 1)
    level = torch.full((1, SPEC.video[0]), 0.7)
    level[:, 0] = 0  # the first frame is given
    s, plain = Pair(level, torch.full((1, 1), 0.7)), conditioned(model, context)
    with torch.no_grad():
        turned = add_gradient(
            plain,
            audio_likelihood_gradient(model, context, lambda call: torch.ones(x.audio.shape)),
            Guidance(sync_scale=0.2),
        )(x, s)
        change = (turned.video - plain(x, s).video).unflatten(1, SPEC.video)[0]
    assert not change[0].any()
    assert change[1:].square().mean().sqrt() == pytest.approx(0.2 * 0.7, rel=1e-3)


def test_what_is_given_takes_nothing_from_what_a_critic_turns(make):
    model, how = make(), Guidance(1.0, sync_scale=0.3)
    drawn = [
        generate(model, ["a"], SPEC, latents(1), ANIMATE, steps=3, guidance=how, reward_fn=critic)
        for critic in (loud_where_it_sounds, lambda clean: -loud_where_it_sounds(clean))
    ]
    assert all(torch.equal(each.video[:, :, 0], latents(1).video[:, :, 0]) for each in drawn)
    assert not torch.equal(drawn[0].video, drawn[1].video)


def test_streams_that_never_meet_hear_nothing(make):
    model = make(NoCoupling)
    one, other = (
        generate(model, ["a"], SPEC, steps=3, guidance=how)
        for how in (Guidance(1.0, sync_scale=0.3), Guidance(1.0))
    )
    assert torch.equal(one.video, other.video)


def test_a_student_draws_and_its_teacher_hears(make):
    model, student, seen = make(), make(blocks=3), []

    for who in (model, student):
        who.register_forward_hook(lambda who, args, out: seen.append(who))
    how = dict(steps=4, seed=2, guidance=Guidance(2.0, 2.0, 2.0))
    both = generate(model, ["a"], SPEC, student=student, **how)
    assert seen == [student] * 4  # a pass each, whatever guides the model
    torch.testing.assert_close(both, generate(student, ["a"], SPEC, steps=4, seed=2, guidance=Guidance(1.0)))
    seen.clear()
    generate(model, ["a"], SPEC, student=student, steps=4, guidance=Guidance(1.0, sync_scale=0.3))
    assert seen.count(student) == 4 and 0 < seen.count(model) < 4  # its teacher hears


def test_the_ear_hears_each_clip_by_itself(make):
    model, how = make(), Guidance(1.0, sync_scale=0.3)
    whole = generate(model, ["a", "b"], SPEC, steps=3, guidance=how)
    alone = generate(model, ["b"], SPEC, steps=3, guidance=how, first_row=1)
    torch.testing.assert_close(whole.video[1:], alone.video, rtol=1e-3, atol=1e-4)


def loud_where_it_sounds(clean):
    """A critic: each clip's video goes with its sound as far as the two have the same sign."""
    return clean.video.flatten(1).sum(1) * clean.audio.flatten(1).sum(1)


def test_a_critic_turns_a_picture_to_where_it_goes_better_with_its_sound(make):
    model = make()
    context, x = model.context(["a", "b"], SPEC), tokens(model, 2)
    s = Pair(torch.full((2, 1), 0.7), torch.full((2, 1), 0.6))
    plain, shown = conditioned(model, context), []

    def critic(clean):
        shown.append(clean)
        return loud_where_it_sounds(clean)

    with torch.no_grad():
        turned = add_gradient(plain, reward_gradient(critic, SPEC), Guidance(sync_scale=0.01))(x, s)
        v = plain(x, s)
    change = v.video - turned.video  # of the data, per level: x - s v
    assert torch.equal(turned.audio, v.audio)
    assert [tuple(each.shape) for each in shown[0]] == [(2, 4, *SPEC.video), (2, 6, SPEC.audio)]
    clean = to_latents(Pair(x.video - 0.7 * v.video, x.audio - 0.6 * v.audio), SPEC)  # led to
    torch.testing.assert_close(shown[0].audio, clean.audio)
    torch.testing.assert_close(shown[0].video.detach(), clean.video)
    sign = clean.audio.flatten(1).mean(1).sign()[:, None, None]
    torch.testing.assert_close(change, (0.01 * 0.7 * sign).expand_as(change), rtol=1e-4, atol=1e-6)


def test_a_critic_is_asked_in_the_place_of_the_ear_and_each_clip_by_itself(make):
    model, how = make(), Guidance(1.0, sync_scale=0.3, sync_start=0.5, sync_end=0.9)
    seen, asked = [], []

    def critic(clean):
        asked.append(clean)
        return loud_where_it_sounds(clean)

    hook = model.register_forward_hook(lambda *call: seen.append(call[1][1].video.max().item()))
    whole = generate(model, ["a", "b"], SPEC, steps=4, guidance=how, reward_fn=critic)
    hook.remove()
    assert len(seen) == 4 and len(asked) == sum(0.5 <= level <= 0.9 for level in seen) > 0
    assert not torch.equal(whole.video, generate(model, ["a", "b"], SPEC, steps=4, guidance=how).video)
    alone = generate(model, ["b"], SPEC, steps=4, guidance=how, reward_fn=critic, first_row=1)
    torch.testing.assert_close(whole.video[1:], alone.video, rtol=1e-3, atol=1e-4)
    asked.clear()
    for task in (FOLEY, VIDEO_ONLY, AUDIO_ONLY):  # no video is drawn beside a sound
        generate(model, ["a"], SPEC, latents(1), task, steps=2, guidance=how, reward_fn=critic)
    assert not asked


def test_without_the_other_one_no_other_one_is_heard(make):
    model = make()
    denoise = unimodal_velocity(model, model.context(["a"], SPEC), "audio")
    x = tokens(model, 1)
    s = Pair(torch.ones(1, 1), torch.ones(1, 1))
    with torch.no_grad():
        v = denoise(x, s)
        assert v.video is None and torch.equal(v.audio, denoise(x._replace(video=x.video + 1), s).audio)


def test_what_cannot_be_used_is_named(make):
    model = make()
    with pytest.raises(InputError, match="starts from video latents; none were given"):
        generate(model, ["a"], SPEC, task=FOLEY)
    with pytest.raises(InputError, match=r"given video latents are \(1, 4, 1, 4, 6\)"):
        generate(model, ["a"], SPEC, Latents(torch.zeros(1, 4, 1, 4, 6), None), FOLEY)
    with pytest.raises(InputError, match="not finite"):
        generate(model, ["a"], SPEC, Latents(torch.full((1, 4, *SPEC.video), torch.nan), None), FOLEY)
    with pytest.raises(InputError, match="no captions"):
        generate(model, [], SPEC)
    scales = ("guidance_scale", "modality_scale", "audio_modality_scale", "sync_scale", "audio_text_scale")
    starts = ("modality_start", "guidance_start", "sync_start", "sync_end")
    for names, values in ((scales, (-0.1, math.inf, math.nan)), (starts, (-0.1, 1.1, math.nan))):
        for name, value in product(names, values):
            with pytest.raises(InputError, match=f"guidance: {name} is {value}"):
                Guidance(**{name: value})
    assert Guidance(**dict.fromkeys(scales, 0.0), **dict.fromkeys(starts, 1.0), audio_guidance_scale=0.0)
    for hearings in (0, 1.5):
        with pytest.raises(InputError, match=f"sync_samples is {hearings}"):
            Guidance(sync_samples=hearings)
    with pytest.raises(InputError, match="both are absent"):
        Given(None, None)
    with pytest.raises(InputError, match=r"starting levels of audio: \(3,\)"):
        generate(model, ["a"], SPEC, task=Given(None, torch.ones(3)))


def test_what_is_not_said_is_8_steps_of_seed_0_without_extra_guidance(make):
    model = make()
    plain = generate(model, ["a"], SPEC)
    said = generate(
        model, ["a"], SPEC, None, JOINT, steps=8, guidance=Guidance(guidance_scale=1.5), seed=0, first_row=0,
        first_frame_lead=0,
    )  # fmt: skip
    assert torch.equal(plain.video, said.video) and torch.equal(plain.audio, said.audio)


def test_a_callback_sees_each_step_and_may_change_what_comes_of_it(make):
    model, seen = make(), []

    def on_step_end(step, level, latents):
        seen.append((step, level, latents))

    how = dict(steps=3, guidance=Guidance(1.0), seed=2)
    task = Task("edit", start=0.6)
    looked = generate(model, ["a"], SPEC, latents(1), task, on_step_end=on_step_end, **how)
    plain = generate(model, ["a"], SPEC, latents(1), task, **how)
    assert torch.equal(looked.video, plain.video) and torch.equal(looked.audio, plain.audio)
    assert [step for step, _, _ in seen] == [0, 1, 2]
    shift = max(model.shifts)
    points = [0.6 * shift * u / (1 + (shift - 1) * u) for u in (1, 2 / 3, 1 / 3)]
    assert [level for _, level, _ in seen] == pytest.approx(points)
    assert torch.equal(seen[-1][2].video, looked.video) and seen[0][2].audio.shape == looked.audio.shape

    def replaced(step, level, current):
        return latents(1) if step == 2 else None

    out = generate(model, ["a"], SPEC, latents(1), task, on_step_end=replaced, **how)
    assert torch.equal(out.video, latents(1).video) and torch.equal(out.audio, latents(1).audio)


@pytest.mark.parametrize("bounds", [(0.0, 0.93), (0.8, 0.93), (0.5, 0.6)])
@pytest.mark.parametrize("coupling", COUPLINGS)
def test_a_lesson_is_what_guidance_says_row_by_row(make, coupling, bounds):
    model, bounds = make(coupling), dict(zip(("sync_start", "sync_end"), bounds, strict=True))
    told, untold = model.context(["a", "b"], SPEC), model.context(["", ""], SPEC)
    x, steps = tokens(model, 2), SPEC.video[0]
    both = Guidance(2.0, 3.0, 4.0, 0.5, 0.3, 0.8, audio_text_scale=2.0, **bounds)
    given = Guidance(1.5, 2.0, 1.0, 0.2, 0.4, **bounds)
    level = torch.full((2, steps), 0.7)
    level[0, 0] = 0  # one has a given frame
    heard = torch.tensor([[0.9], [0.0]])  # the other a given sound
    noised = x.each(lambda x, s: Noised(x, torch.randn_like(x), s), Pair(level, heard))
    noise = torch.randn_like(x.audio)
    rows = GuidanceRows.of(GuidanceRows.table([both, given], "cpu"), torch.tensor([0, 1]))
    target = targets(model, told, untold, noised, rows, noise)
    at, s = noised.each(lambda n: n.x_s), noised.each(lambda n: n.s)
    torch.testing.assert_close(target.each(lambda n: n.x_s), at)  # nothing else is shown to the student
    for row, (guidance, free) in enumerate(((both, (True, True)), (given, (True, False)))):
        plain = guide(model, told, untold, guidance, free)
        hears = coupling.cross_modal
        if hears:
            plain = add_gradient(plain, audio_likelihood_gradient(model, told, lambda call: noise), guidance)
        with torch.no_grad():
            v = plain(at, s)
        torch.testing.assert_close(target.video.v[row], v.video[row], rtol=1e-3, atol=1e-4)
        if free[1]:
            torch.testing.assert_close(target.audio.v[row], v.audio[row], rtol=1e-3, atol=1e-4)
    with torch.no_grad():
        plain = model(at, s, told)
    assert (target.video.v - plain.video).abs().mean() > 0.01


def test_a_lesson_is_what_a_critic_says(make):
    model, how = make(), Guidance(1.0, sync_scale=0.3, sync_start=0.5)
    told, x = model.context(["a", "b"], SPEC), tokens(model, 2)
    level = torch.tensor([[0.7], [0.3]])  # the other is not asked about
    noised = x.each(lambda x, s: Noised(x, torch.randn_like(x), s), Pair(level, level))
    at, s = noised.each(lambda n: n.x_s), noised.each(lambda n: n.s)

    def critic(latents):
        return latents.video.square().flatten(1).sum(1) * latents.audio.sum((1, 2)).sin()

    rows = GuidanceRows.of(GuidanceRows.table([how], "cpu"), torch.tensor([0, 0]))
    reward = reward_gradient(critic, SPEC)
    target = targets(model, told, told, noised, rows, torch.randn_like(x.audio), reward)
    with torch.no_grad():
        plain = model(at, s, told)
        v = add_gradient(conditioned(model, told), reward, replace(how, sync_start=0.0))(at, s)
    torch.testing.assert_close(target.video.v[0], v.video[0], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(target.video.v[1], plain.video[1], rtol=1e-3, atol=1e-4)
    assert (v.video - plain.video)[0].abs().mean() > 0.01


def test_a_critic_that_has_little_to_say_turns_less():
    v, slope = torch.zeros(3, 4, 2), torch.ones(3, 4, 2) * torch.tensor([1.0, 0.01, 0.001])[:, None, None]
    turn = apply_gradient(v, slope, torch.ones(3, 1), 0.5, max_norm=0.01 * 8**0.5).mean((1, 2))
    torch.testing.assert_close(turn, torch.tensor([0.5, 0.5, 0.05]))


def test_a_lesson_is_of_clips_as_a_sampler_meets_them(make):
    model = make()
    told, untold, x = model.context(["a"] * 4, SPEC), model.context([""] * 4, SPEC), tokens(model, 4)
    level = torch.full((4, SPEC.video[0]), 0.6)
    level[:, 0] = 0
    heard = torch.tensor([[0.6], [0.6], [0.6], [0.0]])
    chance = torch.tensor([[0.9, 0.1, 0.9, 0.1], [0.5] * 4, [0.5] * 4, [0.9, 0.9, 0.1, 0.9]])[..., None, None]
    table = GuidanceRows.table([Guidance(1.0), Guidance(1.0, modality_scale=3.0)], "cpu")
    found = distillation_sample(model, told, untold, x, Pair(level, heard), table, chance, torch.zeros_like)
    data = found.each(lambda n: n.x_s)
    kept = x.each(lambda x, n: (1 - n.level) * x, found)
    late = x.audio.roll(12, 1)  # half of 24
    torch.testing.assert_close(data.each(lambda d: d[0]), kept.each(lambda k: k[0]))
    torch.testing.assert_close(data.video[1], kept.video[1])
    torch.testing.assert_close(data.audio[1], 0.4 * late[1])
    assert (data.video[2] - kept.video[2]).abs().mean() > 0.01  # a guess
    opening = SPEC.video[1] * SPEC.video[2]
    assert torch.equal(data.video[:, :opening], x.video[:, :opening])  # is given
    torch.testing.assert_close(data.audio[3], late[3])
    with torch.no_grad():
        plain = model(data, Pair(level, heard), told)
    same = (found.video.v - plain.video).abs().mean((1, 2))
    assert (same[:3] < 1e-4).all() and same[3] > 1e-3  # the second sample is of given sounds


@torch.no_grad()
def test_the_audio_can_have_a_text_scale_of_its_own(make):
    model = make()
    x, s = tokens(model, 2), levels(2)
    cond, uncond = (model.context([text] * 2, SPEC) for text in ("a bell", ""))
    v, v_uncond = model(x, s, cond), model(x, s, uncond)
    own = guide(model, cond, uncond, Guidance(1.0, audio_guidance_scale=3.0))(x, s)
    assert torch.equal(own.video, v.video)
    torch.testing.assert_close(own.audio, v.audio + 2 * (v.audio - v_uncond.audio))
    same, both = (Guidance(3.0, audio_guidance_scale=scale) for scale in (None, 3.0))
    for one, other in zip(*(guide(model, cond, uncond, each)(x, s) for each in (same, both)), strict=True):
        assert torch.equal(one, other)
    rows = GuidanceRows.of(GuidanceRows.table([both], "cpu"), torch.zeros(2, dtype=torch.long))
    torch.testing.assert_close(guide(model, cond, uncond, rows)(x, s), guide(model, cond, uncond, both)(x, s))


def test_a_negative_prompt_takes_the_place_of_the_empty_caption(make):
    model = make()
    how = dict(steps=2, seed=3)
    plain, empty, bell = (
        generate(model, ["rain"], SPEC, guidance=Guidance(2.0, negative_prompt=text), **how)
        for text in ("", "", "a bell")
    )
    assert torch.equal(plain.video, empty.video) and not torch.equal(plain.video, bell.video)
    same = generate(model, ["a bell"], SPEC, guidance=Guidance(2.0, negative_prompt="a bell"), **how)
    unguided = generate(model, ["a bell"], SPEC, guidance=Guidance(1.0), **how)
    torch.testing.assert_close(same.video, unguided.video, rtol=1e-3, atol=1e-3)
    assert not torch.equal(
        generate(model, [""], SPEC, guidance=Guidance(2.0, negative_prompt="a bell"), **how).video,
        generate(model, [""], SPEC, guidance=Guidance(2.0), **how).video,
    )
    with pytest.raises(InputError, match="negative_prompt"):
        GuidanceRows.table([Guidance(negative_prompt="a bell")], "cpu")
    with pytest.raises(InputError, match="audio_guidance_scale is -1"):
        Guidance(audio_guidance_scale=-1)
