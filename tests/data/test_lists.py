"""The lists that others publish are read as they publish them; what is missing is counted."""

import json

import pytest
import torch

from avsim import media
from avsim.clip import Clip, ClipSpec
from avsim.data.lists import ListSource, spoken
from avsim.errors import InputError
from avsim.seeds import generator
from tests.data.conftest import film, shot

SPEC = ClipSpec(0.5, 16, 16, 8.0, 8000, 1)


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    root = tmp_path_factory.mktemp("music")
    (root / "films" / "deep").mkdir(parents=True)
    film(root / "films" / "-a1.mp4", shot(1.0, 0.3))
    film(root / "films" / "deep" / "b_2.mp4", shot(1.0, 0.6))
    (root / "films" / "broken.mp4").write_text("not a video")
    videos = {"flute": ["-a1", "gone"], "acoustic_guitar violin": ["b_2", "broken"]}
    (root / "list.json").write_text(json.dumps({"version": 1.0, "videos": videos}))
    return root


def test_music(music, caplog):
    source = ListSource(music / "list.json", music / "films")
    assert len(source) == 2 and len(source.missing) == 2
    assert "2 of 4 videos are missing, the first: gone" in caplog.text
    samples = {source.sample(k, SPEC, generator(k)).caption for k in range(2)}
    assert samples == {"flute", "acoustic guitar and violin"}
    assert source.group(0) != source.group(1)
    sample = source.sample(1, SPEC, generator(3))
    assert sample.frames.shape == (3, 4, 16, 16) and sample.wave.shape == (1, 4000)


def test_spoken():
    assert spoken("acoustic_guitar violin") == "acoustic guitar and violin"


def test_sound_of_pixels(tmp_path):
    """Image k of a folder is shown from k / 8 s on, beside the sound of that moment."""
    clip = shot(2.0, 0.5)
    (tmp_path / "audio").mkdir()
    media.write(clip.without_video(), tmp_path / "audio" / "x.wav")
    frames = tmp_path / "frames" / "acoustic_guitar" / "x.mp4"
    frames.mkdir(parents=True)
    for k in range(16):
        flat = torch.full((3, 1, 20, 24), k / 16)
        media.write(Clip(flat, None), frames / f"{k + 1:06d}.png")
    (tmp_path / "train.csv").write_text(
        "audio/x.wav,frames/acoustic_guitar/x.mp4,16\naudio/gone.wav,frames/acoustic_guitar/gone.mp4,300\n"
    )
    source = ListSource(tmp_path / "train.csv", tmp_path)
    assert len(source) == 1 and source.missing == [str(tmp_path / "audio" / "gone.wav")]
    for k in range(5):
        sample = source.sample(0, SPEC, generator(k))
        start = float(sample.name.split("@")[1])
        first = sample.frames.mean((0, 2, 3))
        assert torch.allclose(first, (torch.arange(4) + start * 8) / 16, atol=0.01)
        heard = media.read(tmp_path / "audio" / "x.wav", start, 0.5, sample_rate=8000, channels=1).wave
        assert torch.allclose(sample.wave, heard, atol=1e-4) and sample.caption == "acoustic guitar"


def test_one_film_of_a_list_that_cannot_be_read_is_passed_over(tmp_path, music):
    sound = (tmp_path / "a1.mp4").absolute()
    sound.write_bytes((music / "films" / "-a1.mp4").read_bytes())
    (tmp_path / "bad.mp4").write_text("not a video")
    (tmp_path / "train.csv").write_text(f"{sound},a1.mp4,16\na1.mp4,bad.mp4,16\n")
    source = ListSource(tmp_path / "train.csv", tmp_path)
    assert len(source) == 1 and len(source.missing) == 1 and "bad.mp4" in source.missing[0]


@pytest.mark.parametrize("name", ["../secret.wav", "/etc/passwd", "a/../../secret.wav", "link/secret.wav"])
def test_files_outside_the_root_of_a_list_are_refused(tmp_path, music, name):
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    (root / "a.mp4").write_bytes((music / "films" / "-a1.mp4").read_bytes())
    (tmp_path / "secret.wav").write_bytes(b"secret")
    for row in (f"{name},a.mp4,16", f"a.mp4,{name},16"):
        (root / "train.csv").write_text(f"a.mp4,a.mp4,16\n{row}\n")
        with pytest.raises(InputError, match="line 2: names .* outside its folder"):
            ListSource(root / "train.csv", root)


def test_refusals(tmp_path, music):
    with pytest.raises(InputError, match="no such list"):
        ListSource(tmp_path / "none.json", tmp_path)
    with pytest.raises(InputError, match="no such folder of videos"):
        ListSource(music / "list.json", tmp_path / "none")
    with pytest.raises(InputError, match="none of its 4 videos lies under"):
        ListSource(music / "list.json", tmp_path)
    for name, text, message in (
        ("a.json", "[]", 'expected {"videos"'),
        ("a.csv", "a,b\n", "line 1 is 'a,b'"),
        ("b.csv", "a,b,3\n", "none of its 1 videos lies under"),
        ("a.txt", "", "an empty list"),
        ("b.txt", "bell&x\n", "line 1 is 'bell&x'"),
        ("a.yaml", "", "a list ends in .json"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=message):
            ListSource(tmp_path / name, tmp_path)
    with pytest.raises(InputError, match="one split already"):
        ListSource(tmp_path / "b.csv", tmp_path, split="train")


@pytest.mark.parametrize("name, films", [("MUSIC_solo", 520), ("MUSIC_duet", 130)])
def test_the_published_format(name, films, tmp_path, music):
    """The shape of the published files (instruments, names that begin with a dash), without the files."""
    videos = {"flute": [f"-{name}{k}" for k in range(films - 1)], "cello": ["-a1"]}
    (tmp_path / "l.json").write_text(json.dumps({"version": 1.0, "videos": videos}))
    source = ListSource(tmp_path / "l.json", music / "films")
    assert len(source) == 1 and len(source.missing) == films - 1
