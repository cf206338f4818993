"""What detectors find in a clip: looked for once, when a judge first asks, and shared by all judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from avsim.clip import Clip
from avsim.evaluation.corruptions import with_sound_of
from avsim.evaluation.embeddings import UNTRAINED, Embedding, world_trained
from avsim.evaluation.grounding import Separate
from avsim.evaluation.onsets import flux_onsets
from avsim.evaluation.result import Reason, Unjudged
from avsim.perception.detections import Heard, Onset, View
from avsim.perception.sync import Shift


@dataclass(frozen=True)
class Detectors:
    """Functions of a clip; what is None isn't there, and judges that need it don't apply."""

    onsets: Callable[[Clip], Sequence[Onset]] = flux_onsets
    hear: Callable[[Clip], Heard] | None = None
    look: Callable[[Clip], View] | None = None
    offset: Callable[[Clip], Shift] | None = None  # by how much the sound comes after the picture
    separate: Separate | None = None
    second: Separate | None = None  # another separator, trained independently of the first
    embeddings: Mapping[str, Embedding] = field(default_factory=lambda: UNTRAINED)  # for fidelity
    weights: Mapping[str, str] = field(default_factory=dict)  # a trained part's name -> sha256 of its weights

    @classmethod
    def trained(
        cls,
        sound: Path | None = None,
        picture: Path | None = None,
        offset: Path | None = None,
        separator: Path | None = None,
        second: Path | None = None,
        yamnet: bool = False,
        embeddings: Mapping[str, Embedding] | None = None,
    ) -> Detectors:
        """Those of the folders of trained models; spectral flux finds onsets where none listens.

        `second` is a separator that was trained apart from the first, so that grounding isn't judged by the
        first one's habits alone; `yamnet` says whether clips are embedded by it too, `embeddings` are more.

        Raises:
            InputError: a folder that holds no such model, or YAMNet isn't installed.
        """
        from avsim.perception import detect
        from avsim.perception.audio_detector import SoundDetector
        from avsim.perception.sync import OffsetJudge, shift
        from avsim.perception.video_detector import PictureDetector
        from avsim.weights import TENSORS, hash_of, load_model, part_folder

        given = {"sound": sound, "picture": picture, "offset": offset, "separator": separator}
        folders = {name: part_folder(path, name) for name, path in given.items() if path is not None}
        if second is not None:
            folders["second separator"] = part_folder(second, "separator")
        kinds = {"sound": SoundDetector, "picture": PictureDetector, "offset": OffsetJudge}
        loaded = {
            name: load_model(folders[name], expected=kind) for name, kind in kinds.items() if name in folders
        }
        found: dict[str, Any] = {}
        ears, eyes = loaded.get("sound"), loaded.get("picture")
        found["embeddings"] = UNTRAINED | world_trained(ears, eyes) | dict(embeddings or {})
        if yamnet:
            from avsim.evaluation import yamnet as network

            found["embeddings"] |= {network.NAME: network.yamnet()}
        if ears is not None:
            found["onsets"] = lambda clip: detect.onsets(ears, clip)
            found["hear"] = lambda clip: detect.heard(ears, clip)
        if eyes is not None:
            found["look"] = lambda clip: detect.view(eyes, clip)
        if "offset" in loaded:
            found["offset"] = lambda clip: shift(loaded["offset"], clip)
        for name, part in (("separate", "separator"), ("second", "second separator")):
            if part in folders:
                found[name] = separating(folders[part])
        found["weights"] = {part: hash_of(folder / TENSORS) for part, folder in folders.items()}
        return cls(**found)

    @classmethod
    def shipped(cls) -> Detectors:
        """Those that ship with avsim."""
        from avsim.weights import shipped

        return cls.trained(shipped("sound"), shipped("picture"), shipped("offset"), shipped("separator"))


def separating(folder: Path) -> Separate:
    """Any trained network that separates: ours, or a baseline that offers what ours offers.

    Raises:
        InputError: a folder that holds no such model.
    """
    from avsim.separation.separator import Viewer
    from avsim.separation.stems import separate
    from avsim.weights import load_model

    parts = load_model(folder, expected=Viewer)
    return lambda clip, regions: separate(parts, clip, regions)


class Evidence:
    """A clip and what is found in it.

    Args:
        clip: with picture, sound or both.
        detectors: that look and listen.
        caption: what it should show and sound like; "" where nothing is said of it.
        name: of the clip, for people.
    """

    def __init__(self, clip: Clip, detectors: Detectors, caption: str = "", name: str = "") -> None:
        self.clip, self.detectors, self.caption, self.name = clip, detectors, caption, name
        self.before: Evidence | None = None  # of another clip, whose sound this one doesn't make

    @cached_property
    def onsets(self) -> Sequence[Onset]:
        """What is heard to begin.

        Raises:
            Unjudged: the clip has no sound.
        """
        self._must(sound=True)
        return self.detectors.onsets(self.clip)

    @cached_property
    def heard(self) -> Heard:
        """What the whole sounds like.

        Raises:
            Unjudged: the clip has no sound, or nothing listens.
        """
        self._must(sound=True)
        if self.detectors.hear is None:
            raise Unjudged(Reason.NO_DETECTOR)
        return self.detectors.hear(self.clip)

    @cached_property
    def view(self) -> View:
        """Events, things in each frame, and places that are seen.

        Raises:
            Unjudged: the clip has no picture, or nothing looks.
        """
        self._must(picture=True)
        if self.detectors.look is None:
            raise Unjudged(Reason.NO_DETECTOR)
        return self.detectors.look(self.clip)

    @cached_property
    def offset(self) -> float:
        """Seconds by which the sound comes after the picture.

        Raises:
            Unjudged: the clip lacks picture or sound, nothing judges offsets, or what does isn't sure.
        """
        self._must(sound=True, picture=True)
        if self.detectors.offset is None:
            raise Unjudged(Reason.NO_DETECTOR)
        found = self.detectors.offset(self.clip)
        if not found.sure:
            raise Unjudged(Reason.UNSURE)
        return found.seconds

    @property
    def wave(self) -> Tensor:
        """Its sound, (A, N).

        Raises:
            Unjudged: it has none.
        """
        self._must(sound=True)
        assert self.clip.wave is not None
        return self.clip.wave

    def _must(self, sound: bool = False, picture: bool = False) -> None:
        if sound and self.clip.wave is None:
            raise Unjudged(Reason.NO_SOUND)
        if picture and self.clip.frames is None:
            raise Unjudged(Reason.NO_PICTURE)

    def with_sound_of(self, other: Evidence) -> Evidence:
        """The picture of one with the sound of the other; what was found in either isn't looked for again.

        Raises:
            InputError: the first has no picture, the other no sound.
        """
        mixed = Evidence(with_sound_of(self.clip, other.clip), self.detectors, self.caption, self.name)
        if "view" in vars(self):
            mixed.view = self.view
        end = self.clip.seconds
        if "onsets" in vars(other):
            mixed.onsets = [onset for onset in other.onsets if onset.seconds < end]
        if "heard" in vars(other):
            mixed.heard = other.heard
        return mixed
