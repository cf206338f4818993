import numpy as np
import pytest

from avsim.errors import InputError
from avsim.world.sound.phrases import (
    CLOSEST,
    INSTRUMENTS,
    RANGES,
    STEADY,
    held_out_classes,
    hertz,
    phrase,
    pitches,
)


def test_eleven_instruments_of_music():
    assert len(INSTRUMENTS) == 11 and list(INSTRUMENTS) == sorted(INSTRUMENTS)


def test_pitch_is_equal_temperament():
    assert hertz(69) == 440.0
    assert hertz(81) / hertz(69) == pytest.approx(2.0)
    assert hertz(70) / hertz(69) == pytest.approx(2 ** (1 / 12))


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_splits_divide_the_range_by_pitch_class(instrument):
    train, test = pitches(instrument, False), pitches(instrument, True)
    low, high = RANGES[instrument]
    assert sorted(train + test) == list(range(low, high + 1))
    assert not {p % 12 for p in train} & {p % 12 for p in test}
    assert {p % 12 for p in test} == held_out_classes(instrument)
    assert len(held_out_classes(instrument)) / 12 >= 0.2


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_phrases_are_playable(instrument, held_out):
    allowed = set(pitches(instrument, held_out))
    heard = set()
    for seed in range(200):
        random = np.random.default_rng(seed)
        seconds = float(random.uniform(0.3, 6.0))
        notes = phrase(instrument, seconds, random, held_out)
        starts = [note.seconds for note in notes]
        assert notes and starts[0] >= 0
        assert all(b - a >= CLOSEST - 1e-9 for a, b in zip(starts, starts[1:], strict=False))
        for note in notes:
            assert note.pitch in allowed
            assert 0 < note.loudness <= 1 and 0 <= note.vibrato <= 1
            assert note.duration > 0 and note.seconds + note.duration <= seconds + 1e-9
            assert not (note.vibrato and instrument in STEADY)
        heard |= {note.pitch % 12 for note in notes}
    assert heard == {p % 12 for p in allowed}


def test_notes_never_overlap():
    for seed in range(200):
        notes = phrase("flute", 4.0, np.random.default_rng(seed))
        for a, b in zip(notes, notes[1:], strict=False):
            assert a.seconds + a.duration <= b.seconds + 1e-9


def test_phrases_vary_and_are_fixed_by_the_seed():
    made = [phrase("violin", 3.0, np.random.default_rng(seed)) for seed in (1, 1, *range(2, 60))]
    assert made[0] == made[1]
    assert len(set(made)) == 59
    assert any(len(notes) >= 8 for notes in made) and any(note.duration > 1.0 for n in made for note in n)
    assert any(b.pitch == a.pitch + 1 for n in made for a, b in zip(n, n[1:], strict=False))


def test_bad_input_is_named():
    with pytest.raises(InputError, match="kazoo"):
        phrase("kazoo", 2.0, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"0\.1 s"):
        phrase("flute", 0.1, np.random.default_rng(0))
    with pytest.raises(InputError, match="nan"):
        phrase("flute", float("nan"), np.random.default_rng(0))
