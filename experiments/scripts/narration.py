"""Narration of clips of the world, measured: `python experiments/scripts/narration.py [CLIPS]` (n 32, 10 s).

Loudness before and after, ducking depth while speech sounds, speech over scene with and without ducking, and
the similarity of the mix's spectrogram with the speech's.
"""

import math
import sys

import torch

from avsim.clip import Clip
from avsim.speech import loudness, narrate, speak
from avsim.speech.loudness import filtered
from avsim.speech.mix import DUCKING, LARGEST_GAIN, TARGET
from avsim.world import WorldDataset

SPOKEN = (
    ("A red rubber ball falls onto the floor.", "Annie"),
    ("Somebody plays a few notes on the violin.", "male3"),
    ("A bell is struck three times in the cave.", "female2"),
    ("Two things fall one after the other.", None),
)
BLOCK = 0.05  # seconds
ACTIVE = 1e-2  # of the loudest block's power, from which on speech sounds
SILENT = 1e-9  # power of a block in which the scene is silent


def measure(clip: Clip, speech: Clip) -> dict[str, float]:
    """The quantities of one clip, in LUFS, dBTP and dB."""
    assert clip.wave is not None
    rate = int(clip.sample_rate)
    made = narrate(clip, speech)
    assert made.wave is not None
    before, after = loudness(clip.wave, rate), loudness(made.wave, rate)
    voice = narrate(Clip(None, torch.zeros_like(clip.wave), sample_rate=rate), speech).wave
    assert voice is not None  # speech alone, at the target
    scene = torch.nn.functional.pad(clip.wave, (0, max(0, voice.shape[1] - clip.wave.shape[1])))
    scene = scene * 10 ** (min(TARGET - loudness(scene, rate).integrated, LARGEST_GAIN) / 20)
    ducked = filtered([scene, voice], rate, "sidechaincompress", DUCKING)
    powers = [blocks(wave, rate) for wave in (voice, scene, ducked)]
    count = min(map(len, powers))
    spoken, plain, lowered = (power[:count] for power in powers)
    active = (spoken > ACTIVE * spoken.max()) & (plain > SILENT)
    length = min(made.wave.shape[1], voice.shape[1])
    mixed, spoken_alone, floor = (spectrum(wave[:, :length]) for wave in (made.wave, voice, scene))
    return {
        "loudness before": before.integrated,
        "loudness after": after.integrated,
        "true peak after": after.true_peak,
        "ducking depth": float(decibels(plain[active] / lowered[active]).median()),
        "speech over scene, not ducked": float(decibels(spoken[active].sum() / plain[active].sum())),
        "speech over scene": float(decibels(spoken[active].sum() / lowered[active].sum())),
        "spectral cosine with speech": cosine(mixed, spoken_alone),
        "the same of the scene without it": cosine(floor, spoken_alone),
        "seconds of speech": speech.seconds,
        "seconds of the result": made.seconds,
    }


def blocks(wave: torch.Tensor, rate: int) -> torch.Tensor:
    """Mean power of consecutive blocks of a wave (A, N)."""
    return wave.unfold(1, round(BLOCK * rate), round(BLOCK * rate)).square().mean((0, 2))


def spectrum(wave: torch.Tensor) -> torch.Tensor:
    """Magnitudes of the mean of the channels, (F, T)."""
    return torch.stft(wave.mean(0), 512, window=torch.hann_window(512), return_complex=True).abs()


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    """Cosine similarity of two spectrograms."""
    return float((one * other).sum() / (one.norm() * other.norm()))


def decibels(power: torch.Tensor) -> torch.Tensor:
    """10 log10."""
    return 10 * power.log10()


def main(count: int) -> None:
    """Measure and print a table."""
    world = WorldDataset("medium", seed=11, split="test")
    rows = [measure(world[k][0], speak(*SPOKEN[k % len(SPOKEN)])) for k in range(count)]
    print("| quantity | median | 5 % | 95 % | n |\n|---|---|---|---|---|")
    for name in rows[0]:
        values = torch.tensor([row[name] for row in rows if math.isfinite(row[name])])
        low, middle, high = torch.quantile(values, torch.tensor([0.05, 0.5, 0.95])).tolist()
        print(f"| {name} | {middle:.2f} | {low:.2f} | {high:.2f} | {len(values)} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 32)
