"""What ComfyUI's sockets carry, as clips and back.

IMAGE is a tensor (B, H, W, C) in [0, 1]; AUDIO a dict of "waveform" (B, A, N) and "sample_rate" in Hz; MASK a
tensor (B, H, W) in [0, 1]; VIDEO an object whose components are images, audio and a frame rate.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from einops import rearrange
from torch import Tensor

from avsim.clip import Clip
from avsim.errors import InputError


def frames_of(images: Tensor) -> Tensor:
    """IMAGE (B, H, W, C) -> frames (3, T, H, W); transparency is dropped.

    Raises:
        InputError: another shape.
    """
    if images.ndim != 4 or images.shape[3] < 3:
        raise InputError(f"images are {tuple(images.shape)}; expected (B, H, W, 3)")
    return rearrange(images[..., :3], "t h w c -> c t h w").float().cpu().clamp(0, 1)


def images_of(clip: Clip) -> Tensor:
    """A clip's frames as IMAGE, (T, H, W, 3)."""
    assert clip.frames is not None
    return rearrange(clip.frames, "c t h w -> t h w c").contiguous()


def audio_of(wave: Tensor, sample_rate: float) -> dict[str, Any]:
    """A wave (A, N) as AUDIO."""
    return {"waveform": wave[None].contiguous(), "sample_rate": int(sample_rate)}


def clip_of(video: Any) -> Clip:
    """VIDEO as a clip; of a batch of audio, the first.

    Raises:
        InputError: frames of another shape.
    """
    components = video.get_components()
    frames, rate = frames_of(components.images), float(components.frame_rate)
    if not components.audio:
        return Clip(frames, None, rate)
    wave, sample_rate = components.audio["waveform"][0], int(components.audio["sample_rate"])
    return Clip.fitted(frames, wave.float().cpu(), rate, sample_rate)


def video_of(clip: Clip) -> Any:
    """A clip as VIDEO, with ComfyUI's own class."""
    from comfy_api.latest import InputImpl, Types  # type: ignore[import-not-found]

    audio = None if clip.wave is None else audio_of(clip.wave, clip.sample_rate)
    rate = Fraction(clip.frames_per_second).limit_denominator(100_000)
    components = Types.VideoComponents(images=images_of(clip), audio=audio, frame_rate=rate)
    return InputImpl.VideoFromComponents(components)
