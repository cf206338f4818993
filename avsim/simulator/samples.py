"""Generated clips in a folder with `samples.json`, for report pages and comparisons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from avsim.clip import Clip, Stems
from avsim.files import atomic

LISTING = "samples.json"


@dataclass(frozen=True, eq=False)
class Sample:
    """A generated clip and its inputs; with a separator, also its stems and the map of its audio power.

    Shapes: energy (T, h, w), as `separation.energy_map` gives it.
    """

    clip: Clip
    prompt: str
    seed: int
    task: str
    stems: Stems | None = None
    energy: Tensor | None = None

    def entry(self, file: str) -> dict[str, Any]:
        """Its entry in `samples.json`."""
        return entry(file, self.prompt, self.seed, self.task)


def entry(file: str, prompt: str, seed: int, task: str, rewritten: str | None = None) -> dict[str, Any]:
    """A clip's entry in `samples.json`, with the rewritten prompt if the model received another one."""
    line = {"file": file, "prompt": prompt, "seed": seed, "task": task}
    return line if rewritten in (None, prompt) else line | {"rewritten": rewritten}


def write_samples(samples: Sequence[Sample], folder: str | Path) -> Path:
    """Write all clips as mp4 and their listing to `folder`, whole or not at all."""
    with atomic(folder) as temporary:
        temporary.mkdir()
        entries = []
        for index, sample in enumerate(samples):
            file = sample.clip.write(temporary / f"{index:04d}.mp4")
            entries.append(sample.entry(file.name))
        write_listing(entries, temporary)
    return Path(folder)


def write_listing(entries: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write `samples.json` alone, for files that are there already."""
    with atomic(folder / LISTING) as temporary:
        temporary.write_text(json.dumps(list(entries), indent=2, ensure_ascii=False))


def shown_stems(clip: Clip, stems: Stems) -> list[tuple[str, Clip]]:
    """Each stem's name, and a clip to display: the video, dimmed outside the region, with that audio."""
    shown = []
    for index, name in enumerate(stems.names):
        frames = clip.frames
        if frames is not None:
            light = torch.zeros(1)
            if index < len(stems.regions):
                mask = stems.regions[index].mask
                mask = mask if mask.ndim == 3 else mask[None]
                light = F.interpolate(mask[None, None], (mask.shape[0], *frames.shape[2:]), mode="nearest")[0]
            frames = frames * (0.2 + 0.8 * light)
        shown.append((name, Clip(frames, stems.wave[index], clip.frames_per_second, clip.sample_rate)))
    return shown


def shown_energy(clip: Clip, energy: Tensor) -> Clip:
    """A clip to display: the video in grey, red where its audio comes from, with that audio.

    Shapes: energy (T, h, w), mean square; red is linear in dB, from 40 dB below the loudest cell on.
    """
    if clip.frames is None:
        return clip
    level = 10 * (energy / energy.max().clamp(min=1e-12) + 1e-12).log10()
    light = F.interpolate((1 + level / 40).clamp(0, 1)[None], clip.frames.shape[2:], mode="bilinear")[0]
    grey = clip.frames.mean(0) * (1 - 0.8 * light)
    frames = torch.stack([grey + 0.8 * light, grey, grey]).clamp(0, 1)
    return Clip(frames, clip.wave, clip.frames_per_second, clip.sample_rate)
