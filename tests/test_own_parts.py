"""A coupling, a text encoder and codecs of a user's package train, and all commands load them."""

import json
from pathlib import Path

import pytest

from avsim.__main__ import main
from avsim.errors import InputError
from avsim.weights import allowing, load_model, save_model

CONFIGS = Path(__file__).parent.parent / "configs"
MYLIB = '''
import torch
import torch.nn.functional as F
from torch import nn

from avsim.models.couplings import JointCoupling
from avsim.models.text import WordEncoder
from avsim.perception.video_detector import VideoDetector
from avsim.weights import configured


class Mine(JointCoupling):
    """A coupling."""


@configured
class Reader(WordEncoder):
    """A text encoder."""


@configured
class Detector(VideoDetector):
    """A detector."""


@configured
class Blocks(nn.Module):
    """A video codec: every fourth frame, averaged over 8 x 8 pixels."""

    channels, time_stride, space_stride = 3, 4, 8

    def __init__(self, gain: float = 4.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def encode(self, frames):
        small = F.avg_pool3d(frames[:, :, ::4], (1, 8, 8))
        if frames.shape[2] % 4 != 1:
            small = torch.cat([small, small[:, :, -1:]], 2)
        return (small - 0.5) * self.gain

    def decode(self, latents, spec):
        frames = (latents / self.gain + 0.5).repeat_interleave(8, 3).repeat_interleave(8, 4)
        return frames.repeat_interleave(4, 2)[:, :, : spec.frames, : spec.height, : spec.width].clamp(0, 1)
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "mylib.py").write_text(MYLIB)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "mylib", raising=False)
    monkeypatch.chdir(tmp_path)
    import mylib

    return mylib


def refused(capsys, *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1, err
    return err


def test_own_parts_train_and_then_work_in_every_command(package, tmp_path, capsys):
    save_model(package.Blocks(), "codec")
    save_model(package.Detector(fine=8, coarse=8, blocks=1), "detector")
    assert main(["world", "--level", "easy", "-n", "4", "--seconds", "1", "--shards", "--out", "clips"]) == 0
    encode = ["encode", "clips", "--video-codec", "codec", "--audio-codec", "small", "--out", "latents"]
    line = refused(capsys, *encode)
    assert "codec/config.json" in line and "mylib.Blocks" in line and "--allow-module mylib" in line
    allow = ["--allow-module", "mylib"]
    assert main([*encode, *allow]) == 0

    files = [CONFIGS / f"{name}.yaml" for name in ("base", "generator", "size/tiny")]
    fit = [
        "fit", *(each for file in files for each in ("-c", str(file))), "--run", "run",
        "--data.folder=latents",
        "--data.batch_size=2", "--trainer.limit_val_batches=0", "--model.video_codec=codec",
        "--model.audio_codec=small",
        "--model.model.width=32", "--model.model.heads=2", "--model.model.blocks=1",
        "--model.model.video_channels=3", "--model.model.audio_channels=32",
        "--model.model.coupling=mylib.Mine", "--model.model.text=mylib.Reader", "--model.model.text.width=16",
    ]  # fmt: skip
    line = refused(capsys, *fit)  # its codec is a file's
    assert "codec/config.json" in line and "--allow-module mylib" in line
    assert main([*fit, *allow]) == 0
    said = json.loads(Path("run/simulator/generator/config.json").read_text())["init_args"]
    assert said["coupling"] == {"class": "mylib.Mine"} and said["text"]["class_path"] == "mylib.Reader"

    generate = ["generate", "--checkpoint", "run", "--prompt", "a ball", "--steps", "1", "--out", "out/a.mp4"]
    line = refused(capsys, *generate)
    assert "config.json" in line and "mylib." in line and "--allow-module mylib" in line
    assert main([*generate, *allow]) == 0
    evaluate = ["evaluate", "out", "--video-detector", "detector", "--out", "report"]
    assert "mylib.Detector" in refused(capsys, *evaluate)
    assert main([*evaluate, *allow]) == 0
    with pytest.raises(InputError, match="mylib"):  # what was allowed ended with its command
        load_model("codec")


def test_what_is_allowed_is_the_user_s_alone(package, tmp_path):
    save_model(package.Blocks(), "codec")
    config = json.loads(Path("codec/config.json").read_text())
    with allowing(["mylib"]):
        assert type(load_model("codec")) is package.Blocks
        for path in ("os.system", "mylibrary.Blocks", "mylib.torch.nn.Linear", "mylib.F"):
            Path("codec/config.json").write_text(json.dumps({**config, "class_path": path}))
            with pytest.raises(InputError, match=r"codec/config\.json: "):
                load_model("codec")
    for name in ("absent_library", "my lib", "", "../mylib"):
        with pytest.raises(InputError, match="--allow-module"), allowing([name]):
            pass
