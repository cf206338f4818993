"""Every judge x every lie, on clips of the world that no training saw: python calibrate.py RUN [options].

Writes RUN/table.md and RUN/calibrations/NAME.json; with --commit those go to avsim/evaluation/calibrations
too, where `avsim evaluate` finds them. A cell of the table is the judge's first number, and in brackets the
AUROC of its true clips against those with the lie; a star marks the lies that the judge is there to find.
"""

import argparse
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from avsim.clip import Clip, ClipSpec, Region
from avsim.evaluation.calibration import Against, Calibration, Range, auroc, hash_of
from avsim.evaluation.compared import fidelity
from avsim.evaluation.events import Offset
from avsim.evaluation.evidence import Detectors, Evidence
from avsim.evaluation.grounding import Grounding, oracle
from avsim.evaluation.judge import Judge
from avsim.evaluation.lies import OF_A_CLIP, OF_A_SCENE, SHIFTS, spliced, through_codecs
from avsim.evaluation.panel import CALIBRATIONS, QUESTIONS, Panel, Question
from avsim.evaluation.score import Unjudged
from avsim.files import atomic
from avsim.weights import TENSORS
from avsim.world import Truth, WorldDataset, configured

SPECS = (  # that clips are of, in turn
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
PARTS = ("sound", "picture", "offset", "separator")  # detectors that are trained


def clips(level: str, split: str, count: int, seed: int) -> Iterator[tuple[Clip, Truth]]:
    """Clips of the world, of each of `SPECS` in turn."""
    worlds = [WorldDataset(replace(configured(level), spec=spec), seed, split) for spec in SPECS]
    for index in track(range(count), f"{level}, {split}", console=Console(stderr=True)):
        yield worlds[index % len(worlds)][index]


def reference(detectors: Detectors, level: str, count: int, seed: int) -> list[Question]:
    """The judges that compare with real clips, which are of another split."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in detectors.embeddings}
    for clip, _ in clips(level, "validation", count, seed):
        for name, embed in detectors.embeddings.items():
            found[name].append(embed(clip))
    return [
        fidelity(
            name, detectors.embeddings[name], torch.stack(rows), () if "picture" in name else ("silenced",)
        )
        for name, rows in found.items()
    ]


def lied(found: Evidence, truth: Truth, before: Evidence | None, codecs) -> Iterator[tuple[str, Evidence]]:
    """The clip with each lie; what a lie leaves as it was isn't looked at or listened to again."""
    if codecs is not None:
        yield CODECS, again(found, codecs(found.clip))
    if before is not None:
        yield SHUFFLED, found.with_sound_of(before)
        yield SPLICED, again(found, spliced(found.clip, before.clip))
        other = again(found, found.clip)
        other.caption = before.caption
        yield CAPTION, other
    for name, lie in OF_A_CLIP.items():
        yield name, again(found, lie(found.clip))
    for name, sounding in OF_A_SCENE.items():
        try:
            yield name, again(found, sounding(found.clip, truth))
        except Unjudged:
            continue


def again(found: Evidence, clip: Clip) -> Evidence:
    """Evidence of a changed clip."""
    new = Evidence(clip, found.detectors, found.caption, found.name)
    if clip.frames is found.clip.frames and "view" in vars(found):
        new.view = found.view
    if clip.wave is found.clip.wave:
        for name in ("onsets", "heard"):
            if name in vars(found):
                setattr(new, name, getattr(found, name))
    return new


def grounded(judge: Grounding, clip: Clip, truth: Truth, before: Clip | None) -> None:
    """Ask oracle masks where the sound of a clip comes from."""
    sounding = [
        k for k, thing in enumerate(truth.things)
        if truth.stems[thing.name].square().mean() > 1e-8 and truth.masks[k].any()
    ]  # fmt: skip
    if not sounding or before is None or before.wave is None:
        return
    own = [truth.stems[truth.things[k].name] for k in sounding]
    rest = torch.stack(list(truth.stems.values())).sum(0) - sum(own)
    regions = [Region(truth.masks[k].clamp(0, 1), truth.things[k].name) for k in sounding]
    judge.update(clip, regions, oracle(torch.stack([*own, rest])), before)


def calibrate(arguments: argparse.Namespace) -> None:
    """Show every clip and every lie to all judges; write what they say."""
    detectors = Detectors.trained(**{part: getattr(arguments, part) for part in PARTS})
    codecs = _codecs(arguments.codecs)
    questions = [*QUESTIONS, *reference(detectors, arguments.level, arguments.reference, arguments.seed)]
    panels = {lie: Panel(questions, floors=False, calibrated=False) for lie in LIES}
    grounding, offsets, before = Grounding(), Offset(), None
    with torch.no_grad():
        for clip, truth in clips(arguments.level, "test", arguments.clips, arguments.seed):
            found = Evidence(clip, detectors, truth.caption)
            panels[TRUTH].update(found)
            for name, lie in lied(found, truth, before, codecs):
                panels[name].update(lie)
                if detectors.offset is not None and name in SHIFTED_BY:
                    offsets.update(lie.offset, SHIFTED_BY[name])
            grounded(grounding, clip, truth, before.clip if before else None)
            before = found
    made_by = " ".join(["python calibrate.py", *sys.argv[1:]]) + " at " + _commit()
    results = {q.name: result(q, panels, arguments, made_by) for q in questions}
    folder = Path(arguments.run)
    with atomic(folder / "table.md") as temporary:
        temporary.write_text(table(list(results.values())))
        with temporary.open("a") as file:
            file.write(numbers("Grounding, with oracle masks", grounding))
            file.write(numbers("Offsets put in, of 40 to 320 ms", offsets))
    for name, found in results.items():
        for place in [folder / "calibrations", *([CALIBRATIONS] if arguments.commit else [])]:
            if not math.isnan(found.truth):
                found.save(place / f"{name.replace(' ', '-')}.json")
    print((folder / "table.md").read_text())


def result(question: Question, panels: dict[str, Panel], arguments, made_by: str) -> Calibration:
    """What one judge was shown to do."""
    judges = {lie: panel.judges[question.name] for lie, panel in panels.items()}
    first = {
        lie: next(iter(judge.compute().values())).item() for lie, judge in judges.items() if len(judge.rows)
    }
    each = {lie: judge.each(judge.rows) for lie, judge in judges.items() if len(judge.rows)}
    against = tuple(
        Against(
            lie,
            first.get(lie, math.nan),
            auroc(each[TRUTH], each[lie]) if lie in each and TRUTH in each else math.nan,
            own=lie in question.lies,
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
        weights=_weights(arguments),
        made_by=made_by,
        higher_is_better=judges[TRUTH].higher_is_better,
    )


def table(results: list[Calibration]) -> str:
    """A row for each judge and a column for each lie."""
    header = ["judge", "clips", TRUTH, CODECS, *LIES[2:], "verdict"]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for one in results:
        cells = [one.judge, str(one.clips), _shown(one.truth), _shown(one.through_codecs)]
        for lie in one.lies:
            cells.append(f"{_shown(lie.value)} ({_shown(lie.auroc)})" + (" \\*" if lie.own else ""))
        judged = "proven" if one.proven else "failed" if one.failures else "not proven"
        cells.append("not judged" if math.isnan(one.truth) else judged)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def numbers(title: str, judge: Judge) -> str:
    """All of a judge's numbers with their intervals."""
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


def _weights(arguments) -> str:
    """The hashes of all detectors' weights, as one."""
    folders = [getattr(arguments, part) for part in PARTS if getattr(arguments, part) is not None]
    return "+".join(hash_of(folder / TENSORS) for folder in folders)


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
    parser.add_argument("--commit", action="store_true")
    calibrate(parser.parse_args())
