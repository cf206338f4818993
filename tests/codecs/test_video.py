import pytest
import torch

from avsim.clip import ClipSpec, LatentSpec
from avsim.codecs.video import Fold, TimeMix, Unfold, VideoAutoencoder, cropped, padded
from avsim.errors import InputError
from avsim.measures import psnr
from avsim.weights import load_model, save_model


@pytest.fixture(
    scope="module", params=[(4, True), (4, False), (2, False)], ids=["residual", "plain", "stride 2"]
)
def codec(request):
    torch.manual_seed(0)
    stride, residual = request.param
    shape = {"channels": 6, "widths": (8, 12, 16), "depths": (1, 1, 1)}
    codec = VideoAutoencoder(**shape, time_stride=stride, residual=residual)
    codec.latent_norm.observe(torch.tensor([[0.3] * 6, [1.2] * 6]))
    return codec.double().eval()


def clip(frames=9, height=16, width=24):
    return torch.rand(2, 3, frames, height, width, generator=torch.Generator().manual_seed(1)).double()


@torch.no_grad()
def test_a_frame_changes_no_latent_that_covers_only_frames_before_it(codec):
    frames = clip(13)
    z = codec.encode(frames)
    for k in range(13):
        changed = frames.clone()
        changed[:, :, k] = 1 - changed[:, :, k]
        difference = (codec.encode(changed) - z).abs().amax((0, 1, 3, 4))
        own = -(-k // codec.time_stride)  # latent 0 is frame 0, latent j > 0 the S frames up to S j
        assert (difference[:own] == 0).all()
        assert difference[own] > 1e-6


@torch.no_grad()
def test_an_image_is_the_first_frame_of_a_clip(codec):
    frames = clip(9)
    z = codec.encode(frames)
    image = codec.encode(frames[:, :, :1])
    assert image.shape[2] == 1
    assert torch.allclose(image, z[:, :, :1], atol=1e-12)
    alone = codec.decode(image, ClipSpec(1 / 16, 16, 24))
    assert torch.allclose(alone, codec.decode(z, ClipSpec(9 / 16, 16, 24))[:, :, :1], atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize(("frames", "height", "width"), [(1, 8, 8), (32, 64, 64), (7, 13, 27), (4, 1, 1)])
def test_any_length_and_size_comes_back(codec, frames, height, width):
    spec = ClipSpec(frames / 16, height, width)
    z = codec.encode(clip(frames, height, width))
    assert z.shape == (2, 6, *LatentSpec(spec, time_stride=codec.time_stride).video)
    decoded = codec.decode(z, spec)
    assert decoded.shape == (2, 3, frames, height, width)
    assert decoded.min() >= 0 and decoded.max() <= 1


def test_padding_repeats_edges_and_cropping_undoes_it():
    frames = clip(6, 10, 11)
    whole = padded(frames, 4, 8)
    assert whole.shape[2:] == (9, 16, 16)
    assert torch.equal(whole[:, :, 8, :10, :11], frames[:, :, 5])
    assert torch.equal(cropped(whole, ClipSpec(6 / 16, 10, 11)), frames)
    assert padded(whole, 4, 8) is whole


def test_time_mix_is_a_causal_filter_at_every_pixel():
    mix = TimeMix(3).double()
    x = torch.randn(2, 5, 3, 4, 4).double()  # (B, T, C, h, w)
    out = mix(x.flatten(0, 1).contiguous(memory_format=torch.channels_last), 5).unflatten(0, (2, 5))
    before = torch.cat([torch.zeros(2, 2, 3, 4, 4).double(), x], 1)
    weight = mix.taps.weight[..., 0]  # (out, in, tap), the last tap is the present
    expected = sum(torch.einsum("oi,btihw->btohw", weight[..., k], before[:, k : k + 5]) for k in range(3))
    assert torch.allclose(out, expected + mix.taps.bias[:, None, None], atol=1e-12)


def test_fold_and_unfold_can_be_each_others_inverse():
    fold, unfold = Fold(2, 8, stride=4), Unfold(8, 2, stride=4)
    with torch.no_grad():
        eye = torch.eye(8)[..., None, None]
        for layer, weight in (
            (fold.rest, eye),
            (unfold.rest, eye),
            (fold.first, eye[:, :2]),
            (unfold.first, eye[:2]),
        ):
            layer.weight.copy_(weight)
            layer.bias.zero_()
    x = torch.randn(2 * 9, 2, 3, 3)
    assert torch.equal(unfold(fold(x, 9), 3), x)


@torch.no_grad()
def test_rows_of_a_batch_do_not_touch(codec):
    frames = clip(5)
    assert torch.allclose(codec.encode(frames)[1:], codec.encode(frames[1:]), atol=1e-12)


@torch.no_grad()
def test_latents_are_bounded_before_they_are_normalised(codec):
    for latent_norm, z in codec._latent_norms(codec.encode(1000 * clip(5))):
        assert latent_norm.denormalise(z).abs().max() <= 3 + 1e-5


@torch.no_grad()
def test_what_stays_is_told_once():
    codec = VideoAutoencoder(channels=16, widths=(8, 12, 16), depths=(1, 1, 1)).eval()
    first, later = (z.abs().mean() for _, z in codec._latent_norms(codec._raw(smooth())))
    assert later < 0.1 * first
    frames = smooth()
    frames[:, :, 5:] = frames[:, :, 5:].flip(1)  # from the third latent on another video
    told = codec._raw(frames).abs().mean((0, 1, 3, 4))
    assert told[1] < 0.1 * told[0] and told[2] > 0.3 * told[0]


def smooth() -> torch.Tensor:
    """A still video of few cosines, (1, 3, 9, 32, 32)."""
    across = torch.linspace(0, 3, 32)[:, None] + torch.linspace(0, 2, 32)
    return (0.5 + 0.3 * torch.stack([across.sin(), across.sin(), 0.8 * across.cos()]))[None, :, None].repeat(
        1, 1, 9, 1, 1
    )


@torch.no_grad()
def test_a_sketch_is_what_is_decoded_less_what_networks_add(codec):
    spec, latents = ClipSpec(9 / 16, 16, 24), codec.encode(clip(9))
    raw = torch.cat([latent_norm.denormalise(part) for latent_norm, part in codec._latent_norms(latents)], 2)
    both = codec.linear_decode(latents, spec) + codec.decoder(raw)
    assert torch.allclose(codec.decode(latents, spec), both.clamp(0, 1), atol=1e-6)
    assert codec.decoder(raw).abs().max() > 1e-3


@torch.no_grad()
def test_under_bfloat16_autocast_the_result_is_nearly_the_same():
    torch.manual_seed(0)
    codec = VideoAutoencoder(channels=6, widths=(8, 12, 16), depths=(1, 1, 1)).eval()
    frames = clip(5, 8, 8).float()
    with torch.autocast("cpu", torch.bfloat16):
        z = codec.encode(frames)
        decoded = codec.decode(z, ClipSpec(5 / 16, 8, 8))
    assert z.dtype == decoded.dtype == torch.float32
    assert (z - codec.encode(frames)).abs().mean() < 0.02


@torch.no_grad()
def test_statistics_travel_with_the_weights(tmp_path):
    codec = VideoAutoencoder(channels=6, widths=(8, 12, 16), depths=(1, 1, 1)).eval()
    codec.latent_norm.observe(torch.stack([torch.randn(6), torch.rand(6) + 2]))
    again = load_model(save_model(codec, tmp_path / "codec"))
    frames = clip(5).float()
    assert torch.equal(again.encode(frames), codec.encode(frames))


@torch.no_grad()
def test_with_a_stride_of_16_frames_of_twice_the_size_have_as_many_latents(tmp_path):
    codec = VideoAutoencoder(channels=6, widths=(8, 12, 16), depths=(1, 1, 1), space_stride=16)
    codec = load_model(save_model(codec, tmp_path / "codec")).eval()
    spec = ClipSpec(9 / 16, 128, 120)
    z = codec.encode(torch.nn.functional.interpolate(clip(9, 64, 60).float(), scale_factor=(1, 2, 2)))
    assert z.shape == (2, 6, *LatentSpec(spec, space_stride=16).video)
    assert z.shape[2:] == LatentSpec(ClipSpec(9 / 16, 64, 60)).video
    assert codec.decode(z, spec).shape == (2, 3, 9, 128, 120)
    with pytest.raises(InputError, match="space_stride is 7"):
        VideoAutoencoder(space_stride=7)


def test_wrong_shapes_are_refused(codec):
    with pytest.raises(InputError, match=r"frames are \(2, 9, 16, 24\)"):
        codec.encode(clip()[:, 0])
    with pytest.raises(InputError, match=r"decode to \(T, H, W\) = \(1, 8, 8\).*\(2, 8, 8\)"):
        codec.decode(torch.zeros(1, 6, 1, 1, 1).double(), ClipSpec(2 / 16, 8, 8))


@torch.no_grad()
def test_an_untrained_codec_already_shows_smooth_pictures():
    codec = VideoAutoencoder(widths=(8, 12, 16), depths=(1, 1, 1)).eval()
    across = (
        torch.linspace(0, 3, 32)[:, None] + torch.linspace(0, 2, 32) + torch.linspace(0, 1, 9)[:, None, None]
    )
    frames = (0.5 + 0.3 * torch.stack([across.sin(), across.sin(), 0.8 * across.cos()]))[None]
    assert psnr(frames, codec.decode(codec.encode(frames), ClipSpec(9 / 16, 32, 32))).item() > 25


@torch.no_grad()
def test_plain_latents_of_a_still_video_repeat():
    codec = VideoAutoencoder(channels=16, widths=(8, 12, 16), depths=(1, 1, 1), residual=False).eval()
    first, second = codec._raw(smooth())[:, :, 1:].unbind(2)
    assert (first - second).abs().mean() < 0.1 * second.abs().mean()
    assert psnr(codec(smooth())[0], smooth()).min() > 25  # untrained: the linear code


def test_a_time_stride_must_be_positive():
    with pytest.raises(InputError, match="time_stride is 0"):
        VideoAutoencoder(time_stride=0)
