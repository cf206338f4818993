"""Open a file, find its video and its sound, and decode either from a moment on."""

from __future__ import annotations

import math
import mmap
import re
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer
from av.stream import Disposition

from avsim.errors import InputError

Kind = Literal["video", "audio"]

# Formats whose headers state durations; elsewhere (bare MP3, ADTS) FFmpeg estimates them from the bit rate.
_EXACT = {"mov", "matroska", "webm", "avi", "wav", "flac", "ogg"}
_BACK = 0.5  # seconds by which a time stamp may precede the end of what came before it


@dataclass(frozen=True)
class MediaFile:
    """An open file: its first video and audio streams, and the time stamp that is its time 0, in seconds.

    Time 0 is the start of the earliest stream, except that a video which starts less than one of its frames
    later (a muxer made room for a sound codec's priming) sets it, so that frames fall on the clip's grid.
    """

    path: Path
    container: InputContainer
    video: Any  # av.VideoStream or None
    audio: Any  # av.AudioStream or None
    zero: float

    @property
    def is_image(self) -> bool:
        """Whether the file is a still image."""
        name = self.container.format.name
        return self.video is not None and (name == "image2" or name.endswith("_pipe"))

    def stream(self, kind: Kind) -> Any:
        """The stream of a kind; InputError where the file has none."""
        found = self.video if kind == "video" else self.audio
        if found is None:
            raise InputError(f"{self.path}: has no {kind}")
        return found

    @property
    def aspect(self) -> float:
        """Width over height of the frame's pixels."""
        return float(self.video.sample_aspect_ratio or 1)

    @property
    def is_uneven(self) -> bool:
        """Whether an MP4 reorders frames at a varying rate: durations are then in decoding order."""
        mean, nominal = self.video.average_rate, self.video.guessed_rate
        reordered = "mov" in self.container.format.name.split(",") and self.video.codec_context.has_b_frames
        return bool(reordered and mean and nominal and abs(mean / nominal - 1) > 0.01)

    def _last_shown(self) -> float:
        """Where the frame that is shown last ends, in seconds of the container."""
        with av.open(f"file:{self.path}") as container:
            packets = container.demux(container.streams[self.video.index])
            last = max((p.pts * p.time_base for p in packets if p.pts is not None), default=0)
        return float(last + 1 / self.video.guessed_rate)

    def declared_end(self, kind: Kind) -> float | None:
        """Where the header says that a stream ends, in seconds of the file; None where no header says it."""
        if self.is_image or not _EXACT & set(self.container.format.name.split(",")):
            return None
        stream = self.stream(kind)
        if kind == "video" and self.is_uneven:
            return self._last_shown() - self.zero
        # Matroska's own tag, "00:00:02.062500000", comes first: FFmpeg fills `duration` from the container.
        if (tag := _CLOCK.fullmatch(stream.metadata.get("DURATION", "").strip())) is not None:
            return 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3]) - self.zero
        if stream.duration is not None:
            if kind == "audio" and self.container.format.name == "wav" and _unknown_length(self.path):
                return None
            return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - self.zero
        if self.container.duration is None or not (self.video is None or self.audio is None):
            return None  # the container's length is that of its longest stream
        return self.container.duration / av.time_base - self.zero


_CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d*)?)")


def _unknown_length(path: Path) -> bool:
    """Whether a WAV's header states no length, as one that was written to a pipe does."""
    with open(path, "rb") as file:
        head = file.read(4096)
    at = head.find(b"data")
    return at >= 0 and head[at + 4 : at + 8] in (b"\xff\xff\xff\xff", b"\0\0\0\0")


@contextmanager
def worded(path: str | Path) -> Iterator[None]:
    """Turn whatever a reader raises about a file into InputError; only a full disk and the like stay."""
    try:
        yield
    except InputError:
        raise
    except av.FFmpegError as error:
        reason = "cut short, or no video, sound or image" if isinstance(error, ValueError) else error.strerror
        raise InputError(f"{path}: cannot be read ({reason})") from error
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, MemoryError) as error:
        raise InputError(f"{path}: cannot be read ({type(error).__name__}: {error})") from error


@contextmanager
def opened(path: str | Path) -> Iterator[MediaFile]:
    """Open a video, sound file or image.

    Raises:
        InputError: no such file, an empty one, or one that holds neither video nor audio.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; expected a video, sound or image file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty")
    with worded(path):
        # "file:", for else a name with a colon is an address; the whitelist keeps playlists off the net.
        options = {"protocol_whitelist": "file"}
        container = av.open(f"file:{path}", metadata_errors="replace", container_options=options)
    with container:
        if container.format.name == "ogg" and _is_chained(path, path.stat().st_mtime_ns):
            raise InputError(
                f"{path}: is several Ogg files put end to end, each of which counts time from 0; join them "
                "with FFmpeg's concat"
            )
        yield _media_file(path, container)


@lru_cache(64)
def _is_chained(path: Path, changed: int) -> bool:
    """Whether an Ogg begins anew in its middle (RFC 3533: streams begin before any has data)."""
    begins, data = 2, False  # a page's flag; whether a page without it was met
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        at = pages.find(b"OggS")
        while 0 <= at and at + 27 <= len(pages):
            if not pages[at + 5] & begins:
                data = True
            elif data:
                return True
            segments = pages[at + 26]
            size = 27 + segments + sum(pages[at + 27 : at + 27 + segments])
            at = pages.find(b"OggS", at + size)
    return False


def _media_file(path: Path, container: InputContainer) -> MediaFile:
    pictures = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    video = _preferred(s for s in pictures if not s.disposition & Disposition.dependent)
    if video is None and pictures:
        raise InputError(f"{path}: is an image made of {len(pictures)} tiles; convert it to JPEG or PNG")
    audio = _preferred(container.streams.audio)
    if video is None and audio is None:
        raise InputError(f"{path}: holds neither video nor audio (or is cut short)")
    streams: list[Any] = [s for s in (video, audio) if s is not None]
    starts = {s.type: float((s.start_time or 0) * s.time_base) for s in streams}
    zero = min(starts.values())
    if video is not None and (rate := video.average_rate or video.guessed_rate):
        if starts["video"] - zero < 1 / rate:
            zero = starts["video"]
    return MediaFile(path, container, video, audio, max(0.0, zero))


def _preferred(streams: Iterable[Any]) -> Any:
    """The first stream that is marked as default, else the first; None where no decoder takes any."""
    usable = [stream for stream in streams if stream.codec_context is not None]
    return next((s for s in usable if s.disposition & Disposition.default), next(iter(usable), None))


def channels_of(file: MediaFile) -> int:
    """Channels of the sound.

    In QuickTime and CAF the layout of PCM may name its channels in an order of its own, and PyAV 18.1 frees
    such a layout twice: their packets are measured instead.
    """
    stream = file.audio
    bits = re.search(r"\d+", stream.codec_context.name.removeprefix("pcm_"))
    if not own_order(file) or bits is None:
        return int(stream.layout.nb_channels)
    with av.open(f"file:{file.path}") as container:
        packet = next(container.demux(container.streams[stream.index]), None)
        if packet is None or not packet.duration:
            raise InputError(f"{file.path}: none of its sound could be decoded")
        samples = packet.duration * packet.time_base * stream.codec_context.sample_rate
        return max(1, round(packet.size * 8 / (int(bits[0]) * samples)))


def own_order(file: MediaFile) -> bool:
    """Whether the sound may be laid out in an order of channels of its own."""
    names = file.container.format.name.split(",")
    return bool({"mov", "caf"} & set(names)) and file.audio.codec_context.name.startswith("pcm_")


@dataclass
class Decoding:
    """Frames of one stream in the order of their time stamps, and the first damage met on the way.

    `file` is read itself, so nothing may have been read of it before.
    """

    file: MediaFile
    kind: Kind
    since: float  # seconds of the file; the frames begin at or before it
    preroll: float = 0.0  # seconds that the decoder needs to warm up
    damage: float | None = field(default=None, init=False)

    def __iter__(self) -> Iterator[tuple[float, Any]]:
        """Yield (seconds of the file, frame)."""
        for back in (self.preroll, self.preroll + 2.0, self.preroll + 20.0, math.inf):
            with nullcontext(self.file) if back == self.preroll else opened(self.file.path) as file:
                stream = file.stream(self.kind)
                stream.thread_type = "AUTO"
                target = self.since - back
                if target > 0:
                    try:
                        file.container.seek(int((target + file.zero) / stream.time_base), stream=stream)
                    except av.FFmpegError:
                        pass  # the format can't seek: decode from its beginning
                frames = self._frames(file, stream)
                if self.kind == "video":
                    frames = _progressive(frames)
                first = next(frames, None)
                # Some formats seek past the moment that was requested: then try from further back.
                if target <= 0 or (first is not None and first[0] <= max(0.0, self.since - self.preroll / 2)):
                    if first is not None:
                        yield first
                        yield from frames
                    return

    def _frames(self, file: MediaFile, stream: Any) -> Iterator[tuple[float, Any]]:
        rate = float(stream.average_rate or 25) if self.kind == "video" else stream.rate
        # The last packet of a WAV without a length is marked as damaged for being shorter than the others.
        endless = file.container.format.name == "wav" and _unknown_length(file.path)
        seconds: float | None = None  # where a frame without a time stamp would belong
        packets = file.container.demux(stream)
        packet: Any = None
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                if packet.is_corrupt and not endless:
                    self._damaged(file, packet)
                frames = packet.decode()
            except av.EOFError:
                return
            except av.FFmpegError as error:
                self._damaged(file, packet)
                if not isinstance(error, ValueError):
                    return
                continue
            for frame in frames:
                if frame.pts is not None:
                    at = float(frame.pts * frame.time_base) - file.zero
                    if seconds is not None and at < seconds - _BACK and self.damage is None:
                        raise InputError(
                            f"{file.path}: its time stamps jump back from {seconds:.2f} s to {at:.2f} s, "
                            "as in files put end to end; join them with FFmpeg's concat"
                        )
                    seconds = at
                if seconds is None:
                    continue
                if self.kind == "video" and frame.key_frame and seconds <= self.since:
                    self.damage = None  # a key frame doesn't build on what came before it
                yield seconds, frame
                seconds += (1 if self.kind == "video" else frame.samples) / rate

    def _damaged(self, file: MediaFile, packet: Any) -> None:
        stamp = None if packet is None else packet.pts if packet.pts is not None else packet.dts
        seconds = self.since if stamp is None else float(stamp * packet.time_base) - file.zero
        # A decoder of sound that starts in the middle may stumble at first; videos build on earlier ones.
        if self.damage is None and (self.kind == "video" or seconds >= self.since):
            self.damage = seconds


def _progressive(frames: Iterator[tuple[float, Any]]) -> Iterator[tuple[float, Any]]:
    """(seconds, frame), interlaced frames from the first one on deinterlaced by FFmpeg's bwdif.

    Each frame stays one frame, at its own moment; frames that aren't marked as interlaced pass unchanged.
    """
    graph, form = None, None
    moments: deque[float] = deque()  # of the frames that the filter still holds

    def filtered(frame: Any) -> Iterator[tuple[float, Any]]:
        assert graph is not None
        graph.push(frame)
        while moments:
            try:
                shown = graph.pull()
            except (av.EOFError, av.BlockingIOError):
                return
            yield moments.popleft(), shown

    for seconds, frame in frames:
        found = (frame.width, frame.height, frame.format.name)
        if graph is not None and found != form:  # a filter's input keeps its size
            yield from filtered(None)
            graph = None
        if graph is None and not frame.interlaced_frame:
            yield seconds, frame
            continue
        if graph is None:
            graph, form = _deinterlacer(frame), found
            moments.clear()
        moments.append(seconds)
        yield from filtered(frame)
    if graph is not None:
        yield from filtered(None)


def _deinterlacer(frame: Any) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    # bwdif takes planar formats alone; FFmpeg puts a conversion before it where it must.
    filter_, sink = graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
    source.link_to(filter_)
    filter_.link_to(sink)
    graph.configure()
    return graph
