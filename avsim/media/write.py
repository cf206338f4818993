"""A clip as a file; its suffix names the format."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.container import OutputContainer
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.files import atomic
from avsim.media.opening import Film, Kind, opened
from avsim.media.sound import resampled

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
_CHUNK = 0.25  # seconds of sound encoded at a time
_WEB_SOUND = frozenset({"aac", "mp3", "opus", "flac", "ac3", "eac3", "alac"})


@dataclass(frozen=True)
class _Format:
    """What a container holds, and with which encoders it is filled."""

    muxer: str
    video: str | None = None
    pixels: str = "yuv420p"
    audio: str | None = None
    samples: str = "fltp"
    video_options: dict[str, str] = field(default_factory=dict)
    audio_options: dict[str, str] = field(default_factory=dict)
    muxer_options: dict[str, str] = field(default_factory=dict)
    copies: frozenset[str] = frozenset()  # codecs whose packets it takes unchanged, and that play from it


_H264 = {"crf": "18", "preset": "medium"}
_VP9 = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
_FAST_START = {"movflags": "+faststart"}
_FORMATS = {
    ".mp4": _Format("mp4", "libx264", "yuv420p", "aac", "fltp", _H264, {"b": "192k"}, _FAST_START,
                    _WEB_SOUND | {"h264", "hevc", "av1", "vp9", "mpeg4"}),
    ".mov": _Format("mov", "libx264", "yuv420p", "aac", "fltp", _H264, {"b": "192k"}, _FAST_START,
                    _WEB_SOUND | {"h264", "hevc", "mpeg4", "mjpeg", "prores", "pcm_s16le", "pcm_s24le"}),
    ".webm": _Format("webm", "libvpx-vp9", "yuv420p", "libopus", "flt", _VP9, {"b": "160k"},
                     copies=frozenset({"vp8", "vp9", "av1", "opus", "vorbis"})),
    ".mkv": _Format("matroska", "ffv1", "bgr0", "flac", "s32", {"level": "3", "slicecrc": "1"},
                    copies=_WEB_SOUND | {"h264", "hevc", "av1", "vp8", "vp9", "mpeg4", "ffv1", "vorbis",
                                         "pcm_s16le", "pcm_s24le", "pcm_f32le"}),
    ".wav": _Format("wav", audio="pcm_f32le", samples="flt"),
    ".flac": _Format("flac", audio="flac", samples="s32"),
    ".mp3": _Format("mp3", audio="libmp3lame", samples="fltp", audio_options={"q": "2"}),
    ".gif": _Format("gif", "gif", "pal8"),
    ".png": _Format("image2", "png", "rgb24"),
}  # fmt: skip


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
    sound alone, one for pictures the picture. H.264 needs an even height and width: an odd picture gets its
    last row or column twice. A sample rate that the sound's codec lacks is raised to the next that it has.

    Args:
        clip: what to write.
        path: where to; its folder is made if it is absent.
        video_from: a file whose picture stream is copied, packet by packet, in place of the clip's frames.
            Where the container can't hold its codec (or would not play it), the clip's frames are encoded.
        audio_from: likewise for the sound.

    Returns:
        The path.

    Raises:
        InputError: an unknown suffix, a clip that lacks what the suffix holds, a folder that can't be
            written, a full disk.
    """
    path = Path(path)
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise InputError(f"{path}: unknown suffix {path.suffix!r}; expected one of {', '.join(_FORMATS)}")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; expected a file's name")
    sources = {"video": video_from, "audio": audio_from}
    if not form.video and clip.wave is None and audio_from is None:
        raise InputError(f"{path}: holds sound alone; the clip has none")
    if not form.audio and clip.frames is None:
        raise InputError(f"{path}: holds pictures alone; the clip has none")
    with atomic(path) as temporary, ExitStack() as stack:
        try:
            if form.muxer == "image2":
                temporary.write_bytes(_strip(clip.frames, path))
            else:
                _mux(clip, path, temporary, form, sources, stack)
        except av.FFmpegError as error:
            if isinstance(error, OSError):
                raise  # a full disk and its like: `atomic` words them
            raise InputError(f"{path}: could not be encoded ({error.strerror})") from error
    return path


def _mux(
    clip: Clip, path: Path, temporary: Path, form: _Format, sources: dict[str, Any], stack: ExitStack
) -> None:
    output = stack.enter_context(
        av.open(f"file:{temporary}", "w", format=form.muxer, container_options=form.muxer_options)
    )
    tracks: list[Iterator[Any]] = []
    kinds: tuple[tuple[Kind, str | None, Any], ...] = (
        ("video", form.video, clip.frames),
        ("audio", form.audio, clip.wave),
    )
    for kind, encoder, own in kinds:
        if encoder is None:
            continue
        film = stack.enter_context(opened(sources[kind])) if sources[kind] is not None else None
        if film is not None and film.stream(kind).codec_context.name in form.copies:
            tracks.append(_copied(output, film, kind))
        elif own is not None:
            encode = _encoded_frames if kind == "video" else _encoded_wave
            tracks.append(encode(output, form, own, clip))
        elif film is not None:
            raise InputError(
                f"{path}: can't hold the {film.stream(kind).codec_context.name} of {film.path}, and the clip "
                f"brings nothing to encode in its place"
            )
    if not tracks:
        raise InputError(f"{path}: nothing to write")
    for packet in heapq.merge(*[_open(track) for track in tracks], key=lambda p: p.dts * p.time_base):
        output.mux(packet)


def _open(track: Iterator[Any]) -> Iterator[Any]:
    """Run a track up to its stream's creation: a container wants all its streams before the first packet."""
    assert next(track) is None
    return track


def _copied(output: OutputContainer, film: Film, kind: Kind) -> Iterator[Any]:
    source = film.stream(kind)
    stream = output.add_stream_from_template(source)
    yield None
    offset = round(film.zero / source.time_base)
    for packet in film.container.demux(source):
        if packet.dts is None:
            continue  # the end
        packet.dts -= offset
        packet.pts = packet.dts if packet.pts is None else packet.pts - offset
        packet.stream = stream
        yield packet


def _encoded_frames(output: OutputContainer, form: _Format, frames: Tensor, clip: Clip) -> Iterator[Any]:
    assert form.video is not None
    rate = Fraction(clip.frames_per_second).limit_denominator(1001)
    step = 1
    if form.muxer == "gif" and rate > 50:  # its clock ticks in 1/100 s, and players slow a single tick down
        step, rate = math.ceil(rate / 50), rate / math.ceil(rate / 50)
    even = 2 if form.video == "libx264" else 1
    stream: Any = output.add_stream(form.video, rate=rate, options=form.video_options)
    stream.height = math.ceil(frames.shape[2] / even) * even
    stream.width = math.ceil(frames.shape[3] / even) * even
    stream.pix_fmt = form.pixels
    stream.time_base = 1 / rate
    if form.pixels == "yuv420p":
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709, and said so
        context.color_range = 1  # limited
    yield None
    pictures = (_rgb(frames[:, index], even) for index in range(0, frames.shape[1], step))
    if form.pixels == "pal8":
        yield from _in_palette(stream, pictures, rate)
        return
    for index, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = frame.reformat(
            format=form.pixels, dst_colorspace="ITU709" if form.pixels == "yuv420p" else None
        )
        frame.pts, frame.time_base = index, 1 / rate
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _in_palette(stream: Any, pictures: Iterator[NDArray[np.uint8]], rate: Fraction) -> Iterator[Any]:
    """GIF: the 256 colours that suit the whole clip, found by FFmpeg's palettegen."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=stream.width, height=stream.height, format=av.VideoFormat("rgb24"), time_base=1 / rate
    )
    split, palette = graph.add("split"), graph.add("palettegen", "reserve_transparent=0")
    use, sink = graph.add("paletteuse", "dither=sierra2_4a"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    for index, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = index, 1 / rate
        source.push(frame)
    source.push(None)
    while True:
        try:
            drawn = sink.pull()
        except (av.EOFError, av.BlockingIOError):
            break
        yield from stream.encode(drawn)
    yield from stream.encode(None)


def _encoded_wave(output: OutputContainer, form: _Format, wave: Tensor, clip: Clip) -> Iterator[Any]:
    assert form.audio is not None
    if wave.shape[0] not in _LAYOUTS:
        raise InputError(f"a wave of {wave.shape[0]} channels can't be written; expected 1, 2 or 6")
    if clip.sample_rate != int(clip.sample_rate):
        raise InputError(f"sample rate {clip.sample_rate} can't be written; expected whole Hz")
    layout, rate = _LAYOUTS[wave.shape[0]], _rate_for(form.audio, int(clip.sample_rate))
    stream: Any = output.add_stream(form.audio, rate=rate, options=form.audio_options, layout=layout)
    stream.format = form.samples
    yield None
    line = wave.detach().to("cpu", torch.float32).numpy()
    if rate != clip.sample_rate:
        line = resampled(line, int(clip.sample_rate), rate)
    to_codec = av.AudioResampler(format=form.samples, layout=layout, rate=rate)
    chunk = max(1, round(_CHUNK * rate))
    for first in range(0, line.shape[1], chunk):
        part = np.ascontiguousarray(line[:, first : first + chunk])
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
        for converted in to_codec.resample(frame):
            yield from stream.encode(converted)
    yield from stream.encode(None)


def _rate_for(encoder: str, rate: int) -> int:
    """The lowest rate that an encoder takes from `rate` on, or else its highest."""
    known = sorted(av.codec.Codec(encoder, "w").audio_rates or [rate])
    return next((r for r in known if r >= rate), known[-1])


def _rgb(picture: Tensor, even: int = 1) -> NDArray[np.uint8]:
    """(3, H, W) in [0, 1] as bytes (H, W, 3), the last row and column repeated to a multiple of `even`."""
    rgb = picture.detach().to("cpu", torch.float32).clamp(0, 1).mul(255).round().to(torch.uint8)
    array = rearrange(rgb, "c h w -> h w c").contiguous().numpy()
    return np.pad(array, ((0, -array.shape[0] % even), (0, -array.shape[1] % even), (0, 0)), mode="edge")


def _strip(frames: Tensor | None, path: Path) -> bytes:
    """All frames side by side as a PNG."""
    assert frames is not None
    picture = _rgb(rearrange(frames, "c t h w -> c h (t w)"))
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width, encoder.pix_fmt = picture.shape[0], picture.shape[1], "rgb24"
    encoder.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
