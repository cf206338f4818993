"""Every number of RESULT.md, on held-out shots: python evaluate.py RUN.

Writes RUN/results.json, a table on stdout, RUN/made/*.mp4 and RUN/looked-at.png. Intervals are 95 %, by
bootstrap over shots, since clips of one shot overlap.
"""

import json
import sys
from pathlib import Path

import torch
from baseline import CHANNELS, pca_scores
from heldout import SPEC, over_shots, picked
from sheet import write_sheet

from avsim.clip import Clip, LatentSpec, Region
from avsim.data.mixtures import Mixture
from avsim.data.sources import ShardSource
from avsim.diffusion import Latents, Pair
from avsim.diffusion.loss import level_only, row_loss, token_loss
from avsim.diffusion.noising import Noised
from avsim.evaluation.bss import bss_eval
from avsim.files import atomic
from avsim.measures import Interval, log_spectral_distance, psnr
from avsim.models.tokens import to_tokens
from avsim.seeds import generator
from avsim.simulator import Simulator, load

NOISE_LEVELS = (0.2, 0.4, 0.6, 0.8, 1.0)  # of noise, at which the flow loss is measured
MIXTURES = 64


def decibels(wave: torch.Tensor) -> torch.Tensor:
    """Mean power in dB of full scale."""
    return 10 * (wave.square().mean() + 1e-10).log10()


@torch.no_grad()
def codecs(simulator: Simulator, clips: list[Clip], shots: list[str]) -> dict[str, Interval]:
    """Reconstruction errors of both codecs."""
    found: dict[str, list[float]] = {}
    for clip in clips:
        frames, wave = clip.frames[None], clip.wave[None]
        seen = simulator.video_codec.decode(simulator.video_codec.encode(frames), clip.spec)
        heard = simulator.audio_codec.decode(simulator.audio_codec.encode(wave), clip.spec)
        for name, value in {
            "video codec, PSNR (dB)": psnr(frames, seen),
            "audio codec, loudness away (dB)": 10
            * (heard.square().mean() / wave.square().mean()).log10().abs(),
            "audio codec, log-spectral distance (dB)": log_spectral_distance(wave, heard),
            "silence instead, log-spectral distance (dB)": log_spectral_distance(wave, 0 * wave),
        }.items():
            found.setdefault(name, []).append(value.mean().item())
    return {name: over_shots(values, shots) for name, values in found.items()}


@torch.no_grad()
def flow(simulator: Simulator, clips: list[Clip], shots: list[str]) -> dict[str, Interval]:
    """Flow losses, means over NOISE_LEVELS: of both, of the level-only baseline, of audio given video."""
    model, found = simulator.generator, {}
    spec = LatentSpec(SPEC)
    latents = [
        Latents(simulator.video_codec.encode(c.frames[None]), simulator.audio_codec.encode(c.wave[None]))
        for c in clips
    ]
    context = model.context([""], spec)
    for index in range(len(clips)):
        x = to_tokens(latents[index])
        # A video of another shot: the next clip in order whose shot differs.
        other = next(
            k % len(clips) for k in range(index + 1, 2 * len(clips)) if shots[k % len(clips)] != shots[index]
        )
        swapped = to_tokens(latents[other]).video
        losses: dict[str, list[float]] = {}
        for level in NOISE_LEVELS:
            rng = generator(0, "evaluate", index, str(level))
            s = torch.full((1, 1), level)
            noised = x.each(lambda x, rng=rng, s=s: Noised(x, torch.randn(x.shape, generator=rng), s))
            v = model(noised.each(lambda n: n.x_s), noised.each(lambda n: n.s), context)
            for name, n, velocity in zip(("video", "audio"), noised, v, strict=True):
                losses.setdefault(f"flow loss, {name}", []).append(row_loss(token_loss(velocity, n)).item())
                losses.setdefault(f"flow loss, {name}, level-only baseline", []).append(
                    row_loss(token_loss(level_only(n), n)).item()
                )
            for name, picture in (("own", x.video), ("shuffled", swapped)):
                given = Pair(picture, noised.audio.x_s), Pair(torch.zeros_like(s), s)
                loss = row_loss(token_loss(model(*given, context).audio, noised.audio)).item()
                losses.setdefault(f"flow loss, audio given its {name} video", []).append(loss)
        means = {name: sum(values) / len(values) for name, values in losses.items()}
        means["conditioning gain: shuffled minus own, per clip"] = (
            means["flow loss, audio given its shuffled video"] - means["flow loss, audio given its own video"]
        )
        for name, value in means.items():
            found.setdefault(name, []).append(value)
    return {name: over_shots(values, shots) for name, values in found.items()}


def separation(simulator: Simulator, shards: str) -> dict[str, Interval]:
    """SDR (BSS-eval 3, 512 taps) of two held-out shots side by side: of stems, mixture, oracle."""
    found: dict[str, list[float]] = {}
    shots = []
    for split in ("validation", "test"):
        mixtures = Mixture(ShardSource(shards, split))
        for index in range(0, min(len(mixtures), MIXTURES // 2)):
            sample = mixtures.sample(index, SPEC, generator(0, "mixture", index))
            if (sample.stems.square().mean((1, 2)) < 1e-7).any():
                continue  # a silent part has no SDR
            clip = Clip(sample.frames, sample.wave)
            regions = [Region(mask, f"part {k}") for k, mask in enumerate(sample.masks)]
            stems = simulator.separate(clip, regions).wave[: len(regions)]
            mono = sample.stems.mean(1)[None]  # (1, 2, N)
            sdr = {
                "the mixture": bss_eval(mono, sample.wave.mean(0).expand(1, len(regions), -1))[0],
                "the stems": bss_eval(mono, stems.mean(1)[None])[0],
                "the oracle ratio mask": bss_eval(mono, ideal(sample.stems).mean(1)[None])[0],
            }
            for name, value in sdr.items():
                found.setdefault(f"SDR of {name} (dB)", []).append(value.mean().item())
            shots.append(mixtures.group(index))
    stems, mixed = (found[f"SDR of the {name} (dB)"] for name in ("stems", "mixture"))
    found["gain over the mixture, per mixture (dB)"] = [a - b for a, b in zip(stems, mixed, strict=True)]
    return {name: over_shots(values, shots) for name, values in found.items()}


def ideal(stems: torch.Tensor) -> torch.Tensor:
    """Stems by the ideal ratio mask, (R, A, N): the ceiling of any mask."""
    window = torch.hann_window(1024)
    flat = stems.flatten(0, 1)
    spectra = torch.stft(flat, 1024, 256, window=window, return_complex=True).unflatten(0, stems.shape[:2])
    share = spectra.abs() / spectra.abs().sum(0).clamp(min=1e-8)
    cut = (share * spectra.sum(0)).flatten(0, 1)
    return torch.istft(cut, 1024, 256, window=window, length=stems.shape[-1]).view_as(stems)


def main(run: str) -> None:
    """Measure, write, print."""
    folder, shards = Path(run), f"{run}/shards"
    simulator = load(folder / "generator", separator=folder / "separator")
    shots, clips, names = [], [], []
    for shot, sample in picked(shards):
        shots.append(shot)
        names.append(sample.name)
        clips.append(Clip(sample.frames, sample.wave))
    results = {f"block PCA of {CHANNELS} channels, PSNR (dB)": over_shots(pca_scores(shards), shots)}
    results |= codecs(simulator, clips, shots)
    results |= flow(simulator, clips, shots)
    results |= separation(simulator, shards)
    write_sheet(simulator, clips, names, folder)
    plain = {name: [value.mean, value.low, value.high] for name, value in results.items()}
    with atomic(folder / "results.json") as temporary:
        temporary.write_text(json.dumps(plain, indent=1))
    print(f"{len(clips)} held-out clips of {len(set(shots))} shots")
    for name, value in results.items():
        print(f"| {name} | {value.mean:.3f} | {value.low:.3f} ... {value.high:.3f} |")


if __name__ == "__main__":
    main(sys.argv[1])
