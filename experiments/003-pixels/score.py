"""Every set, every family, every method, mixture by mixture: python score.py OUT METHOD [FOLDER].

METHOD is "references" (the mixture, the oracles, NMF), or the name of the model in FOLDER. Writes
OUT/records/METHOD/ROW-FIRST.json, a record for each mixture; existing ones are kept, and table.py reads them.
Means are over a mixture's audible sources (above -40 dB of its loudest), in dB; SI-SDR is the mean
over both channels, BSS-eval's SDR (512 taps, the first --bss mixtures of a row) is of the channels' mean.
"""

import argparse
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avsim.clip import ClipSpec
from avsim.data.resuming import check_settings
from avsim.data.shards import write_json
from avsim.data.sources import Sample
from avsim.data.workers import Crashed, run_all
from avsim.devices import autocast_if_faster
from avsim.evaluation.bss import bss_eval
from avsim.measures import si_sdr
from avsim.seeds import generator
from avsim.separation.baselines.nmf import nmf_shares
from avsim.separation.loss import ideal_shares, share_out, stem_power, with_off_screen
from avsim.separation.regions import cell_weights
from avsim.separation.scenes import Scenes
from avsim.separation.separator import CELL
from avsim.separation.spectrum import Scale, band_power, inverse, transform
from avsim.weights import TENSORS, hash_of, load_model
from avsim.world import world_config

SPEC = ClipSpec(seconds=2.0, height=64, width=64, frames_per_second=16.0, sample_rate=16000, channels=2)
RATE, FRAMES = SPEC.sample_rate, SPEC.frames
WORST = -30.0  # dB, of a silent or wholly wrong estimate
AUDIBLE = 1e-4  # -40 dB
SILENT = 1e-10  # mean square
REFERENCES = "references"
PART = 25  # mixtures of a task
SPARE = 1.6  # times as many are rendered, at most, since some have an inaudible source


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    constraint: str
    family: str
    split: str = "test"
    sources: int = 2  # that must be audible
    controls: bool = False  # also in mono, with motion shuffled, and both
    share: float = 1.0  # of the mixtures of other rows

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.split} {self.constraint} {self.family}".replace(" ", "-")


FAMILIES = ("drop", "strike", "ensemble")
THIRD = 1 / 3  # of --count, so that the three families together have as many
ROWS = (
    Row("two", "drop", share=0.5),
    Row("two", "strike", share=0.5),
    Row("two", "ensemble"),
    Row("alike", "drop", controls=True, share=THIRD),
    Row("alike", "strike", controls=True, share=THIRD),
    Row("alike", "ensemble", controls=True),
    *(Row("three", family, sources=3, share=THIRD) for family in FAMILIES),
    *(Row("off screen", family, share=THIRD) for family in FAMILIES),
    Row("two", "drop", "held out", share=THIRD),
    Row("two", "strike", "held out", share=THIRD),
    Row("two", "ensemble", "held out"),
    *(Row("silent", family, sources=1, share=THIRD) for family in FAMILIES),
)


@dataclass(frozen=True)
class Task:
    """Some mixtures of a row."""

    row: Row
    first: int
    arguments: argparse.Namespace

    @property
    def path(self) -> Path:
        """The file of their records."""
        folder = Path(self.arguments.out) / "records" / self.arguments.method
        return folder / f"{self.row.name}-{self.first:04d}.json"


@lru_cache(maxsize=4)
def model(folder: str) -> Any:
    """A trained model, loaded once per process."""
    return load_model(folder)


@lru_cache(maxsize=32)
def source(level: str, row: Row) -> Scenes:
    """The source of a row's mixtures; no training has this seed."""
    return Scenes(
        world_config(level), 3, row.split, constraints={row.constraint: 1.0}, families={row.family: 1.0}
    )


@torch.no_grad()
def measure(task: Task) -> None:
    """Separate the mixtures of a task by all methods and write the scores."""
    records = []
    for index in range(task.first, task.first + PART):
        sample = source(task.arguments.level, task.row).sample(index, SPEC, generator(0))
        record = scored(sample, task.row, task.arguments, index)
        if record is not None:
            records.append({"index": index, **record})
    write_json(task.path, records)


def scored(sample: Sample, row: Row, arguments: argparse.Namespace, index: int) -> dict[str, Any] | None:
    """All numbers of a mixture; None where too few sources are audible."""
    frames, wave, stems, masks = (
        value[None] for value in (sample.frames, sample.wave, sample.stems, sample.masks)
    )
    reference = with_off_screen(stems, wave)[0]  # (R + 1, A, N)
    power = reference.square().mean((1, 2))
    heard = (power > AUDIBLE * power.max()) & (power > SILENT)
    if row.constraint != "off screen":
        heard[-1] = False  # ambience is not scored as a source
    if heard.sum() < row.sources:
        return None
    centred = wave.mean(-2, keepdim=True).expand_as(wave), stems.mean(-2, keepdim=True).expand_as(stems)
    if arguments.method == REFERENCES:
        estimates = {"mixture": wave.expand_as(reference), **oracles(reference, wave, index < arguments.few)}
        if index < arguments.few:
            estimates["NMF"] = nmf(reference, wave)
        record = judged(reference, heard, estimates, index < arguments.bss)
        if row.controls:
            mono = with_off_screen(centred[1], centred[0])[0]
            found = {"mixture": centred[0].expand_as(mono), **oracles(mono, centred[0], False)}
            record["si_sdr"] |= {f"{name}, mono": mean_si_sdr(mono[heard], each[heard])
                                 for name, each in found.items()}  # fmt: skip
        return record
    name, network = arguments.method, model(arguments.folder)
    found = listen(network, frames, wave, masks)
    record = judged(reference, heard, {name: found.stems}, index < arguments.bss)
    energy = found.stems.square().sum((1, 2))
    silent = (power[:-1] <= SILENT) & masks[0].flatten(1).any(1)
    record["silent"] = float(energy[:-1][silent].sum() / energy.sum()) if silent.any() else None
    if index < arguments.few:
        record["pointing"] = [
            found.points(reference[r], masks[0, r]) for r in range(len(stems[0])) if heard[r]
        ]
    if row.controls and index < arguments.controlled:
        order = torch.randperm(FRAMES, generator=generator(0, "shuffled"))
        for control, (sound, parts), moved in (
            ("mono", centred, False),
            ("shuffled", (wave, stems), True),
            ("mono, shuffled", centred, True),
        ):
            picture = (frames[:, :, order], masks[:, :, order]) if moved else (frames, masks)
            got = listen(network, picture[0], sound, picture[1]).stems[heard]
            score = mean_si_sdr(with_off_screen(parts, sound)[0][heard], got)
            record["si_sdr"][f"{name}, {control}"] = score
    return record


def judged(reference: Tensor, heard: Tensor, estimates: dict[str, Tensor], bss: bool) -> dict[str, Any]:
    """Scores of each estimate."""
    found: dict[str, Any] = {
        "si_sdr": {n: mean_si_sdr(reference[heard], e[heard]) for n, e in estimates.items()}
    }
    if bss:
        found["sdr"] = {name: bss_sdr(reference, each, heard) for name, each in estimates.items()}
    return found


class Found:
    """The output of a model for one mixture: stems (R + 1, A, N), and maps of its bins."""

    def __init__(self, stems: Tensor, maps: Any, columns_frame: Tensor, seen: Tensor, scale: Scale) -> None:
        self.stems, self.maps, self.scale = stems, maps, scale
        self.columns_frame, self.seen = columns_frame, seen  # (J,) of the model's frames, (t,) of the clip's

    @cached_property
    def spread(self) -> Tensor:
        """The distribution of each bin over cells, (J, F, h w)."""
        return self.maps.at(torch.arange(len(self.columns_frame)), self.columns_frame)[..., :-1]

    def points(self, stem: Tensor, mask: Tensor) -> bool:
        """Whether the loudest cell of a stem's map is on its object: bins distributed as in the mixture,
        weighted by their energy in the stem (A, N); mask (T, H, W).
        """
        power = stem_power(stem[None, None], RATE, self.scale)[0, 0]  # (F, J)
        spread_out = torch.einsum("jfc,fj->jc", self.spread, power)
        each = torch.zeros(len(self.seen), spread_out.shape[1])
        each.index_add_(0, self.columns_frame, spread_out)
        frame, cell = divmod(int(each.argmax()), spread_out.shape[1])
        y, x = (CELL * place for place in divmod(cell, self.maps.grid[1]))
        return bool(mask[self.seen[frame], y : y + CELL, x : x + CELL].max() > 0.5)


def listen(network: Any, frames: Tensor, wave: Tensor, masks: Tensor) -> Found:
    """Separate one clip, (1, ...) each."""
    seen = network.frames_seen(FRAMES, SPEC.frames_per_second)
    with autocast_if_faster(wave.device):
        maps, columns_frame, bins = network._encode(frames[:, :, seen], wave, RATE)
    shares = maps.shares(columns_frame, cell_weights(masks[:, :, seen], maps.grid))[:, :-1].float()
    stems = share_out(bins, shares, wave.shape[-1], RATE, network.scale)
    return Found(with_off_screen(stems, wave)[0], maps, columns_frame, seen, network.scale)


def oracles(reference: Tensor, wave: Tensor, both: bool) -> dict[str, Tensor]:
    """The ideal ratio mask in each bin of the STFT, and in the bands that the separator has."""
    scale = Scale()
    bins = transform(wave, RATE, scale)  # (1, A, M, J)
    each = transform(reference, RATE, scale).abs().square().mean(1)  # (R, M, J)
    share = each / each.sum(0).clamp(min=1e-20)
    found = {"oracle": inverse(bins * share[:, None], wave.shape[-1], RATE, scale)}
    if both:
        banded = ideal_shares(stem_power(reference[None], RATE, scale))
        found["oracle in bands"] = share_out(bins, banded, wave.shape[-1], RATE, scale)[0]
    return found


def nmf(reference: Tensor, wave: Tensor) -> Tensor:
    """16 components of the mixture, each assigned to a source by the ground truth."""
    scale = Scale()
    bins = transform(wave, RATE, scale)
    mixture = band_power(bins, scale.pool(RATE))[0]
    shares = nmf_shares(mixture, stem_power(reference[None], RATE, scale)[0])
    return share_out(bins, shares[None], wave.shape[-1], RATE, scale)[0]


def mean_si_sdr(reference: Tensor, estimate: Tensor) -> float:
    """Over sources and channels, (S, A, N) each."""
    values = si_sdr(reference, estimate)
    values = values.nan_to_num(nan=WORST, neginf=WORST).clamp(min=WORST)
    return float(values[reference.square().mean(-1) > 1e-12].mean())


def bss_sdr(reference: Tensor, estimate: Tensor, heard: Tensor) -> float:
    """Mean SDR of the audible sources of (R, A, N); other sources count as interference if they sound."""
    mono, found = reference.mean(1), estimate.mean(1)
    sounding = mono.square().mean(1) > 1e-10
    sdr, _, _ = bss_eval(mono[sounding][None], found[sounding][None])
    values = sdr[0][heard[sounding]].nan_to_num(nan=WORST, neginf=WORST)
    return float(values.clamp(WORST, 60.0).mean())


def main(arguments: argparse.Namespace) -> None:
    """Measure all rows."""
    folder = Path(arguments.out) / "records" / arguments.method
    folder.mkdir(parents=True, exist_ok=True)
    said = {name: getattr(arguments, name) for name in ("level", "bss", "few", "controlled")}
    weights = hash_of(Path(arguments.folder) / TENSORS) if arguments.folder else ""
    check_settings(folder, {"weights": weights, **said}, "records")
    wanted = [row for row in ROWS if not arguments.rows or row.name in arguments.rows]
    for last in range(arguments.count, int(SPARE * arguments.count) + PART, PART):
        tasks = [  # a part of every row in turn: an interrupted run is even
            Task(row, first, arguments)
            for first in range(0, last, PART)
            for row in wanted
            if first < row.share * arguments.count
            or (first < row.share * last and kept(row, arguments) < row.share * arguments.count)
        ]
        missing = [task for task in tasks if not task.path.exists()]
        for task, result in run_all(measure, missing, arguments.jobs, f"parts of {PART} mixtures"):
            if isinstance(result, Crashed):
                raise SystemExit(f"{task.path}: its process died")


def kept(row: Row, arguments: argparse.Namespace) -> int:
    """How many mixtures of a row have been measured."""
    paths = (Path(arguments.out) / "records" / arguments.method).glob(f"{row.name}-[0-9]*.json")
    return sum(len(json.loads(path.read_text())) for path in paths)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("method", help="its name in the table")
    parser.add_argument("folder", nargs="?", help="of the trained model")
    parser.add_argument("--level", default="medium")
    parser.add_argument("--count", type=int, default=300, help="mixtures of a whole row")
    parser.add_argument("--bss", type=int, default=20, help="of them, those also scored by BSS-eval")
    parser.add_argument(
        "--few", type=int, default=60, help="and those for NMF, pointing, the oracle in bands"
    )
    parser.add_argument("--controlled", type=int, default=150, help="and those also in mono, or shuffled")
    parser.add_argument("--rows", nargs="*", help="only these, such as test-two-drop")
    parser.add_argument("--jobs", type=int, default=1)
    main(parser.parse_args())
