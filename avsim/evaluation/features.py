"""What detectors find in a clip: computed at first use and shared by all metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from avsim.clip import Clip, samples_of
from avsim.evaluation.corruptions import with_sound_of
from avsim.evaluation.embeddings import UNTRAINED, Embedding, world_trained
from avsim.evaluation.grounding import Separate
from avsim.evaluation.onsets import flux_onsets
from avsim.evaluation.result import NotJudged, Reason
from avsim.perception.detections import AudioDetections, Onset, VideoDetections
from avsim.perception.fault_detector import FaultDetector, Faults, find_faults
from avsim.perception.sync import Shift

Found = TypeVar("Found")  # what a detector finds in a clip


@dataclass(frozen=True)
class Detectors:
    """Functions of a clip. Where one is None, metrics that need it do not apply."""

    onsets: Callable[[Clip], Sequence[Onset]] = flux_onsets
    audio_content: Callable[[Clip], AudioDetections] | None = None
    video_content: Callable[[Clip], VideoDetections] | None = None
    faults: Callable[[Clip], Faults] | None = None
    offset: Callable[[Clip], Shift] | None = None  # by how much the audio is later than the video
    separate: Separate | None = None
    second: Separate | None = None  # another separator, trained independently
    embeddings: Mapping[str, Embedding] = field(default_factory=lambda: UNTRAINED)  # for fidelity
    weights: Mapping[str, str] = field(
        default_factory=dict
    )  # name of a trained part -> sha256 of its weights

    @classmethod
    def trained(
        cls,
        audio_detector: Path | None = None,
        video_detector: Path | None = None,
        sync_model: Path | None = None,
        separator: Path | None = None,
        second: Path | None = None,
        fault_detector: Path | None = None,
        yamnet: bool = False,
        embeddings: Mapping[str, Embedding] | None = None,
    ) -> Detectors:
        """The detectors in folders of trained models; without an audio detector, onsets are by spectral flux.

        `second` is a separator that was trained independently of the first, as a check on grounding. With
        `yamnet` clips are embedded by it too; `embeddings` are further ones.

        Raises:
            InputError: a folder that holds no such model, or YAMNet isn't installed.
        """
        from avsim.perception import detect
        from avsim.perception.audio_detector import AudioDetector
        from avsim.perception.sync import SyncModel, shift
        from avsim.perception.video_detector import VideoDetector
        from avsim.weights import TENSORS, hash_of, load_model, part_folder

        given = {
            "audio_detector": audio_detector,
            "video_detector": video_detector,
            "sync_model": sync_model,
            "separator": separator,
            "fault_detector": fault_detector,
        }
        folders = {name: part_folder(path, name) for name, path in given.items() if path is not None}
        if second is not None:
            folders["second separator"] = part_folder(second, "separator")
        kinds = {
            "audio_detector": AudioDetector,
            "video_detector": VideoDetector,
            "sync_model": SyncModel,
            "fault_detector": FaultDetector,
        }
        loaded = {
            name: load_model(folders[name], expected=kind) for name, kind in kinds.items() if name in folders
        }
        found: dict[str, Any] = {}
        audio, video = loaded.get("audio_detector"), loaded.get("video_detector")
        found["embeddings"] = UNTRAINED | world_trained(audio, video) | dict(embeddings or {})
        if yamnet:
            from avsim.evaluation import yamnet as network

            found["embeddings"] |= {network.NAME: network.yamnet()}
        if audio is not None:
            found["onsets"] = lambda clip: detect.onsets(audio, clip)
            found["audio_content"] = lambda clip: detect.audio_content(audio, clip)
        if video is not None:
            found["video_content"] = lambda clip: detect.detect_video(video, clip)
        if "fault_detector" in loaded:
            found["faults"] = lambda clip: find_faults(loaded["fault_detector"], clip)
        if "sync_model" in loaded:
            found["offset"] = lambda clip: shift(loaded["sync_model"], clip)
        for name, part in (("separate", "separator"), ("second", "second separator")):
            if part in folders:
                found[name] = separating(folders[part])
        found["weights"] = {part: hash_of(folder / TENSORS) for part, folder in folders.items()}
        return cls(**found)

    @classmethod
    def shipped(cls) -> Detectors:
        """Those that ship with avsim."""
        from avsim.weights import shipped

        return cls.trained(
            shipped("audio_detector"),
            shipped("video_detector"),
            shipped("sync_model"),
            shipped("separator"),
            fault_detector=shipped("fault_detector"),
        )


def separating(folder: Path) -> Separate:
    """Any trained separator: avsim's own, or a baseline with the same interface.

    Raises:
        InputError: a folder that holds no such model.
    """
    from avsim.separation.separator import SeparationModel
    from avsim.separation.stems import separate
    from avsim.weights import load_model

    parts = load_model(folder, expected=SeparationModel)
    return lambda clip, regions: separate(parts, clip, regions)


class Features:
    """A clip and what the detectors find in it.

    Args:
        clip: with video, audio or both.
        detectors: the detectors.
        caption: its prompt; "" if it has none.
        name: of the clip, for reports.
        guided_by: sha256 of the sync model that guided the clip's generation, "" if none did: that one can't
            judge it.
    """

    def __init__(
        self, clip: Clip, detectors: Detectors, caption: str = "", name: str = "", guided_by: str = ""
    ) -> None:
        self.clip, self.detectors, self.caption, self.name = clip, detectors, caption, name
        self.guided_by = guided_by
        self.before: Features | None = None  # the clip before, for controls with unrelated audio
        self._windows: dict[float, list[Features]] = {}  # of itself, by their length

    @cached_property
    def onsets(self) -> Sequence[Onset]:
        """Onsets in the audio.

        Raises:
            NotJudged: the clip has no audio.
        """
        self._require(audio=True)
        return self.detectors.onsets(self.clip)

    @cached_property
    def heard(self) -> AudioDetections:
        """What sounds in the whole clip.

        Raises:
            NotJudged: the clip has no audio, or there is no audio detector.
        """
        self._require(audio=True)
        return self._by(self.detectors.audio_content)

    @cached_property
    def view(self) -> VideoDetections:
        """Events, things in each frame, and places in the video.

        Raises:
            NotJudged: the clip has no video, or there is no video detector.
        """
        self._require(video=True)
        return self._by(self.detectors.video_content)

    @cached_property
    def faults(self) -> Faults:
        """Visible faults of the video.

        Raises:
            NotJudged: the clip has no video, or there is no fault detector.
        """
        self._require(video=True)
        return self._by(self.detectors.faults)

    @cached_property
    def offset(self) -> float:
        """Seconds by which the audio is later than the video.

        Raises:
            NotJudged: the clip lacks a modality, there is no sync model, its estimate is uncertain, or it
                guided the clip's generation.
        """
        self._require(audio=True, video=True)
        if self.guided_by and self.guided_by == self.detectors.weights.get("sync_model"):
            raise NotJudged(Reason.GUIDED)
        found = self._by(self.detectors.offset)
        if not found.sure:
            raise NotJudged(Reason.UNSURE)
        return found.seconds

    @property
    def wave(self) -> Tensor:
        """Its audio, (A, N).

        Raises:
            NotJudged: it has none.
        """
        self._require(audio=True)
        assert self.clip.wave is not None
        return self.clip.wave

    def _require(self, audio: bool = False, video: bool = False) -> None:
        if audio and self.clip.wave is None:
            raise NotJudged(Reason.NO_AUDIO)
        if video and self.clip.frames is None:
            raise NotJudged(Reason.NO_VIDEO)

    def _by(self, detector: Callable[[Clip], Found] | None) -> Found:
        if detector is None:
            raise NotJudged(Reason.NO_DETECTOR)
        return detector(self.clip)

    def windows(self, seconds: float) -> list[Features]:
        """The fewest windows of at most this length that cover the clip, evenly; itself if it is short.

        What was found in one is kept; each has the clip before it, cut likewise.
        """
        if self.clip.seconds <= seconds + 1e-6:
            return [self]
        if seconds not in self._windows:
            self._windows[seconds] = [
                Features(clip, self.detectors, self.caption, self.name, self.guided_by)
                for clip in _cut(self.clip, seconds)
            ]
        found = self._windows[seconds]
        before = None if self.before is None else self.before.windows(seconds)
        for number, window in enumerate(found):
            window.before = None if before is None else before[number % len(before)]
        return found

    def with_sound_of(self, other: Features) -> Features:
        """The video of one with the audio of the other; what was found in either is not computed again.

        Raises:
            InputError: the first has no video, the other no audio.
        """
        mixed = Features(with_sound_of(self.clip, other.clip), self.detectors, self.caption, self.name)
        if "view" in vars(self):
            mixed.view = self.view
        end = self.clip.seconds
        if "onsets" in vars(other):
            mixed.onsets = [onset for onset in other.onsets if onset.seconds < end]
        if "heard" in vars(other):
            mixed.heard = other.heard
        return mixed


def _cut(clip: Clip, seconds: float) -> list[Clip]:
    """The fewest cuts of at most so many seconds that cover a clip, evenly spaced."""
    rate = clip.sample_rate if clip.frames is None else clip.frames_per_second
    total, length = round(clip.seconds * rate), max(1, math.floor(seconds * rate + 1e-6))
    count = math.ceil(total / length)
    cuts = []
    for number in range(count):
        first = round(number * (total - length) / max(1, count - 1))
        if clip.frames is None:
            assert clip.wave is not None
            cuts.append(replace(clip, wave=clip.wave[:, first : first + length]))
            continue
        frames = clip.frames[:, first : first + length]
        if clip.wave is None:
            cuts.append(replace(clip, frames=frames))
        else:
            wave = clip.wave[:, samples_of(first, rate, clip.sample_rate) :]
            cuts.append(Clip.fitted(frames, wave, rate, clip.sample_rate))
    return cuts
