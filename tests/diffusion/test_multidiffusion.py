"""Other sizes of overlapping windows: identities of MultiDiffusion, and clips that are composed by it."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from avsim.clip import ClipSpec, LatentSpec
from avsim.diffusion.multidiffusion import MultiDiffusion, offsets, window_weights
from avsim.errors import InputError
from avsim.models.pair import Pair
from avsim.simulator.prompts import warn_once
from tests.small.models import SPEC, export

SIZE = (SPEC["height"], SPEC["width"])


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    import avsim

    return avsim.load(export(tmp_path_factory.mktemp("sizes") / "run"))


def spec_of(height: int, width: int) -> LatentSpec:
    return LatentSpec(ClipSpec(**{**SPEC, "height": height, "width": width}))


def tokens(spec: LatentSpec, model) -> Pair:
    random = torch.Generator().manual_seed(0)
    shapes = zip((torch.tensor(spec.video).prod(), spec.audio), model.channels, strict=True)
    return Pair(*(torch.randn(2, int(length), width, generator=random) for length, width in shapes))


@torch.no_grad()
def test_at_the_trained_size_it_is_the_model(simulator):
    spec, model = spec_of(*SIZE), simulator.generator
    x, s = tokens(spec, model), Pair(torch.full((2, 1), 0.7), torch.full((2, 1), 0.7))
    whole = MultiDiffusion(model, SIZE)
    one = model(x, s, model.context(["a", "b"], spec))
    other = whole(x, s, whole.context(["a", "b"], spec))
    torch.testing.assert_close(one.video, other.video)
    torch.testing.assert_close(one.audio, other.audio)
    assert whole.shifts == model.shifts and whole.text is model.text


@torch.no_grad()
@pytest.mark.parametrize("levels", ["clip", "frame", "token"])
def test_windows_are_a_partition_of_unity(simulator, monkeypatch, levels):
    """A model whose velocity is a function of each token alone has the same one in windows."""
    spec, model = spec_of(72, 120), simulator.generator
    monkeypatch.setattr(model, "forward", lambda x, s, context: x.each(lambda x: 3 * x))
    count = {"clip": 1, "frame": spec.video[0], "token": int(torch.tensor(spec.video).prod())}[levels]
    x, s = tokens(spec, model), Pair(torch.full((2, count), 0.7), torch.full((2, 1), 0.7))
    whole = MultiDiffusion(model, SIZE)
    v = whole(x, s, whole.context(["a", "b"], spec))
    torch.testing.assert_close(v.video, 3 * x.video)
    torch.testing.assert_close(v.audio, 3 * x.audio)


@pytest.mark.parametrize(("whole", "part"), [(8, 8), (9, 8), (14, 8), (32, 8), (5, 4), (3, 1)])
def test_windows_cover_all_and_overlap(whole, part):
    found = offsets(whole, part)
    assert found[0] == 0 and found[-1] == whole - part
    assert all(0 < then - now <= max(1, part // 2) for now, then in zip(found, found[1:], strict=False))
    with pytest.raises(InputError, match="fewer than"):
        offsets(part - 1, part)


@pytest.mark.parametrize(
    ("whole", "part", "expected"),
    [
        (8, 8, (0,)),
        (9, 8, (0, 1)),
        (12, 8, (0, 4)),  # half of a window further
        (13, 8, (0, 2, 5)),  # 2.5 is rounded to even
        (32, 8, (0, 4, 8, 12, 16, 20, 24)),
        (8, 5, (0, 2, 3)),  # 1.5 too
        (3, 1, (0, 1, 2)),
    ],
)
def test_windows_are_as_few_as_overlap_by_half_and_evenly_spaced(whole, part, expected):
    assert offsets(whole, part) == expected


def test_weights_fall_linearly_from_the_middle_to_the_edges_and_stay_above_0():
    found = window_weights(2, 3)
    row, column = torch.tensor([2 / 3, 2 / 3]), torch.tensor([0.5, 1.0, 0.5])
    torch.testing.assert_close(found, (row[:, None] * column)[..., None])
    torch.testing.assert_close(window_weights(1, 4)[0, :, 0], torch.tensor([0.4, 0.8, 0.8, 0.4]))


class MeanOfWindow(nn.Module):
    """A model whose velocity of every token is the mean of its window, so that windows disagree."""

    shifts = Pair(1.0, 1.0)

    def __init__(self):
        super().__init__()
        self.asked, self.levels = [], []

    def context(self, captions, spec, uncond=None):
        self.asked.append((captions, spec, uncond))
        return "context"

    def forward(self, x, s, context):
        assert context == "context"
        self.levels.append(s)
        mean = None if x.video is None else x.video.mean(1, keepdim=True)
        video = None if mean is None else mean.expand_as(x.video)
        return Pair(video, None if x.audio is None else x.audio + (0 if mean is None else mean[..., :1]))


def test_windows_that_disagree_are_averaged_by_their_weights():
    model, spec = MeanOfWindow(), spec_of(64, 72)  # 8 x 9 latents, windows of 4 x 6
    whole = MultiDiffusion(model, SIZE)
    t, h, w = spec.video
    random = torch.Generator().manual_seed(1)
    grid = torch.randn(2, t, h, w, 3, generator=random)
    audio = torch.randn(2, 5, 1, generator=random)
    level = torch.rand(2, t, h, w, generator=random)
    uncond = torch.tensor([True, False])
    context = whole.context(["a", "b"], spec, uncond)
    ((captions, inner, same),) = model.asked
    assert captions == ["a", "b"] and inner == spec_of(*SIZE) and same is uncond
    s = Pair(level.flatten(1), torch.ones(2, 1))
    v = whole(Pair(grid.flatten(1, 3), audio), s, context)
    total, weight, means, k = torch.zeros_like(grid), torch.zeros(h, w, 1), [], 0
    for row in (0, 2, 4):
        for column in (0, 3):
            part = slice(row, row + 4), slice(column, column + 6)
            means.append(grid[:, :, *part].mean((1, 2, 3)))
            total[:, :, *part] += window_weights(4, 6) * means[-1][:, None, None, None]
            weight[part] += window_weights(4, 6)
            assert torch.equal(model.levels[k].video, level[:, :, *part].flatten(1))  # of its own tokens
            assert torch.equal(model.levels[k].audio, s.audio)
            k += 1
    assert len(model.levels) == k
    torch.testing.assert_close(v.video, (total / weight).flatten(1, 3))
    torch.testing.assert_close(v.audio, audio + torch.stack(means).mean(0)[:, None, :1])
    alone = whole(Pair(None, audio), Pair(None, s.audio), context)
    assert alone.video is None and torch.equal(alone.audio, audio)  # without a video, there are no windows
    silent = whole(Pair(grid.flatten(1, 3), None), Pair(s.video[:, :1], None), context)
    assert silent.audio is None
    torch.testing.assert_close(silent.video, v.video)
    assert torch.equal(model.levels[-1].video, s.video[:, :1])  # one level of a clip is that of each window


@pytest.mark.parametrize("size", [(40, 80), (96, 48), (20, 30), (33, 71)])
def test_clips_of_any_size_are_composed_around_the_trained_one(simulator, size, caplog):
    warn_once.cache_clear()
    clip = simulator.generate("a ball", 0.5, size=size, steps=2)
    assert clip.frames.shape == (3, 4, *size) and clip.wave.shape[1] == 8000
    assert torch.isfinite(clip.frames).all()
    assert f"{size[1]}x{size[0]}: composed at" in caplog.text
    inner = simulator.generate("a ball", 0.5, steps=2)
    assert torch.equal(clip.wave, inner.wave)  # the clip of the trained size is in its middle
    assert simulator.image("a ball", size=size, steps=2).frames.shape[2:] == size
    assert simulator.visualize(inner.without_video(), size=size, steps=2).frames.shape[2:] == size


@torch.no_grad()
def test_the_surroundings_leave_the_clip_as_it_is(simulator, monkeypatch):
    seen = []
    decode = simulator.video_codec.decode
    monkeypatch.setattr(simulator.video_codec, "decode", lambda z, spec: seen.append(z) or decode(z, spec))
    simulator.generate("a ball", 0.5, steps=2)
    simulator.generate("a ball", 0.5, size=(32, 96), steps=2)
    inner, whole = seen
    assert whole.shape[-1] == 12 and torch.equal(whole[..., 3:9], inner)
    assert not torch.equal(whole[..., :3], torch.zeros_like(whole[..., :3]))


def test_what_is_not_composed_is_refused_by_name(simulator):
    clip = simulator.generate("a ball", 0.5, steps=2)
    for call in (
        lambda: simulator.extend(clip, size=(40, 40)),
        lambda: simulator.edit(clip, "a", size=(40, 40)),
        lambda: simulator.animate(clip.first_frame(), size=(40, 40)),
        lambda: next(simulator.stream("a", 9.0, size=(40, 40))),
    ):
        with pytest.raises(InputError, match="size 40x40: .* was trained on, 48x32"):
            call()
    assert replace(simulator).extend(clip, size=SIZE, seconds=0.5, steps=2).seconds == 1.0


def test_what_is_composed_for_a_narrow_frame_must_fit_memory(simulator):
    with pytest.raises(InputError, match="more than 268,435,456 pixels in all"):
        simulator.generate("a", size=(1, 40000), steps=1)  # of a canvas of 32 x 1,280,000
