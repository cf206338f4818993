"""Every metric against every corruption, on held-out clips of the world: python calibrate.py RUN [options].

Writes RUN/table.md and RUN/calibrations/NAME.json; with --commit those go to avsim/evaluation/calibrations
too, where `avsim evaluate` finds them. A cell of the table is the metric's first number and, in brackets, the
AUROC of true against corrupted clips; a star marks a metric's own corruptions, which it must notice. A second
table is of perfect detectors (--oracle: of them alone, in a minute): a metric that fails there is broken by
design. Corruptions that change nothing of what a metric measures, by the ground truth, are left out of the
first table and counted in a third. The second includes all. Faults that generators make are for one metric
alone, "visible faults": each on the first clips that can have it, at the strength that a person notices, as
they are and through the codecs, against truth that went through them too.
"""

import argparse
import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from avsim.clip import Clip, ClipSpec, Region
from avsim.evaluation.calibration import Calibration, CorruptionResult, Range, Weights, auroc
from avsim.evaluation.corruptions import OF_A_CLIP, OF_A_SCENE, SHIFTS, sounding, spliced, through_codecs
from avsim.evaluation.events import Offset
from avsim.evaluation.faults import SHARPNESS, gradient_energy, typical_sharpness
from avsim.evaluation.features import Detectors, Features
from avsim.evaluation.grounding import Grounding, oracle
from avsim.evaluation.metric import ClipScorer
from avsim.evaluation.ood import OOD_CHECK, OODCheck
from avsim.evaluation.oracle import oracle_features, with_corruption
from avsim.evaluation.reference import fidelity
from avsim.evaluation.result import NotJudged
from avsim.evaluation.suite import CALIBRATIONS, CODED, METRICS, OOD_EMBEDDING, Metric
from avsim.files import atomic
from avsim.perception.ground_truth import MASKED
from avsim.seeds import generator
from avsim.world import Truth, WorldDataset, world_config
from avsim.world.flat.faults import FAULTS, spoilt
from avsim.world.flat.layers import Layers

SPECS = (  # of the clips, in turn
    ClipSpec(),
    ClipSpec(seconds=4.0),
    ClipSpec(height=128, width=128),
    ClipSpec(frames_per_second=24.0),
)
TRUTH, CODECS, SHUFFLED, SPLICED, CAPTION = (
    "truth",
    "through codecs",
    "shuffled",
    "spliced",
    "another's caption",
)
FAULTY = tuple(f"{name}{how}" for how in ("", CODED) for name in FAULTS)
SHARED = (TRUTH, CODECS, SHUFFLED, SPLICED, CAPTION, *OF_A_CLIP, *OF_A_SCENE)
CORRUPTIONS = (*SHARED, *FAULTY)

SHIFTED_BY = {f"shifted by {ms} ms": ms / 1000 for ms in SHIFTS}  # s
PARTS = (
    "audio_detector",
    "video_detector",
    "sync_model",
    "separator",
    "second",
    "fault_detector",
)  # that are trained
KNOWN = tuple(
    metric for metric in METRICS if not metric.name.startswith(("grounding", "visible faults"))
)  # that the truth answers by itself
VISIBLE = "visible faults"  # the metric of the frames alone
ONLY = {  # corruptions of metrics that need not, or can't, see all: grounding separates seven times
    "grounding": (TRUTH, CODECS, SHUFFLED),
    VISIBLE: (TRUTH, CODECS, *FAULTY),
}
FEW = 32  # frames that must show a kind of thing for its sharpness to be kept
SETS = 50  # sets of clips that are sampled for a metric that compares sets
DRAWS = 200  # resamplings of clips, for the interval of an AUROC


class Shown:
    """Metrics per corruption, and how many clips a corruption left unchanged."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = tuple(metrics)
        self.scorers = {
            (metric.name, corruption): metric.scorer() for metric in metrics for corruption in CORRUPTIONS
        }
        self.unchanged: Counter[tuple[str, str]] = Counter()

    def update(self, corruption: str, found: Features, same: Collection[str] = ()) -> dict[str, torch.Tensor]:
        """Update all metrics with a clip but those that are in `same`; returns the features they need."""
        rows = {}
        for metric in self.metrics:
            scorer = self.scorers[metric.name, corruption]
            if corruption not in corruptions_for(metric):
                continue
            if metric.name in same:
                self.unchanged[metric.name, corruption] += 1
                continue
            try:
                count = len(scorer.kept)
                metric.update(scorer, found)
                if len(scorer.kept) > count:
                    rows[metric.name] = scorer.measured(scorer.kept[-1])
            except NotJudged as unjudged:
                scorer.skip(unjudged.reason)
        return rows


def corruptions_for(metric: Metric) -> tuple[str, ...]:
    """The corruptions that a metric is measured against."""
    return next((those for name, those in ONLY.items() if metric.name.startswith(name)), SHARED)


def same(truth: dict[str, torch.Tensor], corruption: dict[str, torch.Tensor]) -> list[str]:
    """The metrics for which a corruption changed nothing: what they measure is equal, or absent."""
    return [
        metric.name for metric in KNOWN
        if (metric.name in truth) == (metric.name in corruption)
        and (metric.name not in truth or _same(truth[metric.name], corruption[metric.name]))
    ]  # fmt: skip


def clips(level: str, split: str, count: int, seed: int) -> Iterator[tuple[Clip, Truth]]:
    """Clips of the world, of each of `SPECS` in turn."""
    worlds = [WorldDataset(replace(world_config(level), spec=spec), seed, split) for spec in SPECS]
    for index in track(range(count), f"{level}, {split}", console=Console(stderr=True)):
        yield worlds[index % len(worlds)][index]


def reference(detectors: Detectors, arguments: argparse.Namespace) -> list[Metric]:
    """The metrics that compare with reference clips of another split; stores the statistics of those."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in detectors.embeddings}
    for clip, _ in clips(arguments.level, "validation", arguments.reference, arguments.seed):
        for name, embed in detectors.embeddings.items():
            found[name].append(embed(clip))
    if arguments.commit and OOD_EMBEDDING in found:
        OODCheck(torch.stack(found[OOD_EMBEDDING]), detectors.weights["video_detector"]).save(OOD_CHECK)
    return [
        fidelity(
            name, detectors.embeddings[name], torch.stack(rows), () if "picture" in name else ("silenced",)
        )
        for name, rows in found.items()
    ]


def lied(
    found: Features, truth: Truth, before: Features | None, codecs, wanted: Collection[str]
) -> Iterator[tuple[str, Features, Truth | None]]:
    """The clip with each corruption that is wanted; detections of an unchanged modality are reused."""
    if codecs is not None:
        yield CODECS, again(found, codecs(found.clip)), None
    if before is not None and SHUFFLED in wanted:
        yield SHUFFLED, found.with_sound_of(before), None
        yield SPLICED, again(found, spliced(found.clip, before.clip)), None
        other = again(found, found.clip)
        other.caption = before.caption
        yield CAPTION, other, None
    for name, corruption in OF_A_CLIP.items():
        if name in wanted:
            yield name, again(found, corruption(found.clip)), None
    for name, another in OF_A_SCENE.items():
        if name not in wanted:
            continue
        try:
            clip, heard = sounding(found.clip, another(truth.scene))
        except NotJudged:
            continue
        yield name, again(found, clip), heard


def show_faults(shown: Shown, detectors: Detectors, arguments: argparse.Namespace, codecs) -> None:
    """Frames alone, as they are and through the codecs: true ones, and with each fault that they can have."""
    worlds = [
        WorldDataset(replace(world_config(arguments.level), spec=spec), arguments.seed, "test")
        for spec in SPECS[: arguments.specs]
    ]
    counts: Counter[str] = Counter()  # clips with each
    for index in track(range(arguments.clips), "faults", console=Console(stderr=True)):
        world = worlds[index % len(worlds)]
        rate = world.config.spec.frames_per_second
        layers = Layers(world.scene(index), world.config.spec)
        made = {(TRUTH, CODECS): layers.frames}
        for name, fault in FAULTS.items():
            if counts[name] < arguments.faulty:
                draws = generator(index, "fault", name)
                frames = spoilt(layers, rate, fault, fault.noticeable, draws)
                if frames is not None:
                    counts[name] += 1
                    made[name, f"{name}{CODED}"] = frames
        for (plain, coded), frames in made.items():
            clip = Clip(frames, None, rate)
            shown.update(plain, Features(clip, detectors))
            if codecs is not None:
                shown.update(coded, Features(codecs(clip), detectors))


def measure_sharpness(detectors: Detectors, arguments: argparse.Namespace, made_by: str) -> None:
    """Keep how sharp things are in true clips of another split, by kind."""
    energies: dict[str, list[float]] = {}
    for clip, _ in clips(arguments.level, "validation", arguments.sharpness, arguments.seed):
        view = Features(clip.without_audio(), detectors).view
        for kind, energy in gradient_energy(clip, view.things):
            energies.setdefault(kind, []).append(energy)
    kinds = {kind: sum(each) / len(each) for kind, each in sorted(energies.items()) if len(each) >= FEW}
    text = {"made_by": made_by, "video_detector": detectors.weights["video_detector"], "kinds": kinds}
    with atomic(SHARPNESS) as temporary:
        temporary.write_text(json.dumps(text, indent=1))
    typical_sharpness.cache_clear()


def again(found: Features, clip: Clip) -> Features:
    """Features of a changed clip."""
    new = Features(clip, found.detectors, found.caption, found.name)
    if clip.frames is found.clip.frames and "view" in vars(found):
        new.view = found.view
    if clip.wave is found.clip.wave:
        for name in ("onsets", "heard"):
            if name in vars(found):
                setattr(new, name, getattr(found, name))
    return new


def grounded(scorer: Grounding, plain: Grounding, clip: Clip, truth: Truth, before: Clip | None) -> None:
    """Grounding by oracle masks, of sources that are not masked by the rest.

    Where most of a clip's audio is off screen, little falls to visible objects in truth too;
    `plain` has the others.
    """
    whole = torch.stack(list(truth.stems.values())).sum(0).square().mean()
    sounding = [
        k for k, thing in enumerate(truth.things)
        if truth.stems[thing.name].square().mean() > whole * 10 ** (MASKED / 10) and truth.masks[k].any()
    ]  # fmt: skip
    if not sounding or before is None or before.wave is None:
        return
    own = [truth.stems[truth.things[k].name] for k in sounding]
    rest = torch.stack(list(truth.stems.values())).sum(0) - sum(own)
    regions = [Region(truth.masks[k].clamp(0, 1), truth.things[k].name) for k in sounding]
    count = len(scorer.kept)
    scorer.update(clip, regions, oracle(torch.stack([*own, rest])), before)
    if len(scorer.kept) > count and sum(own).square().mean() > rest.square().mean():
        plain.keep(scorer.kept[-1])


def put_in(scorer: Offset, found: Features, seconds: float) -> None:
    """Measure offsets that were put in."""
    try:
        scorer.update(found.offset, seconds)
    except NotJudged as unjudged:
        scorer.skip(unjudged.reason)


def calibrate(arguments: argparse.Namespace) -> None:
    """Score every clip and every corruption by all metrics; write the results."""
    detectors = Detectors.trained(
        **{part: getattr(arguments, part) for part in PARTS}, yamnet=arguments.yamnet
    )
    codecs = _codecs(arguments.codecs)
    compared = reference(detectors, arguments) if arguments.reference and not arguments.oracle else []
    metrics = [] if arguments.oracle else [*METRICS, *compared]
    metrics = [
        metric
        for metric in metrics
        if not arguments.metrics or metric.name.startswith(tuple(arguments.metrics))
    ]
    by_frames = [metric for metric in metrics if metric.name == VISIBLE]
    metrics = [metric for metric in metrics if metric not in by_frames]
    faults = Shown(by_frames)
    known_too = [metric for metric in KNOWN if metric in metrics or not arguments.metrics]
    seen, known = Shown(metrics), Shown(known_too)
    wanted = {each for metric in (*metrics, *known_too) for each in corruptions_for(metric)}
    made_by = " ".join(["python calibrate.py", *sys.argv[1:]]) + " at " + _commit()
    if arguments.commit and arguments.sharpness and detectors.video_content is not None:
        measure_sharpness(detectors, arguments, made_by)
    grounding, plain, offsets = Grounding(), Grounding(), Offset()
    before: dict[ClipSpec, tuple[Features, Features]] = {}  # the previous clip of each kind, detected already
    with torch.no_grad():
        if by_frames:
            show_faults(faults, detectors, arguments, codecs)
        count = arguments.clips if metrics or known_too else 0
        for clip, truth in clips(arguments.level, "test", count, arguments.seed):
            found, true = Features(clip, detectors, truth.caption), oracle_features(clip, truth)
            other, other_true = before.get(clip.spec, (None, None))
            found.before = other
            seen.update(TRUTH, found)
            put_in(offsets, found, 0.0)
            rows = known.update(TRUTH, true)
            for name, corruption, heard in lied(found, truth, other, codecs, wanted):
                corruption.before = other
                lied_rows = known.update(
                    name, with_corruption(true, corruption.clip, name, heard, other_true)
                )
                seen.update(name, corruption, () if name == CODECS else same(rows, lied_rows))
                if name in SHIFTED_BY:
                    put_in(offsets, corruption, SHIFTED_BY[name])
            grounded(grounding, plain, clip, truth, other.clip if other else None)
            found.before = None  # or all clips would stay in memory
            before[clip.spec] = found, true
    results = [
        *(result(metric, seen, detectors, made_by) for metric in seen.metrics),
        *(result(metric, faults, detectors, made_by, SPECS[: arguments.specs]) for metric in by_frames),
    ]
    perfect = [result(metric, known, detectors, made_by) for metric in known_too]
    folder = Path(arguments.run)
    with atomic(folder / "table.md") as temporary:
        temporary.write_text(
            (table(results) if results else "")
            + "\nWith perfect detectors, and every corruption:\n\n" + table(perfect)
            + "\nCorruptions that each metric must detect, and clips without a measured change:\n\n"
            + (left_out(results) if results else "")
            + numbers("Grounding, with oracle masks", grounding)
            + numbers("The same, of clips that mostly sound of what is seen", plain)
            + "".join(
                numbers(metric.name.capitalize(), seen.scorers[metric.name, TRUTH])
                for metric in seen.metrics if metric.name.startswith("grounding")
            )
            + numbers("Offsets put in, of 0 to 320 ms", offsets)
        )  # fmt: skip
    for found in results:
        for place in [folder / "calibrations", *([CALIBRATIONS] if arguments.commit else [])]:
            if not math.isnan(found.truth):
                found.save(place / f"{found.metric.replace(' ', '-')}.json")
    print((folder / "table.md").read_text())


def result(
    metric: Metric, shown: Shown, detectors: Detectors, made_by: str, specs: Sequence[ClipSpec] = SPECS
) -> Calibration:
    """The calibration of one metric, on clips of these kinds."""
    scorers = {corruption: shown.scorers[metric.name, corruption] for corruption in CORRUPTIONS}
    first = {
        corruption: next(iter(scorer.compute().values())).item()
        for corruption, scorer in scorers.items()
        if len(scorer.rows)
    }
    good = {corruption: _goodness(metric, scorer) for corruption, scorer in scorers.items()}
    against = tuple(
        CorruptionResult(
            corruption,
            first.get(corruption, math.nan),
            auroc(good[alike(corruption)], good[corruption]),
            own=corruption in metric.corruptions,
            low=(ends := _interval(good[alike(corruption)], good[corruption]))[0],
            high=ends[1],
            clips=len(scorers[corruption].rows),
            unchanged=shown.unchanged[metric.name, corruption],
        )
        for corruption in CORRUPTIONS[2:]
        if corruption in corruptions_for(metric)
    )
    return Calibration(
        metric=metric.name,
        frames_per_second=_range([spec.frames_per_second for spec in specs]),
        height=_range([spec.height for spec in specs]),
        sample_rate=_range([spec.sample_rate for spec in specs]),
        seconds=_range([spec.seconds for spec in specs]),
        clips=len(scorers[TRUTH].rows),
        truth=first.get(TRUTH, math.nan),
        through_codecs=first.get(CODECS),
        corruptions=against,
        weights=tuple(Weights(part, detectors.weights.get(part, "")) for part in metric.uses),
        made_by=made_by,
        higher_is_better=scorers[TRUTH].higher_is_better,
        least=metric.least,
        min_clips=metric.min_clips,
    )


def alike(corruption: str) -> str:
    """The true clips that a corruption is told from: those through the codecs, where it went through them."""
    return CODECS if corruption.endswith(CODED) else TRUTH


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two rows are equal, nan for nan."""
    return torch.equal(one.nan_to_num(-9e9), other.nan_to_num(-9e9))


def _goodness(metric: Metric, scorer: ClipScorer) -> torch.Tensor:
    """The score of each clip, or of sampled groups of clips where a single clip has none.

    Groups that share most of their clips would vary too little: four times as many clips are needed.
    """
    rows = scorer.rows
    if metric.min_clips == 1:
        return scorer.each(rows) if len(rows) else torch.zeros(0)
    if len(rows) < 4 * metric.min_clips:
        return torch.zeros(0)
    random = generator(0, "crowds")
    drawn = [rows[torch.randperm(len(rows), generator=random)[: metric.min_clips]] for _ in range(SETS)]
    values = torch.stack([next(iter(scorer.numbers(min_clips).values())) for min_clips in drawn])
    return values if scorer.higher_is_better else -values


def _interval(truth: torch.Tensor, corruption: torch.Tensor) -> tuple[float, float]:
    """95 % of the AUROC over resamplings of the clips."""
    truth, corruption = truth[~truth.isnan()], corruption[~corruption.isnan()]
    if not (len(truth) and len(corruption)):
        return math.nan, math.nan
    random = generator(0, "auroc")
    drawn = [
        auroc(
            *(each[torch.randint(len(each), (len(each),), generator=random)] for each in (truth, corruption))
        )
        for _ in range(DRAWS)
    ]
    low, high = torch.tensor(drawn).quantile(torch.tensor([0.025, 0.975])).tolist()
    return low, high


def table(results: list[Calibration]) -> str:
    """A row per metric and a column per corruption."""
    results = [one for one in results if not {each.corruption for each in one.corruptions} & set(FAULTY)]
    header = ["metric", "clips", TRUTH, CODECS, *SHARED[2:], "result"]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for one in results:
        cells = [one.metric, str(one.clips), _shown(one.truth), _shown(one.through_codecs)]
        found = {corruption.corruption: corruption for corruption in one.corruptions}
        for corruption in map(found.get, SHARED[2:]):
            cells.append(
                "–"
                if corruption is None
                else f"{_shown(corruption.value)} ({_shown(corruption.auroc)})"
                + (" \\*" if corruption.own else "")
            )
        judged = "calibrated" if one.calibrated else "failed" if one.failures else "uncalibrated"
        cells.append("not scored" if math.isnan(one.truth) else judged)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def left_out(results: list[Calibration]) -> str:
    """For each own corruption: clips scored, clips left out, and the interval of the AUROC."""
    lines = ["| metric | corruption | clips | left out | AUROC | 95 % |", "|---|---|---|---|---|---|"]
    for one in results:
        for corruption in one.corruptions:
            if corruption.own or corruption.unchanged:
                name = corruption.corruption + (" \\*" if corruption.own else "")
                ends = f"{_shown(corruption.low)} … {_shown(corruption.high)}"
                lines.append(
                    f"| {one.metric} | {name} | {corruption.clips} | {corruption.unchanged} "
                    f"| {_shown(corruption.auroc)} | {ends} |"
                )
    return "\n".join(lines) + "\n"


def numbers(title: str, scorer: ClipScorer) -> str:
    """All numbers of a metric with their intervals."""
    lines = ["", f"{title}:", "", "| number | value | 95 % | clips |", "|---|---|---|---|"]
    for name, one in scorer.scores(draws=500).items():
        lines.append(
            f"| {name} | {_shown(one.value)} | {_shown(one.low)} … {_shown(one.high)} | {one.clips} |"
        )
    return "\n".join(lines) + "\n"


def _codecs(run: Path | None):
    if run is None:
        return None
    from avsim.simulator import load

    simulator = load(run)
    return partial(through_codecs, video=simulator.video_codec, audio=simulator.audio_codec)


def _range(values) -> Range:
    return Range(min(values), max(values))


def _shown(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.2f}"


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or "an unknown commit"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--clips", type=int, default=320)
    parser.add_argument("--reference", type=int, default=320, help="clips that fidelity compares with, or 0")
    parser.add_argument("--faulty", type=int, default=64, help="clips with each fault")
    parser.add_argument("--specs", type=int, default=len(SPECS), help="kinds of clips with visible faults")
    parser.add_argument("--sharpness", type=int, default=160, help="clips that things' sharpness is of, or 0")
    parser.add_argument("--level", default="medium")
    parser.add_argument("--seed", type=int, default=2)
    for part in PARTS:
        parser.add_argument(f"--{part.replace('_', '-')}", type=Path, help="a trained model's folder")
    parser.add_argument("--codecs", type=Path, help="a run with a video_codec and an audio_codec")
    parser.add_argument("--yamnet", action="store_true", help="by YAMNet's embedding too")
    parser.add_argument("--metrics", nargs="+", help="only those whose names begin so")
    parser.add_argument("--oracle", action="store_true", help="only what perfect detectors would find")
    parser.add_argument("--commit", action="store_true")
    calibrate(parser.parse_args())
