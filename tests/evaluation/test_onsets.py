import math

import librosa
import numpy as np
import pytest
import torch

from avsim.clip import Clip, ClipSpec
from avsim.errors import InputError
from avsim.evaluation.onsets import HOP, RATE, WINDOW, flux_onsets, peaks, spectral_flux
from avsim.perception.matching import count
from avsim.seeds import generator
from avsim.world import WorldConfig, WorldDataset


def rings(moments, rate: int = 16000, seconds: float = 2.0, pitch: float = 900.0) -> Clip:
    """Tones that begin at once and die away, over a faint hiss."""
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    wave = 1e-4 * torch.randn(len(time), generator=generator(0, "hiss"), dtype=torch.float64)
    for moment in moments:
        since = (time - moment).clamp(min=0)
        wave += 0.3 * torch.exp(-12 * since) * torch.sin(2 * math.pi * pitch * since)
    return Clip(None, wave[None].float(), sample_rate=rate)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_found_within_8_ms(rate):
    moments = [0.1, 0.52, 0.75, 1.5]
    found = flux_onsets(rings(moments, rate))
    assert [onset.seconds for onset in found] == pytest.approx(moments, abs=0.008)
    first = found[0]
    ideal = 10 * math.log10(0.3**2 / 2 * (1 - math.exp(-24 * 0.06)) / (24 * 0.06))
    assert first.level == pytest.approx(ideal, abs=1.0) and 0 < first.probability < 1


def test_loudness_hides_nothing_and_silence_holds_nothing():
    loud = rings([0.5]).wave
    quiet = rings([1.4]).wave * 0.1
    assert len(flux_onsets(Clip(None, loud + quiet))) == 2
    assert flux_onsets(Clip(None, torch.zeros(2, 32000))) == []
    hiss = 1e-2 * torch.randn(2, 32000, generator=generator(1, "hiss"))
    assert len(flux_onsets(Clip(None, hiss))) <= 1  # its beginning


def test_peaks_by_hand():
    flux = torch.zeros(200)
    flux[[40, 45, 100, 150]] = torch.tensor([12.0, 9.0, 2.5, 4.0])
    assert peaks(flux) == [(40, 12.0), (150, 4.0)]  # 45 is too near a higher one, 100 too low
    assert peaks(torch.full((200,), 20.0)) == []  # nothing stands out


def test_flux_is_librosas_up_to_its_scale_of_bands():
    wave = rings([0.4, 1.1]).wave[0]
    ours = spectral_flux(wave).numpy()
    mel = librosa.feature.melspectrogram(
        y=wave.numpy(), sr=RATE, n_fft=WINDOW, hop_length=HOP, n_mels=40, fmin=30, htk=True, norm=None
    )
    level = librosa.power_to_db(mel * (2 / (WINDOW / 2)) ** 2, ref=1.0, amin=1e-7, top_db=None)
    theirs = librosa.onset.onset_strength(S=level, sr=RATE, lag=4, center=False)
    assert np.abs(ours[2:400] - theirs[4:402]).max() < 0.02  # theirs is put at the later of two columns


def test_the_worlds_contacts_are_found():
    dataset = WorldDataset(WorldConfig(scenes=("strike",), ambience=-math.inf), seed=5, split="test")
    total = count([], [], 0.03)
    for index in range(10):
        clip, truth = dataset[index]
        true = [contact.arrival for contact in truth.contacts if contact.speed > 0.5]
        total += count([onset.seconds for onset in flux_onsets(clip)], true, 0.03)
    assert total.true > 10 and total.f1 > 0.8, total


def test_a_clip_without_sound_is_refused():
    with pytest.raises(InputError, match="no audio"):
        flux_onsets(Clip(torch.zeros(3, ClipSpec().frames, 8, 8), None))
