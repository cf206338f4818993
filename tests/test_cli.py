"""One command: quick to help, one line for a mistake, a clean stop for a signal."""

import ast
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avsim import __main__ as command
from tests.running import Running, avsim

ROOT = Path(__file__).parent.parent
FIT = ["fit", "-c", "configs/base.yaml", "-c", "tests/small/line.yaml"]


def process(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "avsim", *arguments], capture_output=True, text=True, cwd=ROOT, **options
    )


def test_help_answers_in_half_a_second_of_work_and_lists_every_verb():
    before, started = os.times().children_user + os.times().children_system, time.perf_counter()
    done = process("--help")
    worked = os.times().children_user + os.times().children_system - before
    assert min(worked, time.perf_counter() - started) < 0.5
    assert done.returncode == 0
    for verb in (*command.VERBS, *command.TRAINER_VERBS):
        assert verb in done.stdout


def test_no_help_shows_an_escaped_percent_sign():
    code = (
        "from avsim.__main__ import build_parser; parser = build_parser();"
        "verbs = next(a.choices for a in parser._actions if isinstance(a.choices, dict));"
        "print(*(each.format_help() for each in [parser, *verbs.values()]))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stdout
    assert "95 % interval" in shown and "%%" not in shown


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from avsim.__main__ import build_parser; build_parser();"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    ).stdout.split()
    assert not {"torch", "numpy", "lightning", "wandb", "av", "rich"} & set(loaded)


def test_the_public_face_never_loads_lightning_or_wandb():
    code = (
        "import sys, avsim; avsim.load, avsim.Clip; import avsim.simulator, avsim.media, avsim.data;"
        "assert not {'lightning', 'wandb', 'pytorch_lightning'} & set(sys.modules), 'loaded'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


ALLOWED = """
    system datamodule callbacks trainer writer metrics_file wandb_logger compare_wandb initial signals
    run_config
"""


@pytest.mark.parametrize("path", sorted((ROOT / "avsim").rglob("*.py")), ids=lambda path: path.name)
def test_lightning_and_wandb_stay_in_their_files(path):
    tree = ast.parse(path.read_text())
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    if path.stem not in ALLOWED.split():
        assert not {"lightning", "wandb", "wandb_workspaces"} & {name.split(".")[0] for name in names}


PACKAGES = """
    clip errors seeds files memory devices weights measures training
    media
    world
    prompting
    data
    codecs
    models
    perception
    diffusion
    separation
    evaluation
    simulator
    report
    cli
"""


@pytest.mark.parametrize("path", sorted((ROOT / "avsim").rglob("*.py")), ids=lambda path: path.name)
def test_imports_point_up_the_list_of_packages(path):
    """What a file imports as it is loaded; functions and types may look further."""
    lines = PACKAGES.strip().splitlines()
    level = {name: index for index, names in enumerate(lines) for name in names.split()}
    package = path.relative_to(ROOT / "avsim").parts[0].removesuffix(".py")
    if package not in level:
        return  # __init__ and __main__
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "avsim":
            for name in node.module.split(".")[1:2] or [alias.name for alias in node.names]:
                assert level.get(name, 0) <= level[package], f"{path}: imports {name}"
                assert not (package in ("perception", "separation", "evaluation") and name == "diffusion")


MISTAKES = {
    "a misspelt key of the model": ([*FIT, "--model.init_args.widht", "3"], "widht"),
    "a misspelt key of the trainer": ([*FIT, "--trainer.max_stepz", "3"], "max_stepz"),
    "a misspelt key in a file": ([*FIT, "-c", "{bad}"], "max_stps"),
    "a file that is no yaml": ([*FIT, "-c", "{broken}"], "config"),
    "a file that is not there": ([*FIT, "-c", "nothere.yaml"], "nothere.yaml"),
    "a value of the wrong type": ([*FIT, "--model.init_args.width", "abc"], "width"),
    "a class that is not there": ([*FIT, "--model.class_path", "avsim.nothing.X"], "avsim.nothing.X"),
    "data that are not there": ([*FIT, "-c", "configs/video_codec.yaml"], "data/clips"),
    "no config at all": (["fit"], "required"),
    "weights that are not there": ([*FIT, "--init", "/nowhere"], "/nowhere"),
    "nothing to validate": (["validate", *FIT[1:]], "last.ckpt"),
    "an unknown verb": (["fitt"], "fitt"),
    "no verb": ([], "VERB"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(mistake, tmp_path):
    (tmp_path / "bad.yaml").write_text("trainer:\n  max_stps: 3\n")
    (tmp_path / "broken.yaml").write_text("trainer: [\n")
    arguments, named = MISTAKES[mistake]
    paths = {"bad": tmp_path / "bad.yaml", "broken": tmp_path / "broken.yaml"}
    arguments = [argument.format(**paths) for argument in arguments]
    if arguments[1:]:
        arguments += ["--run", str(tmp_path / "run")]
    done = avsim(tmp_path / "output", *arguments)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1 and done.err.startswith("avsim"), done.err
    assert named in done.err
    assert not (tmp_path / "run").exists(), "something was written"


def test_the_folder_of_a_run_must_be_writable(tmp_path):
    (tmp_path / "file").write_text("")
    for run in (tmp_path / "file" / "run", Path("/proc/run")):
        done = avsim(tmp_path / "output", *FIT, "--run", run)
        assert done.code == 2 and len(done.err.splitlines()) == 1, done
        assert str(run) in done.err and "cannot write" in done.err


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_fit_stops_cleanly(signum, tmp_path):
    run = tmp_path / "run"
    running = Running(tmp_path, *FIT, "--run", run, "--model.init_args.seconds", "0.2")
    running.wait_for(lambda: (run / "csv" / "metrics.csv").is_file())
    running.send(signum)
    done = running.done()
    assert done.code == 128 + signum
    assert done.err.splitlines() == [f"avsim fit: stopped by {signum.name}"]
    assert not list(run.rglob(".saving*")) and not list(run.rglob(".*.csv*"))


@pytest.mark.parametrize("verb", ["a", "b"])
def test_every_verb_turns_signals_faults_of_the_disk_and_closed_pipes_into_exit_codes(
    verb, monkeypatch, capsys
):
    """What `main` does around any verb, whatever the verb is doing just then."""
    import argparse
    import types

    def interrupted(arguments: argparse.Namespace) -> None:
        os.kill(os.getpid(), signal.SIGINT if verb == "a" else signal.SIGTERM)
        time.sleep(5)

    def full(arguments: argparse.Namespace) -> None:
        raise OSError(28, "No space left on device", "out.mp4")

    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        for action, code, line in (
            (interrupted, 130 if verb == "a" else 143, "stopped by SIG"),
            (full, 2, "out.mp4: cannot write (No space left on device)"),
        ):
            module = types.SimpleNamespace(
                run=action, add=lambda subparsers: subparsers.add_parser("generate", help="")
            )
            monkeypatch.setattr(command, "VERBS", ["generate"])
            monkeypatch.setattr(command.importlib, "import_module", lambda name, module=module: module)
            assert command.main(["generate"]) == code
            lines = capsys.readouterr().err.splitlines()
            assert len(lines) == 1 and line in lines[0]
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)


def test_a_reader_that_goes_away_is_no_fault():
    command = f"{sys.executable} -m avsim --help | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert not done.stderr


def test_main_gives_a_callers_signal_handlers_back():
    import signal

    from avsim.__main__ import main

    before = signal.getsignal(signal.SIGINT)
    assert main(["separate", "absent.mp4", "--out", "nowhere"]) == 2
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("command", command.EXAMPLES.values(), ids=command.EXAMPLES)
def test_the_example_in_each_help_parses(command):
    from avsim.__main__ import build_parser

    parsed = build_parser().parse_args(shlex.split(command)[1:])
    assert callable(parsed.run)


def test_an_unknown_flag_points_to_its_own_help_and_the_nearest_flag(capsys):
    from avsim.__main__ import main

    assert main(["generate", "--promt", "x", "--out", "a.mp4"]) == 2
    said = capsys.readouterr().err
    assert "did you mean --prompt?" in said and "see avsim generate --help" in said


def test_a_signal_that_meets_a_finalizer_is_not_lost(tmp_path):
    code = (
        "import os, signal, sys, time\n"
        "import avsim.cli.demo as demo\n"
        "from avsim.__main__ import main\n"
        "class Grave:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(0.01)\n"  # the handler runs, and what it raises is ignored
        "def run(arguments):\n"
        "    Grave()\n"
        "    time.sleep(30)\n"
        "demo.run = run\n"
        "sys.exit(main(['demo', '--out', 'x']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 143 and done.stderr == "avsim demo: stopped by SIGTERM\n", done


def test_a_page_is_an_html_file_or_the_index_of_a_folder():
    from avsim.cli import page_path

    for given, path in (
        ("a/b.html", "a/b.html"), ("B.HTML", "B.HTML"), ("name", "name/index.html"),
        ("runs/v1.2", "runs/v1.2/index.html"),
    ):  # fmt: skip
        assert str(page_path(given)) == path
