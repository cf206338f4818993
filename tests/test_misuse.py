"""Wrong command lines, from tables: each ends with exit code 2 and one line on stderr."""

from pathlib import Path

import pytest

from avsim.__main__ import main

LATIN = "caf\udce9"  # a name that is not UTF-8, as Python keeps it
NUMBERS = ("", "x", "nan", "inf", "1,5", "--", "0x10", "1e400")
WHOLE = ("", "x", "1.5", "1e9", "nan", "9" * 30, "9" * 5000, "-" + "9" * 30)
SIZES = ("", "x", "64", "64x", "x64", "0x0", "-1x64", "64x64x64", "9999999999x64", "64,64", "1e3x10")
PATHS = ("", " ", "http://host/film.mp4", "memory://x", "s3://bucket/x", "file:///tmp/x", "a" * 300)
ABSENT = (*PATHS, "absent", "absent/", "absent.v2/", "absent.mp4", LATIN, LATIN + ".mp4", "/dev/null/x")
# For each verb: what it needs besides what is wrong, and the options with their bad values.
VERBS: dict[str, tuple[list[str], dict[str, tuple[str, ...]]]] = {
    "world": (
        ["--out", "OUT"],
        {
            "--out": PATHS,
            "--count": (*WHOLE, "0", "-1"),
            "--from": ABSENT,
            "--say": ("", "x", "a dragon sings", LATIN),
            "--level": ("", "x", "FULL", LATIN),
            "--scene": ("x", LATIN),
            "--place": ("x", LATIN),
            "--material": ("x", LATIN),
            "--split": ("x", LATIN),
            "--seed": WHOLE,
            "--seconds": (*NUMBERS, "0", "-1", "1e9", "1e-9"),
            "--size": SIZES,
            "--fps": (*NUMBERS, "0", "-1", "1e9"),
            "--sample-rate": (*WHOLE, "0", "-1"),
            "--channels": (*WHOLE, "0", "3"),
            "--jobs": (*WHOLE, "0", "-1"),
        },
    ),
    "bench": (
        ["make", "--out", "OUT"],
        {
            "--out": PATHS,
            "--count": (*WHOLE, "0", "-1"),
            "--change": ("x", LATIN),
            "--seed": WHOLE,
            "--seconds": (*NUMBERS, "0", "-1", "1e9", "1e-9"),
            "--size": SIZES,
            "--fps": (*NUMBERS, "0", "-1", "1e9"),
            "--sample-rate": (*WHOLE, "0", "-1"),
            "--jobs": (*WHOLE, "0", "-1"),
        },
    ),
    "split": (
        ["LISTS"],
        {
            "--out": PATHS,
            "--train-list": ABSENT,
            "--validation": (*NUMBERS, "-1", "2"),
            "--test": (*NUMBERS, "-1", "2"),
            "--seed": WHOLE,
        },
    ),
    "prepare": (
        ["absent", "--out", "OUT"],
        {
            "--out": PATHS,
            "--seconds": (*NUMBERS, "0", "-1", "1e9"),
            "--stride": (*NUMBERS, "0", "-1"),
            "--size": SIZES,
            "--fps": (*NUMBERS, "0", "-1", "1e9"),
            "--sample-rate": (*WHOLE, "0"),
            "--channels": (*WHOLE, "0", "3"),
            "--jobs": (*WHOLE, "0", "-1"),
            "--seed": WHOLE,
            "--validation": NUMBERS,
            "--split": ABSENT,
        },
    ),
    "caption": (
        ["."],
        {
            "--captioner": (
                "",
                "x",
                "detectors:x",
                "transformers:",
                "transformers:absent",
                "os:getcwd",
                LATIN,
            ),
            "--seconds": (*NUMBERS, "0", "-1", "1e9"),
            "--seed": WHOLE,
        },
    ),
    "encode": (
        ["absent", "--video-codec", "small", "--audio-codec", "small", "--out", "OUT"],
        {"--out": PATHS, "--video-codec": ABSENT, "--audio-codec": ABSENT, "--batch-size": (*WHOLE, "0")},
    ),
    "generate": (
        ["--prompt", "a bell is struck", "--out", "OUT/a.mp4"],
        {
            "--out": (*PATHS, "OUT/a.xyz"),
            "--checkpoint": ABSENT,
            "--prompt": (LATIN,),
            "--video": ABSENT,
            "--audio": ABSENT,
            "--image": ABSENT,
            "--edit": ABSENT,
            "--extend": ABSENT,
            "--only": ("", "x", "video"),
            "--strength": (*NUMBERS, "0.5"),
            "--keep": ("", "x", "video"),
            "--seconds": (*NUMBERS, "0", "-1", "1e9"),
            "--size": SIZES,
            "--num-candidates": (*WHOLE, "0"),
            "--prompts": ABSENT,
            "--loop": ABSENT,
            "--retake": ABSENT,
            "--storyboard": ABSENT,
            "--last-image": ABSENT,
            "--start-time": (*NUMBERS, "1"),
            "--end-time": (*NUMBERS, "1"),
            "--region": ("", "x", "0,0,4,4"),
            "--transition": ("", "x", "cut"),
            "--source-prompt": (LATIN, "a ball"),
            "--fps": (*NUMBERS, "0", "-1", "1e9"),
            "--motion": (*NUMBERS, "1"),
            "--steps": (*WHOLE, "1001"),
            "--guidance-scale": NUMBERS,
            "--modality-scale": (*NUMBERS, "1,1"),
            "--audio-modality-scale": NUMBERS,
            "--modality-start": (*NUMBERS, "-1", "2"),
            "--sync-scale": (*NUMBERS, "-1"),
            "--audio-text-scale": NUMBERS,
            "--seed": WHOLE,
            "--count": (*WHOLE, "0", "-1", "2"),
            "--narrate": ("", " ", "...", LATIN),
            "--voice": ("Annie",),
            "--language": ("zh",),
            "--speech-engine": ("espeak",),
            "--speech-mix": ("", "x", "under"),
        },
    ),
    "narrate": (
        ["absent.mp4", "--text", "a ball falls", "--out", "OUT.mp3"],
        {
            "--out": (*PATHS, "OUT.xyz", "OUT.png", "OUT"),
            "--text": ("", " ", "...", LATIN),
            "--voice": ("", "nobody", LATIN),
            "--language": ("", "klingonese", LATIN),
            "--speech-engine": ("", "x", "piper:absent.onnx", "kokoro:absent", "os:system", ":x", LATIN),
            "--speech-mix": ("", "x"),
        },
    ),
    "separate": (
        ["absent.mp4", "--auto", "--out", "OUT"],
        {"--out": PATHS, "--checkpoint": PATHS[1:6], "--text": (LATIN,), "--video-detector": PATHS},
    ),
    "evaluate": (
        ["absent", "--out", "OUT"],
        {
            "--out": PATHS,
            "--reference": ABSENT,
            "--prompts": ABSENT,
            "--sound": ABSENT,
            "--embedding": ("x",),
        },
    ),
    "page": (["absent"], {"--out": PATHS}),
    "sweep": (["absent.yaml", "--out", "OUT"], {"--out": PATHS, "--count": (*WHOLE, "0"), "--seed": WHOLE}),
    "compare": (
        ["absent"],
        {
            "--out": PATHS,
            "--workspace": (),
            "--report": (),
            "--prompts": ABSENT,
            "--seed": WHOLE,
            "--steps": (*WHOLE, "0", "1001"),
            "--votes": ABSENT,
            "--key": ABSENT,
            "--question": (LATIN,),
        },
    ),
    "demo": (["--out", "OUT"], {"--out": PATHS, "--checkpoint": ABSENT, "--seed": WHOLE}),
}
LINES = [
    (verb, option, value)
    for verb, (_, options) in VERBS.items()
    for option, values in options.items()
    for value in values
]
BARE = [
    [],
    [""],
    ["x"],
    ["--x"],
    [LATIN],
    ["generate", "--out", "OUT/a.mp4", "--video", "a", "--audio", "b"],
    ["generate", "--prompt", "x", "--out", "OUT/a.mp4", "surplus"],
    *([verb] for verb in VERBS if verb != "demo"),
    *([verb, "--unknown"] for verb in VERBS),
    *(["separate", value, "--auto", "--out", "OUT"] for value in ABSENT),
    *(["evaluate", value, "--out", "OUT"] for value in ABSENT),
    *(["prepare", value, "--out", "OUT"] for value in ABSENT),
    *(["caption", value] for value in ABSENT),
    *(["compare", value] for value in ABSENT),
    *(["narrate", value, "--text", "a ball falls", "--out", "OUT.mp3"] for value in ABSENT),
    *(["compare", "--votes", value] for value in ABSENT),
    *(["page", value] for value in ABSENT),
    *(["split", value] for value in ABSENT),
]

ROOT = Path(__file__).parent.parent
FIT = [
    "fit", "-c", str(ROOT / "configs/base.yaml"), "-c", str(ROOT / "tests/small/line.yaml"), "--run", "OUT",
]  # fmt: skip
CODEC = [  # a system with a recipe
    "--model=avsim.codecs.system.VideoCodecSystem",
    "--model.init_args.model=avsim.codecs.video.VideoAutoencoder",
]
RATES = ("", "x", "-1", "nan", "inf")
RECIPE = "--model.init_args.recipe"
TRAININGS: dict[str, tuple[str, ...]] = {
    "--run": PATHS,
    "--init": ("", "absent", *PATHS[2:5]),
    "--ckpt_path": ("", "absent.ckpt", "/dev/null", *PATHS[2:5]),
    "--config": ("", "absent.yaml", "/dev/null/x", "http://host/x.yaml"),
    "--seed": ("x", "1.5"),
    "--checkpoint-every": ("0", "-1", "1.5", "x"),
    "--allow-changes": ("x", "2"),
    "--allow-module": ("absent_module", "../x", "os/path"),
    "--compile": ("x",),
    "--model": ("x", "x.y", "os.system", "3"),
    "--model.init_args.width": ("-1", "x", "1.5"),
    "--model.init_args.unknown": ("1",),
    "--data": ("x", "x.y", "3"),
    "--data.init_args.unknown": ("1",),
    "--trainer.unknown": ("1",),
    "--trainer.max_steps": ("-1", "0", "-5", "x", "1.5", "nan", ""),
    "--trainer.max_time": ("x", "00:00"),
    "--trainer.accelerator": ("", "abacus", "tpu", "3"),
    "--trainer.devices": ("100", "0", "-2", "x", "1.5", "[7]"),
    "--trainer.num_nodes": ("0", "-1", "x"),
    "--trainer.strategy": ("x", "3"),
    "--trainer.precision": ("8", "x", "128-true"),
    "--trainer.val_check_interval": ("-1", "0", "x", "nan"),
    "--trainer.log_every_n_steps": ("-1", "0", "x"),
    "--trainer.accumulate_grad_batches": ("0", "-1", "x"),
    "--trainer.gradient_clip_val": ("-1", "x", "nan"),
    "--trainer.limit_val_batches": ("-1", "1.5", "x"),
    "--trainer.callbacks": ("x", "3", "[x]", "[{class_path: os.system}]"),
    "--trainer.logger": ("x", "[{class_path: x.y}]"),
    **{f"{RECIPE}.{name}": RATES for name in ("learning_rate", "matrix_learning_rate", "weight_decay")},
    **{f"{RECIPE}.{name}": ("x", "-1") for name in ("warmup_steps", "decay_start", "final_ratio")},
    f"{RECIPE}.betas": ("x", "[0.5]", "[2, 0.5]", "[0.9, -1]"),
}


def refuse(arguments: list[str], folder: Path, capsys) -> None:
    capsys.readouterr()
    code = main([argument.replace("OUT", str(folder / "out")) for argument in arguments])
    err = capsys.readouterr().err
    assert code == 2, err
    assert len(err.splitlines()) == 1 and err.startswith("avsim") and "Traceback" not in err, err


@pytest.mark.parametrize(("verb", "option", "value"), LINES, ids=lambda text: ascii(text[:24]))
def test_a_wrong_value(verb, option, value, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    needed = ["." if each == "LISTS" else each for each in VERBS[verb][0]]
    refuse([verb, *needed, f"{option}={value}"], tmp_path, capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", BARE, ids=lambda line: ascii(" ".join(line)[:40]))
def test_a_wrong_line(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    refuse(arguments, tmp_path, capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "value"), [(o, v) for o, values in TRAININGS.items() for v in values], ids=lambda t: t[-24:]
)
def test_a_wrong_training(option, value, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    codec = CODEC if option.startswith(RECIPE) else []
    refuse([*FIT, *codec, f"{option}={value}"], tmp_path, capsys)
    assert not list(tmp_path.iterdir())


def test_there_are_many_wrong_lines():
    assert len(LINES) + len(BARE) + sum(map(len, TRAININGS.values())) >= 233
