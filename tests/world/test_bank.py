import math
import time

import librosa
import numpy as np
import pytest

from avsim.errors import InputError
from avsim.world.sound.notes import FOLDER, RELEASE, recordings, sounded
from avsim.world.sound.phrases import BANKS, INSTRUMENTS, RANGES, Note, hertz, phrase

RATE = 16_000
EVERY = [(bank, instrument) for bank in BANKS for instrument in INSTRUMENTS]
SUSTAINED = [i for i in INSTRUMENTS if i not in ("acoustic guitar", "xylophone")]


def middle(instrument: str) -> int:
    low, high = RANGES[instrument]
    return (low + high) // 2


def decibels(wave: np.ndarray) -> float:
    return 20 * math.log10(np.sqrt(np.mean(wave**2)))


def mistuning(wave: np.ndarray, rate: int, nominal: float) -> float:
    """Cents from `nominal`, within three semitones: where a comb of harmonics finds most power.

    Power is summed over half a semitone to either side, since the recorded vibrato spreads it.
    """
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 1 << 18)) ** 2
    scale = np.fft.rfftfreq(1 << 18, 1 / rate)
    cents = np.arange(-300, 301, 1.0)
    fundamental = nominal * 2 ** (cents / 1200)
    comb = sum(np.interp(k * fundamental, scale, spectrum, right=0) / k for k in (1, 2, 3))
    return float(cents[np.argmax(np.convolve(comb, np.hanning(101), "same"))])


@pytest.mark.parametrize(("bank", "instrument"), EVERY)
def test_every_pitch_is_in_tune(bank, instrument):
    low, high = RANGES[instrument]
    for pitch in range(low, high + 1):
        wave = sounded(instrument, Note(0.0, 1.2, pitch, 1.0), RATE, bank)[: round(1.2 * RATE)]
        assert abs(mistuning(wave, RATE, hertz(pitch))) <= 15, pitch


@pytest.mark.parametrize(("bank", "instrument"), EVERY)
def test_the_octave_is_right_too(bank, instrument):
    """By an independent tracker, which could have found an octave above or below."""
    pitch = middle(instrument)
    wave = np.pad(sounded(instrument, Note(0.0, 0.5, pitch, 0.8), RATE, bank), 1024)
    limits = {"fmin": hertz(pitch) / 2.5, "fmax": min(hertz(pitch) * 2.5, 0.45 * RATE)}
    found = librosa.pyin(wave, sr=RATE, frame_length=2048, hop_length=512, resolution=0.05, **limits)[0]
    assert abs(1200 * math.log2(np.nanmedian(found) / hertz(pitch))) <= 15


@pytest.mark.parametrize(("bank", "instrument"), EVERY)
def test_sound_begins_at_once_and_ends_on_time(bank, instrument):
    note = Note(0.7, 0.5, middle(instrument), 0.9)
    wave = sounded(instrument, note, RATE, bank)
    # Within 8 ms it is at a tenth of its full level or more.
    begin = np.abs(wave[: round(0.008 * RATE)]).max()
    assert begin >= 0.1 * np.abs(wave).max()
    assert abs(wave[0]) < 0.02 and abs(wave[-1]) < 1e-3
    if instrument != "xylophone":
        assert len(wave) == round((0.5 + RELEASE) * RATE)


@pytest.mark.parametrize(("bank", "instrument"), EVERY)
def test_onsets_are_found_where_notes_begin(bank, instrument):
    out = np.zeros(3 * RATE)
    begins = (0.5, 1.2, 2.1)
    for k, seconds in enumerate(begins):
        wave = sounded(instrument, Note(seconds, 0.5, middle(instrument) + k, 0.8), RATE, bank)
        first = round(seconds * RATE)
        out[first : first + len(wave)] += wave[: len(out) - first]
    found = librosa.onset.onset_detect(y=out, sr=RATE, hop_length=64, units="time", backtrack=True)
    for seconds in begins:
        assert np.abs(found - seconds).min() <= 0.02


@pytest.mark.parametrize(("bank", "instrument"), EVERY)
def test_louder_is_louder_and_brighter(bank, instrument):
    levels, centroids = [], []
    for loudness in np.linspace(0, 1, 6):
        wave = sounded(instrument, Note(0.0, 0.5, middle(instrument), float(loudness)), RATE, bank)
        levels.append(decibels(wave))
        power = np.abs(np.fft.rfft(wave)) ** 2
        centroids.append(power @ np.arange(len(power)) / power.sum())
    assert np.all(np.diff(levels) > 3.0)
    assert centroids[-1] > 1.01 * centroids[0]


@pytest.mark.parametrize(("bank", "instrument"), EVERY)
def test_nothing_clips_and_nothing_is_offset(bank, instrument):
    low, high = RANGES[instrument]
    for pitch in range(low, high + 1, 2):
        wave = sounded(instrument, Note(0.0, 1.0, pitch, 1.0), RATE, bank)
        assert np.abs(wave).max() < 0.35
        assert abs(wave.mean()) < 0.01 * np.abs(wave).max()
        assert -36 < decibels(wave[: RATE // 10]) < -17


@pytest.mark.parametrize("bank", BANKS)
@pytest.mark.parametrize("instrument", SUSTAINED)
def test_a_note_can_be_held_for_longer_than_its_recording(bank, instrument):
    wave = sounded(instrument, Note(0.0, 6.0, middle(instrument), 1.0), RATE, bank)
    levels = [decibels(wave[round(s * RATE) : round((s + 0.5) * RATE)]) for s in np.arange(1.0, 5.5, 0.5)]
    assert np.ptp(levels) < 4.0
    # No clicks where the loop joins: what changes fastest does so no faster than within the recording.
    jumps = np.abs(np.diff(wave, 2))
    assert jumps[2 * RATE :].max() < 1.5 * jumps[: 2 * RATE].max()


@pytest.mark.parametrize("instrument", SUSTAINED)
def test_vibrato_bends_the_pitch_by_up_to_half_a_semitone(instrument):
    pitch = middle(instrument)
    still, bent = (sounded(instrument, Note(0.0, 1.5, pitch, 0.8, v), RATE, "modelled") for v in (0.0, 1.0))

    def spread(wave: np.ndarray) -> float:
        part = wave[RATE // 2 : 3 * RATE // 2]
        power = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 16)) ** 2
        scale = np.fft.rfftfreq(1 << 16, 1 / RATE) / 4  # of the fourth partial
        near = np.abs(scale / hertz(pitch) - 1) < 0.05
        cents = 1200 * np.log2(scale[near] / hertz(pitch))
        return float(np.sqrt(power[near] @ cents**2 / power[near].sum()))

    assert 20 < math.sqrt(spread(bent) ** 2 - spread(still) ** 2) < 40  # a sine's: 50 / sqrt(2)


def test_rates_agree():
    """The same note at two rates is the same sound below the lower one's limit."""
    note = Note(0.0, 0.5, 69, 0.8, 0.5)
    low, high = sounded("violin", note, 16_000), sounded("violin", note, 48_000)
    spectra = [np.abs(np.fft.rfft(w, round(1.0 * r)))[:6000] / r for w, r in ((low, 16_000), (high, 48_000))]
    assert np.linalg.norm(spectra[0] - spectra[1]) < 0.05 * np.linalg.norm(spectra[1])


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_the_second_bank_is_no_copy(instrument):
    """Partials differ by decibels at the same pitch and loudness; a copy's would by tenths of one."""
    pitch = middle(instrument)
    levels = []
    for bank in BANKS:
        wave = sounded(instrument, Note(0.0, 0.5, pitch, 1.0), RATE, bank)[: round(0.4 * RATE)]
        power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), RATE)) ** 2
        partials = [k * hertz(pitch) for k in range(1, 9) if k * hertz(pitch) < 6000]
        level = np.array([10 * math.log10(power[round(0.97 * f) : round(1.03 * f)].max()) for f in partials])
        levels.append(level - level.max())
    assert np.abs(levels[0] - levels[1]).mean() > 1.5


def test_the_banks_are_small_and_licensed():
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 4_000_000
    assert "Permission is hereby granted, free of charge" in (FOLDER / "fluidr3/LICENSE.txt").read_text()
    assert (FOLDER / "modelled/LICENSE.txt").exists()


def test_a_player_costs_a_few_milliseconds():
    notes = phrase("saxophone", 2.0, np.random.default_rng(3))
    recordings("fluidr3", "saxophone", RATE)
    begin = time.process_time()
    for _ in range(20):
        for note in notes:
            sounded("saxophone", note, RATE)
    assert (time.process_time() - begin) / 20 < 0.02


def test_bad_input_is_named():
    note = Note(0.0, 0.5, 69, 0.8)
    with pytest.raises(InputError, match="kazoo"):
        sounded("kazoo", note, RATE)
    with pytest.raises(InputError, match="casio"):
        sounded("violin", note, RATE, "casio")
    with pytest.raises(InputError, match="pitch 69 on the tuba"):
        sounded("tuba", note, RATE)
