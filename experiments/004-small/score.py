"""What the small checkpoint draws, judged: python score.py MODEL OUT [--count 256] [--level medium]

Prompts, pictures and sounds are those of clips of the world's split "test" (seed 4), which nothing was
trained on. Each is drawn jointly from its caption, its picture is given a sound (with the caption, and
without one) and its sound a picture; the clips themselves, and through the codecs, are the ceiling, each
other's sounds the floor. Clips and what judges say of them are kept in OUT: a run that was stopped goes on.
OUT/table.md has the rows of RESULT.md.
"""

import argparse
import json
import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import batched, islice
from pathlib import Path

import torch
from rich.progress import track
from safetensors.torch import load_file, save_file

from avsim.clip import Clip
from avsim.data.shards import as_bytes, as_shorts, from_bytes, from_shorts
from avsim.diffusion import FOLEY, JOINT, VISUALIZE, Guidance, Latents, Task
from avsim.evaluation.events import EventSynchrony
from avsim.evaluation.evidence import Detectors, Evidence
from avsim.evaluation.integrity import Integrity
from avsim.evaluation.oracle import perceived
from avsim.evaluation.panel import QUESTIONS, Panel
from avsim.evaluation.score import Score
from avsim.files import atomic
from avsim.simulator import Simulator, load
from avsim.world import Truth, WorldDataset

TRUE, CODECS, JOINTLY, FOLEYED, UNTOLD, SEEN = (
    "truth", "through codecs", "joint", "foley", "foley, no prompt", "visualize",
)  # fmt: skip
WAYS = (TRUE, CODECS, JOINTLY, FOLEYED, UNTOLD, SEEN)
BATCH = 8
AGAINST = "against the true moments"  # what is heard, or seen, where the other one was given


def world(level: str, split: str, count: int) -> Iterator[tuple[Clip, Truth]]:
    """Clips that nothing was trained on."""
    return islice(WorldDataset(level, seed=4, split=split), count)


def draw(model: str, out: Path, level: str, split: str, count: int, how: dict) -> None:
    """Write every clip in every way, in batches, where it isn't there yet."""
    simulator = load(model)
    batches = list(batched(range(count), BATCH))
    clips: list[tuple[Clip, Truth]] = []
    for numbers in track(batches, "drawing"):
        files = {way: out / way / f"{numbers[0]:05d}.safetensors" for way in WAYS}
        missing = [way for way, file in files.items() if not file.exists()]
        if not missing:
            continue
        data = WorldDataset(level, seed=4, split=split)
        clips = [data[number] for number in numbers]
        for way in missing:
            frames, wave = ways(simulator, way, clips, numbers[0], how)
            files[way].parent.mkdir(parents=True, exist_ok=True)
            with atomic(files[way]) as temporary:
                save_file({"frames": as_bytes(frames.clamp(0, 1)), "wave": as_shorts(wave)}, temporary)


@torch.no_grad()
def ways(
    simulator: Simulator, way: str, clips: list[tuple[Clip, Truth]], seed: int, how: dict
) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames (B, 3, T, H, W) and waves (B, A, N) of some clips in one way."""
    frames = torch.stack([clip.frames for clip, _ in clips])
    wave = torch.stack([clip.wave for clip, _ in clips])
    captions = ["" if way == UNTOLD else truth.caption for _, truth in clips]
    if way == TRUE:
        return frames, wave
    video, audio = (
        torch.cat([encode(each) for each in what])
        for encode, what in ((simulator._seen, frames), (simulator._heard, wave))
    )
    spec = simulator._spec(clips[0][0].seconds, None)
    if way == CODECS:
        return simulator.video_codec.decode(video, spec.clip), simulator.audio_codec.decode(audio, spec.clip)
    task: Task = {JOINTLY: JOINT, FOLEYED: FOLEY, UNTOLD: FOLEY, SEEN: VISUALIZE}[way]
    given = Latents(video if task is FOLEY else None, audio if task is VISUALIZE else None)
    drawn = simulator._draw(captions, spec, task, given, seed, how["steps"], Guidance(*how["guidance"]))
    return (
        frames if task is FOLEY else torch.stack([clip.frames for clip in drawn]),
        wave if task is VISUALIZE else torch.stack([clip.wave for clip in drawn]),
    )


def judge(task: tuple[Path, str, str, str, int]) -> dict[str, dict]:
    """All numbers of the clips of one way, by name, with their floors."""
    out, way, level, split, count = task
    kept = out / f"{way}, {count}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    torch.set_num_threads(1)
    detectors = Detectors.shipped()
    panel = Panel([q for q in QUESTIONS if "second" not in q.name], weights=detectors.weights)
    moments = EventSynchrony()
    things = {name: Integrity() for name in ("one thing", "two things")}
    with torch.no_grad():
        for number, (clip, truth) in enumerate(world(level, split, count)):
            stored = load_file(out / way / f"{number // BATCH * BATCH:05d}.safetensors")
            frames, wave = (
                from_bytes(stored["frames"][number % BATCH]),
                from_shorts(stored["wave"][number % BATCH]),
            )
            found = Evidence(replace(clip, frames=frames, wave=wave), detectors, truth.caption)
            panel.update(found)
            known = perceived(clip, truth)
            heard, seen = known.onsets, known.view.events
            if way in (FOLEYED, UNTOLD):
                heard = found.onsets
            elif way == SEEN:
                seen = found.view.events
            elif way in (TRUE, CODECS):  # the ceiling of a sound for a picture: its own
                heard = found.onsets
            if way != JOINTLY:
                moments.update(
                    [one.seconds for one in heard],
                    [one.seconds for one in seen],
                    clip.frames_per_second,
                    clip.seconds,
                )
            name = "one thing" if len(truth.things) == 1 else "two things"
            things[name].update(found.view.things, clip.frames_per_second)
    numbers = {}
    for verdict in panel.verdicts():
        for name, score in verdict.scores.items():
            numbers[f"{verdict.question.name}: {name}"] = plain(score)
    judges = {AGAINST: moments} | {f"integrity of {name}": judge for name, judge in things.items()}
    for title, one in judges.items():
        numbers |= {f"{title}: {name}": plain(score) for name, score in one.scores().items()}
    chance = numbers[f"{AGAINST}: chance of F1 within 1 frame"]["value"]
    numbers[f"{AGAINST}: F1 within 1 frame"]["floor"] = chance
    with atomic(kept) as temporary:
        temporary.write_text(json.dumps(numbers, indent=1))
    return numbers


def plain(score: Score) -> dict:
    """A score as numbers that JSON knows."""
    return {name: getattr(score, name) for name in ("value", "low", "high", "clips", "floor")}


F1, RIGHT_FRAMES = "F1 within 1 frame", "clips with at least 90 % of frames right"
LEVEL, PLACE = (
    "level difference against place, correlation",
    "distance from heard to seen place, picture widths",
)
SHARE = "grounding: share of the energy that falls to what sounds"
PHYSICS = (
    "1 identity and material", "2 speed and loudness", "3 place and decay", "4 timbre",
    "5 size, pitch and bounces", "6 superposition",
)  # fmt: skip
ROWS = (  # what, way, number, bar (of the ceiling, or as it is), whether it is a share of the ceiling
    ("synchrony of a sound for a picture, true contacts", FOLEYED, f"{AGAINST}: {F1}", 0.90, True),
    ("the same without a prompt", UNTOLD, f"{AGAINST}: {F1}", None, True),
    ("synchrony, joint", JOINTLY, f"synchrony of events: {F1}", 0.80, True),
    ("synchrony of a picture for a sound, true onsets", SEEN, f"{AGAINST}: {F1}", 0.70, True),
    ("things seen as prompted", JOINTLY, "text: things seen, right", 0.85, True),
    ("materials seen as prompted", JOINTLY, "text: materials seen, right", 0.85, True),
    ("number of things", JOINTLY, "text: number of things, right", 0.85, True),
    ("things heard as prompted", JOINTLY, "text: things heard, right", 0.85, True),
    ("materials heard as prompted", JOINTLY, "text: materials heard, right", 0.85, True),
    ("place seen", JOINTLY, "text: place seen, right", 0.90, True),
    ("place heard", JOINTLY, "text: place heard, right", 0.90, True),
    ("level against place, foley: correlation", FOLEYED, f"space: {LEVEL}", 0.85, False),
    ("distance from heard to seen place, foley", FOLEYED, f"space: {PLACE}", 0.12, False),
    *((f"physics, joint: {row}", JOINTLY, f"physics, {row}", 0.80, True) for row in PHYSICS),
    ("integrity of one thing", JOINTLY, f"integrity of one thing: {RIGHT_FRAMES}", 0.80, True),
    ("integrity of two things", JOINTLY, f"integrity of two things: {RIGHT_FRAMES}", 0.40, True),
    ("foley without a prompt: things heard", UNTOLD, "text: things heard, right", 0.85, True),
    ("foley without a prompt: materials heard", UNTOLD, "text: materials heard, right", 0.85, True),
    ("grounding, joint", JOINTLY, SHARE, 0.75, True),
)


def table(found: dict[str, dict[str, dict]]) -> str:
    """The rows of RESULT.md."""
    lines = [
        "| what | value | 95 % | clips | floor | truth | through codecs | of the ceiling | bar |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for what, way, name, bar, share in ROWS:
        names = [each for each in found[way] if each == name or each.startswith(f"{name}: ")]
        if not names:
            continue
        one = found[way][names[0]]
        truth, codecs = (found[each].get(names[0], {}).get("value", math.nan) for each in (TRUE, CODECS))
        floor = 0.0 if math.isnan(one["floor"]) else one["floor"]
        ceiling = max((each for each in (truth, codecs) if not math.isnan(each)), default=math.nan)
        of = (one["value"] - floor) / (ceiling - floor) if share and ceiling > floor else math.nan
        cells = [
            what, shown(one["value"]), f"{shown(one['low'])} … {shown(one['high'])}", str(one["clips"]),
            *map(shown, (one["floor"], truth, codecs, of, math.nan if bar is None else bar)),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def shown(value: float) -> str:
    """Two digits, or a dash."""
    return "–" if math.isnan(value) else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("--level", default="medium")
    parser.add_argument("--split", default="test", help='or "held out": combinations that no training had')
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument(
        "--guidance", type=float, nargs=3, default=(1.5, 1.0, 1.0), metavar=("TEXT", "VIDEO", "AUDIO")
    )
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    how = {"steps": arguments.steps, "guidance": arguments.guidance}
    world_of = arguments.level, arguments.split, arguments.count
    draw(arguments.model, arguments.out, *world_of, how)
    tasks = [(arguments.out, way, *world_of) for way in WAYS]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        found = dict(zip(WAYS, pool.map(judge, tasks), strict=True))
    text = table(found)
    with atomic(arguments.out / "table.md") as temporary:
        temporary.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
