"""Narrated clips and files: the scene as it is, its audio mixed with speech from its beginning on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from avsim import media
from avsim.clip import Clip
from avsim.errors import InputError
from avsim.files import atomic
from avsim.media.write import FORMATS
from avsim.simulator.resize import frames_over, pad_with_last
from avsim.speech.engines import DEFAULT, engine_of
from avsim.speech.loudness import LAYOUTS
from avsim.speech.mix import mix

log = logging.getLogger("avsim")
SCENE = "scene.mkv"  # without loss, so that nothing is encoded twice
RATE, CHANNELS = 48000, 2  # of scenes without audio


def speak(text: str, voice: str | None = None, language: str | None = None, engine: str = DEFAULT) -> Clip:
    """A text as speech, (1, N) at the engine's own rate.

    Raises:
        InputError: an unknown engine, voice or language, or a text without words.
    """
    return engine_of(engine).speak(text, voice, language)


def narrate(clip: Clip, speech: Clip, under: bool = False) -> Clip:
    """A clip with speech over its audio, or under it; the last frame is held while speech goes on.

    Raises:
        InputError: audio of other than 1, 2 or 6 channels.
    """
    if clip.wave is None:
        rate, scene = RATE, torch.zeros(CHANNELS, round(clip.seconds * RATE))
    else:
        rate, scene = int(clip.sample_rate), clip.wave
    mixed = mix(scene, speech, rate, under)
    if clip.frames is None:
        return Clip(None, mixed, clip.frames_per_second, rate)
    count = max(clip.frames.shape[1], frames_over(mixed.shape[1] / rate, clip.frames_per_second))
    return Clip.fitted(pad_with_last(clip.frames, count), mixed, clip.frames_per_second, rate)


def check_narrated(path: str | Path) -> None:
    """Refuse, before there is a scene, a name that no narrated scene could be written to.

    Raises:
        InputError: an unknown suffix, or one that holds no audio.
    """
    path = Path(path)
    media.check_name(path)
    if FORMATS[path.suffix.lower()].audio is None:
        raise InputError(f"{path}: holds no audio; a narration needs .mp4, .webm, .mkv, .wav, .mp3 or .flac")


def narrate_file(scene: str | Path, speech: Clip, path: str | Path, under: bool = False) -> Path:
    """Write a video or audio file with speech over its audio, or under it, to `path`.

    The video's packets are copied where the container can hold them. Where speech outlasts the video, its
    last frame is held and the video is encoded again. A suffix for audio takes the audio alone.

    Raises:
        InputError: a file that can't be read, or a `path` that can't be written or holds no audio.
    """
    check_narrated(path)
    suffix = Path(path).suffix.lower()
    info = media.probe(scene)
    wave, rate = _audio(scene, info, {CHANNELS, 1} if suffix == ".mp3" else set(LAYOUTS))
    mixed = mix(wave, speech, rate, under)
    if not info.has_frames:
        return media.write(Clip(None, mixed, sample_rate=rate), path)
    return media.write_dubbed(
        scene, media.Sound.of(mixed, rate), path, hold=_hold(info, speech) if FORMATS[suffix].video else None
    )


def _hold(info: media.Info, speech: Clip) -> float | None:
    """Until when the last frame is held; None where speech does not outlast the video."""
    assert info.video_seconds is not None and info.frames_per_second is not None
    if speech.seconds <= info.video_seconds + 0.5 / info.frames_per_second:
        return None
    log.warning(
        "speech lasts %.2f s, the video %.2f s: its last frame is held", speech.seconds, info.video_seconds
    )
    return speech.seconds


def _audio(path: str | Path, info: media.Info, taken: set[int]) -> tuple[Tensor, int]:
    """The audio of a file, (A, N) and its rate; silence of the video's length where it has none.

    Stereo, where its number of channels is not one of those that are `taken`.
    """
    if not info.has_wave:
        return torch.zeros(CHANNELS, round(info.seconds * RATE)), RATE
    channels = info.channels if info.channels in taken else CHANNELS
    clip = media.read(path, channels=channels, want="wave")
    assert clip.wave is not None
    return clip.wave, int(clip.sample_rate)


@contextmanager
def narrated(path: Path, speech: Clip | None, under: bool = False) -> Iterator[Path]:
    """Yield the path that a scene is to be written to; with speech, `path` is that scene, narrated.

    Raises:
        InputError: as `narrate_file`.
    """
    if speech is None:
        yield path
        return
    with atomic(path) as made:
        scene = made.parent / SCENE
        yield scene
        narrate_file(scene, speech, made, under)
