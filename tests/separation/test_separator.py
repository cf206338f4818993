"""Stems add up, whatever is asked of whatever clip; regions are sums of their cells."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avsim.clip import Clip, Region, samples_of
from avsim.errors import InputError
from avsim.separation import Separator, pixel_stem, separate
from avsim.separation import stems as stems_module
from avsim.separation.networks import FrameEncoder, places
from avsim.separation.regions import cell_weights, region_weights


@pytest.fixture(scope="module")
def model() -> Separator:
    torch.manual_seed(0)
    small = Separator(short_side=16, width=8, fine=8, coarse=16, frame_blocks=1, bin_widths=[4, 8, 8])
    for parameter in small.parameters():  # away from its start, where much is zero
        parameter.data += 0.3 * torch.randn_like(parameter) / math.sqrt(max(1, parameter.shape[-1]))
    return small.eval()


def noise_clip(seconds=0.5, fps=16.0, rate=8000, channels=2, size=(16, 24), seed=0) -> Clip:
    draw = torch.Generator().manual_seed(seed)
    frames = max(1, round(seconds * fps))
    samples = samples_of(frames, fps, rate)
    wave = 2 * torch.rand(channels, samples, generator=draw) - 1
    return Clip(torch.rand(3, frames, *size, generator=draw), wave, fps, rate)


def assert_adds_up(stems, clip):
    assert stems.wave.dtype == torch.float32 and stems.wave.shape[1:] == clip.wave.shape
    assert (stems.mixture - clip.wave).abs().max() <= 1e-6


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([0.0625, 0.3, 1.0]),
    st.sampled_from([3.0, 16.0, 29.97]),
    st.sampled_from([4000, 11025, 48000]),
    st.sampled_from([1, 2, 6]),
    st.sampled_from([(1, 1), (7, 31), (40, 9), (16, 16)]),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_stems_add_up(model, seconds, fps, rate, channels, size, count, seed):
    clip = noise_clip(seconds, fps, rate, channels, size, seed)
    draw = torch.Generator().manual_seed(seed)
    regions = [
        Region(torch.rand(*([clip.frames.shape[1]] if k % 2 else []), *size, generator=draw))
        for k in range(count)
    ]  # fixed and moving, soft, and overlapping everywhere
    assert_adds_up(separate(model, clip, regions), clip)


def test_forty_regions_and_none(model):
    clip = noise_clip()
    boxes = [Region.box(k % 8, k // 8, 9, 8, (16, 24)) for k in range(40)]
    assert_adds_up(separate(model, clip, boxes), clip)
    alone = separate(model, clip, [])
    assert torch.equal(alone.wave[0], clip.wave) and alone.names == ["off screen"]


def test_a_picture_is_the_sum_of_its_parts(model):
    clip, size = noise_clip(), (16, 24)
    whole = separate(model, clip, [Region(torch.ones(size))]).wave
    parts = separate(model, clip, [Region.box(0, 0, 11, 16, size), Region.box(11, 0, 13, 16, size)]).wave
    assert torch.allclose(parts[:2].sum(0), whole[0], atol=1e-5) and torch.allclose(
        parts[2], whole[1], atol=1e-5
    )
    grid = model.grid(*size)
    pixels = [
        pixel_stem(model, clip, (column + 0.5) * size[1] / grid[1], (row + 0.5) * size[0] / grid[0])
        for row in range(grid[0])
        for column in range(grid[1])
    ]
    assert torch.allclose(torch.stack(pixels).sum(0), whole[0], atol=1e-5)


def test_overlapping_regions_share_what_both_cover(model):
    clip, size = noise_clip(), (16, 24)
    box = Region.box(0, 0, 12, 16, size)
    one, two = separate(model, clip, [box]).wave, separate(model, clip, [box, box]).wave
    assert torch.allclose(two[0], one[0] / 2, atol=1e-6) and torch.allclose(two[0], two[1])
    assert torch.allclose(two[2], one[1], atol=1e-5)


def test_silence_gives_silence(model):
    clip = Clip(noise_clip().frames, torch.zeros(2, 4000), 16.0, 8000)
    assert not separate(model, clip, [Region(torch.ones(16, 24))]).wave.any()


def test_channels_and_scale_are_kept(model):
    clip = noise_clip(channels=2)
    wave = torch.stack([clip.wave[0], torch.zeros_like(clip.wave[0])])
    stems = separate(model, Clip(clip.frames, wave, 16.0, 8000), [Region(torch.ones(16, 24))])
    assert not stems.wave[:, 1].any() and stems.wave[0, 0].any()


def test_a_batch_is_its_rows_and_times_do_not_leak(model):
    clips = [noise_clip(seed=seed) for seed in range(3)]
    frames, wave = (torch.stack([getattr(clip, name) for clip in clips]) for name in ("frames", "wave"))
    with torch.no_grad():
        together, _, _ = model._encode(frames, wave, 8000)
        alone, _, _ = model._encode(frames[1:2], wave[1:2], 8000)
    assert torch.allclose(together.cells[1:2], alone.cells, atol=1e-5)
    assert torch.allclose(together.bins[1:2], alone.bins, atol=1e-5)


def test_windows_leave_no_seam(model, monkeypatch):
    """A long clip in short windows: stems add up, and differ from those of one window no more than -50 dB."""
    clip = noise_clip(seconds=6.0)
    half = Region.box(0, 0, 12, 16, (16, 24))
    at_once = separate(model, clip, [half]).wave
    monkeypatch.setattr(stems_module, "WINDOW", 2.0)
    monkeypatch.setattr(stems_module, "OVERLAP", 1.0)
    in_windows = separate(model, clip, [half])
    assert_adds_up(in_windows, clip)
    # A seam is a step that one window does not have: compare what lies above 2 kHz, where a click is heard.
    difference = in_windows.wave[0] - at_once[0]
    jumps = (difference[:, 1:] - difference[:, :-1]).abs()
    at_seams = torch.stack([jumps[:, second * 8000 - 5 : second * 8000 + 5].amax() for second in range(1, 5)])
    assert at_seams.max() <= 2 * jumps.quantile(0.999)


@pytest.mark.parametrize("seconds", [0.01, 7.9, 8.0, 8.05, 14.0, 21.3])
def test_windows_cover_a_sound_once(model, seconds):
    """Where every window gives a region all, the region is the sound: fades add up to one."""
    fade = stems_module.fade(1000)
    assert torch.allclose(fade + fade.flip(0), torch.ones(1000), atol=1e-6)
    clip = noise_clip(seconds, fps=4.0, rate=500, channels=1, size=(8, 8))
    picture = stems_module.frame_source(clip, model)
    spans = [
        (w.first, w.last, w.before, w.after) for w in stems_module.windows(model, picture, clip.wave, 500)
    ]
    assert spans[0][0] == spans[0][2] == spans[-1][3] == 0 and spans[-1][1] == clip.wave.shape[1]
    for (_, last, _, after), (first, _, before, _) in zip(spans, spans[1:], strict=False):
        assert last - first == after == before > 0
    assert_adds_up(separate(model, clip, [Region(torch.ones(8, 8))]), clip)


def test_off_screen_starts_at_half():
    torch.manual_seed(0)
    fresh = Separator(short_side=16, width=8, fine=8, coarse=16, frame_blocks=1, bin_widths=[4, 8, 8]).eval()
    for size in ((16, 16), (16, 64)):  # however many cells there are
        clip = noise_clip(size=size)
        with torch.no_grad():
            maps, columns, _ = fresh._encode(clip.frames[None], clip.wave[None], 8000)
            shares = maps.shares(
                columns, region_weights([Region(torch.ones(size))], torch.arange(8), maps.grid)[None]
            )
        assert 0.3 < shares[:, 1].mean() < 0.7
        assert torch.allclose(shares.sum(1), torch.ones(()), atol=1e-5)


def test_weights_are_areas_and_small_regions_get_a_cell():
    size, grid = (16, 16), (4, 4)
    box = cell_weights(Region.box(0, 0, 6, 4, size).mask[None, None], grid)[0, 0].reshape(grid)
    assert box.tolist()[0] == [1, 0.5, 0, 0] and not box[1:].any()
    point = cell_weights(Region.point(5, 9, size).mask[None, None], grid)[0, 0].reshape(grid)
    assert point[2, 1] == 1 and point.sum() == 1
    faint = cell_weights(0.25 * Region.point(5, 9, size).mask[None, None], grid)
    assert math.isclose(float(faint.sum()), 0.25, rel_tol=1e-5)
    crowd = cell_weights(torch.ones(7, 1, *size), grid)
    assert torch.allclose(crowd.sum(0), torch.ones(()))


def test_moving_masks_are_read_frame_by_frame():
    mask = torch.zeros(4, 8, 8)
    mask[0, :4], mask[3, 4:] = 1, 1
    weights = region_weights([Region(mask)], torch.tensor([0, 0, 3]), (2, 1))
    assert weights[0].tolist() == [[1, 0], [1, 0], [0, 1]]


def test_clips_that_cannot_be_separated(model):
    clip, region = noise_clip(), Region(torch.ones(16, 24))
    for bad, regions, message in (
        (clip.without_audio(), [region], "no audio"),
        (clip.without_video(), [region], "no video"),
        (clip, [Region(torch.ones(8, 8), "sky")], "'sky'.*8x8.*24x16"),
        (clip, [Region(torch.ones(5, 16, 24))], "5 frames, the video has 8"),
    ):
        with pytest.raises(InputError, match=message):
            separate(model, bad, regions)
    with pytest.raises(InputError, match="inside the video"):
        pixel_stem(model, clip, 24, 0)


def test_pixels_know_their_place_and_what_changed():
    found = places(2, 4, torch.zeros(1))
    rows, columns = torch.tensor([-0.5, 0.5]), torch.tensor([-0.75, -0.25, 0.25, 0.75])
    expected = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)
    torch.testing.assert_close(found, expected)  # of the middle of each cell
    encoder, seen = FrameEncoder(4, 8, 1), []
    encoder.stem.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    frames = torch.full((1, 3, 3, 8, 8), 0.75)
    frames[:, :, 2] = 0.5
    encoder(frames)
    cells = seen[0][..., :-2].unflatten(-1, (16, 6))  # (T, h, w, pixels, colours and their change)
    levels = torch.tensor([0.25, 0.25, 0.0]), torch.tensor([0.0, 0.0, -1.0])
    for part, level in zip((cells[..., :3], cells[..., 3:]), levels, strict=True):
        torch.testing.assert_close(part, level[:, None, None, None, None].expand_as(part))
    torch.testing.assert_close(seen[0][0, ..., -2:], places(2, 2, frames))
