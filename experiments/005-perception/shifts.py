"""python shifts.py RUNS LEVEL CLIPS: injected shifts of up to a second against predicted ones.

From clips of 3 s of the world's test split 2 s of video and of audio are cut apart; floor: the video of one
with the audio of the next. Clips without an onset in both cuts are left out.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from avsim.clip import Clip, ClipSpec
from avsim.perception import SyncModel, shift
from avsim.perception import ground_truth as truths
from avsim.weights import load_model
from avsim.world import DIFFICULTIES, WorldDataset

FRAMES, RATE = 32, 16  # of a cut


def cut(clip: Clip, first: int, late: float) -> Clip:
    """2 s from frame `first` on, the audio `late` s later than the video."""
    start = round((first / RATE - late) * clip.sample_rate)
    return Clip(clip.frames[:, first : first + FRAMES], clip.wave[:, start : start + 2 * clip.sample_rate])


def main(runs: Path, level: str, clips: int) -> None:
    judge = load_model(runs / "perception-sync_model" / "simulator" / "sync_model", expected=SyncModel)
    config = type(DIFFICULTIES[level])(**{**vars(DIFFICULTIES[level]), "spec": ClipSpec(seconds=3.0)})
    world, random = WorldDataset(config, seed=0, split="test"), np.random.default_rng(0)
    rows, floor, before = [], [], None
    for index in range(clips):
        clip, truth = world[index]
        first = int(random.integers(17))
        late = float(random.uniform(first / RATE - 1, first / RATE))
        begin = max(first / RATE, first / RATE - late)
        end = min(first / RATE, first / RATE - late) + 2
        if not any(begin < each.what.seconds < end and each.clear for each in truths.onsets(truth)):
            continue
        shown = cut(clip, first, late)
        found = shift(judge, shown)
        rows.append((late, found.seconds, found.sure))
        if before is not None:
            other = shift(judge, Clip(before.frames, shown.wave))
            floor.append((late, other.seconds, other.sure))
        before = shown
    print(f"{len(rows)} of {clips} clips of {level}, split test; {len(floor)} videos with another's audio")
    for name, some in (("all", rows), ("sure", [row for row in rows if row[2]])):
        print(f"{name}: {agreement(some)}")
    for name, some in (("floor, all", floor), ("floor, sure", [row for row in floor if row[2]])):
        print(f"{name}: {agreement(some)}")


def agreement(rows: list[tuple[float, float, bool]]) -> str:
    """Predicted against true shifts."""
    if len(rows) < 3:
        return f"{len(rows)} clips"
    true, predicted, _ = np.array(rows).T
    away = np.abs(predicted - true)
    return (
        f"{len(rows)} clips, median error {np.median(away) * 1000:.0f} ms, within 40 ms "
        f"{np.mean(away <= 0.04):.3f}, rank correlation {spearmanr(true, predicted).statistic:.3f}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
