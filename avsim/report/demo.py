"""The page of `avsim demo`: what was trained for how long, and what it draws, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from avsim.clip import Clip, Region
from avsim.measures import log_spectral_distance, psnr, si_sdr
from avsim.report.html import Html, Section, image, page, row, table
from avsim.report.pixels import ABOUT, SCRIPT, STYLE, hearable_clip
from avsim.report.players import player
from avsim.report.plots import spectrogram, strip
from avsim.separation import find_regions
from avsim.simulator import Simulator
from avsim.simulator.samples import shown_stems
from avsim.world import Truth, WorldConfig, WorldDataset

SHOWN = 3  # clips of the world that no training saw


@dataclass(frozen=True)
class Trained:
    """How much of a training there was."""

    steps: int
    seconds: float  # of wall time, from its start to its export


def write_page(simulator: Simulator, trained: Mapping[str, Trained], path: str | Path) -> Path:
    """Draw and separate with a demo's models, and write the page."""
    unseen = WorldDataset("easy", split="test")
    clips, truths = zip(*(unseen[index] for index in range(SHOWN)), strict=True)
    drawn = simulator.batch([truth.caption for truth in truths], seconds=clips[0].seconds)
    sections = [
        _about(trained),
        _world(clips, truths),
        _codecs(simulator, clips),
        _joint(clips, truths, drawn),
        _foley(simulator, clips, truths),
        _stems(simulator),
        _stems_of_drawn(simulator, drawn[0]),
        _pixels(simulator),
    ]
    return page(path, "avsim: a first look, after minutes of training", sections, SCRIPT, STYLE)


def _about(trained: Mapping[str, Trained]) -> Section:
    rows = [
        [name.replace("_", " "), str(part.steps), f"{part.seconds:.0f} s"] for name, part in trained.items()
    ]
    total = sum(part.seconds for part in trained.values())
    return Section(
        "What this is",
        [
            "avsim draws video and its sound together, and says which region of the picture makes which part "
            "of the sound. Everything here was trained on this machine just now, from nothing, on a small "
            f"world of things that fall, bounce or are struck, and sound: {total:.0f} seconds in all.",
            "So expect blurs, smears and noise where the truth has balls and bells: this page shows that the "
            "whole path works, not how good it gets. The players have their sound on.",
            table(["trained", "steps", "time"], rows),
        ],
    )


def _world(clips: Sequence[Clip], truths: Sequence[Truth]) -> Section:
    return Section(
        "The world",
        [
            "Clips that no training saw. The world knows each thing's own sound, its place in every frame "
            "and the time and speed of every impact.",
            row(player(clip, truth.caption) for clip, truth in zip(clips, truths, strict=True)),
        ],
    )


@torch.no_grad()
def _codecs(simulator: Simulator, clips: Sequence[Clip]) -> Section:
    """Each clip through the codecs and back."""
    see, hear = simulator.part("video_codec"), simulator.part("audio_codec")
    pairs, rows = [], []
    for number, clip in enumerate(clips[:2], 1):
        assert clip.frames is not None and clip.wave is not None
        frames = see.decode(see.encode(clip.frames[None]), clip.spec)[0]
        wave = hear.decode(hear.encode(clip.wave[None]), clip.spec)[0]
        back = replace(clip, frames=frames.float().clamp(0, 1), wave=wave.float())
        assert back.frames is not None and back.wave is not None
        pairs += [player(clip, f"clip {number}"), player(back, f"clip {number}, through the codecs")]
        rows.append(
            [
                f"clip {number}",
                f"{float(psnr(clip.frames[None], back.frames[None])):.1f} dB",
                f"{float(log_spectral_distance(clip.wave, back.wave).mean()):.1f} dB",
            ]
        )
    return Section(
        "Through the codecs and back",
        [
            "The generator draws in the codecs' latents, so this is the best that it could reach: picture "
            "8 x 8 x 4 times smaller, sound as 32 latents a second.",
            row(pairs),
            table(
                [
                    "",
                    "picture, PSNR (more is better)",
                    "sound, log-spectral distance (less)",
                ],
                rows,
            ),
        ],
    )


def _joint(clips: Sequence[Clip], truths: Sequence[Truth], drawn: Sequence[Clip]) -> Section:
    rows = [
        [truth.caption, player(clip, "the world's clip of these words"), _shown(made, "drawn")]
        for clip, truth, made in zip(clips, truths, drawn, strict=True)
    ]
    return Section(
        "Picture and sound, drawn together from words",
        [
            "The right column was drawn from the words at the left alone; the world's clip stands between "
            "them to compare. Words don't say everything, so a good one need not look the same.",
            table(["words", "the world", "drawn"], rows),
        ],
    )


def _foley(simulator: Simulator, clips: Sequence[Clip], truths: Sequence[Truth]) -> Section:
    rows = []
    for clip, truth in zip(clips[:2], truths[:2], strict=True):
        made = simulator.foley(clip.silent(), truth.caption)
        rows.append(
            [truth.caption, _heard(clip, "the world's sound"), _heard(made, "the sound drawn for it")]
        )
    return Section(
        "A sound for a silent picture",
        [
            "The same model, given the picture (which comes back untouched). Look whether energy appears "
            "when something is hit.",
            table(["words", "the world", "drawn"], rows),
        ],
    )


def _stems(simulator: Simulator) -> Section:
    """A clip of two things, taken apart by their true masks."""
    clip, truth, regions = _two_things()
    assert clip.wave is not None
    stems = simulator.separate(clip, regions)
    shown, rows = [player(clip, f"the clip: {truth.caption}")], []
    for name, part in shown_stems(clip, stems):
        shown.append(player(part, f"separated: {name}"))
        if name in truth.stems and part.wave is not None and truth.stems[name].any() and name != "off screen":
            own = truth.stems[name]
            shown.append(player(replace(clip, frames=None, wave=own), f"its true sound: {name}"))
            found, floor = (float(si_sdr(own, x).mean()) for x in (part.wave, clip.wave))
            rows.append([name, f"{floor:.1f} dB", f"{found:.1f} dB"])
    error = float((stems.mixture - clip.wave).abs().max())
    return Section(
        "The sound of each region",
        [
            "Two things, one sound; the separator was given where each is and gives each its own stem. "
            f"The stems add up to the clip's sound (largest error {error:.1e}).",
            row(shown),
            table(["SI-SDR (more is better)", "the mixture itself", "separated"], rows),
        ],
    )


def _two_things() -> tuple[Clip, Truth, list[Region]]:
    """A clip of two things that sound, and where they are."""
    clip, truth = WorldDataset(WorldConfig(things=(2, 2)), split="test")[0]
    regions = [Region(mask, thing.name) for mask, thing in zip(truth.masks, truth.things, strict=True)]
    return clip, truth, regions


def _pixels(simulator: Simulator) -> Section:
    """The same clip, each pixel of which can be heard."""
    clip, _, regions = _two_things()
    return Section(
        "The sound of every pixel", [ABOUT, hearable_clip(simulator.part("separator"), clip, regions)]
    )


def _stems_of_drawn(simulator: Simulator, clip: Clip) -> Section:
    """A drawn clip, taken apart by regions that the separator finds itself."""
    regions = find_regions(simulator.part("separator"), clip, count=2)
    stems = simulator.separate(clip, regions)
    parts = [player(part, name) for name, part in shown_stems(clip, stems)]
    return Section(
        "The regions of a drawn clip",
        [
            f"The first drawn clip: {len(regions)} regions that seem to sound, found by the separator "
            "itself, and all that it puts off screen.",
            row([player(clip, "drawn"), *parts]),
        ],
    )


def _shown(clip: Clip, label: str) -> Html:
    """A player with its frames and its spectrogram."""
    assert clip.wave is not None
    pictures = [image(strip(clip, 6), "frames"), image(spectrogram(clip.wave, clip.sample_rate), "sound")]
    return Html(row([player(clip, label)]) + row(pictures))


def _heard(clip: Clip, label: str) -> Html:
    """A player with its spectrogram."""
    assert clip.wave is not None
    return Html(player(clip, label) + image(spectrogram(clip.wave, clip.sample_rate), "sound"))
