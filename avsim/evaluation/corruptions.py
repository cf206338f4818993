"""Lies about a clip: what a judge must tell from the truth before it may judge anything.

Those that need nothing but the clip are in `OF_A_CLIP`; `shuffled` and `spliced` need other clips,
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
from avsim.evaluation.result import Reason, Unjudged
from avsim.world.flat.render import render
from avsim.world.flat.scene import Scene
from avsim.world.materials import MATERIALS
from avsim.world.sound.rooms import PLACES
from avsim.world.truth import Truth

SHIFTS = (40, 80, 160, 320)  # ms
SEAM = 0.005  # s, over which a shifted sound fades where its end meets its beginning

Lie = Callable[[Clip], Clip]


def mirrored(clip: Clip) -> Clip:
    """Left and right of the picture are swapped."""
    return clip if clip.frames is None else replace(clip, frames=clip.frames.flip(-1))


def silenced(clip: Clip) -> Clip:
    """All samples are 0."""
    return clip if clip.wave is None else replace(clip, wave=torch.zeros_like(clip.wave))


def swapped_channels(clip: Clip) -> Clip:
    """Left and right of the sound are swapped; one channel stays as it is."""
    return clip if clip.wave is None else replace(clip, wave=clip.wave.flip(0))


def shifted(clip: Clip, milliseconds: float) -> Clip:
    """The sound comes later, and its end is heard at the beginning: nothing is lost but at the seam."""
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
    """The picture of one clip with the sound of another, cropped or padded with silence to fit.

    Raises:
        InputError: the first has no picture, the second no sound.
    """
    if clip.frames is None or other.wave is None:
        raise InputError("a clip whose sound is swapped needs a picture, and the other one a sound")
    return Clip.fitted(clip.frames, other.wave, clip.frames_per_second, other.sample_rate)


def spliced(clip: Clip, other: Clip) -> Clip:
    """The middle third of the picture is another clip's, scaled to fit: things change, vanish and come back.

    Raises:
        InputError: one of them has no picture.
    """
    if clip.frames is None or other.frames is None:
        raise InputError("a clip whose picture is spliced needs a picture, and the other one too")
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
    """Each clip with the sound of the one before it, the first with the last one's: two are held at a time.

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
    """The clip after it was encoded and decoded: the best that a generator over these codecs can do."""
    frames, wave = clip.frames, clip.wave
    if frames is not None and video is not None:
        frames = video.decode(video.encode(frames[None]), clip.spec)[0].clamp(0, 1)
    if wave is not None and audio is not None:
        wave = audio.decode(audio.encode(wave[None]), clip.spec)[0]
    return replace(clip, frames=frames, wave=wave)


def wrong_material(scene: Scene) -> Scene:
    """Bodies are each of the next material of the list but one.

    Raises:
        Unjudged: nothing in the scene is of a material that could be another.
    """
    if not scene.bodies:
        raise Unjudged(Reason.NOTHING_THERE)
    bodies = tuple(
        replace(body, material=_other(body.material, MATERIALS), colour="") for body in scene.bodies
    )
    return replace(scene, bodies=bodies)


def wrong_place(scene: Scene) -> Scene:
    """The same in another place."""
    return replace(scene, place=_other(scene.place, PLACES))


def _other(name: str, names: tuple[str, ...]) -> str:
    """Two places on in a list: near neighbours of it are alike."""
    return names[(names.index(name) + 2) % len(names)]


def sounding(clip: Clip, scene: Scene) -> tuple[Clip, Truth]:
    """What is seen stays as it is and sounds like another scene, whose truth comes with it."""
    other, truth = render(scene, clip.spec)
    return with_sound_of(clip, other), truth


OF_A_CLIP: dict[str, Lie] = {
    "mirrored": mirrored,
    "silenced": silenced,
    "swapped channels": swapped_channels,
    **{f"shifted by {ms} ms": partial(shifted, milliseconds=ms) for ms in SHIFTS},
}
OF_A_SCENE: dict[str, Callable[[Scene], Scene]] = {  # what it sounds like instead; see `sounding`
    "wrong material": wrong_material,
    "wrong place": wrong_place,
}
