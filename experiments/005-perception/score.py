"""python score.py RUNS LEVEL CLIPS: detections on the world's test split, against the truth.

RUNS holds perception-video_detector and perception-audio_detector. Chance: each clip's detections against the
next clip's truth.
"""

import sys
from collections import defaultdict
from pathlib import Path

from avsim.perception import AudioDetector, VideoDetector, detect
from avsim.perception import ground_truth as truths
from avsim.perception.matching import Counts, count, match
from avsim.weights import load_model
from avsim.world import WorldDataset

FRAME = 1 / 16  # s


def moments(found: list, true: list, tolerance: float) -> Counts:
    """Detections against clear moments; unclear ones count neither way."""
    clear, rest = ([each.what.seconds for each in true if each.clear == which] for which in (True, False))
    return count([each.seconds for each in found], clear, tolerance, rest)


def main(runs: Path, level: str, clips: int) -> None:
    picture = load_model(
        runs / "perception-video_detector" / "simulator" / "video_detector", expected=VideoDetector
    )
    sound = load_model(
        runs / "perception-audio_detector" / "simulator" / "audio_detector", expected=AudioDetector
    )
    world = WorldDataset(level, seed=0, split="test")
    right: dict[str, list[float]] = defaultdict(list)
    counts: dict[str, Counts] = defaultdict(Counts)
    before: dict[str, list] = {}
    for index in range(clips):
        clip, truth = world[index]
        view, heard = detect.detect_video(picture, clip), detect.audio_content(sound, clip)
        pairs = {
            "event": (list(view.events), truths.events(truth, clip.spec)),
            "onset": (detect.onsets(sound, clip), truths.onsets(truth, clip.sample_rate)),
        }
        for name, (found, true) in pairs.items():
            for label, tolerance in (("1 frame", FRAME), ("1/2 frame", FRAME / 2)):
                counts[f"{name} within {label}"] += moments(found, true, tolerance)
                if name in before:
                    counts[f"{name} within {label}, chance"] += moments(found, before[name], tolerance)
            before[name] = true
            clear = [each.what for each in true if each.clear]
            for i, j in match([e.seconds for e in found], [e.seconds for e in clear], FRAME):
                right[f"{name} kind"].append(found[i].kind == clear[j].kind)
                right[f"{name} material"].append(found[i].material == clear[j].material)
                right[f"{name} late, s"].append(abs(found[i].seconds - clear[j].seconds))
                if name == "event":
                    right["event off by, widths"].append(abs(found[i].x - clear[j].x))
        for seen, there in list(zip(view.things, truths.things(truth, clip.spec), strict=True))[::8]:
            right["objects counted right"].append(len(seen) == len(there))
            for thing in there:
                near = min(seen, key=lambda s, t=thing: abs(s.x - t.x) + abs(s.y - t.y), default=None)
                for what in ("kind", "material", "colour"):
                    right[f"object {what}"].append(
                        near is not None and getattr(near, what) == getattr(thing, what)
                    )
        right["place from video"].append(max(view.places, key=view.places.__getitem__) == truth.place)
        right["place from audio"].append(heard.place == truth.place)
        labels = truths.heard(truth, clip.sample_rate)
        for what in ("kinds", "materials"):
            predicted, true = getattr(heard, what), getattr(labels, what)
            right[f"audible {what}, all right"].append(
                all((predicted[name] > 0.5) == true[name] for name in true)
            )
    print(f"{clips} clips of {level}, split test")
    for name, each in counts.items():
        print(
            f"{name}: precision {each.precision:.3f} recall {each.recall:.3f} F1 {each.f1:.3f}"
            f" ({each.true} true)"
        )
    for name, values in right.items():
        print(f"{name}: {sum(values) / len(values):.3f} (n = {len(values)})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
