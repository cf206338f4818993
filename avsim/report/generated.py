"""Checkpoints and a file of prompts -> folders of clips to compare, with what each cost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from torch.utils.flop_counter import FlopCounterMode

from avsim.devices import accelerator
from avsim.errors import InputError
from avsim.files import claimed
from avsim.prompting import rewrite_prompt
from avsim.report.columns import GENERATING
from avsim.simulator import load
from avsim.simulator.loading import part_folders
from avsim.simulator.samples import LISTING, entry, write_listing
from avsim.untrusted import read_text

MOST_PROMPTS = 10_000


class _Untracked:
    """In the place of a tracker of modules, whose hooks fail under `torch.autograd.grad`."""

    parents = ("Global",)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def _flops(work: Callable[[], object]) -> int:
    """Floating-point operations of matrix products, attention and convolutions, gradients included."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _Untracked()  # type: ignore[assignment]
    with counter:
        work()
    return counter.get_total_flops()


def read_prompts(path: Path, seed: int) -> list[tuple[str, int]]:
    """Prompts with their seeds: a line each, or `.jsonl` with {"prompt"} and, if it has one, {"seed"}.

    A prompt without a seed gets `seed` + its number.

    Raises:
        InputError: a file that can't be read, or has no prompt.
    """
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    found: list[tuple[str, int]] = []
    for number, line in enumerate(lines):
        if path.suffix != ".jsonl":
            found.append((line, seed + number))
            continue
        try:
            each = json.loads(line)
            prompt, own = each["prompt"], each.get("seed", seed + number)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            prompt = own = None
        if not (isinstance(prompt, str) and type(own) is int):
            raise InputError(f'{path}, line {number + 1}: expected {{"prompt": ..., "seed": ...}} in json')
        found.append((prompt, own))
    if not 0 < len(found) <= MOST_PROMPTS:
        raise InputError(f"{path}: has {len(found)} prompts; expected 1 to {MOST_PROMPTS}")
    return found


def is_checkpoint(name: str) -> bool:
    """Whether a name or folder is one of a model that generates."""
    try:
        return "generator" in part_folders(name)
    except InputError:
        return False


def generate_column(
    checkpoint: str, prompts: Sequence[tuple[str, int]], folder: Path, steps: int | None
) -> dict[str, str]:
    """Generate a clip for each prompt and seed into a folder; what it cost.

    Raises:
        InputError: a checkpoint that lacks a part, a folder that can't be written.
    """
    from avsim.diffusion.generate import STEPS

    simulator = load(checkpoint, device=accelerator())
    chosen = STEPS if steps is None else steps
    entries, seconds, flops = [], 0.0, 0
    console = Console(stderr=True)
    progress = Progress(console=console, transient=True, disable=not console.is_terminal)
    with claimed(folder), progress:
        (folder / LISTING).unlink(missing_ok=True)  # clips that an earlier one lists are replaced
        for number, (prompt, seed) in enumerate(progress.track(prompts, description=checkpoint)):
            caption = rewrite_prompt(prompt, checkpoint).prompt
            if number == 0:  # counted once, apart: counting takes time
                flops = _flops(lambda: simulator.generate(caption, seed=seed, steps=chosen))  # noqa: B023
            begun = time.perf_counter()
            clip = simulator.generate(caption, seed=seed, steps=chosen)
            seconds += time.perf_counter() - begun
            file = clip.write(folder / f"{number:04d}.mp4")
            entries.append(entry(file.name, prompt, seed, "joint", caption))
        write_listing(entries, folder)
    parts = simulator.parts()
    count = sum(each.numel() for name in GENERATING if name in parts for each in parts[name].parameters())
    return {
        "parameters": f"{count / 1e6:.3g} M",
        "steps": str(chosen),
        "TFLOPs a clip": f"{flops / 1e12:.3g}",
        "seconds a clip, on this machine": f"{seconds / len(prompts):.2g}",
    }
