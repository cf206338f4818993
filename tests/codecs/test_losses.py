import torch

from avsim.codecs.losses import cue_parts, distortion, moving
from avsim.codecs.spectra import stft
from avsim.codecs.stereo import cues
from avsim.measures import psnr


def heard(wave):
    return cues(stft(wave, 512, 125, torch.hann_window(500)))


def test_distances_of_equals_are_zero():
    frames, found = torch.rand(2, 3, 5, 8, 8), heard(0.1 * torch.randn(2, 2, 4000))
    assert torch.isclose(distortion(frames, frames, motion=4.0), torch.tensor(-50.0))  # its softening
    assert all(part == 0 for part in cue_parts(found, found).values())


def test_moving_pixels_weigh_more():
    frames = torch.zeros(1, 3, 3, 8, 8)
    frames[:, :, 1:, 2:4, 2:4] = 1.0  # appears in frame 1, then stays
    weight = moving(frames)
    assert weight[0, 0, 0, 2, 2] == weight[0, 0, 1, 2, 2] == 1
    assert weight[0, 0, 2].max() == 0 and weight.sum() == 8

    def cost(row):
        estimate = frames.clone()
        estimate[:, :, 1, row, 2] += 0.5
        return 10 ** (distortion(frames, estimate, motion=4.0) / 10) - 1e-5

    assert torch.isclose(cost(2) / cost(6), torch.tensor(5.0), rtol=1e-3)


def test_a_batch_costs_the_mean_of_its_halves():
    # So that two processes with half a batch each get the one process' gradient.
    frames, wave = (
        torch.rand(4, 3, 5, 8, 8) ** 3,
        torch.logspace(-3, 0, 4)[:, None, None] * torch.randn(4, 2, 2048),
    )
    for parts, x in ((lambda x, y: {"distortion": distortion(x, y, 4.0)}, frames), (cue_parts, heard(wave))):
        y = 0.9 * x
        whole, halves = parts(x, y), [parts(a, b) for a, b in zip(x.split(2), y.split(2), strict=True)]
        for name, value in whole.items():
            assert torch.isclose(value, (halves[0][name] + halves[1][name]) / 2, rtol=1e-5)


def test_one_frame_does_not_move():
    assert moving(torch.rand(2, 3, 1, 8, 8)).abs().max() == 0


def test_levels_and_sides_cost():
    wave = 0.1 * torch.randn(1, 2, 4000, generator=torch.Generator().manual_seed(0))
    softer, turned = cue_parts(heard(wave), heard(wave / 2)), cue_parts(heard(wave), heard(wave.flip(1)))
    assert torch.isclose(softer["level"], torch.tensor(0.693**2 / 2), atol=5e-3)  # ln 2 in every bin
    for name in ("patch", "frame"):
        assert torch.isclose(softer[name], torch.tensor(0.693), atol=5e-3)
    assert softer["balance"] < 1e-3 and softer["delay"] < 1e-3
    assert turned["balance"] > 0.3 and turned["delay"] > 0.1 and turned["level"] < 1e-5


def test_gradients_are_finite_at_silence():
    found = heard(torch.zeros(1, 2, 4000))
    estimate = found.clone().requires_grad_()
    sum(cue_parts(found, estimate).values()).backward()
    assert estimate.grad.isfinite().all()


def test_distortion_is_less_psnr_where_nothing_moves():
    frames = torch.rand(3, 3, 1, 8, 8)
    estimate = frames + torch.tensor([0.3, 0.1, 0.03])[:, None, None, None, None] * torch.randn_like(frames)
    assert torch.isclose(distortion(frames, estimate, 4.0), -psnr(frames, estimate).mean().float(), atol=0.1)
