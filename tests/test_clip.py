"""One clock: every length and time follows from rates, and a clip can't hold two lengths."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avsim import Clip, ClipSpec, InputError, Region, Stems
from avsim.clip import LatentSpec

RATES = st.sampled_from([8.0, 12.5, 16.0, 24000 / 1001, 25.0, 30.0, 60.0])
HERTZ = st.sampled_from([8000, 16000, 22050, 44100, 48000])


@given(frames=st.integers(1, 5000), fps=RATES, rate=HERTZ)
def test_a_spec_made_from_its_own_seconds_is_itself(frames, fps, rate):
    spec = ClipSpec(frames / fps, frames_per_second=fps, sample_rate=rate)
    assert spec.frames == frames
    assert spec.samples == round(frames * rate / fps)


@given(frames=st.integers(1, 400), stride=st.integers(1, 8), fps=RATES)
def test_video_latents_tile_time_without_gap_or_overlap(frames, stride, fps):
    spec = LatentSpec(ClipSpec(frames / fps, frames_per_second=fps), time_stride=stride)
    spans = spec.video_spans()
    assert spans.shape == (spec.video[0], 2)
    assert torch.equal(spans[1:, 0], spans[:-1, 1])
    assert spans[0].tolist() == pytest.approx([0, 1 / fps])
    padded = 1 + stride * (spec.video[0] - 1)
    assert spans[-1, 1].item() == pytest.approx(padded / fps)
    assert 0 <= padded - frames < stride


def test_two_seconds_at_sixteen_frames():
    spec = LatentSpec(ClipSpec(2.0))
    assert (spec.clip.frames, spec.video, spec.audio) == (32, (9, 8, 8), 64)
    assert spec.video_seconds()[:3].tolist() == [0.5 / 16, 3 / 16, 7 / 16]
    assert spec.audio_seconds()[:2].tolist() == [250 / 16000, 750 / 16000]


def test_one_image_is_one_latent():
    assert LatentSpec(ClipSpec(1 / 16)).video == (1, 8, 8)


@pytest.mark.parametrize("field", ["seconds", "height", "frames_per_second", "sample_rate", "channels"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_spec_refuses_what_cannot_be(field, value):
    with pytest.raises(InputError, match=field):
        ClipSpec(**{field: value})


FRAMES, WAVE = torch.rand(3, 4, 6, 8), torch.rand(2, 4000)


@pytest.mark.parametrize(
    ("frames", "wave", "rates", "says"),
    [
        (None, None, (16, 16000), "both are None"),
        (FRAMES, WAVE[:, 1:], (16, 16000), "own 4000 samples"),
        (FRAMES[0], None, (16, 16000), "expected float"),
        (FRAMES[:, :0], None, (16, 16000), "expected float"),
        ((FRAMES * 255).byte(), None, (16, 16000), "uint8"),
        (None, WAVE[0], (16, 16000), "expected float"),
        (None, WAVE * float("nan"), (16, 16000), "not finite"),
        (FRAMES, WAVE, (16, 0), "sample_rate is 0"),
        (FRAMES, WAVE, (0, 16000), "frames_per_second is 0"),
    ],
)
def test_a_clip_refuses_what_cannot_be(frames, wave, rates, says):
    with pytest.raises(InputError, match=says):
        Clip(frames, wave, *rates)


def test_fitted_pads_and_crops():
    assert Clip.fitted(FRAMES, WAVE[:, :10]).wave[:, 10:].abs().max() == 0
    assert torch.equal(Clip.fitted(FRAMES, torch.cat([WAVE, WAVE], 1)).wave, WAVE)


def test_parts_of_a_clip():
    clip = Clip(FRAMES, WAVE)
    assert clip.without_audio().wave is None and clip.without_video().frames is None
    assert clip.first_frame().frames.shape == (3, 1, 6, 8)
    assert clip.spec == ClipSpec(0.25, 6, 8, 16, 16000, 2)


def test_regions_and_stems():
    box = Region.box(1, 2, 3, 2, (6, 8))
    assert box.mask.sum() == 6 and box.mask[2, 1] == 1 and box.mask[3, 3] == 1
    assert Region.point(7.9, 0, (6, 8)).mask[0, 7] == 1
    for wrong in ((6, 0, 3, 1), (-1, 0, 2, 2), (0, 0, 0, 1)):
        with pytest.raises(InputError, match="inside the video"):
            Region.box(*wrong, (6, 8))
    with pytest.raises(InputError, match="empty"):
        Region(torch.zeros(6, 8))
    stems = Stems(torch.rand(2, 2, 10), [box], 16000)
    assert stems.names == [box.name, "off screen"] and torch.equal(
        stems.mixture, stems.wave[0] + stems.wave[1]
    )
    with pytest.raises(InputError, match="expected \\(2"):
        Stems(torch.rand(3, 2, 10), [box], 16000)


def test_the_spec_of_what_has_one_modality_alone():
    assert Clip(None, WAVE[:1]).spec == ClipSpec(0.25, 64, 64, 16, 16000, 1)
    assert Clip(FRAMES, None).spec == ClipSpec(0.25, 6, 8, 16, 16000, 2)
    assert ClipSpec() == ClipSpec(2.0, 64, 64, 16.0, 16000, 2)


def test_a_clip_is_shown_by_what_it_has():
    assert repr(Clip(FRAMES, WAVE)) == "Clip(frames (3, 4, 6, 8) at 16 fps, wave (2, 4000) at 16000 Hz)"
    assert repr(Clip(None, WAVE)) == "Clip(wave (2, 4000) at 16000 Hz)"
    assert repr(Clip(FRAMES, None)) == "Clip(frames (3, 4, 6, 8) at 16 fps)"


def test_a_clip_is_read_from_its_beginning(tmp_path):
    path = Clip(FRAMES, None).write(tmp_path / "clip.mkv")
    assert (Clip.read(path).frames - FRAMES).abs().max() < 0.01
    assert (Clip.read(path, 1 / 16).frames - FRAMES[:, 1:]).abs().max() < 0.01


def test_masks_lie_in_0_to_1():
    assert Region(torch.full((6, 8), 0.5)).mask.min() == 0.5  # no pixel need be outside
    assert Region(torch.ones(6, 8)).mask.all()
    for value in (-0.1, 1.1, float("nan")):
        mask = torch.zeros(6, 8)
        mask[0, 0], mask[1, 1] = 1.0, value
        with pytest.raises(InputError, match="must lie in"):
            Region(mask)


@pytest.mark.parametrize(("x", "y", "fits"), [(0, 0, True), (7.9, 5.9, True), (0, 6, False), (8, 0, False)])
def test_points_lie_inside_the_picture(x, y, fits):
    if fits:
        assert Region.point(x, y, (6, 8)).mask[int(y), int(x)] == 1
        return
    for make in (lambda: Region.point(x, y, (6, 8)), lambda: Region.box(x, y, 1, 1, (6, 8))):
        with pytest.raises(InputError, match="8 wide and 6 high"):
            make()
    with pytest.raises(InputError, match="inside"):
        Region.point(-0.1, 3, (6, 8))


def test_stems_are_one_more_than_their_regions():
    boxes = [Region.box(k, 0, 1, 1, (6, 8)) for k in range(3)]
    assert len(Stems(torch.rand(4, 2, 10), boxes, 16000).names) == 4
    with pytest.raises(InputError, match="expected \\(4, A, N\\)"):
        Stems(torch.rand(3, 2, 10), boxes, 16000)


def test_a_still_is_one_frame():
    assert ClipSpec(2.0, frames_per_second=8.0).still.frames == 1
    assert ClipSpec(2.0, frames_per_second=8.0).still.seconds == 1 / 8


def test_values_do_not_change_and_are_equal_to_themselves_alone():
    clip, region = Clip(FRAMES, WAVE), Region(torch.ones(6, 8))
    stems = Stems(torch.rand(2, 2, 10), [region], 16000)
    for value, name in ((clip, "wave"), (region, "mask"), (stems, "wave"), (ClipSpec(), "seconds")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)
    assert clip != Clip(FRAMES, WAVE) and region != Region(torch.ones(6, 8)) and stems in [stems]


def test_regions_are_fixed_or_move():
    assert Region(torch.ones(4, 6, 8)).mask.shape == (4, 6, 8)
    for shape in ((8,), (1, 4, 6, 8), (0, 8)):
        with pytest.raises(InputError, match="expected \\(H, W\\) or \\(T, H, W\\)"):
            Region(torch.ones(shape))


def test_defaults_of_a_fitted_clip_are_those_of_any():
    clip = Clip.fitted(FRAMES, WAVE)
    assert (clip.frames_per_second, clip.sample_rate) == (16.0, 16000)
    assert (Clip(FRAMES, WAVE).frames_per_second, Clip(FRAMES, WAVE).sample_rate) == (16.0, 16000)


def test_exact_shapes_moments_and_bounds():
    spec = ClipSpec(0.5, 4, 6, 8.0, 1000, 1)
    assert spec.frame_seconds().tolist() == [0.0625, 0.1875, 0.3125, 0.4375]
    for frames in (torch.zeros(2, 3, 4, 4, 4), torch.zeros(3, 4, 4), torch.zeros(3, 1, 4, 4, 4)):
        with pytest.raises(InputError, match=r"expected float \(3, T, H, W\)"):
            Clip(frames, None)
    for wave in (torch.zeros(1, 2, 100), torch.zeros(100)):
        with pytest.raises(InputError, match=r"expected float \(A, N\)"):
            Clip(None, wave)
    assert Clip(torch.zeros(3, 1, 4, 4), None, 0.5).seconds == 2.0  # slower than a frame a second
    with pytest.raises(InputError, match="5 frames at 16 fps own 5000 samples at 16000 Hz; the wave has 100"):
        Clip(torch.zeros(3, 5, 4, 4), torch.zeros(1, 100))
    with pytest.raises(InputError, match=r"stems are \(2, 1, 5, 5\)"):
        Stems(torch.zeros(2, 1, 5, 5), [Region(torch.ones(4, 4))], 16000)


def test_boxes_and_points_reach_the_edges_and_have_names():
    whole = Region.box(0, 0, 6, 4, (4, 6))
    assert whole.mask.all() and whole.name == "box 0,0,6,4"
    assert Region.box(0, 0, 6, 4, (4, 6), "all").name == "all"
    assert Region.point(5, 3, (4, 6)).name == "point 5,3" and Region.point(5, 3, (4, 6), "p").name == "p"
    for box in ((0, 0, 7, 4), (0, 0, 6, 5), (1, 0, 6, 4), (0, 1, 6, 4), (-1, 0, 2, 2), (0, 0, 0, 2)):
        with pytest.raises(InputError, match="must lie inside the video, which is 6 wide and 4 high"):
            Region.box(*box, (4, 6))
