"""A clip as a file; its suffix names the format."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.files import atomic
from avsim.media.encode import copied, encoded_frames, encoded_wave, png
from avsim.media.opening import Kind, MediaFile, opened
from avsim.media.probe import probe


@dataclass(frozen=True)
class _Codec:
    """An encoder, the format of pixels or samples that it is given, its options."""

    name: str
    format: str
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """What a container is filled with, and the codecs whose packets it takes as they are and plays."""

    muxer: str
    video: _Codec | None = None
    audio: _Codec | None = None
    copies: frozenset[str] = frozenset()


_H264 = _Codec("libx264", "yuv420p", {"crf": "18", "preset": "medium"})
_VP9 = _Codec(
    "libvpx-vp9", "yuv420p", {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
)
_FFV1 = _Codec("ffv1", "bgr0", {"level": "3", "slicecrc": "1"})
# "fast" is more accurate than the default search, at 1.2 times the bytes and a fifth of the time.
_AAC = _Codec("aac", "fltp", {"b": "192k", "aac_coder": "fast"})
_OPUS = _Codec("libopus", "flt", {"b": "160k"})
_FLAC = _Codec("flac", "s32")

_IN_MOV = frozenset({"h264", "hevc", "mpeg4", "aac", "mp3", "ac3", "eac3", "alac"})
_IN_MP4 = _IN_MOV | {"av1", "vp9", "opus", "flac"}
_IN_WEBM = frozenset({"vp8", "vp9", "av1", "opus", "vorbis"})
_PCM = frozenset({"pcm_s16le", "pcm_s24le"})
FORMATS = {
    ".mp4": Format("mp4", _H264, _AAC, _IN_MP4),
    ".mov": Format("mov", _H264, _AAC, _IN_MOV | _PCM | {"mjpeg", "prores"}),
    ".webm": Format("webm", _VP9, _OPUS, _IN_WEBM),
    ".mkv": Format("matroska", _FFV1, _FLAC, _IN_MP4 | _IN_WEBM | _PCM | {"pcm_f32le", "ffv1"}),
    ".wav": Format("wav", audio=_Codec("pcm_f32le", "flt")),
    ".flac": Format("flac", audio=_FLAC),
    ".mp3": Format("mp3", audio=_Codec("libmp3lame", "fltp", {"b": "192k"})),
    ".gif": Format("gif", _Codec("gif", "pal8")),
    ".png": Format("png", _Codec("png", "rgb24")),
}
SAME_LENGTH = 0.1  # seconds by which a stream that is copied may differ from the clip


def write(
    clip: Clip,
    path: str | Path,
    video_from: str | Path | None = None,
    audio_from: str | Path | None = None,
) -> Path:
    """Write a clip; the file appears whole or not at all.

    `.mp4` and `.mov` (H.264 yuv420p + AAC, fast start: they play in a browser), `.webm` (VP9 + Opus), `.mkv`
    (lossless: FFV1, exact to 8 bits of RGB, + FLAC, 24 bits), `.wav` (float32, exact), `.flac` (24 bits),
    `.mp3`, `.gif`, `.png` (all frames side by side; one frame is a plain image). A suffix for sound takes the
    audio alone, one for videos the video. H.264 needs an even height and width: an odd video gets its
    last row or column twice. A sample rate that the sound's codec lacks is raised to the next that it has.

    Args:
        clip: what to write.
        path: where to; its folder is made if it is absent.
        video_from: a video whose video is copied, packet by packet, in place of the clip's frames. Where the
            container can't hold (or browsers would not play) its codec there, or where it isn't as long as
            the clip, the clip's own frames are encoded.
        audio_from: likewise for the sound.

    Returns:
        The path.

    Raises:
        InputError: an unknown suffix, a clip that lacks what the suffix holds, a folder that can't be
            written, a full disk, a file to copy from that can't be read or used.
    """
    path = Path(path)
    check_name(path)
    form = FORMATS[path.suffix.lower()]
    if form.video is None and clip.wave is None and audio_from is None:
        raise InputError(f"{path}: holds audio alone; the clip has none")
    if form.audio is None and clip.frames is None:
        raise InputError(f"{path}: holds videos alone; the clip has none")
    with encoding(path) as temporary:
        if form.muxer == "png":
            assert clip.frames is not None
            temporary.write_bytes(png(clip.frames))
        else:
            sources: dict[Kind, str | Path | None] = {"video": video_from, "audio": audio_from}

            def tracks(output: OutputContainer, stack: ExitStack) -> list[Iterator[Any]]:
                made = [_track(clip, kind, sources[kind], form, output, stack) for kind in sources]
                return [track for track in made if track is not None]

            mux(temporary, form, clip.sample_rate, tracks)
    return path


@contextmanager
def encoding(path: Path) -> Iterator[Path]:
    """Yield a temporary path that is `path` at the end; word what an encoder raises.

    Raises:
        InputError: as `atomic`, or a stream that can't be encoded.
    """
    with atomic(path) as temporary:
        try:
            yield temporary
        except av.FFmpegError as error:
            if isinstance(error, OSError):
                raise  # a full disk and its like, which `atomic` words
            raise InputError(f"{path}: could not be encoded ({error.strerror})") from error


def check_name(path: Path) -> None:
    """Refuse, before there is a clip, a name that none could be written to.

    Raises:
        InputError: an unknown suffix, or a folder's name.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: unknown suffix {path.suffix!r}; expected one of {', '.join(FORMATS)}")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; expected a file's name")


def mux(
    path: Path,
    form: Format,
    sample_rate: float,
    tracks: Callable[[OutputContainer, ExitStack], Iterable[Iterator[Any]]],
) -> None:
    """Fill a container with packets in the order of time; `tracks` adds its streams and returns theirs."""
    options = {}
    if form.muxer in ("mp4", "mov"):
        # Lengths are given in ticks of the sound's rate, so that a decoder's padding is cut to the sample.
        options = {"movflags": "+faststart", "movie_timescale": str(int(sample_rate))}
    with ExitStack() as stack:
        output = stack.enter_context(
            av.open(f"file:{path}", "w", format=form.muxer, container_options=options)
        )
        made = tracks(output, stack)
        for packet in heapq.merge(*made, key=lambda packet: packet.dts * packet.time_base):
            output.mux(packet)


def can_copy(file: MediaFile, kind: Kind, form: Format) -> bool:
    """Whether a container takes a stream's packets and browsers play them: of H.264 8 bits of 4:2:0."""
    context = file.stream(kind).codec_context
    if context.codec.canonical_name not in form.copies:
        return False
    return kind == "audio" or context.name != "h264" or context.pix_fmt in ("yuv420p", "yuvj420p")


def _track(
    clip: Clip,
    kind: Kind,
    source: str | Path | None,
    form: Format,
    output: OutputContainer,
    stack: ExitStack,
) -> Iterator[Any] | None:
    """The packets of one modality: copied where that is requested and possible, else encoded."""
    codec = form.video if kind == "video" else form.audio
    own = clip.frames if kind == "video" else clip.wave
    if codec is None or (own is None and source is None):
        return None
    if source is not None:
        file = stack.enter_context(opened(source))
        name = file.stream(kind).codec_context.codec.canonical_name
        info = probe(source)
        seconds = info.video_seconds if kind == "video" else info.audio_seconds
        assert seconds is not None
        if can_copy(file, kind, form) and abs(seconds - clip.seconds) <= SAME_LENGTH:
            return copied(output, file, kind)
        if own is None:
            raise InputError(
                f"{source}: its {seconds:.2f} s of {name} can't be copied into {clip.seconds:.2f} s of "
                f"{form.muxer}, and the clip brings nothing to encode in its place"
            )
    if kind == "video":
        assert clip.frames is not None
        rate = clip.frames_per_second
        return encoded_frames(output, codec.name, codec.format, codec.options, clip.frames, rate)
    assert clip.wave is not None
    return encoded_wave(output, codec.name, codec.format, codec.options, clip.wave, clip.sample_rate)
