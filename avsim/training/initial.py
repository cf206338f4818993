"""What a training run starts from: a checkpoint, which is checked before it is loaded, or other weights."""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import nn

from avsim.errors import InputError, first_line_of, shortened
from avsim.weights import load_model, notes_of, part_folder

# Weights that an initial model without coupling lacks; that is allowed, as their contribution starts at zero.
STARTS_AT_ZERO = re.compile(r"\.coupling\.|_modulation\.other_")
# Projections from and to the latents of one modality: those of another codec may have other channels.
OF_LATENTS = re.compile(r"(video|audio)_(in|out)put\.")


class DamagedError(InputError):
    """A checkpoint that is incomplete or damaged; an older one may be intact."""


def check_checkpoint(path: Path, model: nn.Module, resumed: bool = False) -> int:
    """Make sure that a checkpoint can be loaded into `model`, before anything is written; returns its step.

    A checkpoint from which training is to be `resumed` must also hold optimizer states and loops.

    Raises:
        InputError: it is missing, damaged or of another architecture, or it holds code or names classes.
    """
    try:
        zipped = zipfile.is_zipfile(path)
        if zipped and (torn := zipfile.ZipFile(path).testzip()) is not None:
            raise DamagedError(f"{path}: a damaged checkpoint: {torn} is not what was written")
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
        state, step = found["state_dict"], int(found["global_step"])
        named = [found.get(name) or {} for name in ("hyper_parameters", "datamodule_hyper_parameters")]
        missing = [name for name in ("loops", "optimizer_states", "lr_schedulers") if not found.get(name)]
        classes = any(name in values for values in named for name in ("_class_path", "_instantiator"))
        names = list(state)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: holds more than tensors and plain data, which could run code: refused"
        ) from error
    except DamagedError:
        raise
    except Exception as error:  # zipfile and torch raise many types for malformed files
        detail = first_line_of(error)
        raise DamagedError(f"{path}: not an avsim checkpoint ({detail})") from error
    if classes:
        raise InputError(f"{path}: names classes to import, which could run code: refused")
    if resumed and missing:
        raise DamagedError(f"{path}: no {' and no '.join(missing)} in it; training can't resume from it")
    own = model.state_dict()
    for name in [*own, *names]:
        shapes = [tuple(tensors[name].shape) if name in tensors else "nothing" for tensors in (state, own)]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"{path}: a checkpoint of another architecture: {name} is {shapes[0]} there and "
                f"{shapes[1]} in this config's {type(model).__name__}"
            )
    return step


def initialise(system: LightningModule, folder: Path) -> frozenset[str]:
    """Start `system.model` from the weights of a model's folder or of a run that exported such a model.

    Where a codec's latents have other channels than those that the weights were trained on, the projections
    from and to them start anew, which is printed; all else is kept. Returns the vocabulary that the weights
    were trained on, if it was recorded.

    Raises:
        InputError: no model there, or one of another architecture.
    """
    if not (hasattr(system, "parts") and hasattr(system, "model")):
        raise InputError(
            f"--init needs a system with a `model` and `parts()`; {type(system).__name__} has none"
        )
    name = next(name for name, part in system.parts().items() if part is system.model)  # type: ignore[operator]
    place = part_folder(folder, name)
    weights = load_model(place, expected=type(system.model)).state_dict()
    own: Any = system.model.state_dict()  # type: ignore[union-attr, operator]
    of_latents = {name: match[1] for name in weights if (match := OF_LATENTS.match(name)) and name in own}
    anew = {modality for name, modality in of_latents.items() if own[name].shape != weights[name].shape}
    weights |= {name: own[name] for name, modality in of_latents.items() if modality in anew}
    try:
        found: Any = system.model.load_state_dict(weights, strict=False)  # type: ignore[union-attr, operator]
    except RuntimeError as error:
        detail = str(error).strip().splitlines()[-1].strip()
        raise InputError(f"{folder}: the weights of another architecture ({detail})") from error
    wrong = [name for name in found.missing_keys if not STARTS_AT_ZERO.search(name)] + found.unexpected_keys
    if wrong:
        raise InputError(
            f"{folder}: the weights of another architecture (only one of the two has {wrong[0]})"
        )
    for modality in sorted(anew):
        print(f"{folder}: other {modality} latents; the projections from and to them start anew", flush=True)
    words = notes_of(place).get("vocabulary", [])
    return frozenset(map(str, words)) if isinstance(words, list) else frozenset()


def compile_in_place(model: nn.Module, device: torch.device, mode: str | None = None) -> None:
    """Compile `model` by torch; if that fails (for lack of a C++ compiler, say), print why and stay eager."""
    try:
        torch.compile(torch.sin)(torch.zeros(1, device=device))
    except Exception as error:  # a missing compiler raises different types on different machines
        print(f"torch.compile fails here ({shortened(str(error))}); continuing in eager mode", flush=True)
        return
    model.compile(mode=mode)
