"""`avsim fit|validate|test|predict`: Lightning's own command line, in a run's folder.

    RUN/config.yaml  environment.json  checkpoints/  csv/metrics.csv  wandb/  simulator/PART/

A run has one writer at a time; `fit` goes on by itself from RUN/checkpoints/last.ckpt. The other verbs write
below RUN/VERB. Checkpoints are loaded as tensors and plain data only.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import re
import secrets
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from jsonargparse import ArgumentError
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import nn

import avsim
from avsim.cli import local_path
from avsim.cli.run_config import HARMLESS, bounded, differences, read_config, with_bases
from avsim.devices import fast_in_bfloat16
from avsim.errors import InputError, shortened
from avsim.files import atomic, claimed
from avsim.training.callbacks import Checkpoints
from avsim.training.initial import DamagedError, check_checkpoint, compile_in_place, initialise
from avsim.training.signals import Signals
from avsim.untrusted import read_json
from avsim.weights import allow, allowing

WANDB_ID = "wandb.id"  # in a run's folder
SUBCOMMANDS = ("fit", "validate", "test", "predict")
EXAMPLE = (
    "Example: avsim {verb} -c configs/base.yaml -c configs/video_codec.yaml --run runs/video_codec "
    "--trainer.max_steps 500 --data.batch_size 2. Later configs override earlier ones, options all; "
    "a run that stopped goes on."
)


def run(arguments: argparse.Namespace) -> None:
    """Parse, build and run.

    Raises:
        InputError: a config that can't be used, a checkpoint of another architecture or with code in it, a
            run's folder that another process writes to.
    """
    for name, value in {"MODE": "offline", "SILENT": "true", "CONSOLE": "off"}.items():
        os.environ.setdefault(f"WANDB_{name}", value)
    _quieten()
    options = {"exit_on_error": False}
    try:
        with allowing([]):  # what the config allows ends with the command
            RunCLI(
                args=[arguments.verb, *with_bases(map(_renamed, arguments.rest))],
                parser_kwargs={
                    **options,
                    **{verb: {**options, "epilog": EXAMPLE.format(verb=verb)} for verb in SUBCOMMANDS},
                },
                subclass_mode_model=True,
                subclass_mode_data=True,
                save_config_callback=None,
                load_from_checkpoint_support=False,
                auto_configure_optimizers=False,
                trainer_defaults={"callbacks": [Signals()]},
            )
    except (ArgumentError, MisconfigurationException, yaml.YAMLError, RecursionError, OverflowError) as error:
        raise InputError(shortened(str(error) or type(error).__name__)) from error
    except ValueError as error:
        # jsonargparse wraps what a constructor raised in what else it tried.
        inner: BaseException | None = error
        while inner is not None and not isinstance(inner, InputError):
            inner = inner.__cause__ or inner.__context__
        if inner is None and str(error).startswith("Does not validate"):  # a constructor of torch's complains
            inner = InputError(f"config: can't be built ({shortened(str(error))})")
        raise (error if inner is None else inner) from None


class RunCLI(LightningCLI):
    """Lightning's command line with a run's folder, its claim, its checkpoint and its record."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What avsim adds to Lightning's arguments."""
        parser.add_argument("--run", type=str, required=True, help="the run's folder; made, or resumed")
        parser.add_argument(
            "--init",
            type=str | None,
            default=None,
            help="a run or model folder to start from; with other channels of latents the projections "
            "from and to them start anew, with as many they are kept",
        )
        parser.add_argument(
            "--seed", type=int | None, default=None, help="of the run, its model and its data"
        )
        parser.add_argument(
            "--checkpoint-every", type=int | None, default=None, help="steps between checkpoints"
        )
        parser.add_argument(
            "--allow-changes", type=bool, default=False, help="true: resume though the config is another"
        )
        parser.add_argument(
            "--allow-module",
            type=str | list[str],
            default=[],
            help="a package of yours, whose classes the models that are loaded may be of",
        )
        parser.add_argument(
            "--base", type=str | None, default=None, help="in a config's file: the config that it changes"
        )
        parser.add_argument("--compile", type=bool, default=False, help="torch.compile where that works")
        parser.add_argument(
            "--compile-mode", type=str | None, default=None, help="of torch.compile, such as reduce-overhead"
        )

    def before_instantiate_classes(self) -> None:
        """Point the trainer and its loggers at the run's folder; let `--seed` reach all."""
        config = self.config[self.subcommand]
        for option in ("run", "init", "ckpt_path"):
            _check_path(option, config.get(option))
        allow([config.allow_module] if isinstance(config.allow_module, str) else config.allow_module)
        if config.trainer.precision is None:
            on_gpu = config.trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
            quick = fast_in_bfloat16("cuda" if on_gpu else "cpu")
            config.trainer.precision = "bf16-mixed" if quick else "32-true"
        self.run_folder = Path(config.run)
        self.output = self.run_folder if self.subcommand == "fit" else self.run_folder / str(self.subcommand)
        config.trainer.default_root_dir = str(self.output)
        if self.subcommand == "fit" and config.trainer.max_steps < 1:
            raise InputError(f"trainer.max_steps is {config.trainer.max_steps}; it must be at least 1")
        for name in ("val_check_interval", "log_every_n_steps", "accumulate_grad_batches"):
            value = config.trainer.get(name)
            if isinstance(value, int | float) and not value > 0:  # Lightning takes a time as text, too
                raise InputError(f"trainer.{name} is {value}; it must be above 0")
        if not (config.trainer.get("gradient_clip_val") or 0) >= 0:
            raise InputError(
                f"trainer.gradient_clip_val is {config.trainer.gradient_clip_val}; 0 is the least"
            )
        devices = config.trainer.devices
        if str(devices).isdecimal() and int(devices) > max(os.cpu_count() or 1, torch.cuda.device_count()):
            raise InputError(f"trainer.devices is {devices}; this machine has fewer")
        if config.checkpoint_every is not None:
            for callback in config.trainer.callbacks or []:
                if callback.class_path.endswith("callbacks.Checkpoints"):
                    callback.init_args.every_n_steps = config.checkpoint_every
        loggers = config.trainer.logger
        for logger in loggers if isinstance(loggers, list) else []:
            if "save_dir" in logger.init_args:
                logger.init_args.save_dir = str(self.output)
            if logger.class_path.endswith("WandbLogger"):
                # One name and id for all sessions of a run, so that wandb shows one curve.
                logger.init_args.name = logger.init_args.name or self.run_folder.name
                logger.init_args.id = logger.init_args.id or _run_id(self.output)
        self._set_base(config)
        if config.seed is not None:
            config.seed_everything = config.seed
            for part in (config.model, config.get("data")):
                if part is not None and "seed" in part.get("init_args", {}):
                    part.init_args.seed = config.seed

    def _set_base(self, config: Any) -> None:
        """Have `--init`, or the run's own config, name the model of a system that is built from a `base`."""
        settings = (config.model or {}).get("init_args") or {}
        if "base" not in settings:
            return
        if config.init is not None:
            settings["base"] = str(config.init)
        elif settings["base"] is None and (self.run_folder / "config.yaml").is_file():
            before = read_config(self.run_folder / "config.yaml").get("model") or {}
            settings["base"] = (before.get("init_args") or {}).get("base")

    def instantiate_classes(self) -> None:
        """Build the model, the data and the trainer, within this machine's memory."""
        with bounded():
            super().instantiate_classes()

    def _parse_ckpt_path(self) -> None:
        """Take nothing from a checkpoint: Lightning would import the classes that it names."""

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Trainer:
        """Make the trainer; a validation's interval counts optimizer steps, Lightning's counts batches."""
        config = dict(config)
        if isinstance(config.get("val_check_interval"), int):
            config["val_check_interval"] *= config.get("accumulate_grad_batches") or 1
        if config.get("enable_progress_bar") is False:
            config["callbacks"] = [
                each for each in config.get("callbacks") or [] if not isinstance(each, ProgressBar)
            ]
        try:
            return super()._instantiate_trainer(config, callbacks)
        except InputError:
            raise
        except (ValueError, RuntimeError, ImportError, MisconfigurationException) as error:
            raise InputError(f"trainer: {shortened(str(error))}") from error

    def after_instantiate_classes(self) -> None:
        """Start from other weights, and compile, if requested."""
        config = self.config[self.subcommand]
        if self.subcommand == "predict" and (config.init or config.compile):
            raise InputError("--init and --compile are of trainings; predict draws with the models of a run")
        if config.init is not None and not hasattr(self.model, "base"):
            words = initialise(self.model, Path(config.init))
            for callback in self.trainer.checkpoint_callbacks:
                if isinstance(callback, Checkpoints):
                    callback.known = words
        if config.compile:
            model = getattr(self.model, "model", self.model)
            compile_in_place(model, self.trainer.strategy.root_device, config.compile_mode)

    def fit(self, model: LightningModule, ckpt_path: str | None = None, **options: Any) -> None:
        """Train, from the last checkpoint if there is one; record the config and the environment."""
        last, step = self._last(model, ckpt_path, resumed=True)
        with self._claimed():
            if _is_first():
                if step is not None:
                    self._check_changes()
                    print(f"{self.run_folder}: going on from step {step}", flush=True)
                self._record(resumed=step is not None)
            options["weights_only"] = True
            self.trainer.fit(model, ckpt_path=last, **options)
        if _is_first():
            print(f"{self.run_folder}: trained {self.trainer.global_step} steps", flush=True)

    def validate(self, model: LightningModule, ckpt_path: str | None = None, **options: Any) -> None:
        """Validate the last checkpoint."""
        self._evaluate(self.trainer.validate, model, ckpt_path, options)

    def test(self, model: LightningModule, ckpt_path: str | None = None, **options: Any) -> None:
        """Test the last checkpoint."""
        self._evaluate(self.trainer.test, model, ckpt_path, options)

    def predict(self, model: LightningModule, ckpt_path: str | None = None, **options: Any) -> None:
        """Generate and separate; the system loads its models itself."""
        with self._claimed():
            options.update(weights_only=True, return_predictions=False)
            self.trainer.predict(model, ckpt_path=ckpt_path, **options)

    def _evaluate(
        self, function: Any, model: LightningModule, ckpt_path: str | None, options: dict[str, Any]
    ) -> None:
        last, _ = self._last(model, ckpt_path)
        if last is None:
            raise InputError(f"{self.run_folder}: no checkpoints/last.ckpt here; give a run that was trained")
        with self._claimed():
            function(model, ckpt_path=last, **{**options, "weights_only": True})

    def _last(
        self, model: nn.Module, given: str | None, resumed: bool = False
    ) -> tuple[str, int] | tuple[None, None]:
        """The checkpoint that was given or the newest good one of the run, and its step."""
        if given is not None:
            return given, check_checkpoint(Path(given), model, resumed)
        folder = self.run_folder / "checkpoints"
        found = [folder / "last.ckpt", *sorted(folder.glob("step=*.ckpt"), reverse=True)]
        found = [path for path in found if path.is_file()]
        for path in found:
            try:
                return str(path), check_checkpoint(path, model, resumed)
            except DamagedError as error:
                if path == found[-1]:
                    raise
                if _is_first():
                    print(f"{error}; trying an older one", flush=True)
        return None, None

    def _claimed(self) -> AbstractContextManager[Any]:
        return claimed(self.output) if _is_first() else nullcontext()

    def _check_changes(self) -> None:
        """Print how the config differs from the one that the run began with; keep that one.

        Raises:
            InputError: it differs in what the curve depends on, and `--allow-changes` is not given.
        """
        path, config = self.output / "config.yaml", self.config[self.subcommand]
        if not path.is_file():
            return
        before, text = read_config(path), path.read_text()
        now = yaml.safe_load(self._parser(self.subcommand).dump(config, skip_none=False))
        changes = differences(before, now)
        if not changes:
            return
        harmful = {name: change for name, change in changes.items() if not HARMLESS.match(name)}
        if harmful and not config.allow_changes:
            raise InputError(
                f"{self.run_folder}: resumed with another config: {_shown(harmful)}; --allow-changes true "
                f"goes on with it, another --run begins anew"
            )
        print(f"{self.run_folder}: resumed with another config: {_shown(changes)}", flush=True)
        kept, number = self.output / "config.before.yaml", 1
        while kept.exists():
            number += 1
            kept = self.output / f"config.before-{number}.yaml"
        with atomic(kept) as temporary:
            temporary.write_text(text)

    def _record(self, resumed: bool) -> None:
        """Write config.yaml and environment.json; say how this environment differs from the run's first."""
        parser, config = self._parser(self.subcommand), self.config[self.subcommand]
        text = parser.dump(config, skip_none=False)
        with atomic(self.output / "config.yaml") as temporary:
            temporary.write_text(text)
        for logger in self.trainer.loggers:
            if isinstance(logger, WandbLogger):
                with atomic(self.output / WANDB_ID) as temporary:
                    temporary.write_text(str(logger.version))
                logger.log_hyperparams(yaml.safe_load(text))
        here = environment(self.trainer)
        path = self.output / "environment.json"
        before = _plain_object(path) if resumed and path.is_file() else here
        changes = [
            f"{name} {here.get(name)} (was {before[name]})"
            for name in before
            if before[name] != here.get(name)
        ]
        if changes:
            print(
                f"resumed under another environment, the curve may differ: {', '.join(changes)}", flush=True
            )
        else:
            with atomic(path) as temporary:
                temporary.write_text(json.dumps(here, indent=2))


def _renamed(argument: str) -> str:
    """`--folder` is `--run` (which torchrun takes for an abbreviation of options of its own)."""
    name, equals, value = argument.partition("=")
    return f"--run{equals}{value}" if name == "--folder" else argument


def _shown(changes: dict[str, tuple[Any, Any]]) -> str:
    return ", ".join(f"{name} {new!r:.80} (was {old!r:.80})" for name, (old, new) in changes.items())


def environment(trainer: Trainer) -> dict[str, Any]:
    """What a curve's last bits depend on, besides its config."""
    device = trainer.strategy.root_device
    return {
        "avsim": avsim.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "backend": device.type if device.type != "cpu" else torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "processes": trainer.world_size,
        "precision": trainer.precision,
    }


def _plain_object(path: Path) -> dict[str, Any]:
    try:
        return read_json(path, dict)
    except InputError as error:
        raise InputError(f"{error}; remove it to go on without") from error


def _is_first() -> bool:
    """Whether this process, of those of the run, writes its files."""
    return getattr(rank_zero_only, "rank", 0) == 0


def _run_id(folder: Path) -> str:
    """The id of this run on wandb: the one that its folder keeps, or a new one."""
    path = folder / WANDB_ID
    if not path.is_file():
        return secrets.token_hex(4)
    text = path.read_bytes()[:80].strip()
    if not re.fullmatch(rb"[\w-]{1,64}", text):
        raise InputError(f"{path}: holds {text!r:.60}; expected the run's id on wandb; remove it")
    return text.decode()


def _check_path(option: str, value: Any) -> None:
    """Refuse addresses, empty names and what no disk takes.

    Raises:
        InputError: such a path.
    """
    try:
        if value is not None:
            local_path(str(value))
    except argparse.ArgumentTypeError as error:
        raise InputError(f"--{option} {error}") from error


def _quieten() -> None:
    """Keep Lightning's notes to itself: what it suggests is either done on purpose or said by avsim."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    for text in (
        ".*many workers.*",
        ".*args parameter is intended.*",
        ".*not resumable.*",
        ".*Detected pickle.*",
        ".*LeafSpec.*",
        ".*anonymous.*",
        ".*module\\(s\\) in eval mode.*",  # a frozen part
        ".*overridden `on_before_batch_transfer`.*",
    ):
        warnings.filterwarnings("ignore", text)
