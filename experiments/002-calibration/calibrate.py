"""Every metric against every corruption, on held-out clips of the world: python calibrate.py RUN [options].

Writes RUN/table.md and RUN/calibrations/NAME.json; with --commit those go to avsim/evaluation/calibrations
too, where `avsim evaluate` finds them. A cell of the table is the metric's first number and, in brackets, the
AUROC of true against corrupted clips; a star marks a metric's own corruptions, which it must notice. A second
table is of perfect detectors (--oracle: of them alone, in a minute): a metric that fails there is broken by
design. Corruptions that change nothing of what a metric measures, by the ground truth, are left out of the
first table and counted in a third. The second includes all.
"""

import argparse
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
from avsim.evaluation.calibration import Against, Calibration, Range, Weights, auroc
from avsim.evaluation.corruptions import OF_A_CLIP, OF_A_SCENE, SHIFTS, sounding, spliced, through_codecs
from avsim.evaluation.events import Offset
from avsim.evaluation.features import Detectors, Evidence
from avsim.evaluation.grounding import Grounding, oracle
from avsim.evaluation.metric import Judge
from avsim.evaluation.ood import FAMILIAR, Familiar
from avsim.evaluation.oracle import perceived, with_lie
from avsim.evaluation.reference import fidelity
from avsim.evaluation.result import Unjudged
from avsim.evaluation.suite import CALIBRATIONS, LOOKS, QUESTIONS, Question
from avsim.files import atomic
from avsim.perception.ground_truth import MASKED
from avsim.seeds import generator
from avsim.world import Truth, WorldDataset, configured

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
LIES = (TRUTH, CODECS, SHUFFLED, SPLICED, CAPTION, *OF_A_CLIP, *OF_A_SCENE)

SHIFTED_BY = {f"shifted by {ms} ms": ms / 1000 for ms in SHIFTS}  # s
PARTS = ("sound", "picture", "offset", "separator", "second")  # that are trained
KNOWN = tuple(q for q in QUESTIONS if not q.name.startswith("grounding"))  # need no trained part
SEPARATED = (TRUTH, CODECS, SHUFFLED)  # for grounding, which separates seven times and has its own controls
CROWDS = 50  # sampled where a metric compares clips with each other
DRAWS = 200  # resamplings of clips, for the interval of an AUROC


class Shown:
    """Metrics per corruption, and how many clips a corruption left unchanged."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = tuple(questions)
        self.judges = {(q.name, lie): q.judge() for q in questions for lie in LIES}
        self.unchanged: Counter[tuple[str, str]] = Counter()

    def update(self, lie: str, found: Evidence, same: Collection[str] = ()) -> dict[str, torch.Tensor]:
        """Update all metrics with a clip but those that are in `same`; returns the features they need."""
        rows = {}
        for question in self.questions:
            judge = self.judges[question.name, lie]
            if question.name.startswith("grounding") and lie not in SEPARATED:
                continue
            if question.name in same:
                self.unchanged[question.name, lie] += 1
                continue
            try:
                count = len(judge.kept)
                question.ask(judge, found)
                if len(judge.kept) > count:
                    rows[question.name] = judge.asked(judge.kept[-1])
            except Unjudged as unjudged:
                judge.skip(unjudged.reason)
        return rows


def same(truth: dict[str, torch.Tensor], lie: dict[str, torch.Tensor]) -> list[str]:
    """The metrics for which a corruption changed nothing: what they measure is equal, or absent."""
    return [
        q.name for q in KNOWN
        if (q.name in truth) == (q.name in lie)
        and (q.name not in truth or torch.equal(truth[q.name].nan_to_num(-9e9), lie[q.name].nan_to_num(-9e9)))
    ]  # fmt: skip


def clips(level: str, split: str, count: int, seed: int) -> Iterator[tuple[Clip, Truth]]:
    """Clips of the world, of each of `SPECS` in turn."""
    worlds = [WorldDataset(replace(configured(level), spec=spec), seed, split) for spec in SPECS]
    for index in track(range(count), f"{level}, {split}", console=Console(stderr=True)):
        yield worlds[index % len(worlds)][index]


def reference(detectors: Detectors, arguments: argparse.Namespace) -> list[Question]:
    """The metrics that compare with reference clips of another split; stores the statistics of those."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in detectors.embeddings}
    for clip, _ in clips(arguments.level, "validation", arguments.reference, arguments.seed):
        for name, embed in detectors.embeddings.items():
            found[name].append(embed(clip))
    if arguments.commit and LOOKS in found:
        Familiar(torch.stack(found[LOOKS]), detectors.weights["picture"]).save(FAMILIAR)
    return [
        fidelity(
            name, detectors.embeddings[name], torch.stack(rows), () if "picture" in name else ("silenced",)
        )
        for name, rows in found.items()
    ]


def lied(
    found: Evidence, truth: Truth, before: Evidence | None, codecs
) -> Iterator[tuple[str, Evidence, Truth | None]]:
    """The clip with each corruption; detections of an unchanged modality are reused."""
    if codecs is not None:
        yield CODECS, again(found, codecs(found.clip)), None
    if before is not None:
        yield SHUFFLED, found.with_sound_of(before), None
        yield SPLICED, again(found, spliced(found.clip, before.clip)), None
        other = again(found, found.clip)
        other.caption = before.caption
        yield CAPTION, other, None
    for name, lie in OF_A_CLIP.items():
        yield name, again(found, lie(found.clip)), None
    for name, another in OF_A_SCENE.items():
        try:
            clip, heard = sounding(found.clip, another(truth.scene))
        except Unjudged:
            continue
        yield name, again(found, clip), heard


def again(found: Evidence, clip: Clip) -> Evidence:
    """Features of a changed clip."""
    new = Evidence(clip, found.detectors, found.caption, found.name)
    if clip.frames is found.clip.frames and "view" in vars(found):
        new.view = found.view
    if clip.wave is found.clip.wave:
        for name in ("onsets", "heard"):
            if name in vars(found):
                setattr(new, name, getattr(found, name))
    return new


def grounded(judge: Grounding, plain: Grounding, clip: Clip, truth: Truth, before: Clip | None) -> None:
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
    count = len(judge.kept)
    judge.update(clip, regions, oracle(torch.stack([*own, rest])), before)
    if len(judge.kept) > count and sum(own).square().mean() > rest.square().mean():
        plain.keep(judge.kept[-1])


def put_in(judge: Offset, found: Evidence, seconds: float) -> None:
    """Measure offsets that were put in."""
    try:
        judge.update(found.offset, seconds)
    except Unjudged as unjudged:
        judge.skip(unjudged.reason)


def calibrate(arguments: argparse.Namespace) -> None:
    """Score every clip and every corruption by all metrics; write the results."""
    detectors = Detectors.trained(
        **{part: getattr(arguments, part) for part in PARTS}, yamnet=arguments.yamnet
    )
    codecs = _codecs(arguments.codecs)
    questions = [] if arguments.oracle else [*QUESTIONS, *reference(detectors, arguments)]
    questions = [q for q in questions if not arguments.judges or q.name.startswith(tuple(arguments.judges))]
    seen, known = Shown(questions), Shown(KNOWN)
    grounding, plain, offsets = Grounding(), Grounding(), Offset()
    before: dict[ClipSpec, tuple[Evidence, Evidence]] = {}  # the previous clip of each kind, detected already
    with torch.no_grad():
        for clip, truth in clips(arguments.level, "test", arguments.clips, arguments.seed):
            found, true = Evidence(clip, detectors, truth.caption), perceived(clip, truth)
            other, other_true = before.get(clip.spec, (None, None))
            found.before = other
            seen.update(TRUTH, found)
            put_in(offsets, found, 0.0)
            rows = known.update(TRUTH, true)
            for name, lie, heard in lied(found, truth, other, codecs):
                lie.before = other
                lied_rows = known.update(name, with_lie(true, lie.clip, name, heard, other_true))
                seen.update(name, lie, () if name == CODECS else same(rows, lied_rows))
                if name in SHIFTED_BY:
                    put_in(offsets, lie, SHIFTED_BY[name])
            grounded(grounding, plain, clip, truth, other.clip if other else None)
            found.before = None  # or all clips would stay in memory
            before[clip.spec] = found, true
    made_by = " ".join(["python calibrate.py", *sys.argv[1:]]) + " at " + _commit()
    results = [result(q, seen, detectors, made_by) for q in seen.questions]
    perfect = [result(q, known, detectors, made_by) for q in KNOWN]
    folder = Path(arguments.run)
    with atomic(folder / "table.md") as temporary:
        temporary.write_text(
            (table(results) if results else "")
            + "\nWith perfect detectors, and every corruption:\n\n" + table(perfect)
            + "\nOwn corruptions, and clips left out, which they did not change:\n\n"
            + (left_out(results) if results else "")
            + numbers("Grounding, with oracle masks", grounding)
            + numbers("The same, of clips whose audio is mostly of visible objects", plain)
            + "".join(numbers(q.name.capitalize(), seen.judges[q.name, TRUTH]) for q in seen.questions
                      if q.name.startswith("grounding"))
            + numbers("Offsets put in, of 0 to 320 ms", offsets)
        )  # fmt: skip
    for found in results:
        for place in [folder / "calibrations", *([CALIBRATIONS] if arguments.commit else [])]:
            if not math.isnan(found.truth):
                found.save(place / f"{found.judge.replace(' ', '-')}.json")
    print((folder / "table.md").read_text())


def result(question: Question, shown: Shown, detectors: Detectors, made_by: str) -> Calibration:
    """The calibration of one metric."""
    judges = {lie: shown.judges[question.name, lie] for lie in LIES}
    first = {
        lie: next(iter(judge.compute().values())).item() for lie, judge in judges.items() if len(judge.rows)
    }
    good = {lie: _goodness(question, judge) for lie, judge in judges.items()}
    against = tuple(
        Against(
            lie,
            first.get(lie, math.nan),
            auroc(good[TRUTH], good[lie]),
            own=lie in question.lies,
            low=(ends := _interval(good[TRUTH], good[lie]))[0],
            high=ends[1],
            clips=len(judges[lie].rows),
            unchanged=shown.unchanged[question.name, lie],
        )
        for lie in LIES[2:]
    )
    return Calibration(
        judge=question.name,
        frames_per_second=_range([spec.frames_per_second for spec in SPECS]),
        height=_range([spec.height for spec in SPECS]),
        sample_rate=_range([spec.sample_rate for spec in SPECS]),
        seconds=_range([spec.seconds for spec in SPECS]),
        clips=len(judges[TRUTH].rows),
        truth=first.get(TRUTH, math.nan),
        through_codecs=first.get(CODECS),
        lies=against,
        weights=tuple(Weights(part, detectors.weights.get(part, "")) for part in question.uses),
        made_by=made_by,
        higher_is_better=judges[TRUTH].higher_is_better,
        least=question.least,
        crowd=question.crowd,
    )


def _goodness(question: Question, judge: Judge) -> torch.Tensor:
    """The score of each clip, or of sampled groups of clips where a single clip has none.

    Groups that share most of their clips would vary too little: four times as many clips are needed.
    """
    rows = judge.rows
    if question.crowd == 1:
        return judge.each(rows) if len(rows) else torch.zeros(0)
    if len(rows) < 4 * question.crowd:
        return torch.zeros(0)
    random = generator(0, "crowds")
    drawn = [rows[torch.randperm(len(rows), generator=random)[: question.crowd]] for _ in range(CROWDS)]
    values = torch.stack([next(iter(judge.numbers(crowd).values())) for crowd in drawn])
    return values if judge.higher_is_better else -values


def _interval(truth: torch.Tensor, lie: torch.Tensor) -> tuple[float, float]:
    """95 % of the AUROC over resamplings of the clips."""
    truth, lie = truth[~truth.isnan()], lie[~lie.isnan()]
    if not (len(truth) and len(lie)):
        return math.nan, math.nan
    random = generator(0, "auroc")
    drawn = [
        auroc(*(each[torch.randint(len(each), (len(each),), generator=random)] for each in (truth, lie)))
        for _ in range(DRAWS)
    ]
    low, high = torch.tensor(drawn).quantile(torch.tensor([0.025, 0.975])).tolist()
    return low, high


def table(results: list[Calibration]) -> str:
    """A row per metric and a column per corruption."""
    header = ["metric", "clips", TRUTH, CODECS, *LIES[2:], "verdict"]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for one in results:
        cells = [one.judge, str(one.clips), _shown(one.truth), _shown(one.through_codecs)]
        for lie in one.lies:
            cells.append(f"{_shown(lie.value)} ({_shown(lie.auroc)})" + (" \\*" if lie.own else ""))
        judged = "calibrated" if one.proven else "failed" if one.failures else "uncalibrated"
        cells.append("not scored" if math.isnan(one.truth) else judged)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def left_out(results: list[Calibration]) -> str:
    """For each own corruption: clips scored, clips left out, and the interval of the AUROC."""
    lines = ["| metric | corruption | clips | left out | AUROC | 95 % |", "|---|---|---|---|---|---|"]
    for one in results:
        for lie in one.lies:
            if lie.own or lie.unchanged:
                name = lie.lie + (" \\*" if lie.own else "")
                ends = f"{_shown(lie.low)} … {_shown(lie.high)}"
                lines.append(
                    f"| {one.judge} | {name} | {lie.clips} | {lie.unchanged} | {_shown(lie.auroc)} | {ends} |"
                )
    return "\n".join(lines) + "\n"


def numbers(title: str, judge: Judge) -> str:
    """All numbers of a metric with their intervals."""
    lines = ["", f"{title}:", "", "| number | value | 95 % | clips |", "|---|---|---|---|"]
    for name, one in judge.scores(draws=500).items():
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
    parser.add_argument("--reference", type=int, default=320, help="clips that fidelity compares with")
    parser.add_argument("--level", default="medium")
    parser.add_argument("--seed", type=int, default=2)
    for part in PARTS:
        parser.add_argument(f"--{part}", type=Path, help="a trained model's folder")
    parser.add_argument("--codecs", type=Path, help="a run with a video_codec and an audio_codec")
    parser.add_argument("--yamnet", action="store_true", help="by YAMNet's embedding too")
    parser.add_argument("--judges", nargs="+", help="only those whose names begin so")
    parser.add_argument("--oracle", action="store_true", help="only what perfect detectors would find")
    parser.add_argument("--commit", action="store_true")
    calibrate(parser.parse_args())
