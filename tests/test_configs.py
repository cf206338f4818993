"""Every committed yaml is run: parsed, two steps on a small world, weights that move, models that reload."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from avsim import media
from tests.running import Done, avsim

ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "configs"
SHARED = {
    "base",
    "size/tiny",
    "samples",
    "predict",
    "replay",  # below
    "latents",
    "sweep",  # in tests/report/test_sweep.py
    "loggers/tensorboard",  # with the samples
    "size/100m",  # below
    "size/300m",
    "size/1b",
    "add_audio/small",
    "add_audio/wan-1.3b",  # all four in tests/cli/test_add_audio_command.py
    "add_audio/wan-5b",
    "add_audio/ltx-video",
}  # run with others, or below
NAMES = sorted(str(path.relative_to(CONFIGS))[: -len(".yaml")] for path in CONFIGS.rglob("*.yaml"))
SMALL = {  # what a config's own system is made smaller by
    "generator": ["--model.model.width=32", "--model.model.heads=2", "--model.model.blocks=2"],
    "student": [],
    "finetune_small": ["--data.spec.seconds=0.5"],
    "video_codec": ["--model.model.widths=[8,8,8]", "--model.model.depths=[1,1,1]"],
    "audio_codec": ["--model.model.width=16"],
    "separator": ["--model.model.short_side=32", "--model.model.bin_widths=[4,8]"],
    "world": ["--model.model.short_side=32", "--model.model.bin_widths=[4,8]"],
    "videos": ["--model.model.short_side=32", "--model.model.bin_widths=[4,8]"],
    "sound_of_pixels": [
        "--model.model.short_side=32",
        "--model.model.widths=[4,4,4,4]",
        "--model.model.width=4",
    ],
    "video_detector": ["--model.model.fine=8", "--model.model.coarse=8", "--data.spec.seconds=0.5"],
    "audio_detector": ["--model.model.widths=[4,4]", "--model.model.width=8", "--data.spec.seconds=0.5"],
    "fault_detector": [
        "--model.model.fine=8",
        "--model.model.coarse=8",
        "--model.detector=null",
        "--data.spec.seconds=0.5",
    ],
    "sync_model": ["--model.model.width=8", "--model.seconds=0.25", "--data.spec.seconds=0.5"],
}


def fit(place: Path, name: str, *arguments: str) -> tuple[Path, Done]:
    """`avsim fit` of configs/NAME.yaml for two steps, in `place`, where the configs find what they name."""
    part = "generator" if name.startswith("coupling/") else name.split("/")[-1]
    under = {"coupling": ["generator"], "separation/videos": ["separation/world"]}
    files = ["base", *under.get(name, under.get(name.split("/")[0], [])), name]
    chosen = [each for file in (*files, "size/tiny") for each in ("-c", str(CONFIGS / f"{file}.yaml"))]
    more = ["--data.batch_size=2", "--data.workers=0", *SMALL[part], *arguments]
    run = place / "runs" / name
    if name == "student" and not (place / "runs" / "generator").is_dir():  # who has no teacher yet
        _, done = fit(place, "generator")
        assert done.code == 0, done.err
    return run, avsim(place / "output", "fit", *chosen, "--run", run, *more, cwd=place)


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Path:
    """A folder with data/clips of the world, trained codecs, and data/latents by them."""
    from avsim.clip import ClipSpec
    from avsim.data.shards import SHARDS, write_index, write_shard
    from avsim.world import WorldDataset

    place = tmp_path_factory.mktemp("place")
    clips = [WorldDataset("easy", seed=0)[index][0] for index in range(6)]
    folder = place / "data" / "clips"
    write_shard(
        folder / SHARDS / "all.safetensors",
        {
            "frames": torch.stack([(clip.frames * 255).round().to(torch.uint8) for clip in clips]),
            "wave": torch.stack(
                [(clip.wave.expand(2, -1) * 32767).round().to(torch.int16) for clip in clips]
            ),
        },
    )
    rows = enumerate(("train", "train", "validation", "validation", "test", "test"))
    named = {row: {"shard": "all.safetensors", "row": row, "split": split} for row, split in rows}
    items = [
        {**each, "name": f"clip {row}", "group": str(row), "caption": "a"} for row, each in named.items()
    ]
    spec = ClipSpec(2.0, 64, 64, 16.0, 16000, 2)
    write_index(folder, "clips", {"spec": spec.__dict__}, items)
    for codec in ("video_codec", "audio_codec"):
        _, done = fit(place, codec)
        assert done.code == 0, done.err
    done = avsim(place / "output", "encode", "data/clips", "--video-codec", "runs/video_codec",
                 "--audio-codec", "runs/audio_codec", "--out", "data/latents", cwd=place)  # fmt: skip
    assert done.code == 0, done.err
    return place


def moved(run: Path) -> float:
    """The share of trained tensors that the last step changed."""
    one, two = (
        torch.load(run / "checkpoints" / f"step={step:08d}.ckpt", weights_only=True) for step in (1, 2)
    )
    names = next(state["average"] for name, state in two["callbacks"].items() if name.startswith("EMA"))
    tensors = [(one["state_dict"][name], two["state_dict"][name]) for name in names]
    assert all(tensor.isfinite().all() for _, tensor in tensors)
    return sum(not torch.equal(*pair) for pair in tensors) / len(tensors)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SHARED])
def test_a_config_trains_two_steps_and_moves_its_weights(name, place):
    run, done = place / "runs" / name, None
    if not run.is_dir():  # the codecs are there already
        run, done = fit(place, name)
    assert done is None or done.code == 0, f"{done.err}\n{done.out}"
    assert moved(run) > 0.5
    assert "Unable to serialize" not in (run / "config.yaml").read_text()
    for part in (run / "simulator").iterdir():
        assert json.loads((part / "config.json").read_text())["notes"]["spec"]["frames_per_second"] == 16


@pytest.mark.parametrize("name", ["100m", "300m", "1b"])
def test_a_size_has_as_many_parameters_as_its_header_says(name):
    import re

    import yaml

    from avsim.models.joint import JointDiT

    text = (CONFIGS / "size" / f"{name}.yaml").read_text()
    arguments = yaml.safe_load(text)["model"]["init_args"]["model"]["init_args"]
    with torch.device("meta"):
        model = JointDiT(**arguments)
    said = re.search(r"([\d,]+) M parameters", text)[1].replace(",", "")
    assert int(said) == round(sum(weight.numel() for weight in model.parameters()) / 1e6)


def test_models_reload_without_lightning(place):
    # Detectors alone are no simulator; they reload in tests/perception.
    folders = [path.parent for path in (place / "runs").rglob("simulator")]
    runs = [str(folder) for folder in folders if folder.parent.name != "perception"]
    assert len(runs) >= 2
    code = (
        "import sys, avsim\n"
        "for run in sys.argv[1:]: assert avsim.load(run).parts(), run\n"
        "assert not {'lightning', 'wandb'} & set(sys.modules), 'loaded'"
    )
    done = subprocess.run([sys.executable, "-c", code, *runs], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_generator_trains_on_a_world_that_is_rendered_meanwhile(place):
    """configs/replay.yaml after configs/generator.yaml."""
    run = place / "runs" / "replayed"
    files = ("base", "generator", "replay", "size/tiny")
    chosen = [each for file in files for each in ("-c", str(CONFIGS / f"{file}.yaml"))]
    data = {"world": "easy", "spec.seconds": 0.5, "minimum": 4, "held_out": 2, "workers": 0}
    data["lengths"] = "[{seconds: 0.5, batch_size: 2, capacity: 32}]"
    more = [f"--data.init_args.{name}={value}" for name, value in data.items()]
    more += [
        "--trainer.max_steps=2",
        "--trainer.accelerator=cpu",
        "--trainer.limit_val_batches=1",
        "--seed=1",
    ]
    more += ["--checkpoint-every=1", *SMALL["generator"]]
    done = avsim(place / "output", "fit", *chosen, "--run", run, *more, cwd=place)
    assert done.code == 0, f"{done.err}\n{done.out}"
    assert moved(run) > 0.5
    assert "trained 2 steps" in done.out


def test_a_generator_draws_samples_while_it_trains(place):
    """configs/samples.yaml, with wandb, offline, a table and players, and with loggers/tensorboard.yaml."""
    pytest.importorskip("tensorboard", reason="pip install avsim[tensorboard]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = place / "runs" / "sampled"
    (place / "wandb.yaml").write_text(
        "trainer:\n  logger+:\n    - class_path: lightning.pytorch.loggers.WandbLogger\n"
    )
    files = ["base", "generator", "size/tiny", "samples", "loggers/tensorboard"]
    chosen = [each for file in files for each in ("-c", str(CONFIGS / f"{file}.yaml"))]
    more = ["--data.batch_size=2", "--data.workers=0", *SMALL["generator"], "--trainer.max_steps=1"]
    done = avsim(place / "output", "fit", *chosen, "-c", "wandb.yaml", "--run", run, *more, cwd=place)
    assert done.code == 0, done.err
    folder = run / "samples" / "step=00000001"
    listing = json.loads((folder / "samples.json").read_text())
    assert [entry["task"] for entry in listing].count("foley") == 2
    assert {entry["seed"] for entry in listing if entry["task"] == "joint"} == {0, 1}
    for entry in listing:
        info = media.probe(folder / entry["file"])
        assert info.has_frames and info.has_wave and info.size == (64, 64)
    shown = [path.suffix for path in (run / "wandb").glob("offline-run-*/files/media/**/*")]
    assert shown.count(".html") >= len(listing) and ".json" in shown
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0, "audio": 0})
    events.Reload()
    tags = events.Tags()
    assert {"train/loss", "train/video", "learning_rate"} <= set(tags["scalars"])
    assert {f"samples/{k}" for k in range(len(listing))} == set(tags["audio"])
    frames = {f"samples/{k}-{name}" for k in range(len(listing)) for name in ("frames", "spectrogram")}
    assert frames == set(tags["images"])
    assert all(events.Audio(tag)[0].sample_rate == 16000 for tag in tags["audio"])
