"""Players: what makes a note moves when the note begins, far enough to be seen, and is still in the rests."""

import numpy as np
import pytest

from avsim.errors import InputError
from avsim.world.flat.canvas import Part, View, compose
from avsim.world.flat.players import PLAYERS, player
from avsim.world.flat.players.struck import FALL, STRUCK_Y, bar_x
from avsim.world.sound.phrases import INSTRUMENTS, RANGES, Note, phrase

Array = np.ndarray
PIXEL = 2.0 / 64  # m, of a view of 2 m at 64 pixels
HALF_FRAME = 0.5 / 16  # s
SECONDS = np.arange(0, 3, 1e-3)


def played(instrument: str, notes, seconds: Array = SECONDS, seed: int = 0, size: float = 1.0):
    return player(instrument, 0.0, notes, seconds, 0, np.random.default_rng(seed), size)


def corners(part: Part, frames: int) -> Array:
    """Where a sprite's four corners are, (T, 4, 2) m."""
    x, y, angle, wide, high, _ = part.pose.table(frames).T[:, :, None]
    (h, w), (u, v) = part.sprite.pixels.shape[:2], part.sprite.pivot
    right = np.array([-u, w - u, -u, w - u]) / part.sprite.scale * wide
    up = np.array([v, v, v - h, v - h]) / part.sprite.scale * high
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([x + cos * right - sin * up, y + sin * right + cos * up], -1)


def trace(parts: tuple[Part, ...], frames: int = len(SECONDS)) -> Array:
    """Every corner of every part, (T, corners, 2) m."""
    return np.concatenate([corners(part, frames) for part in parts], 1)


def apart(instrument: str, loudness: float = 0.5) -> tuple[Note, ...]:
    """Notes with long rests between them."""
    low, high = RANGES[instrument]
    pitches = (low + high) // 2, high, low
    return tuple(Note(0.5 + 0.9 * k, 0.3, pitch, loudness) for k, pitch in enumerate(pitches))


def frame(seconds: float) -> int:
    return round(seconds * 1000)


def test_every_instrument_has_a_player():
    assert set(PLAYERS) == set(INSTRUMENTS)


@pytest.mark.parametrize("size", [1.0, 0.5])
@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_each_note_of_a_phrase_moves_what_makes_it_by_two_pixels(instrument: str, size: float):
    for seed in range(5):
        notes = phrase(instrument, 2.5, np.random.default_rng(seed))
        places = trace(played(instrument, notes, size=size))
        for note in notes:
            first = frame(note.seconds) - (frame(FALL) if instrument == "xylophone" else 1)
            window = places[max(first, 0) : frame(note.seconds + 0.15)]
            assert np.linalg.norm(window - window[0], axis=-1).max() >= 2 * PIXEL


@pytest.mark.parametrize("instrument", [i for i in INSTRUMENTS if i != "xylophone"])  # a mallet falls before
def test_motion_begins_with_the_note(instrument: str):
    """From rest, the first half pixel is gone within half a frame of the note, and none of it before."""
    notes = apart(instrument)
    places = trace(played(instrument, notes))
    for note in notes:
        moved = np.linalg.norm(places - places[frame(note.seconds) - 50], axis=-1).max(1)
        assert moved[frame(note.seconds) - 50 : frame(note.seconds)].max() < 1e-9
        assert moved[frame(note.seconds + HALF_FRAME)] > 0.5 * PIXEL


def test_a_mallet_is_lowest_on_the_notes_bar_at_the_notes_time():
    notes = phrase("xylophone", 2.5, np.random.default_rng(3))
    parts = played("xylophone", notes)
    poses = [part.pose.table(len(SECONDS)) for part in parts]
    mallets = [pose for pose in poses if np.ptp(pose[:, 1]) > 0.1 and pose[:, 1].min() < STRUCK_Y + 0.01]
    assert mallets
    for note in notes:
        at = frame(note.seconds)
        pose = min(mallets, key=lambda pose: pose[at, 1])
        assert pose[at, 1] == pytest.approx(STRUCK_Y, abs=0.01)
        assert pose[at, 0] == pytest.approx(bar_x(note.pitch), abs=1e-6)
        assert abs(int(pose[at - 80 : at + 80, 1].argmin()) - 80) <= 1


def test_higher_notes_are_struck_further_right():
    low, high = RANGES["xylophone"]
    x = [bar_x(pitch) for pitch in range(low, high + 1)]
    assert np.all(np.diff(x) >= 0) and np.ptp(x) > 0.7


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_players_are_still_in_rests_and_without_notes(instrument: str):
    assert np.ptp(trace(played(instrument, ())), axis=0).max() == 0
    notes = apart(instrument)
    places = trace(played(instrument, notes))
    for note, after in zip(notes[:-1], notes[1:], strict=True):
        rest = places[frame(note.seconds + note.duration + 0.25) : frame(after.seconds - 0.26)]
        assert np.ptp(rest, axis=0).max() < 1e-9


@pytest.mark.parametrize("instrument", ["violin", "cello", "erhu", "accordion", "acoustic guitar"])
def test_strokes_turn_back_at_each_note(instrument: str):
    """What moves farthest (bow, bellows, plucking hand) goes the other way with each note."""
    low, _ = RANGES[instrument]
    notes = tuple(Note(0.25 + 0.4 * k, 0.4, low + 5, 0.6) for k in range(6))
    parts = played(instrument, notes)
    places = trace(parts)
    corner = np.ptp(places, axis=0).sum(1).argmax()
    begin = [frame(note.seconds) for note in notes]
    strokes = np.array([places[k + 100, corner] - places[k, corner] for k in begin])
    assert np.all((strokes[1:] * strokes[:-1]).sum(1) < 0)


@pytest.mark.parametrize("instrument", INSTRUMENTS)
@pytest.mark.parametrize("size", [1.0, 0.5])
def test_a_player_keeps_to_its_place(instrument: str, size: float):
    """At most about 0.9 m wide about x and 1.5 m tall, times its size, and in no one else's mask."""
    notes = phrase(instrument, 2.5, np.random.default_rng(1))
    seconds = np.arange(0, 2.5, 1 / 16)
    view = View(np.zeros(len(seconds)), np.full(len(seconds), 0.75), np.full(len(seconds), 2.0), (128, 128))
    parts = player(instrument, 0.1, notes, seconds, 1, np.random.default_rng(2), size)
    assert [part.owner for part in parts] == [-1] + [1] * (len(parts) - 1)
    _, visible, amodal = compose(np.zeros((1, 128, 128, 3), np.float32), parts, view, 2)
    assert not visible[0].any()
    assert np.allclose(visible[1], amodal[1], atol=1e-5) and visible[1].max() <= 1 + 1e-6
    ever = np.argwhere((visible[1] > 0.5).any(0))
    (top, left), (bottom, right) = (ever.min(0) * 2 / 128, (ever.max(0) + 1) * 2 / 128)
    assert right - 1.0 - 0.1 < 0.58 * size and 1.0 + 0.1 - left < 0.58 * size
    assert 1.75 - top < 1.6 * size and 0 <= bottom - 1.75 < 0.1


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_the_same_notes_and_random_numbers_make_the_same_player(instrument: str):
    notes = apart(instrument)
    one, other = played(instrument, notes, seed=4), played(instrument, notes, seed=4)
    assert np.array_equal(trace(one), trace(other))
    assert all(np.array_equal(a.sprite.pixels, b.sprite.pixels) for a, b in zip(one, other, strict=True))
    looks = {
        tuple(float(part.sprite.pixels.sum()) for part in played(instrument, notes, seed=k)) for k in range(8)
    }
    assert len(looks) >= 6


def test_instruments_are_told_apart_by_the_nearest_mean_picture():
    """Frames at 64 x 64 on grey; means of 24 random players each classify 10 others."""
    view = View(np.zeros(1), np.full(1, 0.75), np.full(1, 2.0), (64, 64))
    grey = np.full((1, 64, 64, 3), 0.5, np.float32)

    def features(instrument: str, seed: int) -> Array:
        random = np.random.default_rng(seed)
        notes = phrase(instrument, 2.0, random)
        parts = player(instrument, 0.0, notes, random.uniform(0, 2, 1), 0, random)
        return compose(grey, parts, view, 1)[0][0].reshape(16, 4, 16, 4, 3).mean((1, 3)).ravel()

    known = np.stack([np.mean([features(i, seed) for seed in range(24)], 0) for i in INSTRUMENTS])
    right = [
        int(np.argmin(((known - features(instrument, seed)) ** 2).sum(1))) == k
        for k, instrument in enumerate(INSTRUMENTS)
        for seed in range(100, 110)
    ]
    assert np.mean(right) >= 0.9


def test_an_unknown_instrument_is_named():
    with pytest.raises(InputError, match="'kazoo' is none of accordion"):
        played("kazoo", ())
