"""The baselines are what they say: networks of the separator's size, masks that pool a region, factors."""

import math

import pytest
import torch

from avsim.clip import Region
from avsim.separation import Separator, separate
from avsim.separation.augment import NO_CHANGE
from avsim.separation.baselines.nmf import components_of, nmf_shares
from avsim.separation.baselines.sound_of_pixels import SoundOfPixels
from avsim.separation.baselines.system import SoundOfPixelsSystem
from avsim.training.optimizers import Recipe, configure
from avsim.weights import load_model, save_model
from tests.separation.mixtures import batch
from tests.separation.test_separator import noise_clip

SMALL = {"short_side": 32, "features": 4, "widths": [4, 4, 8, 8], "width": 4, "widest": 8}


@pytest.fixture(scope="module")
def model() -> SoundOfPixels:
    torch.manual_seed(0)
    return SoundOfPixels(**SMALL).eval()


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_it_is_as_large_as_the_separator():
    assert 0.8 < size(SoundOfPixels()) / size(Separator()) < 1.25


def _encode(model, clips):
    seen = model.frames_seen(clips.frames.shape[2], clips.spec.frames_per_second)
    with torch.no_grad():
        return model._encode(clips.frames[:, :, seen], clips.wave, clips.spec.sample_rate)


def test_three_frames_of_two_seconds_and_a_grid_of_cells(model):
    assert model.frames_seen(32, 16.0).tolist() == [5, 16, 26]
    maps, columns_frame, bins = _encode(model, batch(range(2)))
    assert maps.grid == (8, 8) and maps.cells.shape[2:] == (64, 4)
    assert maps.bins.shape == (2, bins.shape[3], 128, 4) and len(columns_frame) == bins.shape[3]
    assert ((maps.cells > 0) & (maps.cells < 1)).all()


def test_a_region_is_the_maximum_over_its_cells_and_moments(model):
    maps, columns_frame, _ = _encode(model, batch(range(1)))
    weights = torch.zeros(1, 2, maps.cells.shape[1], 64)
    weights[0, 0, :, :8] = 1.0
    weights[0, 1, :, 9] = 1.0
    shares = maps.shares(columns_frame, weights)
    vector = maps.cells[0, :, :8].amax((0, 1))
    expected = (torch.einsum("jfk,k->fj", maps.bins[0], vector) + maps.bias).sigmoid()
    assert torch.allclose(shares[0, 0], expected, atol=1e-6)
    everywhere = maps.at(torch.arange(5), columns_frame)
    assert torch.allclose(everywhere[..., 9], shares[0, 1, :, :5].T, atol=1e-6)
    assert torch.allclose(shares[:, -1], (1 - shares[:, :-1].sum(1)).clamp(min=0))
    some = torch.tensor([3, 1])
    assert torch.equal(maps.of(some).shares(columns_frame[some], weights), shares[..., some])


def test_binary_masks_are_those_where_the_sigmoid_is_above_a_half(model, tmp_path):
    folder = save_model(model, tmp_path / "soft")
    config = (folder / "config.json").read_text().replace('"binary": false', '"binary": true')
    (folder / "config.json").write_text(config)
    hard = load_model(folder, expected=SoundOfPixels)
    clips = batch(range(1))
    weights = torch.ones(1, 1, 2, 64)
    (soft, frame, _), (cut, _, _) = _encode(model, clips), _encode(hard, clips)
    soft, cut = (maps.shares(frame, weights[:, :, : maps.cells.shape[1]]) for maps in (soft, cut))
    assert torch.equal(cut[:, 0], (soft[:, 0] > 0.5).float())


def test_any_clip_is_separated_by_it(model):
    clip = noise_clip(seconds=3.0, size=(24, 40))
    stems = separate(model, clip, [Region.box(0, 0, 20, 24, (24, 40))])
    assert (stems.mixture - clip.wave).abs().max() <= 1e-6


@pytest.mark.parametrize("binary", [False, True])
def test_training_it_lowers_its_loss_and_moves_all_of_it(binary):
    torch.manual_seed(0)
    system = SoundOfPixelsSystem(
        SoundOfPixels(**SMALL, binary=binary),
        Recipe(learning_rate=1e-2, warmup_steps=2),
        augmentation=NO_CHANGE,
    )
    before = {name: value.clone() for name, value in system.model.named_parameters()}
    parts, clips, losses = configure(system.model, system.recipe, 30), batch(range(4)), []
    for _ in range(30):
        loss = system.losses(clips, system.shares(clips)[0])["masks"]
        parts["optimizer"].zero_grad()
        loss.backward()
        parts["optimizer"].step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert not [n for n, value in system.model.named_parameters() if torch.equal(value, before[n])]


def test_factors_add_up_and_tell_tones_apart():
    seconds = torch.arange(8000) / 8000
    from avsim.separation.spectrum import Scale, band_power, transform

    tones = torch.stack([torch.sin(2 * math.pi * hertz * seconds) for hertz in (300.0, 1500.0)])
    tones = tones * torch.stack([(seconds < 0.6), (seconds > 0.3)])
    scale = Scale()
    power = band_power(transform(tones[:, None], 8000, scale), scale.pool(8000))
    mixture = band_power(transform(tones.sum(0)[None], 8000, scale), scale.pool(8000))
    parts = components_of(mixture, 4)
    magnitude = mixture.sqrt() / mixture.sqrt().mean()
    assert parts.shape[0] == 4 and (parts.sum(0) - magnitude).norm() < 0.1 * magnitude.norm()
    shares = nmf_shares(mixture, power, components=4)
    assert torch.allclose(shares.sum(0), torch.ones_like(shares[0]), atol=1e-4)
    owned = (shares * mixture).sum((1, 2)) / mixture.sum()
    kept = (shares * power).sum((1, 2)) / power.sum((1, 2))
    assert (kept > 0.95).all() and math.isclose(float(owned.sum()), 1.0, rel_tol=1e-4)
