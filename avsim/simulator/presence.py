"""Whether detectors find what a prompt names in a clip, and show what they hear at its seams."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from avsim.clip import Clip
from avsim.evaluation.text import kinds_of, sounds
from avsim.perception.audio_detector import AudioDetector
from avsim.perception.detect import audio_content, events, onsets, things
from avsim.perception.video_detector import VideoDetector
from avsim.prompting.rules import understood

# With these thresholds, of what is prompted 0.99 is found in the video of true clips of the world and 0.92 in
# their audio, but 0.12 in another clip's audio (level medium, split test, seed 21, 60 clips).
MIN_SEEN_SHARE = 0.1  # smallest share of frames in which the video detector must find a thing
HEARD_NEAR = 0.0625  # seconds from a seam within which an onset counts as at the seam
SEEN_NEAR = 0.125  # and within which an event accounts for it
MIN_HEARD_PROBABILITY = 0.05  # of a kind in the audio; a single onset of the kind is enough, too


@dataclass(frozen=True)
class Missing:
    """What a prompt names and a clip lacks, in the prompt's order."""

    not_seen: tuple[str, ...] = ()
    not_heard: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.not_seen) + len(self.not_heard)

    def __str__(self) -> str:
        parts = ("not seen", self.not_seen), ("not heard", self.not_heard)
        return "; ".join(f"{name}: {', '.join(each)}" for name, each in parts if each)


def missing(
    clip: Clip, prompt: str, video_detector: VideoDetector | None, audio_detector: AudioDetector | None
) -> Missing:
    """What the prompt names and the detectors don't find; without a detector nothing counts as missing."""
    facts = understood(prompt).facts
    not_seen: Iterable[str] = ()
    not_heard: Iterable[str] = ()
    if video_detector is not None and clip.frames is not None:
        shown = [{thing.kind for thing in frame} for frame in things(video_detector, clip)]
        not_seen = [
            stated.noun.kind
            for stated in facts.things
            if stated.noun.kind
            and sum(bool(kinds & kinds_of(stated.noun)) for kinds in shown) < MIN_SEEN_SHARE * len(shown)
        ]
    if audio_detector is not None and clip.wave is not None:
        likely = audio_content(audio_detector, clip).kinds
        begun = {onset.kind for onset in onsets(audio_detector, clip)}
        not_heard = [
            stated.noun.kind
            for stated in (*facts.things, *facts.unseen)
            if stated.noun.kind
            and sounds(stated)
            and not any(
                kind in begun or likely.get(kind, 0.0) >= MIN_HEARD_PROBABILITY
                for kind in kinds_of(stated.noun)
            )
        ]
    return Missing(tuple(dict.fromkeys(not_seen)), tuple(dict.fromkeys(not_heard)))


def unseen_onsets(
    clip: Clip, seams: Iterable[float], video_detector: VideoDetector, audio_detector: AudioDetector
) -> int:
    """At how many seams (in seconds) an onset is detected in the audio, and no event in the video."""
    heard = [onset.seconds for onset in onsets(audio_detector, clip)]
    seen = [event.seconds for event in events(video_detector, clip)]
    return sum(
        any(abs(each - at) <= HEARD_NEAR for each in heard)
        and not any(abs(each - at) <= SEEN_NEAR for each in seen)
        for at in seams
    )
