"""`avsim generate` in time and space: loops, connections, retakes, storyboards, a minute, prompts."""

import json

import pytest
import torch

from avsim import media
from avsim.__main__ import main
from avsim.clip import Clip
from tests.simulator.test_joining import SIZE, clip_of


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Lossless clips of the model's size and rate, and images."""
    folder = tmp_path_factory.mktemp("files")
    for name, frames in (("one", 8), ("two", 6)):
        media.write(clip_of(frames, len(name) + frames), folder / f"{name}.mkv")
        media.write(media.read(folder / f"{name}.mkv").first_frame(), folder / f"{name}.png")
    return folder


@pytest.fixture
def command(run, files, tmp_path, capsys):
    """Runs `avsim generate` with arguments, in which FILES is the folder; returns its code and stderr."""

    def generate(*arguments: str, out: str = "out.mkv") -> tuple[int, str]:
        capsys.readouterr()
        line = [argument.replace("FILES", str(files)) for argument in arguments]
        fixed = ["--checkpoint", str(run), "--steps", "1", "--out", str(tmp_path / out)]
        code = main(["generate", *line, *fixed])
        return code, capsys.readouterr().err

    return generate


def same_video(path, other, first: int = 0, count: int | None = None) -> bool:
    """Whether a file's frames from `first` on are those of another one."""
    made, given = media.read(path).frames, media.read(other).frames[:, :count]
    return torch.equal(made[:, first : first + given.shape[1]], given)


def test_a_loop_of_a_video_and_of_a_prompt(command, files, tmp_path):
    assert command("--loop", "FILES/one.mkv", "--seconds", "1.5")[0] == 0
    assert media.read(tmp_path / "out.mkv").frames.shape[1] == 12
    assert same_video(tmp_path / "out.mkv", files / "one.mkv")
    assert command("--prompt", "a ball falls", "--loop", "--seconds", "1.25", out="loop.mkv")[0] == 0
    assert media.read(tmp_path / "loop.mkv").frames.shape == (3, 10, *SIZE)
    assert command("--loop", "FILES/one.mkv", "--seconds", "0.5", out="no.mkv") == (
        2, "avsim generate: a loop of 0.5 s: must be longer than the clip that it leads back to, 1 s\n"
    )  # fmt: skip


def test_a_connection_of_two_videos(command, files, tmp_path):
    code, err = command("--connect", "FILES/one.mkv", "FILES/two.mkv", "--seconds", "0.5")
    assert code == 0 and "converted" not in err
    assert same_video(tmp_path / "out.mkv", files / "one.mkv")
    assert same_video(tmp_path / "out.mkv", files / "two.mkv", first=12)
    media.write(clip_of(15, 3, (50, 70), 15.0), tmp_path / "other.mkv")
    code, err = command("--connect", "FILES/one.mkv", f"{tmp_path}/other.mkv", "--seconds", "0.5")
    assert code == 0 and "other.mkv: 70x50 at 15 fps is converted to 48x32 at 8 fps" in err


def test_a_video_goes_on_backward(command, files, tmp_path):
    assert command("--extend", "FILES/one.mkv", "--seconds", "0.5", "--backward")[0] == 0
    assert media.read(tmp_path / "out.mkv").frames.shape[1] == 12
    assert same_video(tmp_path / "out.mkv", files / "one.mkv", first=4)


def test_a_retake_of_a_span_and_a_region(command, files, tmp_path):
    span = ("--retake", "FILES/one.mkv", "--start-time", "0.5", "--end-time", "0.75")
    assert command("--prompt", "a bell", *span)[0] == 0
    made, given = (media.read(path).frames for path in (tmp_path / "out.mkv", files / "one.mkv"))
    changed = (made != given).any(0).flatten(1).any(1)
    assert changed.tolist() == [False] * 4 + [True] * 2 + [False] * 2
    assert command("--prompt", "a bell", *span, "--region", "0,0,24,32", out="left.mkv")[0] == 0
    changed = (media.read(tmp_path / "left.mkv").frames != given).any(0).any(0)
    assert changed[:, :24].any() and not changed[:, 24:].any()
    assert command("--prompt", "a bell", *span, "--keep", "video", out="audio.mkv")[0] == 0
    assert same_video(tmp_path / "audio.mkv", files / "one.mkv")
    waves = [media.read(path).wave for path in (tmp_path / "audio.mkv", files / "one.mkv")]
    assert not torch.equal(*waves)


def test_first_and_last_images(command, files, tmp_path):
    assert command("--image", "FILES/one.png", "--last-image", "FILES/two.png")[0] == 0
    made = media.read(tmp_path / "out.mkv").frames
    assert same_video(tmp_path / "out.mkv", files / "one.png")
    assert torch.equal(made[:, -1:], media.read(files / "two.png").frames) and made.shape[1] == 8
    assert command("--last-image", "FILES/two.png", "--seconds", "0.5", out="last.mkv")[0] == 0
    assert same_video(tmp_path / "last.mkv", files / "two.png", first=3)


def test_a_storyboard_and_a_long_clip_are_written_while_they_are_made(command, tmp_path):
    (tmp_path / "shots.yaml").write_text(
        "transition: continuous\nshots:\n- {prompt: a ball, seconds: 1.5}\n- {prompt: a bell, seconds: 1}\n"
    )
    code, err = command("--storyboard", f"{tmp_path}/shots.yaml")
    assert code == 0, err
    info = media.probe(tmp_path / "out.mkv")
    assert info.video_seconds == pytest.approx(2.5) and info.audio_seconds == pytest.approx(2.5, abs=0.01)
    assert command("--prompt", "a ball", "--seconds", "4", "--no-rewrite", out="long.mp4")[0] == 0
    assert media.read(tmp_path / "long.mp4").frames.shape[1] == 32
    assert command("--prompt", "a ball", "--seconds", "4", "--no-rewrite", out="long.wav")[0] == 0
    assert media.probe(tmp_path / "long.wav").audio_seconds == pytest.approx(4.0)


def test_another_frame_rate_is_resampled_and_said(command, tmp_path):
    code, err = command("--prompt", "a ball", "--seconds", "1", "--no-rewrite", "--fps", "12")
    assert code == 0 and "--fps: resampled from 8 frames per second" in err
    made = media.read(tmp_path / "out.mkv")
    assert made.frames.shape[1] == 12 and made.frames_per_second == 12 and made.wave.shape[1] == 16000
    command("--prompt", "a ball", "--seconds", "1", "--no-rewrite", out="own.mkv")
    own = media.read(tmp_path / "own.mkv").frames
    assert torch.equal(made.frames, own[:, [0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7]])
    assert command("--prompt", "a", "--no-rewrite", "--seconds", "3", "--fps", "3", out="few.mkv")[0] == 0
    few = media.read(tmp_path / "few.mkv")
    assert few.frames.shape[1] == 9 and few.wave.shape[1] == 48000


def test_a_list_of_prompts_is_a_folder_that_goes_on(command, tmp_path, monkeypatch):
    (tmp_path / "list.jsonl").write_text(
        '{"prompt": "a ball falls"}\n\n{"prompt": "a bell", "seed": 7, "seconds": 0.5}\n{"prompt": "蛋 🎈"}\n'
    )
    how = ("--prompts", f"{tmp_path}/list.jsonl", "--seconds", "0.25", "--seed", "3", "--no-rewrite")
    assert command(*how, out="many/")[0] == 0
    listing = json.loads((tmp_path / "many" / "samples.json").read_text())
    assert [(line["prompt"], line["seed"]) for line in listing] == [
        ("a ball falls", 3),
        ("a bell", 7),
        ("蛋 🎈", 3),
    ]
    lengths = [media.read(tmp_path / "many" / line["file"]).frames.shape[1] for line in listing]
    assert lengths == [2, 4, 2]
    (tmp_path / "many" / "0001.mp4").unlink()
    made = []
    write = media.write
    monkeypatch.setattr(
        media, "write", lambda clip, path, **how: made.append(path.name) or write(clip, path, **how)
    )
    assert command(*how, out="many/")[0] == 0 and made == ["0001.mp4"]
    (tmp_path / "list.jsonl").write_text('{"prompt": "a bell"}\n{"prompt": "a ball"}\n')
    code, err = command(*how, out="many/")
    assert code == 2 and "other settings" in err


def test_a_folder_of_one_prompt_or_storyboard_takes_no_others(command, tmp_path):
    (tmp_path / "one.jsonl").write_text('{"prompt": "a bell", "seed": 7}\n')
    how = ("--prompts", f"{tmp_path}/one.jsonl", "--seconds", "0.25", "--no-rewrite")
    assert command(*how, out="one/")[0] == 0
    (tmp_path / "one.jsonl").write_text('{"prompt": "a bell", "seed": 8}\n')
    code, err = command(*how, out="one/")
    assert code == 2 and "other settings (prompts [['a bell', None, 7, None]]" in err
    board = tmp_path / "board.yaml"
    board.write_text("- {prompt: a bell, seconds: 0.5}\n")
    assert command("--storyboard", str(board), "--no-rewrite", out="board/")[0] == 0
    board.write_text("- {prompt: a ball, seconds: 0.5}\n")
    code, err = command("--storyboard", str(board), "--no-rewrite", out="board/")
    assert code == 2 and "other settings (shots [['a bell', 0.5]], now [['a ball', 0.5]])" in err


def test_several_prompts_with_several_seeds(command, tmp_path):
    how = ("--prompt", "a ball", "--prompt", "a bell", "-n", "2", "--seconds", "0.25", "--no-rewrite")
    assert command(*how, out="many/")[0] == 0
    listing = json.loads((tmp_path / "many" / "samples.json").read_text())
    assert [(line["prompt"], line["seed"]) for line in listing] == [
        ("a ball", 0), ("a ball", 1), ("a bell", 0), ("a bell", 1)
    ]  # fmt: skip


def test_lists_as_text_and_csv(command, tmp_path):
    (tmp_path / "list.txt").write_text("a ball\n\n  a bell \n")
    (tmp_path / "list.csv").write_text('prompt,seed,seconds\n"a ball, falling",4,\na bell,,0.5\n')
    few = ("--seconds", "0.25", "--no-rewrite", "--only", "audio")
    for name, expected in (
        ("list.txt", [("a ball", 0), ("a bell", 0)]),
        ("list.csv", [("a ball, falling", 4), ("a bell", 0)]),
    ):
        assert command("--prompts", f"{tmp_path}/{name}", *few, out=name[-3:])[0] == 0
        listing = json.loads((tmp_path / name[-3:] / "samples.json").read_text())
        assert [(line["prompt"], line["seed"]) for line in listing] == expected


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.md", "a ball", "a file of prompts ends in .txt, .csv, .jsonl"),
        ("a.txt", "\n \n", "holds no prompt"),
        ("a.csv", "text\na ball\n", "line 2: unknown field 'text'"),
        ("a.csv", "prompt,seed\na ball,x\n", "line 2: its seed is 'x'; expected a whole number"),
        ("a.csv", "prompt,seconds\na ball,-1\n", "line 2: its seconds is '-1'"),
        ("a.csv", "prompt,seconds\na,b,c,d\n", "unknown field None"),
        ("a.jsonl", "{", "line 1: cannot be read as json"),
        ("a.jsonl", "[1]", "line 1: holds [1]; expected an object with a prompt"),
        ("a.jsonl", '{"seed": 1}', "line 1: has no prompt"),
        ("a.jsonl", '{"prompt": "a", "seed": true}', "its seed is True"),
    ],
)
def test_lists_that_are_none(command, tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    code, err = command("--prompts", f"{tmp_path}/{name}", out="many/")
    assert code == 2 and says in err and len(err.splitlines()) == 1 and not (tmp_path / "many").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "holds no list of shots"),
        ("a ball falls", "holds no list of shots"),
        ("- {seconds: 1}", "shot 1: has no prompt"),
        ("- {prompt: a, seconds: 0}", "shot 1: its seconds is 0"),
        ("- {prompt: a}\n- {prompt: b, seconds: .nan}", "shot 2: its seconds is nan"),
        ("- {prompt: a, length: 2}", "shot 1: unknown field 'length'"),
        ("{shots: [{prompt: a}], cut: 1}", "unknown field 'cut'"),
        ("{shots: [{prompt: a}], transition: fade}", "transition 'fade': expected cut or continuous"),
        ("{shots: [{prompt: a}], transition: [1]}", "its transition is [1]"),
        ("- {", "is not YAML"),
        ("&a [" + "*a," * 200 + "]", "aliases"),
    ],
)
def test_storyboards_that_are_none(command, tmp_path, text, says):
    (tmp_path / "shots.yaml").write_text(text)
    code, err = command("--storyboard", f"{tmp_path}/shots.yaml")
    assert code == 2 and says in err and len(err.splitlines()) == 1 and not (tmp_path / "out.mkv").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--backward"], "--backward is of --extend, which is missing"),
        (["--start-time", "1"], "--start-time is of --retake, which is missing"),
        (["--region", "0,0,4,4"], "--region is of --retake"),
        (["--transition", "cut"], "--transition is of --storyboard"),
        (["--source-prompt", "a"], "--source-prompt is of --edit"),
        (["--keep", "video"], "--keep is of --edit or --retake"),
        (["--image", "FILES/one.png", "--strength", "1"], "--strength is of --edit or --last-image"),
        (["--retake", "FILES/one.mkv"], "--retake needs --start-time and --end-time"),
        (
            ["--retake", "FILES/one.mkv", "--start-time", "1", "--end-time", "0.5"],
            "start must be before the end",
        ),
        (["--retake", "FILES/one.mkv", "--start-time", "0", "--end-time", "9"], "outside the clip"),
        (
            ["--retake", "FILES/one.mkv", "--start-time", "0", "--end-time", "1", "--region", "0,0,99,4"],
            "must lie inside the video",
        ),
        (
            ["--retake", "FILES/one.mkv", "--start-time", "0", "--end-time", "1", "--region", "a,b"],
            "--region 'a,b': expected 4 numbers",
        ),
        (
            ["--extend", "FILES/one.mkv", "--num-candidates", "2"],
            "--num-candidates is for a prompt",
        ),
        (["--extend", "FILES/one.mkv", "--size", "40x40"], "size 40x40"),
        (["--video", "FILES/one.mkv", "--fps", "24"], "--fps: the given video is kept"),
        (["--only", "image", "--fps", "24"], "--fps: --only image has none"),
        (["--prompt", "a", "--motion", "3"], "was not trained with an amount of motion"),
        (["--prompt", "a", "--prompts", "x.txt"], "--prompt and --prompts"),
        (["--prompt", "a", "--prompt", "b"], "is one file; give a folder for 2 clips"),
        (["--prompt", "a", "--seconds", "9", "--num-candidates", "2"], "are written while they are made"),
        (["--connect", "FILES/one.mkv"], "expected 2 arguments"),
        (["--connect", "FILES/one.mkv", "FILES/none.mkv"], "none.mkv: no such file"),
        (["--connect", "FILES/one.mkv", "FILES/one.png"], "one.png"),
        (["--loop", "FILES/one.png"], "one.png"),
        (["--image", "FILES/one.png", "--last-image", "FILES/two.png", "--seconds", "9"], "at most 1.5 s"),
        (["--storyboard", "FILES/one.png"], "one.png"),
        (["--storyboard", "x.yaml", "--prompt", "a"], "--storyboard has prompts of its own"),
        (["--storyboard", "x.yaml", "--seconds", "3"], "--seconds: --storyboard has lengths of its own"),
    ],
)
def test_options_that_cannot_be(command, tmp_path, arguments, says):
    code, err = command(*arguments)
    last = err.splitlines()[-1]
    assert code == 2 and says in last and "Traceback" not in err and not (tmp_path / "out.mkv").exists()


@pytest.mark.parametrize(
    "prompt", ["a ball falls " * 800, "كرة حمراء تسقط", "🎈🔔", "\u202ea ball\u202c", "\n\t"]
)
def test_prompts_of_any_kind(command, tmp_path, prompt):
    code, err = command("--prompt", prompt, "--seconds", "0.25")
    assert code == 0, err
    assert media.read(tmp_path / "out.mkv").frames.shape[1] == 2


def test_what_is_missing_is_said(command, monkeypatch):
    from avsim.simulator import Simulator
    from avsim.simulator.presence import Missing

    lacking = Missing(("ball",), ("ball", "bell"))
    monkeypatch.setattr(Simulator, "missing", lambda self, clip, prompt: lacking)
    code, err = command("--prompt", "a ball", "--seconds", "0.25", "--no-rewrite")
    assert code == 0 and "not seen: ball; not heard: ball, bell\n" in err
    code, err = command("--prompt", "a", "--prompt", "b", "--seconds", "0.25", "--no-rewrite", out="many/")
    assert code == 0 and "0001.mp4: not seen: ball" in err


def test_the_best_of_several_is_that_in_which_least_is_missing(simulator, monkeypatch):
    from avsim.simulator import Simulator
    from avsim.simulator.presence import Missing

    clips = [simulator.generate("a", 0.5, seed=1 + k * 1_000_003, steps=1) for k in range(4)]
    lacks = {
        clip.wave.sum().item(): Missing(("ball",) * n) for clip, n in zip(clips, (2, 1, 1, 0), strict=True)
    }
    monkeypatch.setattr(Simulator, "missing", lambda self, clip, prompt: lacks[clip.wave.sum().item()])
    for count, best in ((1, 0), (2, 1), (3, 1), (4, 3), (9, 3)):  # the fifth is not made: nothing is missing
        made = simulator.generate("a", 0.5, seed=1, steps=1, num_candidates=count)
        assert torch.equal(made.frames, clips[best].frames)


def test_things_are_missed_by_the_detectors():
    import avsim
    from avsim.world import WorldDataset

    small = avsim.load("small")
    clip, truth = WorldDataset("medium", seed=5, split="test")[0]
    assert not small.missing(clip, truth.caption)
    empty = Clip(torch.zeros_like(clip.frames), torch.zeros_like(clip.wave), 16.0, 16000)
    lacks = small.missing(empty, "a red ball falls and a bell is struck; a violin is held")
    assert lacks.not_seen == ("ball", "bell", "violin") and lacks.not_heard == ("ball", "bell")
    assert str(lacks) == "not seen: ball, bell, violin; not heard: ball, bell"
    assert not small.missing(empty, "what a lovely day")
