"""`avsim generate`, `avsim predict` and the scripts: files that play, packets that are kept."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import pytest
import torch

from avsim import media
from avsim.__main__ import main
from avsim.cli.generation import SCALES
from avsim.clip import Clip, ClipSpec
from avsim.simulator import Simulator
from avsim.simulator.defaults import default_guidance
from tests.running import Running, avsim
from tests.small.models import SPEC

ROOT = Path(__file__).parents[2]
SCRIPTS = {
    "from_a_prompt": ["RUN", "a ball falls", "OUT/out.mp4"],
    "for_a_silent_film": ["RUN", "SILENT", "OUT/out.mp4"],
    "over_seeds": ["RUN", "a ball falls", "2", "OUT"],
}


@pytest.fixture(scope="module")
def silent(tmp_path_factory) -> Path:
    """A silent video of 720p."""
    x = torch.linspace(0, 1, 12)[None, :, None, None]
    frames = x.expand(3, -1, 720, 1280) * torch.linspace(0, 1, 1280)
    return media.write(Clip(frames, None, 12.0), tmp_path_factory.mktemp("film") / "silent.mp4")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory) -> Path:
    wave = 0.1 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    return media.write(Clip(None, wave), tmp_path_factory.mktemp("sound") / "in.mp3")


def packets(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as film:
        return [bytes(packet) for packet in film.demux(**{kind: 0}) if packet.size]


def generate(folder: Path, run: Path, *arguments: str | Path):
    return avsim(folder, "generate", "--checkpoint", run, "--steps", "2", *arguments)


def test_one_clip_is_one_file_and_the_same_seed_the_same_file(run, tmp_path):
    paths = [tmp_path / name for name in ("a.mkv", "b.mkv", "c.mkv")]
    for path, seed in zip(paths, "113", strict=True):
        done = generate(
            tmp_path, run, "--prompt", "a ball", "--seed", seed, "--seconds", "0.5", "--out", path
        )
        assert done.code == 0 and done.out.strip() == str(path), done
    one, again, other = (media.read(path) for path in paths)
    assert torch.equal(one.frames, again.frames) and torch.equal(one.wave, again.wave)
    assert not torch.equal(one.frames, other.frames)


def test_many_clips_are_a_folder_with_a_listing(run, tmp_path):
    out = tmp_path / "many"
    done = generate(tmp_path, run, "--prompt", "a <b>", "-n", "2", "--seed", "7", "--seconds", "0.5",
                    "--size", "32x32", "--out", out)  # fmt: skip
    assert done.code == 0, done
    listing = json.loads((out / "samples.json").read_text())
    assert [(entry["seed"], entry["task"], entry["prompt"]) for entry in listing] == [
        (7, "joint", "a <b>"),
        (8, "joint", "a <b>"),
    ]
    for entry in listing:
        info = media.probe(out / entry["file"])
        assert info.size == (32, 32) and info.has_wave


def test_a_folder_of_clips_goes_on_and_takes_no_others(tmp_path, monkeypatch, capsys):
    drawn: list[int] = []
    stand = SimpleNamespace(generate=lambda prompt, seconds, seed, **how: drawn.append(seed) or noise())
    stand.resolved, stand.spec = Simulator().resolved, ClipSpec()
    stand.missing = lambda clip, prompt: ()
    monkeypatch.setattr("avsim.simulator.load", lambda *_, **__: stand)

    def generate(*arguments: str, out: str = "many") -> int:
        return main(["generate", "--seed", "3", *arguments, "--out", str(tmp_path / out)])

    assert generate("--prompt", "a ball", "-n", "2") == 0
    assert generate("--prompt", "a ball", "-n", "4") == 0  # those that are there are kept
    assert drawn == [3, 4, 5, 6]
    listing = json.loads((tmp_path / "many" / "samples.json").read_text())
    assert [entry["seed"] for entry in listing] == drawn
    settings = json.loads((tmp_path / "many" / "settings.json").read_text())
    assert settings["guidance_scale"] is None and listing[0]["sampled_with"]["guidance_scale"] == 2.0
    without = [{name: value for name, value in entry.items() if name != "sampled_with"} for entry in listing]
    (tmp_path / "many" / "samples.json").write_text(json.dumps(without))  # as an older version wrote them
    assert generate("--prompt", "a ball", "-n", "4") == 0
    assert generate("--prompt", "a bell", "-n", "4") == 2
    assert "holds clips drawn with other settings (prompt" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    assert generate("--prompt", "a ball", out="mine") == 2
    assert "holds 'thesis.txt', no clips of avsim generate" in capsys.readouterr().err and len(drawn) == 4


@pytest.mark.parametrize(
    ("said", "other"),
    [
        ({"guidance_scale": 3.0}, {}),
        ({"modality_scale": 4.0, "modality_start": 0.25}, {"sync_start": 0.25}),
        (dict.fromkeys(SCALES, 1.0), {"sync_start": 1.0}),
    ],
)
def test_scales_that_are_given_change_the_defaults_and_no_others(said, other, tmp_path, monkeypatch):
    drawn = SimpleNamespace(task_guidance=Simulator().task_guidance, how=None)
    drawn.missing = lambda clip, prompt: ()
    drawn.generate = lambda prompt, seconds, **how: setattr(drawn, "how", how) or noise()
    monkeypatch.setattr("avsim.simulator.load", lambda *_, **__: drawn)
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in said.items()]
    assert main(["generate", "--prompt", "a", *flags, "--out", str(tmp_path / "a.mkv")]) == 0
    assert drawn.how["guidance"] == replace(default_guidance("joint"), **said, **other)


def noise() -> Clip:
    return Clip(torch.rand(3, 4, 16, 16), torch.rand(2, 4000) - 0.5, 16.0, 16000)


def test_the_packets_of_a_given_film_are_kept(run, silent, tmp_path):
    out = tmp_path / "out.mp4"
    done = generate(tmp_path, run, "--video", silent, "--out", out)
    assert done.code == 0, done
    assert packets(out, "video") == packets(silent, "video")
    assert media.probe(out).size == (720, 1280) and media.probe(out).audio_seconds == pytest.approx(
        1.0, abs=0.03
    )


def test_a_part_of_a_film_gets_its_sound(run, silent, tmp_path):
    out = tmp_path / "out.mp4"
    done = generate(tmp_path, run, "--video", silent, "--seconds", "0.5", "--out", out)
    assert done.code == 0, done
    info = media.probe(out)
    assert info.size == (720, 1280) and info.video_seconds == pytest.approx(0.5, abs=0.01)
    assert info.audio_seconds == pytest.approx(0.5, abs=0.03)
    shown, before = (media.read(path, seconds=0.5, want="frames").frames for path in (out, silent))
    assert shown.shape == before.shape and (shown - before).abs().mean() < 0.02


@pytest.mark.parametrize("task", ["edit", "image", "extend", "video"])
def test_what_is_given_is_read_at_the_size_and_rate_of_the_model(task, silent, tmp_path, monkeypatch, capsys):
    film = tmp_path / "film.mp4"
    film.write_bytes(silent.read_bytes())
    if task == "extend":
        film = media.write(Clip.fitted(torch.rand(3, 12, 48, 64), torch.rand(2, 16000) - 0.5), film)
    given: list[Clip] = []

    def drawn(clip: Clip, *_: object, **__: object) -> Clip:
        given.append(clip)
        return noise()

    def soundtrack(windows, seconds, *_: object):
        given.append(Clip(windows(0.0, spec), None, spec.frames_per_second))
        yield torch.zeros(2, round(16000 * seconds))

    spec = ClipSpec(0.5, 24, 32, 8.0, 16000, 2)
    stand = SimpleNamespace(edit=drawn, animate=drawn, extend=drawn, soundtrack=soundtrack, spec=spec)
    stand.is_out_of_distribution = lambda clip: True
    monkeypatch.setattr("avsim.simulator.load", lambda *_, **__: stand)
    line = ["generate", f"--{task}", str(film), "--prompt", "a bell", "--out", str(tmp_path / "out.mp4")]
    assert main(line) == 0
    (clip,) = given
    assert clip.frames.shape[2:] == (24, 32) and clip.frames.shape[1] <= 8
    assert f"{film}: looks unlike what the model was trained on" in capsys.readouterr().err


def test_the_packets_of_a_given_sound_are_kept(run, spoken, tmp_path):
    out = tmp_path / "out.mp4"
    done = generate(tmp_path, run, "--audio", spoken, "--out", out)
    assert done.code == 0, done
    assert packets(out, "audio") == packets(spoken, "audio")
    assert media.probe(out).size == (SPEC["height"], SPEC["width"])


def test_an_image_is_animated(run, silent, tmp_path):
    image = media.write(media.read(silent, seconds=0.05, size=(64, 64)), tmp_path / "first.png")
    done = generate(tmp_path, run, "--image", image, "--seconds", "0.5", "--out", tmp_path / "out.mp4")
    assert done.code == 0, done
    assert media.probe(tmp_path / "out.mp4").has_wave


def test_a_film_goes_on(run, tmp_path):
    clip = Clip(torch.rand(3, 8, SPEC["height"], SPEC["width"]), 0.1 * torch.randn(2, 16000), 8.0, 16000)
    film, out = media.write(clip, tmp_path / "film.mp4"), tmp_path / "out.mp4"
    how = ("--seconds", "0.5", "--guidance-scale", "2", "--sync-scale", "0.1")
    done = generate(tmp_path, run, "--extend", film, *how, "--out", out)
    assert done.code == 0, done
    assert media.probe(out).frames_per_second == 8 and media.read(out).frames.shape[1] == 12
    done = generate(tmp_path, run, "--extend", film, "--seconds=-1", "--out", tmp_path / "no.mp4")
    assert done.code == 2 and "a frame or more" in done.err and not (tmp_path / "no.mp4").exists()


def test_a_picture_alone_and_a_sound_alone(run, tmp_path):
    done = generate(
        tmp_path, run, "--only", "image", "--prompt", "a ball", "-n", "2", "--out", tmp_path / "many"
    )
    assert done.code == 0, done
    assert media.probe(tmp_path / "many" / "0001.png").size == (SPEC["height"], SPEC["width"])
    out = tmp_path / "out.wav"
    done = generate(tmp_path, run, "--only", "audio", "--prompt", "a bell", "--seconds", "0.5", "--out", out)
    assert done.code == 0 and media.probe(out).audio_seconds == pytest.approx(0.5, abs=1e-3), done


def test_an_edit_keeps_the_packets_of_the_picture(run, silent, tmp_path):
    told = media.read(silent)
    told = Clip(told.frames, 0.1 * torch.randn(2, 16000), told.frames_per_second)
    film, out = media.write(told, tmp_path / "film.mp4"), tmp_path / "out.mp4"
    done = generate(tmp_path, run, "--edit", film, "--keep", "video", "--prompt", "a bell", "--out", out)
    assert done.code == 0, done
    assert packets(out, "video") == packets(film, "video") and packets(out, "audio") != packets(film, "audio")


def test_options_of_an_edit_need_one(run, tmp_path):
    done = generate(tmp_path, run, "--strength", "0.5", "--out", tmp_path / "out.mp4")
    assert done.code == 2 and "--strength" in done.err and "Traceback" not in done.err
    done = generate(tmp_path, run, "--only", "image", "--num-candidates", "2", "--out", tmp_path / "out.png")
    assert done.code == 2 and "--num-candidates" in done.err and "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "clip.mpg"], "unknown suffix '.mpg'"),
        (["--only", "audio", "--size", "64x64", "--out", "clip.wav"], "--size: --only audio has none"),
        (["--only", "image", "--seconds", "2", "--out", "clip.png"], "--seconds: --only image has none"),
    ],
)
def test_what_cannot_be_written_is_not_drawn(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr("avsim.simulator.load", lambda *_, **__: pytest.fail("loads a model"))
    assert main(["generate", "--prompt", "a ball", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_listing_says_what_was_seen_where_nothing_was_told(tmp_path, silent, monkeypatch):
    pieces = [torch.zeros(2, 2000), torch.zeros(2, 2000)]
    drawn = SimpleNamespace(
        describe=lambda clip: "a ball falls", soundtrack=lambda *_: iter(pieces), spec=ClipSpec()
    )
    drawn.resolved = Simulator().resolved
    monkeypatch.setattr("avsim.simulator.load", lambda *_, **__: drawn)
    assert (
        main(["generate", "--video", str(silent), "--seconds", "0.25", "--out", str(tmp_path / "many")]) == 0
    )
    (entry,) = json.loads((tmp_path / "many" / "samples.json").read_text())
    assert entry["prompt"] == "a ball falls"


def test_predict_takes_no_options_of_a_training(run, tmp_path):
    arguments = [
        "predict",
        "-c",
        "configs/base.yaml",
        "-c",
        "configs/predict.yaml",
        "--run",
        tmp_path / "run",
    ]
    (tmp_path / "prompts.txt").write_text("a ball\n")
    arguments += [f"--data.prompts={tmp_path / 'prompts.txt'}", f"--model.simulator={run}"]
    for more in (["--init", run], ["--compile", "true"]):
        done = avsim(tmp_path, *arguments, *more)
        assert done.code == 2 and "--init and --compile are of trainings" in done.err, done.err


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_predict_draws_every_prompt_and_takes_its_regions_apart(run, tmp_path, count):
    (tmp_path / "prompts.txt").write_text("a ball\n\ntwo balls\n")
    data = {"prompts": tmp_path / "prompts.txt", "seeds": 2, "batch": 2}
    model = {"simulator": run, "steps": 2, "seconds": 0.5, "regions": 1}
    arguments = ["predict", "-c", "configs/base.yaml", "-c", "configs/predict.yaml"]
    arguments += ["--run", tmp_path / "run", "--trainer.accelerator", "cpu"]
    arguments += [f"--model.{name}={value}" for name, value in model.items()]
    arguments += [f"--data.{name}={value}" for name, value in data.items()]
    if count == 1:
        done = avsim(tmp_path, *arguments)
        assert done.code == 0, done
    else:
        arguments += ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
        command = [sys.executable, "-m", "avsim", *map(str, arguments)]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    out = tmp_path / "run" / "predict"
    listing = json.loads((out / "samples.json").read_text())
    assert [(entry["prompt"], entry["seed"]) for entry in listing] == [
        ("a ball", 0),
        ("a ball", 1),
        ("two balls", 0),
        ("two balls", 1),
    ]
    for entry in listing:
        clip = media.read(out / entry["file"])
        stems = [media.read(out / stem["file"]).wave for stem in entry["stems"]]
        assert [stem["name"] for stem in entry["stems"]][-1] == "off screen"
        assert "class Pixels" in (out / entry["page"]).read_text()
        length = min(clip.wave.shape[1], stems[0].shape[1])
        assert (sum(stems)[:, :length] - clip.wave[:, :length]).pow(
            2
        ).mean().sqrt() < 0.05  # clip.wave is AAC


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_make_video_with_sound_without_lightning(script, run, silent, tmp_path):
    paths = {"RUN": str(run), "SILENT": str(silent), "OUT": str(tmp_path)}
    path = ROOT / "experiments" / "scripts" / f"{script}.py"
    arguments = [re.sub("RUN|SILENT|OUT", lambda found: paths[found[0]], each) for each in SCRIPTS[script]]
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__');"
        "assert not {'lightning', 'wandb'} & set(sys.modules), 'loaded'"
    )
    command = [sys.executable, "-c", code, str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for path in done.stdout.split():
        assert media.probe(path).has_frames and media.probe(path).has_wave


def test_generate_stops_cleanly(run, tmp_path):
    import signal

    out = tmp_path / "many"
    running = Running(tmp_path, "generate", "--checkpoint", run, "-n", "1000", "--steps", "2", "--out", out)
    running.wait_for(lambda: (out / "0001.mp4").is_file())
    running.send(signal.SIGTERM)
    done = running.done()
    assert done.code == 143 and done.err.splitlines()[-1:] == ["avsim generate: stopped by SIGTERM"]
    files = [file for file in out.iterdir() if file.name not in (".claim", "settings.json")]
    assert all(file.suffix == ".mp4" and media.probe(file).has_wave for file in files)


def test_folders_are_folders_whatever_their_names(run, tmp_path):
    (tmp_path / "there.v2").mkdir()
    for name in ("there.v2", "new.v2/"):
        few = ("--prompt", "a ball", "--seconds", "0.25", "--steps", "1", "--only", "audio")
        assert generate(tmp_path, run, *few, "--out", f"{tmp_path}/{name}").code == 0
        assert (tmp_path / name / "0000.wav").is_file()
    (tmp_path / "link.v2").symlink_to(tmp_path / "linked")
    (tmp_path / "linked").mkdir()
    assert generate(tmp_path, run, *few, "--out", tmp_path / "link.v2").code == 0
    assert (tmp_path / "linked" / "0000.wav").is_file()
