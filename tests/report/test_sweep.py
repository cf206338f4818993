"""`avsim sweep`: trials of real trainings, a study that goes on, and one page of it all."""

import json
import re
import shlex
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import pytest
import yaml

from avsim.__main__ import main
from avsim.errors import InputError
from avsim.report.sweep import _command, coordinates, place
from avsim.training.sweep import Parameter, open_study, read_sweep, run_trials

pytest.importorskip("optuna")
ROOT = Path(__file__).parents[2]

GOOD = """
method: random
metric: {name: val/loss, goal: minimize}
parameters:
  trainer.max_steps: {values: [4, 8]}
  trainer: {parameters: {gradient_clip_val: {distribution: log_uniform_values, min: 0.1, max: 10}}}
command: [avsim, fit, -c, configs/base.yaml, -c, tests/small/line.yaml, "${args}"]
"""


def sweep_file(tmp_path, text: str = GOOD):
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    return path


def test_a_sweep_is_read_as_wandb_writes_it(tmp_path):
    sweep = read_sweep(sweep_file(tmp_path))
    assert (sweep.method, sweep.metric, sweep.minimize) == ("random", "val/loss", True)
    assert list(sweep.arguments) == ["-c", "configs/base.yaml", "-c", "tests/small/line.yaml"]
    steps, clip = sweep.parameters
    assert steps == Parameter("trainer.max_steps", (4, 8))
    assert clip == Parameter("trainer.gradient_clip_val", (), 0.1, 10.0, False, True)
    assert place(clip, 1.0) == pytest.approx(0.5) and place(steps, 8) == 1.0


@pytest.mark.slow
def test_trials_are_runs_and_a_stopped_sweep_goes_on(tmp_path, capsys):
    path, out = sweep_file(tmp_path), tmp_path / "sweep"
    assert main(["sweep", str(path), "--out", str(out), "-n", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["trial-000", "trial-001"]
    assert (out / "trial-001" / "csv" / "metrics.csv").is_file()
    first = (out / "trial-000" / "csv" / "metrics.csv").stat().st_mtime_ns
    assert main(["sweep", str(path), "--out", str(out), "-n", "3"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()[:-1]] == ["trial-002"]
    assert (out / "trial-000" / "csv" / "metrics.csv").stat().st_mtime_ns == first
    text = (out / "index.html").read_text()
    assert "3 trials, 0 failed" in text and text.count("<polyline") == 3 and "No importance" in text
    assert "have generated no samples" in text and "http" not in text.replace("http-equiv", "")
    values = [float(v) for v in re.findall(r"trial-\d+: ([\d.e+-]+)</title>", text)]
    best = re.search(r"lowest val/loss is ([\d.e+-]+)", text)
    assert best and float(best[1]) == min(values)


@pytest.mark.slow
def test_a_failed_trial_is_named_and_the_others_run(tmp_path, capfd):
    text = GOOD.replace("[4, 8]", "[4, -3]").replace("random", "grid")
    text = re.sub(r"  trainer: .*\n", "", text)
    out = tmp_path / "sweep"
    assert main(["sweep", str(sweep_file(tmp_path, text)), "--out", str(out), "-n", "2"]) == 0
    said = capfd.readouterr()
    assert "failed: avsim fit: trainer.max_steps is -3" in said.out and "Traceback" not in said.err
    assert "1 trial, 1 failed" in (out / "index.html").read_text()


@pytest.mark.parametrize("method", ["random", "bayes", "grid"])
def test_a_stopped_sweep_chooses_what_one_without_a_stop_does(tmp_path, monkeypatch, method):
    text = GOOD.replace("random", method)
    text = re.sub(r"  trainer: .*\n", "  b: {values: [1, 2, 3]}\n", text) if method == "grid" else text
    sweep = read_sweep(sweep_file(tmp_path, text))
    monkeypatch.setattr("avsim.training.sweep.subprocess.run", lambda *_, **__: CompletedProcess([], 0))
    monkeypatch.setattr("avsim.training.sweep.best_value", lambda run, sweep: float(run.name[-3:]))
    chosen = {}
    for name, stops in (("once", [6]), ("stopped", [1, 3, 6])):
        (tmp_path / name).mkdir()
        for count in stops:
            study = open_study(sweep, tmp_path / name, 5)
            run_trials(sweep, study, tmp_path / name, count, str, 5)
        chosen[name] = [trial.params for trial in study.get_trials()]
    assert chosen["once"] == chosen["stopped"]
    assert len({str(params) for params in chosen["once"]}) == 6


def test_another_sweep_or_folder_is_refused(tmp_path, capsys):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "index.html").write_text("mine")
    assert main(["sweep", str(sweep_file(tmp_path)), "--out", str(taken)]) == 2
    assert "holds 'index.html', no sweep" in capsys.readouterr().err
    assert (taken / "index.html").read_text() == "mine"
    sweep, out = read_sweep(sweep_file(tmp_path)), tmp_path / "sweep"
    out.mkdir()
    (out / "settings.json").write_text(json.dumps({**sweep.plain(), "seed": 0}))
    other = sweep_file(tmp_path, GOOD.replace("goal: minimize", "goal: maximize"))
    assert main(["sweep", str(other), "--out", str(out)]) == 2
    assert "other settings (goal 'minimize', now 'maximize')" in capsys.readouterr().err


def test_the_command_of_the_best_trial_is_exact(tmp_path):
    sweep = read_sweep(sweep_file(tmp_path))
    trial = SimpleNamespace(number=2, params={"lr": 0.123456789, "name": "a b", "none": None})
    line = shlex.split(_command(sweep, trial, tmp_path / "a folder"))
    assert line[:2] == ["avsim", "fit"] and line[-2:] == ["--run", str(tmp_path / "a folder" / "trial-002")]
    assert line[-5:-2] == ["--lr=0.123456789", "--name=a b", "--none=null"]


def test_importance_finds_what_matters(tmp_path):
    import optuna

    from avsim.report.sweep import _importance

    sweep = read_sweep(sweep_file(tmp_path))
    (tmp_path / "study").mkdir()
    study = open_study(sweep, tmp_path / "study")

    def objective(trial: optuna.Trial) -> float:
        steps, clip = (each.suggested(trial) for each in sweep.parameters)
        return 10.0 * (steps == 4) + 0.001 * clip

    study.optimize(objective, n_trials=40)
    text = _importance(study, 40)
    shares = dict(
        zip(re.findall(r'scope="row">([^<]+)', text), re.findall(r"<td>([\d.]+)</td>", text), strict=True)
    )
    assert set(shares) == {"trainer.max_steps", "trainer.gradient_clip_val"}
    assert sum(map(float, shares.values())) == pytest.approx(1, abs=0.02)
    assert coordinates(sweep, study.get_trials()).count("<polyline") == 40


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (("method: random", "method: x"), "method"),
        (("{name: val/loss, goal: minimize}", "3"), "metric"),
        (("goal: minimize", "goal: up"), "goal"),
        (("command: [avsim, fit,", "command: [avsim, run,"), "command"),
        (("min: 0.1, max: 10", "min: -1, max: 10"), "gradient_clip_val"),
        (("min: 0.1, max: 10", "min: x, max: 10"), "gradient_clip_val"),
        (("values: [4, 8]", "values: []"), "max_steps"),
        (("method: random", "method: grid"), "values for every parameter"),
        (("parameters:", "parameters: ["), "yaml"),
    ],
)
def test_what_is_no_sweep_is_one_clear_line(tmp_path, change, found):
    with pytest.raises(InputError, match=found):
        read_sweep(sweep_file(tmp_path, GOOD.replace(*change, 1)))


def test_the_sweep_that_ships_names_what_the_generators_config_has():
    from avsim.report.columns import _flat

    sweep = read_sweep(ROOT / "configs" / "sweep.yaml")
    files = [ROOT / path for path in sweep.arguments[1::2]]
    assert sweep.arguments[::2] == ["-c"] * 3 and all(path.is_file() for path in files)
    known = {}
    for path in files:
        known |= _flat("", yaml.safe_load(path.read_text()))
    assert {each.name for each in sweep.parameters} <= known.keys()
