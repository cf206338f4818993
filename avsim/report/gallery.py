"""The world's page: every scene in every place, with its sound, its frames, its spectrogram and its words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from avsim.clip import Clip
from avsim.data.workers import bar
from avsim.report.html import Html, Section, escaped, image, page, row, table
from avsim.report.players import player
from avsim.report.plots import spectrogram, strip
from avsim.world import Truth, WorldConfig, WorldDataset

ABOUT = {
    "drop": "Bodies of a material, shape and size are let go; they fall, bounce, roll and collide.",
    "strike": "A stick strikes things at rest, in rhythms, and misses some.",
    "ensemble": "Players play instruments; what moves is what makes the notes.",
}
FRAMES = 6  # in a strip


def write_gallery(path: str | Path, config: WorldConfig, seed: int = 0) -> Path:
    """Draw a clip of each kind of scene in each place of a config, and write the page.

    Raises:
        InputError: the folder can't be written, or a place where nothing may happen.
    """
    clips = {
        (kind, place): replace(config, scenes=(kind,), places=(place,))
        for kind in config.scenes
        for place in config.places
    }
    rows: dict[str, list[list[str]]] = {kind: [] for kind in config.scenes}
    with bar() as progress:
        tracked = progress.track(clips.items(), description="gallery")
        for number, ((kind, place), own) in enumerate(tracked):  # else all places would show the same things
            rows[kind].append([place, *cells(*WorldDataset(own, seed)[number])])
    sections = [
        Section(kind, [ABOUT[kind], table(["place", "clip", "frames, sound and words"], rows[kind])])
        for kind in config.scenes
    ]
    return page(path, "avsim: a world that sounds", sections)


def cells(clip: Clip, truth: Truth) -> tuple[Html, Html]:
    """A clip to play; its videos over what is said of it."""
    assert clip.wave is not None
    pictures = row([image(strip(clip, FRAMES), ""), image(spectrogram(clip.wave, clip.sample_rate), "")])
    short, full, things = truth.captions.short, truth.captions.full, "; ".join(truth.captions.things)
    said = Html("".join(f"<p>{escaped(text)}</p>" for text in (short, full, things)))
    return player(clip), Html(pictures + said)
