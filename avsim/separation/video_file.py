"""A video on disk -> a folder of stems; of its video only a window is in memory, of all sounds two."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from avsim import media
from avsim.clip import OFF_SCREEN, Clip, Region, samples_of
from avsim.errors import InputError
from avsim.files import atomic
from avsim.separation.separator import Separator
from avsim.separation.stems import FrameSource, stream

LISTING = "stems.json"


def frames_of_video(path: str | Path, model: Separator) -> FrameSource:
    """The frames of a video, small; only requested spans are decoded.

    Raises:
        InputError: a file that can't be read or has no video.
    """
    info = media.probe(path)
    if info.size is None or info.video_seconds is None or info.frames_per_second is None:
        raise InputError(f"{path}: has no video; separating needs one to say what sounds where")
    scale = min(1.0, model.short_side / min(info.size))
    small = max(1, round(info.size[0] * scale)), max(1, round(info.size[1] * scale))
    rate = min(model.frames_per_second, info.frames_per_second)

    def read(numbers: Tensor) -> Tensor:
        first, last = int(numbers[0]), int(numbers[-1])
        seconds = (last - first + 1) / rate
        frames = media.read(path, first / rate, seconds, small, rate, want="frames").frames
        assert frames is not None
        return frames[:, (numbers - first).clamp(max=frames.shape[1] - 1)]

    return FrameSource(info.size, max(1, round(info.video_seconds * rate)), rate, read)


def audio_of_video(path: str | Path) -> tuple[Tensor, int]:
    """The audio of a video, (A, N) at its own rate and channels, as long as its frames; and the rate in Hz.

    Raises:
        InputError: a file that can't be read, or without video or audio.
    """
    info = media.probe(path)
    if info.video_seconds is None or info.frames_per_second is None:
        raise InputError(f"{path}: has no video; separating needs one to say what sounds where")
    if info.sample_rate is None:
        raise InputError(f"{path}: has no audio to separate")
    own = info.channels if info.channels in (1, 2, 6) else None  # what an mp4 can be written with again
    wave = media.read(path, channels=own, want="wave").wave
    assert wave is not None
    frames = max(1, round(info.video_seconds * info.frames_per_second))
    samples = samples_of(frames, info.frames_per_second, info.sample_rate)
    return pad(wave[:, :samples], (0, max(0, samples - wave.shape[1]))), info.sample_rate


def separate_video(
    model: Separator,
    video: str | Path,
    regions: Sequence[Region],
    out: str | Path,
    advance: Callable[[int], object] = lambda samples: None,
    also: Callable[[Path], object] = lambda folder: None,
    **notes: Any,
) -> dict[str, Any]:
    """Write the stems of a video's regions to a folder, whole or not at all.

    For each region a float32 wav and an mp4, the video with that region's stem as its audio;
    then `off-screen.wav` and `stems.json`, whose content is returned: `notes`, rates and lengths, and each
    stem's name, files, energy (the sum of its squared samples) and level in dB against the video's (None for
    silence; energies of stems that overlap in time and frequency do not add up, their samples do).

    Args:
        model: the separator.
        video: a file with video and audio.
        regions: of its video.
        out: a folder that is absent, empty, or one that this function wrote.
        advance: called with the number of samples done, for a progress bar.
        also: called with the folder before it gets its name, to write more there.
        notes: plain data to keep in `stems.json`.

    Raises:
        InputError: a video or region that can't be used, a folder that can't be written or holds other
            things.
    """
    source, out = Path(video), Path(out)
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / LISTING).is_file())):
        raise InputError(f"{out}: is there and holds other things than stems; choose a new folder")
    media.check_dubbed(source, out / "stem.mp4")
    picture = frames_of_video(source, model)
    wave, rate = audio_of_video(source)
    with atomic(out) as folder:
        folder.mkdir()
        raw = [folder / f"{index}.raw" for index in range(len(regions) + 1)]
        with ExitStack() as stack:
            files = [stack.enter_context(open(path, "wb")) for path in raw]
            for piece in stream(model, picture, wave, rate, regions):
                for file, stem in zip(files, piece, strict=True):
                    file.write(stem.T.contiguous().numpy().tobytes())
                advance(piece.shape[2])
        stems = [
            _finish(path, index, region, source, wave.shape[0], rate, picture.size)
            for index, (path, region) in enumerate(zip(raw, [*regions, None], strict=True))
        ]
        energy = float(wave.double().square().sum())
        for stem in stems:
            ratio = stem["energy"] / energy if energy else 0.0
            stem["level_db"] = round(10 * math.log10(ratio), 4) if ratio else None
        about = {
            **notes,
            "clip": str(source.resolve()),
            "sample_rate": rate,
            "channels": wave.shape[0],
            "samples": wave.shape[1],
            "size": {"width": picture.size[1], "height": picture.size[0]},
            "energy": energy,
            "stems": stems,
        }
        also(folder)
        (folder / LISTING).write_text(json.dumps(about, indent=2))
    return about


def _finish(
    raw: Path,
    index: int,
    region: Region | None,
    source: Path,
    channels: int,
    rate: int,
    size: tuple[int, int],
) -> dict[str, Any]:
    """Turn a raw file of interleaved samples into a region's wav and mp4, or the wav of "off screen"."""
    wave = torch.from_numpy(np.fromfile(raw, dtype=np.float32)).unflatten(0, (-1, channels)).T
    raw.unlink()
    stem = Clip(None, wave, sample_rate=rate)
    energy = float(wave.double().square().sum())
    if region is None:
        media.write(stem, raw.parent / "off-screen.wav")
        return {"name": OFF_SCREEN, "wav": "off-screen.wav", "energy": energy}
    file = f"{index + 1:02d}-{_slug(region.name)}"
    media.write(stem, raw.parent / f"{file}.wav")
    media.write_dubbed(source, media.Sound.of(wave, rate), raw.parent / f"{file}.mp4")
    files = {"wav": f"{file}.wav", "mp4": f"{file}.mp4"}
    return {"name": region.name, **files, "box": _bounds(region, size), "energy": energy}


def _bounds(region: Region, size: tuple[int, int]) -> dict[str, int]:
    """The smallest box around a region, over all its frames, in pixels of a video of `size` (H, W)."""
    mask = region.mask if region.mask.ndim == 2 else region.mask.amax(0)
    edges = []
    for axis, length in ((1, size[0]), (0, size[1])):
        inside, scale = mask.amax(axis).nonzero()[:, 0], length / mask.shape[1 - axis]
        edges.append((math.floor(int(inside[0]) * scale), math.ceil((int(inside[-1]) + 1) * scale)))
    (top, bottom), (left, right) = edges
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def _slug(name: str) -> str:
    """A name as part of a file's name."""
    return "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in name).split())[:40] or "region"
