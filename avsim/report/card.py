"""The card of a clip, by which every page shows and plays one: `card`, and `SCRIPT` and `STYLE` for its page.

The text of a card is HTML; what it plays lies in a JSON beside it, from which `card.js` builds the player
once the card comes near the window. A page of hundreds of clips so opens as fast as one of a few.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avsim import media
from avsim.clip import OFF_SCREEN, Clip, Region, Stems
from avsim.media.audio import as_stereo
from avsim.report.findings import Fact, Findings, Mark
from avsim.report.html import Html, escaped
from avsim.report.tracks import data_uri, frame_strip, highest, log_mel, mel_image, outlines, packed, waveform

_BESIDE = Path(__file__).parent
SCRIPT = '"use strict";\n' + "".join((_BESIDE / name).read_text() for name in ("mixer.js", "card.js"))
STYLE = (_BESIDE / "card.css").read_text()
_KEYS = (
    "Keys: <kbd>space</kbd> plays, <kbd>←</kbd> <kbd>→</kbd> step by a frame (with <kbd>shift</kbd> by ¼ s), "
    "<kbd>J</kbd> <kbd>K</kbd> next and previous clip, <kbd>L</kbd> repeats"
)
_STEM_KEYS = ", <kbd>1</kbd> … <kbd>9</kbd> one stem alone"
_SEEK = "Click the frames, the waveform or the spectrogram to go there."
KEYS = Html(f'<p class="keys">{_KEYS}. {_SEEK}</p>')
STEM_KEYS = Html(f'<p class="keys">{_KEYS}{_STEM_KEYS}. {_SEEK}</p>')
FRAME_KEYS = Html(f'<p class="keys">{_KEYS}. Click the frames to go there.</p>')  # where one sees them alone
MARKS = (
    "Detectors mark events in the video (▾) and onsets in the audio (▴), and find facts of the prompt (✓) or "
    "not (✗). They were trained on the synthetic world, and can be wrong."
)
SIGNS = {True: ("✓", "found"), False: ("✗", "not found"), None: ("?", "not judged")}


@dataclass(frozen=True, eq=False)
class Media:
    """What a card plays: an address (data, or of a file beside the page), its type, size, rate and length.

    Where rate and length are None, they are the clip's.
    """

    source: str
    kind: str
    size: tuple[int, int] | None  # (H, W)
    fps: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, eq=False)
class Shown:
    """A clip for `card`.

    Args:
        clip: from which its tracks are drawn; it may be smaller than what is played.
        caption: its prompt or name.
        about: seed, guidance, steps, checkpoint and the like; None and "" are left out.
        findings: of detectors.
        stems: in colour, each with its region's outline. They are in time with the clip.
        media: what is played; None: the clip itself.
        maps: of `pixels.py`, by which each pixel plays its stem.
        label: what distinguishes it from the clips beside it.
        top: upper end of the spectrogram in Hz; None: half the sample rate.
        samples: whether the page holds the audio's samples beside the video, so that the browser keeps it in
            time with other clips; only for clips without stems.
    """

    clip: Clip
    caption: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    findings: Findings = Findings()
    stems: Stems | None = None
    media: Media | None = None
    maps: Mapping[str, Any] | None = None
    label: str = ""
    top: float | None = None
    samples: bool = False


def card(shown: Shown) -> Html:
    """A clip's card, for a page with `SCRIPT` and `STYLE`."""
    data = json.dumps(_data(shown), separators=(",", ":")).replace("<", "\\u003c")
    label = f'<p class="label">{escaped(shown.label)}</p>' if shown.label else ""
    caption = f"<h3>{escaped(shown.caption)}</h3>" if shown.caption else ""
    return Html(
        f'<article class="card" tabindex="-1" aria-label="{escaped(shown.label or shown.caption or "clip")}">'
        f'<header>{label}{caption}{_about(shown.about)}</header><div class="player"></div>'
        f'<div class="judged">{_facts(shown.findings)}</div>'
        f'<script type="application/json">{data}</script>'
        "<noscript>To play the clip, let this page run its script.</noscript></article>"
    )


def broken(name: str, why: str) -> Html:
    """In the place of a card: a clip that can't be read."""
    return Html(f'<article class="card broken"><h3>{escaped(name)}</h3><p>{escaped(why)}</p></article>')


def media_of(clip: Clip) -> Media:
    """A clip in memory as data: an mp4 (H.264 and AAC), a wav, or an image of a single frame."""
    size = None if clip.frames is None else (clip.frames.shape[2], clip.frames.shape[3])
    if clip.frames is None:
        name, kind = "clip.wav", "audio/wav"
    elif clip.wave is None and clip.frames.shape[1] == 1:
        name, kind = "clip.png", "image/png"
    else:
        name, kind = "clip.mp4", "video/mp4"
    with tempfile.TemporaryDirectory() as folder:
        return Media(data_uri(media.write(clip, Path(folder) / name).read_bytes(), kind), kind, size)


def _about(about: Mapping[str, Any]) -> str:
    pairs = [(name, value) for name, value in about.items() if value not in (None, "")]
    if not pairs:
        return ""
    items = "".join(f"<div><dt>{escaped(n)}</dt><dd>{escaped(str(v))}</dd></div>" for n, v in pairs)
    return f"<dl>{items}</dl>"


def _facts(found: Findings) -> str:
    parts = ""
    if found.facts:
        parts = '<ul class="facts">' + "".join(map(_fact, found.facts)) + "</ul>"
    if found.note:
        parts += f'<p class="note">{escaped(found.note)}</p>'
    return parts


def _fact(fact: Fact) -> str:
    sign, words = SIGNS[fact.found]
    state = {True: "yes", False: "no", None: "unknown"}[fact.found]
    sign = f'<span aria-label="{words}">{sign}</span>'
    return f'<li class="{state}" title="{words}">{sign} {escaped(fact.text)}</li>'


def _data(shown: Shown) -> dict[str, Any]:
    """All that the script needs of a clip."""
    clip = shown.clip
    played = shown.media or media_of(clip)
    top = shown.top or highest(clip.sample_rate)
    data: dict[str, Any] = {
        "source": played.source,
        "kind": played.kind,
        "size": played.size,
        "seconds": round(played.seconds or clip.seconds, 6),
        "fps": played.fps or clip.frames_per_second,
        "events": _marks(shown.findings.events),
        "onsets": _marks(shown.findings.onsets),
    }
    if clip.frames is not None and played.kind != "image/png":
        data["strip"], data["shown"] = frame_strip(clip.frames)
    if clip.wave is not None:
        data |= {"peaks": waveform(clip.wave), "mel": _mel(clip.wave, clip, top), "top": top}
    if shown.maps is not None:
        data["maps"] = dict(shown.maps)
    elif shown.stems is not None:
        data |= _stems(shown.stems, clip, top)
    elif shown.samples and clip.wave is not None:
        wave = as_stereo(clip.wave)
        peak = max(float(wave.abs().max()), 1e-9)
        rates = {"rate": clip.sample_rate, "channels": wave.shape[0], "peak": peak}
        data |= {"audio": _samples(wave, peak), **rates}
    return data


def _mel(wave: Tensor, clip: Clip, top: float) -> str:
    return mel_image(log_mel(wave, clip.sample_rate, top))


def _samples(wave: Tensor, peak: float) -> str:
    """A wave as packed 16 bits of its peak."""
    return packed((wave / peak * 32767).round().to(torch.int16))


def _marks(marks: Sequence[Mark]) -> list[list[Any]]:
    return [[round(mark.seconds, 4), mark.text] for mark in marks]


def _stems(stems: Stems, clip: Clip, top: float) -> dict[str, Any]:
    """Each stem's samples as 16 bits of the loudest one, its level and its outline."""
    waves = stems.wave.detach().float().cpu()
    waves = torch.stack([as_stereo(wave) for wave in waves])
    peak = max(float(waves.abs().max()), 1e-9)
    regions: list[Region | None] = [*stems.regions, None]
    whole = max(float(stems.mixture.square().sum()), 1e-20)
    listed = []
    for name, wave, region in zip(stems.names, waves, regions, strict=True):
        share = float(wave.square().sum()) / whole
        listed.append(
            {
                "name": name,
                "level": round(10 * math.log10(share), 4) if share > 1e-9 else None,
                "wave": _samples(wave, peak),
                "mel": _mel(wave, clip, top),
                "outline": outlines(region) if region is not None else None,
            }
        )
    return {
        "stems": listed,
        "rate": stems.sample_rate,
        "channels": waves.shape[1],
        "peak": peak,
        "rest": OFF_SCREEN,
    }
