import math

import pytest
import torch

from avsim.clip import Clip, ClipSpec
from avsim.errors import InputError
from avsim.evaluation.space import Space, between_ears, delay, place_of_level
from avsim.seeds import generator
from avsim.world import Scene, render
from avsim.world.flat.camera import half_width
from avsim.world.flat.scene import Hit, Stick, Target


def test_place_of_level_by_hand():
    level = torch.tensor([0.0, 20 * math.log10(math.tan(1.8 * math.pi / 4)), -100.0, 100.0])
    assert place_of_level(level).tolist() == pytest.approx([0.5, 1.0, 0.0, 1.0])


@pytest.mark.parametrize("samples", [-7, 0, 3])
def test_delay_of_noise(samples):
    noise = torch.randn(1000, generator=generator(0, "noise"), dtype=torch.float64)
    assert delay(noise.roll(samples), noise, 16000) == pytest.approx(samples / 16000, abs=5e-6)


def test_what_sounds_already_is_taken_away():
    wave = torch.zeros(2, 16000)
    hum = 0.02 * torch.sin(2 * math.pi * 200 * torch.arange(16000) / 16000)
    wave[0] = hum  # on the left all the time
    wave[:, 8000:8960] += torch.randn(960, generator=generator(0, "hit")) * torch.tensor([[0.05], [0.1]])
    level, late = between_ears(wave, 16000, 0.5)
    assert level == pytest.approx(20 * math.log10(2), abs=1.0) and abs(late) < 0.02
    assert between_ears(wave, 16000, 0.99 + 0.01) is None  # beyond the end
    assert between_ears(wave, 16000, -0.09) is None
    for note in (False, True):  # at either end
        between_ears(wave, 16000, 0.0, note), between_ears(wave, 16000, 0.9999, note)
    assert between_ears(0 * wave, 16000, 0.5) is None


def test_a_note_is_told_from_another_that_goes_on():
    time = torch.arange(16000) / 16000
    swell = ((time - 0.5) / 0.03).clamp(0, 1)
    other, note = torch.sin(2 * math.pi * 220 * time), swell * torch.sin(2 * math.pi * 523 * time)
    wave = 0.1 * torch.stack([other, 0.1 * other]) + 0.4 * torch.stack([0.5 * note, note])
    level, _ = between_ears(wave, 16000, 0.5, note=True)
    assert level == pytest.approx(20 * math.log10(2), abs=0.5)


def test_what_is_fainter_than_what_sounds_already_is_not_asked():
    wave = 0.2 * torch.randn(2, 16000, generator=generator(0, "rain"))
    wave[1, 8000:8960] += 0.1 * torch.randn(960, generator=generator(0, "hit"))
    for note in (False, True):
        assert between_ears(wave, 16000, 0.5, note) is None


def test_numbers_of_sounds_places_and_notes_must_be_the_same():
    with pytest.raises(InputError, match="2 sounds, 1 places"):
        Space().update(torch.zeros(2, 100), 16000, [0.0, 0.1], [0.5])


def struck(x: float) -> tuple[Clip, float, float]:
    """A clip, when its one sound arrives, and where it is seen."""
    scene = Scene(targets=(Target("wooden block", x=x),), stick=Stick(hits=(Hit(0.5),)), ambience=-math.inf)
    clip, truth = render(scene, ClipSpec(seconds=1.0))
    return clip, truth.contacts[0].arrival, 0.5 + x / 2 / half_width(ClipSpec(), truth.camera[0, 2].item())


def test_the_world_sounds_from_where_it_is_seen_and_mirrored_it_does_not():
    right, wrong = Space(), Space()
    for x in (-0.7, -0.4, 0.0, 0.3, 0.6):
        clip, arrival, place = struck(x)
        right.update(clip.wave, 16000, [arrival], [place])
        wrong.update(clip.wave, 16000, [arrival], [1 - place])
    names = [f"{what} difference against place, correlation" for what in ("level", "time")]
    assert all(right.compute()[name] > 0.95 for name in names), right.compute()
    assert all(wrong.compute()[name] < -0.95 for name in names)
    assert right.compute()["distance from heard to seen position, frame widths"] < 0.05
    assert (right.each(right.rows).sort().values >= wrong.each(wrong.rows).sort().values).all()


def test_pooled_correlation_is_that_of_all_sounds():
    scorer = Space()
    noise = torch.randn(2, 1600, generator=generator(1, "noise"))
    seen, heard = [], []
    for k, places in enumerate(([0.1, 0.8, 0.4], [0.6])):
        wave = torch.zeros(2, 16000)
        for i in range(len(places)):
            gains = torch.rand(2, 1, generator=generator(k, "gain", i)) + 0.1
            wave[:, 4000 * i : 4000 * i + 1600] = gains * noise
            heard.append(place_of_level(20 * torch.log10(gains[1] / gains[0])).item())
        scorer.update(wave, 16000, [0.25 * i for i in range(len(places))], places)
        seen += places
    expected = torch.corrcoef(torch.tensor([seen, heard]))[0, 1].item()
    found = scorer.compute()["level difference against place, correlation"].item()
    assert found == pytest.approx(expected, abs=0.05)


def test_mono_and_silence_are_skipped():
    scorer = Space()
    scorer.update(torch.ones(1, 100), 16000, [0.0], [0.5])
    scorer.update(torch.zeros(2, 100), 16000, [0.0], [0.5])
    scorer.update(torch.zeros(2, 100), 16000, [], [])
    assert scorer.scores()["distance from heard to seen position, frame widths"].skipped == {
        "has one audio channel": 1,
        "the estimate is uncertain": 1,
        "nothing happens in it": 1,
    }
