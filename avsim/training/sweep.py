"""Sweeps: the yaml of a wandb sweep -> trials of `avsim fit`, chosen by Optuna on this machine.

    method: bayes                       # or random, grid
    metric: {name: val/loss, goal: minimize}
    parameters:
      trainer.gradient_clip_val: {values: [0.5, 1.0]}
      model.init_args.recipe.learning_rate: {distribution: log_uniform_values, min: 1e-4, max: 1e-2}
    command: [avsim, fit, -c, configs/base.yaml, -c, configs/generator.yaml, "${args}"]

No account is needed. Each trial is a run in DIR/trial-NNN; DIR/journal.log keeps the study, so that a stopped
sweep can be resumed. A trial depends only on the seed, its number and the trials before it.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from avsim import seeds
from avsim.errors import InputError
from avsim.training.curves import read_curves
from avsim.untrusted import read_text

if TYPE_CHECKING:
    import optuna

METHODS = ("bayes", "random", "grid")
ARGS = "${args}"
TRIAL = "trial-{:03d}"  # the folder of a trial's run
DISTRIBUTIONS = ("uniform", "int_uniform", "log_uniform_values")


@dataclass(frozen=True)
class Parameter:
    """One argument of `avsim fit` and its possible values: those in `values`, or from low to high."""

    name: str
    values: Sequence[Any] = ()
    low: float = math.nan
    high: float = math.nan
    whole: bool = False
    log: bool = False

    def suggested(self, trial: optuna.Trial) -> Any:
        """The value that Optuna suggests for a trial."""
        if self.values:
            return trial.suggest_categorical(self.name, list(self.values))
        if self.whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high))
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Sweep:
    """The content of a sweep's yaml."""

    method: str
    metric: str
    minimize: bool
    parameters: Sequence[Parameter]
    arguments: Sequence[str]  # of `avsim fit`, before the trial's own

    def line(self, values: Mapping[str, Any], run: Path) -> list[str]:
        """The command line of a trial's training, without `avsim`."""
        given = [f"--{name}={'null' if value is None else value}" for name, value in values.items()]
        return ["fit", *self.arguments, *given, "--run", str(run)]

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "method": self.method,
            "metric": self.metric,
            "goal": "minimize" if self.minimize else "maximize",
            "arguments": [*self.arguments],
            "parameters": {
                each.name: [*each.values]
                or {"min": each.low, "max": each.high, "whole": each.whole, "log": each.log}
                for each in self.parameters
            },
        }


def read_sweep(path: Path) -> Sweep:
    """Read a sweep's yaml.

    Raises:
        InputError: the file is not a valid sweep; the message names what is wrong.
    """
    try:
        found = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as yaml ({' '.join(str(error).split())})") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a sweep with method, metric, parameters and command")
    method, metric = found.get("method"), found.get("metric")
    if method not in METHODS:
        raise InputError(f"{path}: method is {method!r}; expected {', '.join(METHODS)}")
    if not (isinstance(metric, dict) and isinstance(metric.get("name"), str)):
        raise InputError(f"{path}: metric is {metric!r:.60}; expected {{name: val/loss, goal: minimize}}")
    goal = metric.get("goal", "minimize")
    if goal not in ("minimize", "maximize"):
        raise InputError(f"{path}: metric.goal is {goal!r:.40}; expected minimize or maximize")
    command = found.get("command")
    if not (isinstance(command, list) and "fit" in command and ARGS in command):
        raise InputError(f'{path}: command is {command!r:.80}; expected [avsim, fit, -c, …, "{ARGS}"]')
    arguments = [str(each) for each in command[command.index("fit") + 1 :] if each != ARGS]
    parameters = _parameters(path, "", found.get("parameters"))
    if method == "grid" and not all(each.values for each in parameters):
        raise InputError(f"{path}: a grid needs values for every parameter")
    return Sweep(method, metric["name"], goal == "minimize", parameters, arguments)


def _parameters(path: Path, prefix: str, found: Any) -> list[Parameter]:
    if not (isinstance(found, dict) and found):
        raise InputError(
            f"{path}: {prefix or 'parameters'}: expected parameters by name; found {found!r:.60}"
        )
    listed = []
    for key, about in found.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(about, dict) and "parameters" in about:
            listed += _parameters(path, name, about["parameters"])
        else:
            listed.append(_parameter(path, name, about))
    return listed


def _parameter(path: Path, name: str, about: Any) -> Parameter:
    kinds = (str, int, float, bool, type(None))
    if isinstance(about, dict) and "value" in about:
        about = {"values": [about["value"]]}
    if isinstance(about, dict) and isinstance(values := about.get("values"), list) and values:
        if all(isinstance(value, kinds) for value in values):
            return Parameter(name, tuple(values))
    if isinstance(about, dict) and {"min", "max"} <= set(about):
        try:
            low, high = float(about["min"]), float(about["max"])
        except (TypeError, ValueError):
            low = high = math.nan
        whole = all(type(about[end]) is int for end in ("min", "max"))
        kind = about.get("distribution", "int_uniform" if whole else "uniform")
        log = kind == "log_uniform_values"
        if kind in DISTRIBUTIONS and low < high and math.isfinite(high - low) and (low > 0 or not log):
            return Parameter(name, (), low, high, kind == "int_uniform", log)
    raise InputError(
        f"{path}: {name} is {about!r:.80}; expected value, values, or min and max with a distribution of "
        f"{', '.join(DISTRIBUTIONS)}"
    )


def open_study(sweep: Sweep, folder: Path, seed: int = 0) -> optuna.Study:
    """The study of a folder: a new one, or the stored one.

    Raises:
        InputError: Optuna is not installed, or the folder holds a study that can't be read.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise InputError("a sweep needs optuna: pip install 'avsim[sweep]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a warning has the traceback of a failed trial
    try:
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"))),
            sampler=sampler(sweep, seed),
            study_name="sweep",
            direction="minimize" if sweep.minimize else "maximize",
            load_if_exists=True,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / 'journal.log'}: no journal of a sweep ({error})") from error


def sampler(sweep: Sweep, seed: int, number: int = 0) -> Any:
    """What chooses the values of trial `number`.

    Its seed depends on `number`: a resumed sweep that began with the same random numbers again would repeat
    the values of its first trials. A grid keeps one seed, which determines the order of its points.
    """
    import optuna

    if sweep.method == "grid":
        return optuna.samplers.GridSampler({p.name: list(p.values) for p in sweep.parameters}, seed)
    seed = seeds.derive(seed, "sweep", number) % 2**32
    if sweep.method == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def run_trials(
    sweep: Sweep, study: optuna.Study, folder: Path, count: int, say: Callable[[str], None], seed: int = 0
) -> None:
    """Run trials until `count` are complete or have failed, or a grid has no more points.

    `say` is called with a line on each trial.
    """
    import optuna

    done = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL)
    left = count - len(study.get_trials(deepcopy=False, states=done))

    def objective(trial: optuna.Trial) -> float:
        values = {each.name: each.suggested(trial) for each in sweep.parameters}
        run = folder / TRIAL.format(trial.number)
        line = [sys.executable, "-m", "avsim", *sweep.line(values, run)]
        ended = subprocess.run(line, capture_output=True, text=True)
        if ended.returncode != 0:
            why = (ended.stderr.strip().splitlines() or ["no message"])[-1]
            trial.set_user_attr("error", why[:300])
            say(f"{run.name}: failed: {why}")
            raise TrialError(why)
        value = best_value(run, sweep)
        say(f"{run.name}: {sweep.metric} {value:.4g}")
        return value

    for _ in range(left):
        number = len(study.get_trials(deepcopy=False))
        study.sampler = sampler(sweep, seed, number)
        if isinstance(study.sampler, optuna.samplers.GridSampler) and study.sampler.is_exhausted(study):
            break
        study.optimize(objective, n_trials=1, catch=(TrialError,))


class TrialError(Exception):
    """A trial's run ended with an error, which is reported in its folder and on the sweep's page."""


def best_value(run: Path, sweep: Sweep) -> float:
    """The best value that a run has logged of the sweep's metric.

    Raises:
        InputError: it has logged none.
    """
    points = read_curves(run).get(sweep.metric)
    if not points:
        raise InputError(f"{run}: has logged no {sweep.metric!r}, the sweep's metric")
    return (min if sweep.minimize else max)(value for _, value in points)
