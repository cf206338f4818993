"""Things that fall on grass, judged by colour alone: python falls.py OUT [--model M | --codec C] [--seeds 8]

Four sentences in the world's grammar, eight seeds each. A clip is right if the thing's colour forms one blob
in the first frame and one in the last, which is lower; and steady if it is one in every frame. Ghosts of
another colour are not seen by that. Without --model the clips are the world's own (the ceiling), with --codec
the world's own through a video codec (the ceiling of a generator of its latents). OUT gets
falls.json and a strip of eight frames for each clip.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from avsim.codecs import VideoCodec
from avsim.data.shards import write_json
from avsim.data.worlds import SceneVariants
from avsim.diffusion.generate import STEPS
from avsim.measures import bootstrap
from avsim.simulator import Simulator, load
from avsim.weights import load_model, part_folder
from avsim.world import world_config
from avsim.world.flat.textures import PAINT

SENTENCES = {  # sentence -> the paint of what falls
    "a red rubber ball falls onto the grass in a national park": ("rubber", "red"),
    "a small red rubber ball falls onto the grass in a national park": ("rubber", "red"),
    "a gold metal ball falls onto the grass in a national park": ("metal", "gold"),
    "an amber glass ball falls onto the grass in a national park": ("glass", "amber"),
}
HUE = 0.05  # of a turn from the paint's
SATURATION = {"rubber": 0.5, "metal": 0.6, "glass": 0.4}  # of the paint's, at least: mountains are duller
VALUE = 0.35
SMALLEST = 4  # pixels of a blob
CLOSING = 3  # pixels; what lies closer together is one blob: reflections of metal and glass divide it
SHARE = 0.3  # of the median area that a second blob, or one half as strong, must have to count
DROP = 0.1  # of the frame's height that it must fall


def hsv(frames: Tensor) -> np.ndarray:
    """Frames (3, T, H, W) in [0, 1] -> hue, saturation, value (T, H, W, 3) in [0, 1]."""
    pixels = (frames.clamp(0, 1) * 255).round().byte().permute(1, 2, 3, 0).numpy()
    return np.stack([np.asarray(Image.fromarray(frame).convert("HSV")) for frame in pixels]) / 255


def blobs(frames: Tensor, what: tuple[str, str]) -> list[list[tuple[float, float, float]]]:
    """In each frame (area in pixels, y, x from 0 to 1) of each blob of (material, colour), largest first."""
    of_paint = hsv(torch.tensor(PAINT[what])[:, None, None, None])[0, 0, 0]
    colours = hsv(frames)
    distance = np.abs((colours[..., 0] - of_paint[0] + 0.5) % 1 - 0.5)
    saturated, bright = (
        colours[..., 1] > SATURATION[what[0]] * of_paint[1],
        colours[..., 2] > VALUE * of_paint[2],
    )
    found = []
    for frame in (distance < HUE) & saturated & bright:
        closed = ndimage.binary_closing(np.pad(frame, CLOSING), np.ones((3, 3)), CLOSING)
        labels, count = ndimage.label(closed[CLOSING:-CLOSING, CLOSING:-CLOSING] | frame, np.ones((3, 3)))
        inside = [np.argwhere(labels == k + 1) for k in range(count)]
        of_frame = [(float(len(at)), *(at.mean(0) / frame.shape)) for at in inside if len(at) >= SMALLEST]
        found.append(sorted(of_frame, reverse=True))
    return found


def fault(frames: Tensor, what: tuple[str, str]) -> tuple[str | None, bool]:
    """The fault of a clip in which one (material, colour) should fall, None if right; if steady in between.

    Right: one blob in the first frame, one in the last, which is lower. Steady: one blob in every frame.
    """
    found = blobs(frames, what)
    areas = [of_frame[0][0] for of_frame in found if of_frame]
    if not areas:
        return "never there", False
    usual = float(np.median(areas))
    counts = [sum(area >= SHARE * usual for area, _, _ in of_frame) for of_frame in found]
    steady = all(count == 1 for count in counts)
    if not counts[0]:
        return "not there at first", steady
    if not counts[-1]:
        return "not there at last", steady
    if counts[0] > 1 or counts[-1] > 1:
        return "two", steady
    return (None if found[-1][0][1] - found[0][0][1] >= DROP else "does not fall"), steady


def ghost(frames: Tensor, what: tuple[str, str]) -> float:
    """How far the place that a thing has left stands out at last: of its mean colour from that around it.

    In sRGB from 0 to 1, root mean square over the channels; nan where nothing is there at first. True clips
    have the backdrop there, which stands out a little too.
    """
    first = blobs(frames[:, :1], what)[0]
    if not first:
        return float("nan")
    area, y, x = first[0]
    height, width = frames.shape[2:]
    distance = np.hypot(np.arange(height)[:, None] - y * height, np.arange(width)[None] - x * width)
    radius = float(np.sqrt(area / np.pi))
    last = frames[:, -1].permute(1, 2, 0).numpy()
    place, around = (
        last[part].mean(0)
        for part in (distance < radius, (distance > 1.5 * radius) & (distance < 2.5 * radius))
    )
    return float(np.sqrt(np.square(place - around).mean()))


def strip(frames: Tensor) -> Image.Image:
    """Eight frames (3, T, H, W) in a row."""
    chosen = frames[:, torch.linspace(0, frames.shape[1] - 1, 8).round().long()]
    row = chosen.permute(2, 1, 3, 0).flatten(1, 2)  # (H, 8 W, 3)
    return Image.fromarray((row.clamp(0, 1) * 255).round().byte().numpy())


def clip_of(
    simulator: Simulator | None, codec: VideoCodec | None, sentence: str, seed: int, steps: int
) -> Tensor:
    """Frames (3, T, H, W) of the world's clip, through the codec if given, or of a generated one."""
    if simulator is None:
        frames = SceneVariants(sentence, world_config("medium").spec, seed)[0][0].frames
        if codec is None:
            return frames
        with torch.inference_mode():
            return codec.decode(codec.encode(frames[None]), world_config("medium").spec)[0]
    return simulator.generate(sentence, seed=seed, steps=steps).frames


def main() -> None:
    """Judge all clips; print the share that is right and the faults."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", help="a checkpoint; default: the world's own clips")
    parser.add_argument("--codec", type=Path, help="a run or folder of a video codec")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=STEPS, help="sampling steps (default %(default)s)")
    arguments = parser.parse_args()
    simulator = load(arguments.model) if arguments.model else None
    codec = load_model(part_folder(arguments.codec, "video_codec")) if arguments.codec else None
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for sentence, what in SENTENCES.items():
        for seed in range(arguments.seeds):
            frames = clip_of(simulator, codec, sentence, seed, arguments.steps)
            found, steady = fault(frames, what)
            rows.append(
                {
                    "sentence": sentence,
                    "seed": seed,
                    "fault": found,
                    "steady": steady,
                    "ghost": ghost(frames, what),
                }
            )
            strip(frames).save(arguments.out / f"{len(rows) - 1:03d} {found or 'right'}.png")
    right = torch.tensor([float(row["fault"] is None) for row in rows])
    share = bootstrap(right)
    steady = sum(row["fault"] is None and row["steady"] for row in rows)
    ghosts = [row["ghost"] for row in rows if row["ghost"] == row["ghost"]]
    summary = {
        "ghost, median": float(np.median(ghosts)) if ghosts else None, "ghosts judged": len(ghosts),
        "right": int(right.sum()), "of": len(rows), "low": share.low, "high": share.high,
        "also steady": steady,
    }  # fmt: skip
    write_json(arguments.out / "falls.json", {"model": arguments.model, **summary, "clips": rows})
    for sentence in SENTENCES:
        of_sentence = Counter(row["fault"] or "right" for row in rows if row["sentence"] == sentence)
        print(f"{sentence}: " + ", ".join(f"{name} {count}" for name, count in of_sentence.most_common()))
    print(f"right: {summary['right']} of {len(rows)} ({share.low:.2f} … {share.high:.2f}), steady {steady}")
    print(f"ghost, median: {summary['ghost, median']} of {len(ghosts)}")


if __name__ == "__main__":
    main()
