"""Labels say on the grid what the truth says in seconds and metres, whatever the clip's size and rates."""

import pytest
import torch

from avsim import seeds
from avsim.clip import ClipSpec
from avsim.errors import InputError
from avsim.perception.audio_detector import AudioDetector
from avsim.perception.augment import augment_audio, augment_video
from avsim.perception.grid import Grid
from avsim.perception.labels import Labels, labels
from avsim.perception.samples import LabeledWorld, SavedLabeledClips, save_labeled_clips, stacked
from avsim.perception.vocabulary import COLOURS, KINDS, MATERIALS, PLACES
from tests.perception.falling import LANDS, SPEED, falling

GRID = Grid()


@pytest.fixture(scope="module")
def ball() -> tuple[torch.Tensor, torch.Tensor, Labels]:
    clip, truth = falling()
    return clip.frames, clip.wave, labels(truth, clip.spec, GRID)


def test_the_landing(ball):
    found = ball[2]
    frame = int(LANDS * 16)  # the 12th
    assert found.event[frame, 14, 4] == 1  # of 16 cells: 0.25 across, 0.875 down
    assert float(found.moment[frame, 14, 4]) == pytest.approx(LANDS * 16 - frame - 0.5, abs=0.01)
    # The frames beside it are warm, and say when it is as well.
    assert 0.2 < found.event[frame - 1, 14, 4] < 1
    assert float(found.moment[frame - 1, 14, 4]) == pytest.approx(LANDS * 16 - frame + 0.5, abs=0.01)
    assert 2 ** float(found.speed[frame, 14, 4]) == pytest.approx(SPEED, rel=0.01)
    assert found.onset[int((LANDS + 0.0077) * 100)] == 1


def test_the_ball(ball):
    found = ball[2]
    row, column = int((1 - 1.45 / 2) * 16), 4
    assert found.centre[0, row, column] == 1 and (found.centre[0] == 1).sum() == 1
    assert KINDS[found.kind[0, row, column]] == "ball" and MATERIALS[found.material[0, row, column]] == "wood"
    assert COLOURS[found.colour[0, row, column]] == "tan"
    assert 2 ** float(found.size[0, row, column]) == pytest.approx(0.2, rel=0.01)
    cells = (found.kind[0] > 0).sum() * (2 / 16) ** 2  # m^2; the disc has pi 0.2^2
    assert float(cells) == pytest.approx(0.126, rel=0.35)


def test_the_clip(ball):
    found = ball[2]
    assert found.kinds.nonzero().flatten().tolist() == [KINDS.index("ball") - 1]
    assert found.materials.nonzero().flatten().tolist() == [MATERIALS.index("wood") - 1]
    assert PLACES[found.place] == "dry studio"


@pytest.mark.parametrize("spec", [ClipSpec(height=32, width=32), ClipSpec(height=128, width=128),
                                  ClipSpec(frames_per_second=8), ClipSpec(frames_per_second=30),
                                  ClipSpec(sample_rate=44100, channels=1)])  # fmt: skip
def test_sizes_and_rates_make_no_difference(spec, ball):
    clip, truth = falling(spec)
    found = labels(truth, clip.spec, GRID)
    for name in ("event", "onset", "place", "kinds", "decay"):
        assert torch.allclose(getattr(found, name), getattr(ball[2], name), atol=1e-4), name
    assert torch.allclose(found.level, ball[2].level, atol=1.5)
    same = (found.kind == ball[2].kind).float().mean()
    assert same > 0.985, same  # 8 fps show other moments of the fall


def test_labels_are_as_long_as_what_is_seen_and_heard():
    """Also where a clip's seconds aren't whole frames."""
    spec = ClipSpec(seconds=1.28, frames_per_second=8)  # 10 frames, 1.25 s
    clip, truth = falling(spec)
    found = labels(truth, clip.spec, GRID)
    assert (
        found.event.shape[0]
        == found.kind.shape[0]
        == GRID.resample_video(clip.frames[None], 8.0).shape[2]
        == 20
    )
    assert found.onset.shape[0] * GRID.hop == GRID.resample_audio(clip.wave[None], 16000).shape[-1] == 20000
    assert labels(truth, spec, GRID).event.shape[0] == 20


def test_a_mirror_mirrors_all_of_it(ball):
    frames, _, found = ball
    for row in range(20):
        changed, turned = augment_video(frames, found, 16, seeds.generator(0, row))
        assert changed.shape == (3, 16, 64, 64) and turned.centre.shape == (16, 16, 16)
        left = (turned.centre == 1)[..., :8].any()
        same = found if left else Labels(**{**vars(found), "kind": found.kind.flip(-1)})
        starts = [s for s in range(17) if torch.equal(same.kind[s : s + 16], turned.kind)]
        assert starts, row  # some stretch of it, on that side
        bright = changed.mean((0, 1))
        assert bright.shape == (64, 64) and changed.min() >= 0 and changed.max() <= 1


def test_louder_is_louder(ball):
    _, wave, found = ball
    detector = AudioDetector(bands=16, widths=(4,), width=8, blocks=1)
    for row in range(8):
        changed, louder = augment_audio(wave, found, seeds.generator(0, row))
        gain = (louder.level - found.level)[found.onset == 1]
        assert gain.std() < 1e-5 and (louder.level == 0).equal(found.level == 0)
        one, other = (detector.spectrum(each[None]).amax() for each in (wave, changed))  # in a low band
        assert abs(float(other - one - gain[0])) < 3.1  # less, where both sides were made one


def test_lessons_are_saved_as_they_are(tmp_path):
    spec = ClipSpec(seconds=0.5)
    save_labeled_clips(tmp_path, {"train": 3, "validation": 1}, "easy", spec, seed=4)
    saved, made = SavedLabeledClips(tmp_path, "train"), LabeledWorld("easy", seed=4)
    assert len(saved) == 3
    one, other = saved.sample(2, spec), made.sample(2, spec)
    assert (one.frames - other.frames).abs().max() <= 0.5 / 255 + 1e-6
    assert (one.wave - other.wave).abs().max() <= 0.5 / 32767 + 1e-6
    for name, value in vars(one.labels).items():
        assert torch.allclose(value, getattr(other.labels, name), atol=0.05, equal_nan=True), name
    batch = stacked([one, one], spec, [0, 1]).to("cpu")
    assert batch.labels.event.shape == (2, 8, 16, 16) and batch.wave.shape == (2, 2, 8000)


def test_lessons_of_several_worlds_come_in_turns():
    spec = ClipSpec(seconds=0.25)
    both, easy, medium = (LabeledWorld(config, seed=4) for config in (["easy", "medium"], "easy", "medium"))
    for index in range(4):
        one, other = both.sample(index, spec), (easy, medium)[index % 2].sample(index, spec)
        assert torch.equal(one.frames, other.frames) and torch.equal(one.wave, other.wave)
    assert not torch.equal(both.sample(1, spec).frames, easy.sample(1, spec).frames)
    with pytest.raises(InputError, match="nowhere"):
        LabeledWorld(["easy", "nowhere"])
    with pytest.raises(InputError, match="no world"):
        LabeledWorld([])
