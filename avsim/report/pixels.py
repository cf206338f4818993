"""A clip whose every pixel can be heard, as a card: the maps are shipped, the browser separates.

The scripts (`maps.js`, `pixels.js`) and their style (`pixels.css`) lie beside this file; `write_pixels`
writes a page of one clip, `hearable_clip`, `SCRIPT` and `STYLE` are for pages of more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avsim import media
from avsim.clip import OFF_SCREEN, Clip, Region
from avsim.errors import InputError
from avsim.media.audio import as_stereo
from avsim.report.card import SCRIPT as CARD_SCRIPT
from avsim.report.card import STEM_KEYS, Shown, card, media_of
from avsim.report.card import STYLE as CARD_STYLE
from avsim.report.findings import Findings
from avsim.report.html import Html, Section, page
from avsim.report.tracks import outlines, packed
from avsim.separation.pixels import Pixels, Rounded, unfold
from avsim.separation.separator import Separator
from avsim.separation.spectrum import Scale
from avsim.separation.stems import FrameSource, audio_of, frame_source
from avsim.separation.video_file import frames_of_video

LONGEST = 30.0  # s of a clip that a page holds; about 2 MB a second
SHOWN, FASTEST = 360, 30.0  # pixels of the shown frame's short side, and its frames per second, at most
LOWEST = -60.0  # dB, of the energy map
_BESIDE = Path(__file__).parent
SCRIPT = CARD_SCRIPT + "".join((_BESIDE / name).read_text() for name in ("maps.js", "pixels.js"))
STYLE = CARD_STYLE + (_BESIDE / "pixels.css").read_text()
_TYPES = {torch.uint8: "uint8", torch.uint16: "uint16", torch.int16: "int16", torch.float32: "float32"}
ABOUT = (
    "Point at the video to see where the audio comes from (brighter: more energy); click to listen to a "
    "place by itself. Outlined regions have a stem each; with what is off screen, they add up to the audio."
)


def write_pixels(
    path: str | Path,
    model: Separator,
    video: str | Path | Clip,
    regions: Sequence[Region],
    title: str,
    findings: Findings | None = None,
) -> Path:
    """Write one self-contained page of a video, or of a clip in memory.

    Raises:
        InputError: a clip without video or audio, or one longer than `LONGEST`; a region that isn't of its
            video; a folder that can't be written.
    """
    check_model(model)
    found = findings or Findings()
    if isinstance(video, Clip):
        shown = hearable_clip(model, video, regions, Shown(video, findings=found))
    else:
        shown = _of_file(model, video, regions, found)
    return page(path, title, [Section("", [ABOUT, STEM_KEYS, shown])], SCRIPT, STYLE)


def hearable_clip(
    model: Separator, clip: Clip, regions: Sequence[Region], shown: Shown | None = None
) -> Html:
    """A clip in memory as a card, for a page with `SCRIPT` and `STYLE`; its audio is mixed to stereo.

    `shown` has what else its card shows.

    Raises:
        InputError: as `write_pixels`.
    """
    check_length(clip.seconds)
    wave = audio_of(clip)
    shown = replace(shown or Shown(clip), clip=clip)
    return _hearable(model, frame_source(clip, model), wave, clip.sample_rate, regions, shown)


def check_model(model: torch.nn.Module) -> None:
    """Refuse separators whose maps a page can't hold.

    Raises:
        InputError: it isn't a `Separator`.
    """
    if not isinstance(model, Separator):
        raise InputError(f"a page needs a Separator, whose pixels compete; this is a {type(model).__name__}")


def check_length(seconds: float, name: str = "the clip") -> None:
    """Refuse what is too long for a page.

    Raises:
        InputError: it is longer than `LONGEST`.
    """
    if seconds > LONGEST:
        raise InputError(
            f"{name}: {seconds:.0f} s are too long for a page, which holds {LONGEST:g} s; cut out a part "
            "(ffmpeg -ss START -t SECONDS) or leave out --page"
        )


def _of_file(model: Separator, path: str | Path, regions: Sequence[Region], findings: Findings) -> Html:
    """A video on disk; its audio is mixed to stereo where it has more channels."""
    picture = frames_of_video(path, model)
    seconds = picture.frames / picture.frames_per_second
    check_length(seconds, str(path))
    heard = media.read(path, want="wave")
    assert heard.wave is not None
    info = media.probe(path)
    assert info.size is not None and info.frames_per_second is not None
    scale = min(1.0, SHOWN / min(info.size))
    size = max(1, round(info.size[0] * scale)), max(1, round(info.size[1] * scale))
    rate = min(FASTEST, info.frames_per_second)
    frames = media.read(path, size=size, frames_per_second=rate, want="frames").frames
    assert frames is not None
    samples = round(seconds * heard.sample_rate)
    wave = torch.nn.functional.pad(heard.wave[:, :samples], (0, max(0, samples - heard.wave.shape[1])))
    clip = Clip.fitted(frames, wave, rate, heard.sample_rate)
    return _hearable(model, picture, wave, heard.sample_rate, regions, Shown(clip, findings=findings))


def _hearable(
    model: Separator, picture: FrameSource, wave: Tensor, rate: int, regions: Sequence[Region], shown: Shown
) -> Html:
    check_model(model)
    wave = as_stereo(wave)
    pixels = unfold(model, picture, wave, rate, regions)
    maps = _about(model.scale, picture.size, wave, rate, pixels, regions)
    return card(replace(shown, media=media_of(shown.clip.without_audio()), maps=maps))


def _about(
    scale: Scale, size: tuple[int, int], wave: Tensor, rate: int, pixels: Pixels, regions: Sequence[Region]
) -> dict[str, Any]:
    """All that the script knows of a clip."""
    peak = max(float(wave.abs().max()), 1e-9)
    loudest = float(pixels.power.max())
    level = 10 * torch.log10(pixels.power / max(loudest, 1e-20) + 1e-12)
    return {
        "rate": rate,
        "channels": wave.shape[0],
        "samples": wave.shape[1],
        "peak": peak,
        "wave": _packed((wave / peak * 32767).round().to(torch.int16)),
        "scale": {**asdict(scale), "hop": scale.hop(rate)},
        "size": list(size),
        "grid": list(pixels.grid),
        "frames": len(pixels.power),
        "framesPerSecond": pixels.frames_per_second,
        "lowest": LOWEST,
        "power": _packed(((1 - level / LOWEST).clamp(0, 1) * 255).round().to(torch.uint8)),
        "spans": [
            {
                "column": span.column,
                "columnsFrame": _packed(span.columns_frame.to(torch.uint16)),
                "cells": _packed_rounded(span.cells),
                "bins": _packed_rounded(span.bins),
                "total": _packed(span.total),
            }
            for span in pixels.spans
        ],
        "stems": [
            {
                "name": region.name,
                "outline": outlines(region),
                "masks": _packed((mask.clamp(0, 1) * 65535).round().to(torch.int32).to(torch.uint16)),
                "where": _packed((where * 255).round().to(torch.uint8)),
            }
            for region, mask, where in zip(regions, pixels.masks, pixels.places, strict=True)
        ],
        "rest": OFF_SCREEN,
    }


def _packed(values: Tensor) -> dict[str, Any]:
    """A tensor as the script's `unpacked` reads it."""
    return {"type": _TYPES[values.dtype], "shape": list(values.shape), "data": packed(values)}


def _packed_rounded(features: Rounded) -> dict[str, Any]:
    scale = [float(f"{value:.9g}") for value in features.scale.tolist()]
    assert all(math.isfinite(value) for value in scale)
    return {**_packed(features.numbers), "scale": scale}
