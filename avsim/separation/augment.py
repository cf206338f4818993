"""Augmentation of the separator's mixtures. All random numbers derive from the row."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from avsim import seeds
from avsim.codecs.protocol import AudioCodec, VideoCodec
from avsim.data.batch import ClipBatch
from avsim.errors import InputError


@dataclass(frozen=True)
class Augmentation:
    """How often and how far training changes a mixture (chances per clip or per region)."""

    gain_db: float = 6.0  # each stem by a draw from +- this
    silence: float = 0.1  # chance that a region becomes silent
    hide: float = 0.15  # chance that a region's stem becomes off-screen
    mirror: float = 0.5  # chance of a horizontal flip, with the audio channels swapped
    mono: float = 0.15  # both channels carry their mean, so that stereo alone can't pass for seeing


NO_CHANGE = Augmentation(0.0, 0.0, 0.0, 0.0, 0.0)


def truth(batch: ClipBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Frames, wave, stems and masks of a batch whose truth is known.

    Raises:
        InputError: a part of it is missing.
    """
    if batch.frames is None or batch.wave is None or batch.stems is None or batch.masks is None:
        raise InputError(
            "the separator is trained on clips with frames, sound, stems and masks; this data has none "
            "(use a Mixture of a source, or the world)"
        )
    return batch.frames, batch.wave, batch.stems, batch.masks


def augment(batch: ClipBatch, seed: int, step: int, how: Augmentation) -> ClipBatch:
    """A changed copy of a batch of mixtures, in which the wave is still the sum of its parts.

    Random numbers of a clip depend on `(seed, "augment", step, row)` alone.
    """
    changed = [
        _augment_clip(parts, seeds.generator(seed, "augment", step, row), how)
        for *parts, row in zip(*truth(batch), batch.rows.tolist(), strict=True)
    ]
    frames, wave, stems, masks = (torch.stack(parts) for parts in zip(*changed, strict=True))
    return replace(batch, frames=frames, wave=wave, stems=stems, masks=masks)


@torch.no_grad()
def through(batch: ClipBatch, see: VideoCodec, hear: AudioCodec, rows: Tensor) -> ClipBatch:
    """The batch, its `rows` (B,) bool encoded and decoded by the codecs, as generated clips are decoded.

    Stems and masks are unchanged.
    """
    if not rows.any():
        return batch
    frames, wave, _, _ = truth(batch)
    seen = see.decode(see.encode(frames[rows]), batch.spec).to(frames)
    heard = hear.decode(hear.encode(wave[rows]), batch.spec).to(wave)
    return replace(batch, frames=frames.index_put((rows,), seen), wave=wave.index_put((rows,), heard))


def _augment_clip(
    clip: list[Tensor], draw: torch.Generator, how: Augmentation
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One clip: frames (3, T, H, W), wave (A, N), stems (R, A, N), masks (R, T, H, W)."""
    frames, wave, stems, masks = clip
    masks = masks.to(frames.dtype)
    count = len(stems)
    decibels = (2 * torch.rand(count, generator=draw) - 1) * how.gain_db
    heard = torch.rand(count, generator=draw) >= how.silence
    hidden = torch.rand(count, generator=draw) < how.hide
    mirrored, centred = (torch.rand(2, generator=draw) < torch.tensor([how.mirror, how.mono])).tolist()

    gain = (10 ** (decibels / 20) * heard).to(stems)[:, None, None]
    rest = wave - stems.sum(0)  # what no region makes stays as it is
    stems = stems * gain
    wave = rest + stems.sum(0)
    if hidden.any():
        covered = masks[hidden.to(masks.device)].amax(0)  # (T, H, W)
        frames = frames * (1 - covered) + 0.5 * covered
        seen = (~hidden).to(stems)[:, None, None]
        stems, masks = stems * seen, masks * seen[..., None]
    if mirrored:
        frames, masks = frames.flip(-1), masks.flip(-1)
        wave, stems = wave.flip(-2), stems.flip(-2)
    if centred:
        wave = wave.mean(-2, keepdim=True).expand_as(wave)
        stems = stems.mean(-2, keepdim=True).expand_as(stems)
    return frames, wave, stems, masks
