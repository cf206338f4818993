"""Mixing, measured: loudness, ducking, peaks, speech where it belongs, and files of every kind."""

import math

import numpy as np
import pyloudnorm
import pytest
import torch

from avsim import Clip, InputError, media
from avsim.speech import loudness, mix, narrate, narrate_file, speak
from avsim.speech.mix import PEAK, TARGET
from tests.films import film, greys, tone
from tests.running import avsim

RATE = 16000
PITCH = 7000.0  # Hz, of a scene's tone, where speech has little


@pytest.fixture(scope="module")
def speech():
    return speak("A red rubber ball falls onto the floor of the studio.")


def noise(seconds: float, channels: int = 2, rate: int = RATE, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(channels, round(seconds * rate), generator=torch.Generator().manual_seed(seed))


def shots(count: int) -> tuple[list[np.ndarray], list[float]]:
    """Frames of rising brightness, again from the first after 16, and their times at 25 fps."""
    return [greys(16)[k % 16] for k in range(count)], [k / 25 for k in range(count)]


def tone_level(wave: torch.Tensor, start: float, end: float) -> float:
    """dB of the tone of `PITCH` Hz within a span, by correlation."""
    part = wave[0, round(start * RATE) : round(end * RATE)].double()
    phase = 2 * math.pi * PITCH * torch.arange(len(part), dtype=torch.float64) / RATE
    window = torch.hann_window(len(part), dtype=torch.float64)
    amplitude = 2 * abs(complex((part * window * phase.cos()).sum(), (part * window * phase.sin()).sum()))
    return 20 * math.log10(amplitude / float(window.sum()))


def spectrum(wave: torch.Tensor) -> torch.Tensor:
    """Magnitudes (F, T) of the mean of the channels, windows of 64 ms at 16 kHz."""
    return torch.stft(wave.mean(0), 1024, window=torch.hann_window(1024), return_complex=True).abs()


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("seconds", [0.1, 0.55, 3.3])
def test_loudness_is_that_of_another_implementation(rate, seconds):
    wave = noise(seconds, rate=rate)
    padded = torch.nn.functional.pad(wave, (0, max(0, math.ceil(0.4 * rate) - wave.shape[1])))
    expected = pyloudnorm.Meter(rate).integrated_loudness(padded.T.double().numpy())
    assert loudness(wave, rate).integrated == pytest.approx(expected, abs=0.6)
    louder = loudness(2 * wave, rate)
    assert louder.integrated - loudness(wave, rate).integrated == pytest.approx(20 * math.log10(2), abs=0.01)


def test_a_sine_has_the_loudness_that_the_standard_says():
    sine = torch.from_numpy(tone(5, 48000, 2, 997.0)) * 2 * 10 ** (-23 / 20)  # EBU Tech 3341, case 1
    found = loudness(sine, 48000)
    assert found.integrated == pytest.approx(-23, abs=0.1) and found.true_peak == pytest.approx(-23, abs=0.1)


def test_silence_has_no_loudness():
    assert loudness(torch.zeros(2, RATE), RATE) == loudness(torch.zeros(1, 10), RATE)
    assert loudness(torch.zeros(2, RATE), RATE).integrated == -math.inf


@pytest.mark.parametrize("under", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_mix_is_at_the_target_and_below_the_peak(speech, under, channels):
    scene = noise(5, channels)
    scene[:, 20000] = 0.9  # a click
    made = mix(scene, speech, RATE, under)
    assert made.shape == scene.shape
    found = loudness(made, RATE)
    assert found.integrated == pytest.approx(TARGET, abs=0.5) and found.true_peak <= PEAK + 0.05


def test_a_scene_is_ducked_while_speech_sounds_and_comes_back(speech):
    scene = torch.from_numpy(tone(8, RATE, 2, PITCH)) * 0.2
    made = mix(scene, speech, RATE)
    spoken = speech.seconds
    before, after = tone_level(made, 0.5, spoken - 0.5), tone_level(made, spoken + 1.5, 7.5)
    assert 6 < after - before < 18, after - before
    alone = mix(scene, Clip(None, torch.zeros(1, 1000), sample_rate=RATE), RATE)
    level = tone_level(alone, 0.5, 7.5)
    assert tone_level(alone, 0.5, 2) == pytest.approx(level, abs=0.2)  # nothing is ducked by silence


def test_speech_is_ducked_by_the_scene_when_it_is_under_it(speech):
    scene = torch.zeros(2, 4 * RATE)
    scene[:, : 2 * RATE] = noise(2)
    over, under = (mix(scene, speech, RATE, which) for which in (False, True))
    reference = spectrum(speech_at_rate(speech, 4 * RATE))

    def share(made: torch.Tensor) -> float:
        """How much of a second of the mix is explained by the speech."""
        part, known = (each[:, 16:48] for each in (spectrum(made), reference))
        return float((part * known).sum() / (part.norm() * known.norm()))

    assert share(over) > share(under) + 0.1


def speech_at_rate(speech: Clip, samples: int) -> torch.Tensor:
    import torchaudio

    wave = torchaudio.functional.resample(speech.wave, speech.sample_rate, RATE)
    return torch.nn.functional.pad(wave, (0, max(0, samples - wave.shape[1])))[:, :samples]


def test_speech_is_heard_where_it_is_said_and_not_after(speech):
    made = mix(torch.zeros(2, 6 * RATE), speech, RATE)
    reference = speech_at_rate(speech, 6 * RATE)
    assert float(made[:, round((speech.seconds + 0.2) * RATE) :].abs().max()) < 1e-4
    both = torch.stack([made[0], reference[0]]).numpy()
    assert np.corrcoef(both)[0, 1] > 0.99


def test_a_quiet_scene_is_not_raised_without_limit(speech):
    faint = 1e-4 * noise(6)
    made = mix(faint, speech, RATE)
    tail = made[:, round((speech.seconds + 1) * RATE) :]
    assert loudness(tail, RATE).integrated < -60


def test_a_clip_is_as_long_as_its_speech(speech):
    clip = Clip.fitted(torch.rand(3, 16, 8, 8), noise(1), 16.0, RATE)
    made = narrate(clip, speech)
    assert made.seconds == pytest.approx(speech.seconds, abs=1 / 16) and made.frames.shape[1] > 16
    assert torch.equal(made.frames[:, :16], clip.frames)
    assert torch.equal(
        made.frames[:, 16:], clip.frames[:, 15:16].expand(-1, made.frames.shape[1] - 16, -1, -1)
    )
    assert narrate(clip.without_video(), speech).frames is None
    silent = narrate(clip.without_audio(), speech)
    assert silent.sample_rate == 48000 and loudness(silent.wave, 48000).integrated == pytest.approx(
        TARGET, abs=0.5
    )


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv", ".mp3", ".wav", ".flac"])
def test_files_of_every_kind(suffix, speech, tmp_path):
    scene = film(tmp_path / "scene.mp4", *shots(100), tone(4, channels=2), layout="stereo")
    path = narrate_file(scene, speech, tmp_path / f"out{suffix}")
    found = media.read(path, want="wave")
    assert found.wave.shape[1] / found.sample_rate == pytest.approx(4, abs=0.1)
    assert loudness(found.wave, int(found.sample_rate)).integrated == pytest.approx(
        TARGET, abs=1
    )  # LAME: -0.4 dB
    assert media.probe(path).has_frames == (suffix in (".mp4", ".webm", ".mkv"))


def test_the_video_is_copied_unless_speech_outlasts_it(speech, tmp_path, caplog):
    scene = film(tmp_path / "scene.mp4", *shots(100), tone(4, channels=2), layout="stereo")
    path = narrate_file(scene, speech, tmp_path / "out.mp4")
    one, other = (media.read(each, want="frames").frames for each in (scene, path))
    assert torch.equal(one, other) and not caplog.records
    short = film(tmp_path / "short.mp4", *shots(10), tone(0.4, channels=2), layout="stereo")
    held = media.read(narrate_file(short, speech, tmp_path / "held.mp4"))
    assert held.seconds == pytest.approx(speech.seconds, abs=0.06)
    assert "its last frame is held" in caplog.text
    levels = held.frames.mean((0, 2, 3))
    assert (levels[10:] - levels[9]).abs().max() < 0.01 and levels[9] > levels[0] + 0.3


def test_a_video_without_audio_and_audio_without_video(speech, tmp_path):
    scene = film(tmp_path / "scene.mp4", *shots(100))
    found = media.read(narrate_file(scene, speech, tmp_path / "out.mp4"))
    assert found.seconds == pytest.approx(4, abs=0.05) and found.wave.shape[0] == 2
    sound = film(tmp_path / "sound.wav", wave=tone(1), audio="pcm_s16le", samples="s16")
    found = media.read(narrate_file(sound, speech, tmp_path / "out.mp3"))
    assert found.frames is None and found.seconds == pytest.approx(speech.seconds, abs=0.1)


@pytest.mark.parametrize(("layout", "channels"), [("mono", 1), ("quad", 4), ("5.1", 6)])
@pytest.mark.parametrize("suffix", [".mp3", ".mkv"])
def test_audio_of_any_layout(layout, channels, suffix, speech, tmp_path):
    wave = tone(1, 48000, channels)
    scene = film(tmp_path / "scene.mkv", wave=wave, audio="flac", samples="s16", layout=layout)
    path = narrate_file(scene, speech, tmp_path / f"out{suffix}")
    expected = {"mono": 1, "quad": 2, "5.1": 2 if suffix == ".mp3" else 6}[layout]
    assert media.probe(path).channels == expected
    found = media.read(path, channels=expected, want="wave")
    assert loudness(found.wave, 48000).integrated == pytest.approx(TARGET, abs=1)


@pytest.mark.parametrize("name", ["out.gif", "out.png", "out.xyz", "out"])
def test_files_that_hold_no_audio_are_refused(name, speech, tmp_path):
    with pytest.raises(InputError):
        narrate_file(tmp_path / "absent.mp4", speech, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_command(tmp_path):
    scene = film(tmp_path / "scene.mp4", *shots(50), tone(2, channels=2), layout="stereo")
    done = avsim(tmp_path, "narrate", scene, "--text", "Hallo Welt", "--language", "de", "--voice", "Annie",
                 "--out", tmp_path / "out.mp4")  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.strip() == str(tmp_path / "out.mp4")
    found = Clip.read(tmp_path / "out.mp4")
    expected = narrate(Clip.read(scene), speak("Hallo Welt", "Annie", "de"))
    assert np.corrcoef(found.wave[0, :90000].numpy(), expected.wave[0, :90000].numpy())[0, 1] > 0.98
