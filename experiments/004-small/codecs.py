"""Reconstruction quality of the codecs on held-out clips: python codecs.py MODEL [--count 96]

With `--video-codec RUN --size 128` another video codec, and clips of its size.

Prints a markdown row for each number: PSNR of all pixels, of first frames and of the objects' own; onsets
against the true ones within 30 ms, of raw and of decoded audio; loudness (BS.1770), the level
between the sides, log-spectral distance, and whether decays keep their order.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
import torchaudio.functional as audio

from avsim.clip import Clip
from avsim.evaluation.features import Detectors
from avsim.evaluation.metric import rank_correlation
from avsim.evaluation.oracle import oracle_features
from avsim.measures import bootstrap, log_spectral_distance, psnr
from avsim.perception.matching import match
from avsim.simulator import Simulator, load
from avsim.world import Truth, WorldDataset
from avsim.world.flat.config import world_config

TOLERANCE = 0.03  # s


@torch.no_grad()
def through(simulator: Simulator, clip: Clip) -> Clip:
    """A clip encoded and decoded."""
    video_codec, audio_codec = simulator.video_codec, simulator.audio_codec
    frames = video_codec.decode(video_codec.encode(clip.frames[None]), clip.spec)[0]
    return Clip(frames, audio_codec.decode(audio_codec.encode(clip.wave[None]), clip.spec)[0])


def numbers(clip: Clip, back: Clip, truth: Truth, detectors: Detectors) -> dict[str, float]:
    """The scores of one decoded clip."""
    own = truth.masks.amax(0)[None] if len(truth.things) else torch.zeros_like(clip.frames[:1])
    found = {
        "PSNR, dB": psnr(clip.frames[None], back.frames[None]),
        "PSNR of first frames": psnr(clip.frames[None, :, :1], back.frames[None, :, :1]),
        "PSNR of the objects' own pixels": psnr(clip.frames[None], back.frames[None], own[None] + 1e-6),
        "log-spectral distance, dB": log_spectral_distance(clip.wave, back.wave).mean(),
        "loudness, off by LU": (loudness(clip) - loudness(back)).abs(),
        "level between sides, off by dB": (sides(clip) - sides(back)).abs(),
    }
    true = [onset.seconds for onset in oracle_features(clip, truth).onsets]
    for name, one in (("raw", clip), ("back", back)):
        detected = [onset.seconds for onset in detectors.onsets(one)]
        found |= {f"matched {name}": len(match(detected, true, TOLERANCE)), f"heard {name}": len(detected)}
        found[f"decay {name}"] = detectors.hear(one).decay
    return {name: float(value) for name, value in {**found, "true": len(true)}.items()}


def loudness(clip: Clip) -> torch.Tensor:
    """LUFS."""
    return audio.loudness(clip.wave, clip.sample_rate)


def sides(clip: Clip) -> torch.Tensor:
    """Level of the left above the right, dB."""
    return 10 * (clip.wave.square().mean(1) + 1e-10).log10().diff()[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--video-codec", type=Path, metavar="RUN")
    parser.add_argument("--size", type=int, default=64)
    arguments = parser.parse_args()
    simulator, detectors = load(arguments.model), Detectors.shipped()
    if arguments.video_codec is not None:
        simulator = replace(simulator, video_codec=load(arguments.video_codec).video_codec)
    level = world_config("medium")
    level = replace(level, spec=replace(level.spec, height=arguments.size, width=arguments.size))
    world = WorldDataset(level, seed=7, split="test")
    clips = (world[index] for index in range(arguments.count))
    rows = [numbers(clip, through(simulator, clip), truth, detectors) for clip, truth in clips]
    table = {name: torch.tensor([row[name] for row in rows], dtype=torch.float64) for name in rows[0]}
    for name in list(table)[:6]:
        one = bootstrap(table[name])
        print(f"| {name} | {float(one.mean):.2f} ({float(one.low):.2f} … {float(one.high):.2f}) |")
    true = table["true"].sum()
    raw, back = (
        2 * float(table[f"matched {each}"].sum() / (table[f"heard {each}"].sum() + true))
        for each in ("raw", "back")
    )
    decays = float(rank_correlation(table["decay raw"], table["decay back"]))
    print(f"| onsets within 30 ms, F1, of the raw audio's {raw:.3f} | {back / raw:.3f} |")
    print(f"| decays, rank correlation | {decays:.3f} |")
