"""Corruptions of a clip, which a metric must distinguish from the truth before it is used.

Those that need the clip alone are in `OF_A_CLIP`; `shuffled` and `spliced` need other clips,
`through_codecs` two codecs; `wrong_material` and `wrong_place` change the scene that a clip sounds like, and
so need its truth.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F

from avsim.clip import Clip
from avsim.codecs.protocol import AudioCodec, VideoCodec
from avsim.errors import InputError
from avsim.evaluation.result import NotJudged, Reason
from avsim.world.flat.render import render
from avsim.world.flat.scene import Scene
from avsim.world.materials import MATERIALS
from avsim.world.sound.rooms import PLACES
from avsim.world.truth import Truth

SHIFTS = (40, 80, 160, 320)  # ms
SEAM = 0.005  # s, over which shifted audio fades at the seam

Corruption = Callable[[Clip], Clip]


def mirrored(clip: Clip) -> Clip:
    """The video is mirrored."""
    return clip if clip.frames is None else replace(clip, frames=clip.frames.flip(-1))


def silenced(clip: Clip) -> Clip:
    """All samples are 0."""
    return clip if clip.wave is None else replace(clip, wave=torch.zeros_like(clip.wave))


def swapped_channels(clip: Clip) -> Clip:
    """The left and right channels are swapped; mono stays as it is."""
    return clip if clip.wave is None else replace(clip, wave=clip.wave.flip(0))


def shifted(clip: Clip, milliseconds: float) -> Clip:
    """The audio is rotated in time: later, with its end at the beginning, and a short fade at the seam."""
    if clip.wave is None:
        return clip
    samples = round(milliseconds / 1000 * clip.sample_rate)
    fade = min(round(SEAM * clip.sample_rate), clip.wave.shape[1] // 2)
    ramp = torch.linspace(0, 1, fade, dtype=clip.wave.dtype, device=clip.wave.device)
    wave = clip.wave.clone()
    wave[:, :fade] *= ramp
    wave[:, wave.shape[1] - fade :] *= ramp.flip(0)
    return replace(clip, wave=wave.roll(samples, 1))


def with_sound_of(clip: Clip, other: Clip) -> Clip:
    """The video of one clip with the audio of another, cropped or padded with silence to fit.

    Raises:
        InputError: the first has no video, the second no audio.
    """
    if clip.frames is None or other.wave is None:
        raise InputError("a clip whose audio is swapped needs video, and the other one audio")
    return Clip.fitted(clip.frames, other.wave, clip.frames_per_second, other.sample_rate)


def spliced(clip: Clip, other: Clip) -> Clip:
    """The middle third of the video is another clip's, scaled to fit: things change, vanish and reappear.

    Raises:
        InputError: one of them has no video.
    """
    if clip.frames is None or other.frames is None:
        raise InputError("a clip whose video is spliced needs video, and the other one too")
    count = clip.frames.shape[1]
    first, last = count // 3, 2 * count // 3
    # (C, T', H', W') -> (C, last - first, H, W), each frame the other's at the same share of its length
    chosen = (torch.arange(first, last) * other.frames.shape[1]) // count
    scaled = F.interpolate(
        other.frames[:, chosen].transpose(0, 1), clip.frames.shape[2:], mode="area"
    ).transpose(0, 1)
    frames = torch.cat([clip.frames[:, :first], scaled, clip.frames[:, last:]], 1)
    return replace(clip, frames=frames)


def shuffled(clips: Iterable[Clip]) -> Iterator[Clip]:
    """Each clip with the audio of the one before it, the first with the last one's; two are held at a time.

    Raises:
        InputError: there is only one.
    """
    first = before = None
    for clip in clips:
        if before is None:
            first = clip
        else:
            yield with_sound_of(clip, before)
        before = clip
    if first is not None and before is not None:
        if first is before:
            raise InputError("one clip can't be shuffled; at least two are needed")
        yield with_sound_of(first, before)


@torch.no_grad()
def through_codecs(clip: Clip, video: VideoCodec | None, audio: AudioCodec | None) -> Clip:
    """The clip after it was encoded and decoded: the upper bound for a generator on these codecs."""
    frames, wave = clip.frames, clip.wave
    if frames is not None and video is not None:
        frames = video.decode(video.encode(frames[None]), clip.spec)[0].clamp(0, 1)
    if wave is not None and audio is not None:
        wave = audio.decode(audio.encode(wave[None]), clip.spec)[0]
    return replace(clip, frames=frames, wave=wave)


def wrong_material(scene: Scene) -> Scene:
    """Each body has another material.

    Raises:
        NotJudged: nothing in the scene has a material that can be changed.
    """
    if not scene.bodies:
        raise NotJudged(Reason.NOTHING_THERE)
    bodies = tuple(
        replace(body, material=_other(body.material, MATERIALS), colour="") for body in scene.bodies
    )
    return replace(scene, bodies=bodies)


def wrong_place(scene: Scene) -> Scene:
    """The same scene in another place."""
    return replace(scene, place=_other(scene.place, PLACES))


def _other(name: str, names: tuple[str, ...]) -> str:
    """The entry two places further in a list: direct neighbours are similar."""
    return names[(names.index(name) + 2) % len(names)]


def sounding(clip: Clip, scene: Scene) -> tuple[Clip, Truth]:
    """The video of a clip with the audio of another scene, and that scene's truth."""
    other, truth = render(scene, clip.spec)
    return with_sound_of(clip, other), truth


OF_A_CLIP: dict[str, Corruption] = {
    "mirrored": mirrored,
    "silenced": silenced,
    "swapped channels": swapped_channels,
    **{f"shifted by {ms} ms": partial(shifted, milliseconds=ms) for ms in SHIFTS},
}
OF_A_SCENE: dict[str, Callable[[Scene], Scene]] = {  # whose audio replaces the clip's; see `sounding`
    "wrong material": wrong_material,
    "wrong place": wrong_place,
}
