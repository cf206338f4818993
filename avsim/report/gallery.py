"""The world's page: every scene in every place, with its captions, true events, onsets and stems."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from avsim.clip import Clip
from avsim.data.workers import bar
from avsim.report.card import SCRIPT, STEM_KEYS, STYLE, card
from avsim.report.html import Html, Section, page
from avsim.report.truth import shown_truth
from avsim.world import Truth, WorldConfig, WorldDataset

ABOUT = {
    "drop": "Bodies of a material, shape and size are let go; they fall, bounce, roll and collide.",
    "strike": "A stick strikes things at rest, in rhythms, and misses some.",
    "ensemble": "Players play instruments; what moves is what makes the notes.",
}


def write_gallery(path: str | Path, config: WorldConfig, seed: int = 0) -> Path:
    """Render a clip of each kind of scene in each place of a config, and write the page.

    Raises:
        InputError: the folder can't be written, or a place where nothing may happen.
    """
    clips = {
        (kind, place): replace(config, scenes=(kind,), places=(place,))
        for kind in config.scenes
        for place in config.places
    }
    cards: dict[str, list[Html]] = {kind: [] for kind in config.scenes}
    with bar() as progress:
        tracked = progress.track(clips.items(), description="gallery")
        for number, ((kind, place), own) in enumerate(tracked):  # else all places would show the same things
            cards[kind].append(world_card(*WorldDataset(own, seed)[number], place))
    sections = [Section(kind, [ABOUT[kind], *cards[kind]]) for kind in config.scenes]
    return page(path, "avsim: the synthetic world", [Section("", [STEM_KEYS]), *sections], SCRIPT, STYLE)


def world_card(clip: Clip, truth: Truth, label: str = "") -> Html:
    """A clip of the world with its captions and true stems."""
    said = {"full caption": truth.captions.full, "things": "; ".join(truth.captions.things)}
    return card(replace(shown_truth(clip, truth, label), about=said))
