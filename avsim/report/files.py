"""A file -> what its card plays, and a clip small enough for its tracks and for detectors."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from avsim import media
from avsim.clip import Clip
from avsim.errors import InputError
from avsim.evaluation.clips import LONGEST, guiding_model
from avsim.evaluation.features import Detectors, Features
from avsim.evaluation.ood import OODCheck
from avsim.media.opening import opened
from avsim.report.card import Media, Shown, media_of
from avsim.report.findings import Findings, findings
from avsim.report.listing import Entry
from avsim.report.tracks import data_uri
from avsim.weights import shipped

PLAYABLE = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm"}
AUDIBLE = {".wav": "audio/wav", ".mp3": "audio/mpeg", ".flac": "audio/flac"}
VIDEO_CODECS, AUDIO_CODECS = {"h264", "vp8", "vp9", "av1"}, {"aac", "mp3", "opus", "vorbis", "flac"}
WHOLE = 30.0  # s, up to which a clip is read in full for its tracks; of longer ones few frames are
HIGHEST = 256, 72  # pixels of the frames that are read: of whole clips, and of longer ones
FEW = 24  # frames of a longer clip
LARGEST = 400 << 20  # bytes of all clips that one page holds


@dataclass(frozen=True)
class Judges:
    """The shipped detectors of events, onsets and content, with the check of what they were trained on."""

    detectors: Detectors
    ood_check: OODCheck | None

    @classmethod
    def shipped(cls) -> Judges:
        """Loaded once for a page."""
        detectors = Detectors.trained(shipped("audio_detector"), shipped("video_detector"))
        return cls(detectors, OODCheck.of(detectors.weights.get("video_detector")))

    def features(self, clip: Clip, caption: str, name: str = "", guided_by: str = "") -> Features:
        """Of one clip."""
        return Features(clip, self.detectors, caption, name, guided_by)


@dataclass(frozen=True, eq=False)
class Seen:
    """A file as it was read, and what detectors find in it.

    `features` is None where no detector looked, or where it looks unlike what they were trained on.
    """

    clip: Clip
    info: media.Info
    findings: Findings
    features: Features | None


def seen_file(entry: Entry, judges: Judges | None) -> Seen:
    """Read a file, small, and look at it; of a long one at its beginning.

    Raises:
        InputError: a file that can't be read.
    """
    clip = read_small(entry.path)
    info = media.probe(entry.path)
    if judges is None or is_image(clip):
        return Seen(clip, info, Findings(), None)
    first = clip if info.seconds <= WHOLE else media.read(entry.path, seconds=LONGEST, size=_size(info, 0))
    caption = str(entry.about.get("model's prompt") or entry.prompt)
    features = judges.features(first, caption, entry.name, guiding_model(entry.path.parent))
    found = findings(features, judges.ood_check)
    if first is not clip:
        found = replace(found, note=f"{found.note} Judged by its first {LONGEST:g} s.".strip())
    return Seen(clip, info, found, None if found.out_of_distribution else features)


def shown_file(entry: Entry, seen: Seen, linked_from: Path | None = None, top: float | None = None) -> Shown:
    """A file for its card; with `linked_from`, the page's folder, it is played where it lies."""
    played = playable(entry.path, seen.clip, seen.info, linked_from)
    return Shown(seen.clip, entry.prompt or entry.name, entry.stated, seen.findings, media=played, top=top)


def is_image(clip: Clip) -> bool:
    """Whether a clip is a single frame without audio."""
    return clip.wave is None and clip.frames is not None and clip.frames.shape[1] == 1


def read_small(path: Path) -> Clip:
    """A clip for tracks: small frames, few of a long one; all of the audio.

    Raises:
        InputError: it can't be read.
    """
    info = media.probe(path)
    long = info.seconds > WHOLE
    rate = FEW / info.seconds if long and info.has_frames else None
    return media.read(path, size=_size(info, long), frames_per_second=rate)


def _size(info: media.Info, long: bool | int) -> tuple[int, int] | None:
    highest = HIGHEST[bool(long)]
    if info.size is None or info.size[0] <= highest:
        return None
    return highest, max(1, round(info.size[1] * highest / info.size[0]))


def playable(path: Path, clip: Clip, info: media.Info, linked_from: Path | None) -> Media:
    """A file for the page to play: as it is where browsers can, else encoded anew from `clip`.

    Raises:
        InputError: browsers can't play it, and it is too long to be encoded here.
    """
    suffix = path.suffix.lower()
    kind = PLAYABLE.get(suffix) if info.has_frames else AUDIBLE.get(suffix)
    if kind is None or (info.has_frames and not _browsers_play(path)):
        if info.seconds > WHOLE:
            raise InputError(
                f"{path}: browsers can't play it, and {info.seconds:.0f} s are too long to encode; "
                f"convert it (ffmpeg -i {path.name} {path.stem}.mp4)"
            )
        made = media_of(clip)
        source, kind, size = made.source, made.kind, made.size
    elif linked_from is not None:
        relative = Path(os.path.relpath(path.resolve(), linked_from.resolve())).as_posix()
        source, size = quote(relative), info.size
    else:
        source, size = data_uri(path.read_bytes(), kind), info.size
    return Media(source, kind, size, info.frames_per_second, info.seconds)


def _browsers_play(path: Path) -> bool:
    with opened(path) as film:
        codecs = [(film.video, VIDEO_CODECS), (film.audio, AUDIO_CODECS)]
        found = [(stream.codec_context, known) for stream, known in codecs if stream is not None]
        plain = film.video is None or film.video.codec_context.pix_fmt in ("yuv420p", "yuvj420p")
        return plain and all(context.codec.canonical_name in known for context, known in found)


def check_embedded(paths: list[Path]) -> None:
    """Refuse more than a page can hold.

    Raises:
        InputError: the files are larger than `LARGEST` together.
    """
    total = sum(path.stat().st_size for path in paths if path.is_file())
    if total > LARGEST:
        raise InputError(
            f"{len(paths)} clips of {total >> 20} MB: too large for one page ({LARGEST >> 20} MB); "
            "--linked plays them where they lie"
        )
