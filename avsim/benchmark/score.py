"""Scores of a model's audio for the benchmark's videos, against the exact truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from avsim import media
from avsim.benchmark.choice import is_right, levels
from avsim.benchmark.make import Bench, BenchClip
from avsim.clip import Clip
from avsim.errors import InputError
from avsim.evaluation.onsets import flux_onsets
from avsim.measures import Interval, bootstrap
from avsim.perception.matching import match

SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".wav", ".flac", ".mp3", ".ogg", ".m4a")
LEVEL_FLOOR = -80.0  # dB


@dataclass(frozen=True)
class BenchScore:
    """The scores of one model.

    `choices` maps each change, and "all", to the share of pairs whose audio fits its own truth better than
    the other clip's (chance: 1/2). `f1` is the F1 score of onsets, matched to true hits within a frame;
    `offset` the median delay of matched onsets, ms; `level_error` the mean absolute error of the RMS, dB.
    """

    name: str
    choices: dict[str, Interval]
    f1: Interval
    offset: float
    level_error: float
    judged: int  # clips with audio
    clips: int
    missing: tuple[str, ...] = ()  # names without audio, each with the reason; they count as wrong

    def plain(self) -> dict[str, object]:
        """As dicts, lists, strings and numbers."""
        return {
            "name": self.name,
            "choices": {change: share.plain() for change, share in self.choices.items()},
            "f1": self.f1.plain(),
            "offset_ms": None if math.isnan(self.offset) else self.offset,
            "level_error_db": None if math.isnan(self.level_error) else self.level_error,
            "judged": f"{self.judged} of {self.clips}",
            "missing": [*self.missing],
        }


def score_folder(bench: Bench, folder: str | Path, name: str | None = None) -> BenchScore:
    """Score the files of a folder, which have the names of the videos; `name` is by default the folder's.

    Raises:
        InputError: no such folder, or no file in it has the name of a video.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    names = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES}
    if not names.keys() & {clip.name for clip in bench.clips}:
        raise InputError(
            f"{folder}: holds no audio for this benchmark; expected files such as {bench.clips[0].name}.wav"
        )

    def audio(clip: BenchClip) -> Clip:
        if clip.name not in names:
            raise InputError("no file")
        return media.read(names[clip.name], want="wave")

    return score(bench, audio, name or folder.name)


def score(bench: Bench, audio: Callable[[BenchClip], Clip], name: str) -> BenchScore:
    """Score the audio that `audio` returns for each clip; if it raises InputError, the clip is missing."""
    missing: list[str] = []
    choices: dict[str, list[float]] = {}
    rows, late, errors = [], [], []
    for pair in bench.pairs():  # whose audio alone is in memory
        made: list[Tensor] = []  # levels around the hits
        true: list[Tensor] = []
        for clip in pair:
            heard: list[float] = []
            try:
                found = audio(clip)
            except InputError as error:
                missing.append(f"{clip.name}: {error}")
            else:
                truth = bench.truth(clip)
                made.append(levels(found, pair[0].hits))
                true.append(levels(truth, pair[0].hits))
                heard = [onset.seconds for onset in flux_onsets(found)]
                errors.append(abs(_level(found) - _level(truth)))
            matched = match(heard, clip.hits, 1 / bench.spec.frames_per_second)
            total = len(heard) + len(clip.hits)
            rows.append(2 * len(matched) / total if total else torch.nan)
            late += [heard[i] - clip.hits[j] for i, j in matched]
        choices.setdefault(pair[0].change, []).append(is_right(made, true) if len(made) == 2 else 0.0)
    every = [right for group in choices.values() for right in group]
    groups = {change: bootstrap(torch.tensor(group)) for change, group in choices.items()}
    return BenchScore(
        name,
        groups | {"all": bootstrap(torch.tensor(every))},
        bootstrap(torch.tensor(rows)),
        1000 * torch.tensor(late).median().item() if late else torch.nan,
        sum(errors) / len(errors) if errors else torch.nan,
        len(errors),
        len(bench.clips),
        tuple(missing),
    )


def _level(clip: Clip) -> float:
    """RMS in dB."""
    assert clip.wave is not None
    power = clip.wave.double().square().mean().item() if clip.wave.numel() else 0.0
    return 10 * torch.log10(torch.tensor(max(power, 10 ** (LEVEL_FLOOR / 10)))).item()


def table(scores: list[BenchScore]) -> str:
    """Scores as a Markdown table, one row per model."""
    changes = list(dict.fromkeys(change for one in scores for change in one.choices))
    lines = ["| audio | " + " | ".join(changes) + " | onset F1 | offset, ms | level error, dB | judged |"]
    lines.append("|---" * (len(changes) + 5) + "|")
    for one in scores:
        cells = [_cell(one.choices[change]) if change in one.choices else "–" for change in changes]
        offset = "–" if one.offset != one.offset else f"{one.offset:.0f}"
        level = "–" if one.level_error != one.level_error else f"{one.level_error:.1f}"
        cells += [_cell(one.f1), offset, level, f"{one.judged} of {one.clips}"]
        lines.append(f"| {one.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(share: Interval) -> str:
    return f"{share.mean:.2f} ({share.low:.2f} … {share.high:.2f})"
