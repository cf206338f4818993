"""A short training tells two sounds apart by what blinks, finds where they are, and runs in Lightning."""

from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader

from avsim.clip import Clip, Region
from avsim.errors import InputError
from avsim.measures import si_sdr
from avsim.separation import Separator, SeparatorSystem, energy_map, find_regions, separate
from avsim.separation.augment import augment
from avsim.separation.discovery import map_audio, region_at, regions_of
from avsim.separation.stems import frame_source
from avsim.training.optimizers import Recipe, configure
from avsim.weights import load_model, save_model, shipped
from tests.fitting import quiet_trainer
from tests.separation.mixtures import SPEC, batch, mixture

SMALL = {"short_side": 32, "width": 8, "fine": 8, "coarse": 24, "frame_blocks": 2, "bin_widths": [8, 16, 24]}


@pytest.fixture(scope="module")
def trained() -> Separator:
    torch.manual_seed(0)
    model = Separator(**SMALL)
    system = SeparatorSystem(model, Recipe(learning_rate=6e-3, warmup_steps=5))
    parts = configure(model, system.recipe, 60)
    for step in range(60):
        clips = augment(batch(range(4 * step, 4 * step + 4)), 0, step, system.augmentation)
        shares, _ = system.shares(clips)
        parts["optimizer"].zero_grad()
        torch.stack(list(system.losses(clips, shares).values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        parts["optimizer"].step()
        parts["lr_scheduler"]["scheduler"].step()
    return model.eval()


def held_out(row):
    frames, stems, masks = mixture(10_000 + row)
    return Clip(frames.clamp(0, 1), stems.sum(0), SPEC.frames_per_second, SPEC.sample_rate), stems, masks


def test_stems_are_nearer_than_the_mixture(trained):
    gains = []
    for row in range(6):
        clip, stems, masks = held_out(row)
        found = separate(trained, clip, [Region(mask) for mask in masks]).wave[:2]
        gains.append(si_sdr(stems, found).mean() - si_sdr(stems, clip.wave.expand_as(stems)).mean())
    assert torch.stack(gains).mean() > 6.0


def test_swapped_pictures_swap_the_stems(trained):
    """The video decides: the mirrored video gives each half the other sound."""
    clip, stems, masks = held_out(0)
    mirrored = Clip(clip.frames.flip(-1), clip.wave, clip.frames_per_second, clip.sample_rate)
    found = separate(trained, mirrored, [Region(mask) for mask in masks]).wave[:2]
    assert (si_sdr(stems.flip(0), found).mean(1) > si_sdr(stems, found).mean(1)).all()


def test_energy_adds_up_and_lies_where_it_sounds(trained):
    clip, stems, _ = held_out(1)
    found = map_audio(trained, frame_source(clip, trained), clip.wave, clip.sample_rate)
    assert torch.equal(found.power, energy_map(trained, clip))
    assert found.power.shape == (16, 8, 8) and (found.power >= 0).all()
    everything = found.power.sum((1, 2)) + found.off_screen
    owned = clip.wave.square().mean(0).unflatten(0, (16, -1)).mean(1)
    assert torch.allclose(everything.mean(), owned.mean(), rtol=0.05)
    # The louder half at each moment is the half that sounds louder.
    heard = (stems.square().mean(1).unflatten(1, (16, -1)).mean(2) > 1e-4).float()
    alone = heard.sum(0) == 1
    halves = torch.stack([found.power[..., :4].sum((1, 2)), found.power[..., 4:].sum((1, 2))])
    right = (halves[1] > halves[0]) == (heard[1] > heard[0])
    assert right[alone].float().mean() > 0.7


def test_found_regions_sound_apart(trained):
    clip, _, masks = held_out(2)
    regions = find_regions(trained, clip, 2)
    assert [region.name for region in regions] == ["sound 1", "sound 2"]
    assert not (regions[0].mask * regions[1].mask).any()
    assert len(find_regions(trained, clip, 1)) == 1 and 1 <= len(find_regions(trained, clip)) <= 8
    found = map_audio(trained, frame_source(clip, trained), clip.wave, clip.sample_rate)
    loudest = int(found.power.mean(0).argmax())
    y, x = 4 * (loudest // 8) + 1, 4 * (loudest % 8) + 2
    assert torch.equal(region_at(found, x, y, (32, 32)).mask, regions_of(found, (32, 32), 1)[0].mask)
    with pytest.raises(InputError, match="1 or more"):
        find_regions(trained, clip, 0)


def test_no_region_sounds_in_silence(trained):
    clip, _, _ = held_out(0)
    assert find_regions(trained, Clip(clip.frames, torch.zeros_like(clip.wave), 16.0, 8000)) == []


def test_a_folder_holds_all_of_it(trained, tmp_path):
    folder = save_model(trained, tmp_path / "separator")
    clip, _, masks = held_out(3)
    again = load_model(folder, expected=Separator)
    regions = [Region(mask) for mask in masks]
    assert torch.equal(separate(again, clip, regions).wave, separate(trained, clip, regions).wave)


def test_lightning_trains_it_and_validates_it(tmp_path):
    torch.manual_seed(0)
    system = SeparatorSystem(Separator(**SMALL), Recipe(warmup_steps=1))
    assert list(system.parts()) == ["separator"]
    before = {name: value.clone() for name, value in system.model.named_parameters()}
    trainer = quiet_trainer(tmp_path, 2, limit_val_batches=1, num_sanity_val_steps=0, val_check_interval=2)
    loader = DataLoader([batch(range(2)), batch(range(2, 4))], batch_size=None)
    trainer.fit(system, loader, loader)
    still = [name for name, value in system.model.named_parameters() if torch.equal(value, before[name])]
    # Zero layers hold back what feeds them for one step; after two, all have moved.
    assert not still, still
    scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert abs(scores["val/si_sdr_mixture"]) < 15 and scores["val/si_sdr_ideal"] > 15
    assert scores["val/si_sdr_gain"] == pytest.approx(
        scores["val/si_sdr"] - scores["val/si_sdr_mixture"], abs=1e-3
    )


def test_clips_go_through_the_codecs_that_ship_as_often_as_asked():
    codecs = {name: str(shipped(name)) for name in ("video_codec", "audio_codec")}
    clips = batch(range(4), replace(SPEC, sample_rate=16000))
    for coded in (0.0, 1.0):
        system = SeparatorSystem(Separator(**SMALL), coded=coded, **codecs)
        drawn = system.as_drawn(clips)
        changed = [not torch.equal(*pair) for pair in zip(drawn.wave, clips.wave, strict=True)]
        assert changed == [bool(coded)] * 4 and torch.equal(drawn.stems, clips.stems)
    assert "codecs" not in " ".join(system.state_dict())
    with pytest.raises(InputError, match="both codecs or none"):
        SeparatorSystem(Separator(**SMALL), audio_codec=codecs["audio_codec"])
