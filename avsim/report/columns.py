"""What `compare` compares: runs, folders of clips, and which of their clips are of one prompt.

A run keeps its samples under RUN/samples/step=NNN/; the latest such step is compared. Of any other folder its
samples.json, its prompts.jsonl or else its videos are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import yaml
from safetensors import SafetensorError, safe_open

from avsim.data.resuming import SETTINGS
from avsim.errors import InputError
from avsim.report.listing import PROMPTS, Entry, entries, titles
from avsim.simulator.samples import LISTING
from avsim.training.curves import read_curves
from avsim.untrusted import read_json, read_text
from avsim.weights import TENSORS

GENERATING = ("generator", "student", "video_codec", "audio_codec")  # parts whose parameters are counted


class Row(NamedTuple):
    """What a row is about: the clips of several columns that agree in it stand beside each other."""

    prompt: str  # or a file's name
    seed: int | None
    task: str
    number: int = 0  # among those of one column that agree in all of these, such as foley without captions

    @property
    def cells(self) -> list[str]:
        """As a table shows it."""
        return [self.prompt, "" if self.seed is None else str(self.seed), self.task]


@dataclass(frozen=True)
class Column:
    """A run, a folder of clips or a checkpoint, with what is known of it."""

    name: str
    clips: Mapping[Row, Entry]
    step: int | None = None  # of a run's samples
    curves: Mapping[str, list[tuple[float, float]]] = field(default_factory=dict)  # (step, value)
    config: Mapping[str, str] = field(default_factory=dict)  # dotted keys
    cost: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Its name, and the step its samples are from."""
        return self.name if self.step is None else f"{self.name} (step {self.step})"

    @property
    def metrics(self) -> dict[str, str]:
        """The last value of each metric that was logged."""
        return {name: f"{points[-1][1]:.4g}" for name, points in self.curves.items()}


def read_columns(
    folders: Sequence[str | Path], costs: Mapping[int, Mapping[str, str]] | None = None
) -> list[Column]:
    """Runs and folders of clips, in the order given, matched by prompt and seed, by prompt, or by file name.

    `costs` are of those that were generated just now, by their number.

    Raises:
        InputError: a folder without clips, a listing that can't be used, or columns that share no prompt and
            no file name with the first.
    """
    paths = [Path(folder) for folder in folders]
    listed = [_read(path, name) for path, name in zip(paths, titles(paths), strict=True)]
    for number, cost in (costs or {}).items():
        listed[number] = replace(listed[number][0], cost=cost), listed[number][1]
    return matched(listed)


def rows(columns: Sequence[Column]) -> list[Row]:
    """Every row that a column has, in order of first appearance."""
    return list(dict.fromkeys(row for column in columns for row in column.clips))


def shared(columns: Sequence[Column]) -> list[Row]:
    """Rows of which two columns or more have a clip; of a single column all."""
    least = min(2, len(columns))
    return [row for row in rows(columns) if sum(row in column.clips for column in columns) >= least]


def matched(listed: Sequence[tuple[Column, Sequence[Entry]]]) -> list[Column]:
    """Columns whose clips are put into rows by the closest agreement that they share."""
    if len(listed) == 1 and not all(entry.prompt for _, found in listed for entry in found):
        return _by(_file, listed)
    for key in (_prompt_and_seed, _prompt, _file):
        if not all(key(entry) for _, found in listed for entry in found):
            continue
        first, *others = ({key(entry) for entry in found} for _, found in listed)
        if all(first & other for other in others):
            return _by(key, listed)
    names = [column.name for column, _ in listed]
    raise InputError(f"{', '.join(names[1:])}: shares no prompt and no file name with {names[0]}")


def _prompt_and_seed(entry: Entry) -> tuple[Any, ...] | None:
    return (entry.prompt, entry.seed, entry.task) if entry.seed is not None else None


def _prompt(entry: Entry) -> tuple[Any, ...] | None:
    return (entry.prompt,) if entry.prompt else None


def _file(entry: Entry) -> tuple[Any, ...] | None:
    return (PurePosixPath(entry.name).with_suffix("").as_posix(),)


def _by(
    key: Callable[[Entry], tuple[Any, ...] | None], listed: Sequence[tuple[Column, Sequence[Entry]]]
) -> list[Column]:
    shown: dict[tuple[Any, ...], Row] = {}
    columns = []
    for column, found in listed:
        clips: dict[Row, Entry] = {}
        counts: Counter[tuple[Any, ...]] = Counter()
        for entry in found:
            own = key(entry)
            assert own is not None
            number, counts[own] = counts[own], counts[own] + 1
            at = (*own, number)
            if at not in shown or (not shown[at].prompt and entry.prompt):
                said = entry.prompt or (str(own[0]) if key is _file else "")
                shown.setdefault(at, Row(said, entry.seed, entry.task, number))
            clips[shown[at]] = entry
        columns.append(replace(column, clips=clips))
    return columns


def _read(path: Path, name: str) -> tuple[Column, Sequence[Entry]]:
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; expected a run or a folder of clips")
    latest = latest_samples(path)
    if latest is None:
        return _plain(path, name)
    step, folder = latest
    column = Column(name, {}, step, read_curves(path), _config(path), _cost(path))
    return column, entries(folder)


def _plain(path: Path, name: str) -> tuple[Column, Sequence[Entry]]:
    """A folder of clips that is no run with samples."""
    if (path / "samples").is_dir() or (path / "csv").is_dir() or (path / "checkpoints").is_dir():
        if not ((path / LISTING).is_file() or (path / PROMPTS).is_file()):
            visible = sorted(each.name for each in path.iterdir() if not each.name.startswith("."))
            raise InputError(
                f"{path}: lacks samples/step=…/samples.json (found: {', '.join(visible[:8])}); expected a "
                "run of avsim fit with samples (-c configs/samples.yaml), or a checkpoint with --prompts"
            )
    settings = read_json(path / SETTINGS, dict) if (path / SETTINGS).is_file() else {}
    config = {key: str(value) for key, value in settings.items() if value not in (None, "", [])}
    return Column(name, {}, config=config), entries(path)


def latest_samples(run: Path) -> tuple[int, Path] | None:
    """The latest step of a run that has samples, and their folder."""
    found = {}
    for listing in run.glob("samples/step=*/samples.json"):
        number = listing.parent.name.partition("=")[2]
        if number.isascii() and number.isdecimal():
            found[int(number)] = listing.parent
    return max(found.items()) if found else None


def _config(run: Path) -> dict[str, str]:
    """A run's config.yaml by dotted keys; nothing where there is none that can be read."""
    path = run / "config.yaml"
    if not path.is_file():
        return {}
    try:
        found = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as yaml ({' '.join(str(error).split())})") from error
    return dict(_flat("", found))


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict) and value:
        pairs = [(f"{prefix}.{key}" if prefix else str(key), each) for key, each in value.items()]
        return [found for key, each in pairs for found in _flat(key, each)]
    return [(prefix, str(value))]


def _cost(run: Path) -> dict[str, str]:
    """The parameters of what a run exported to generate with."""
    count = 0
    for part in GENERATING:
        path = run / "simulator" / part / TENSORS
        if path.is_file():
            count += parameters_of(path)
    return {"parameters": f"{count / 1e6:.3g} M"} if count else {}


def parameters_of(path: Path) -> int:
    """The number of values in a file of safetensors, of which the header alone is read.

    Raises:
        InputError: it isn't one.
    """
    try:
        with safe_open(path, "pt") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read as safetensors ({error})") from error
