"""Frames, waves and other files' packets as the packets of a container's streams.

Each function adds a stream to the container at once, and returns the packets that are still to be made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import Interpolation, VideoReformatter
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from avsim.errors import InputError
from avsim.media.opening import Kind, MediaFile

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
_RATES = {"libopus": [48000]}  # its own; at lower ones FFmpeg counts the priming to cut in the wrong unit
_CHUNK = 0.25  # seconds of sound encoded at a time
_FASTEST_GIF = 50  # frames per second: its clock ticks in 1/100 s, and players slow single ticks down
_BT709, _LIMITED = 1, 1  # FFmpeg's numbers of a colour space and a range
_FILTER = int(Interpolation.BICUBIC) | int(Interpolation.ACCURATE_RND) | int(Interpolation.FULL_CHR_H_INT)


def copied(output: OutputContainer, file: MediaFile, kind: Kind) -> Iterator[Any]:
    """The packets of a video's stream, unchanged but for its time 0, which becomes the container's."""
    source = file.stream(kind)
    stream = output.add_stream_from_template(source)
    offset = round(file.zero / source.time_base)

    def packets() -> Iterator[Any]:
        for packet in _in_order(file.container.demux(source), source):
            packet.dts -= offset
            packet.pts = packet.dts if packet.pts is None else packet.pts - offset
            packet.stream = stream
            yield packet

    return packets()


def _in_order(packets: Iterator[Any], source: Any) -> Iterator[Any]:
    """Packets with a decoding time each: Matroska has none for the first ones of a stream that reorders."""
    rate = source.average_rate if source.type == "video" else None
    step = round(1 / (rate * source.time_base)) if rate else 1
    waiting: list[Any] = []
    for packet in packets:
        if packet.size == 0:
            continue  # PyAV's sign for the end
        waiting.append(packet)
        if packet.dts is not None:
            for back, earlier in enumerate(reversed(waiting)):
                earlier.dts = packet.dts - back * step
            yield from waiting
            waiting = []
    for packet in waiting:
        packet.dts = packet.pts
        yield packet


def encoded_frames(
    output: OutputContainer, encoder: str, pixels: str, options: dict[str, str], frames: Tensor, fps: float
) -> Iterator[Any]:
    """Frames (3, T, H, W) in [0, 1], as `encoded_pictures`."""
    images = (to_bytes(frames[:, index]) for index in range(frames.shape[1]))
    size = frames.shape[2], frames.shape[3]
    return encoded_pictures(output, encoder, pixels, options, images, size, fps)


def encoded_pictures(
    output: OutputContainer,
    encoder: str,
    pixels: str,
    options: dict[str, str],
    images: Iterable[NDArray[np.uint8]],
    size: tuple[int, int],
    fps: float,
) -> Iterator[Any]:
    """Images (H, W, 3) of one size. H.264's odd sizes are made even by repeating the last row or column."""
    rate, step = Fraction(fps).limit_denominator(100_000), 1
    if encoder == "gif" and rate > _FASTEST_GIF:
        step = math.ceil(rate / _FASTEST_GIF)
        rate /= step
    even = 2 if encoder == "libx264" else 1
    stream: Any = output.add_stream(encoder, rate=rate, options=options)
    stream.height, stream.width = (math.ceil(length / even) * even for length in size)
    stream.pix_fmt = pixels
    stream.time_base = 1 / rate
    is_yuv = pixels.startswith("yuv")
    if is_yuv:
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED

    def pictures() -> Iterator[Any]:
        for index, image in enumerate(islice(images, 0, None, step)):
            edge = ((0, stream.height - size[0]), (0, stream.width - size[1]), (0, 0))
            image = np.ascontiguousarray(np.pad(image, edge, mode="edge"))
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts, picture.time_base = index, 1 / rate
            yield picture

    def converted() -> Iterator[Any]:
        scaler, space = VideoReformatter(), _BT709 if is_yuv else None
        for picture in pictures():
            yield scaler.reformat(
                picture, format=pixels, dst_colorspace=space, interpolation=_FILTER, threads=1
            )

    def packets() -> Iterator[Any]:
        for picture in _in_palette(stream, pictures(), rate) if pixels == "pal8" else converted():
            yield from stream.encode(picture)
        yield from stream.encode(None)

    return packets()


def _in_palette(stream: Any, pictures: Iterator[Any], rate: Fraction) -> Iterator[Any]:
    """Videos in the 256 colours that suit all of them, found by FFmpeg's palettegen."""
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
    for picture in pictures:
        source.push(picture)
    source.push(None)
    while True:
        try:
            yield sink.pull()
        except (av.EOFError, av.BlockingIOError):
            return


def encoded_wave(
    output: OutputContainer, encoder: str, samples: str, options: dict[str, str], wave: Tensor, rate: int
) -> Iterator[Any]:
    """A wave (A, N), as `encoded_pieces`."""
    return encoded_pieces(output, encoder, samples, options, [wave], wave.shape[0], rate)


def encoded_pieces(
    output: OutputContainer,
    encoder: str,
    samples: str,
    options: dict[str, str],
    pieces: Iterable[Tensor],
    channels: int,
    rate: int,
) -> Iterator[Any]:
    """Waves (A, n) that follow one another; a piece is taken when the one before is encoded.

    They are resampled to the lowest rate from their own on that the encoder takes.
    """
    if channels not in _LAYOUTS:
        raise InputError(f"a wave of {channels} channels can't be written; expected 1, 2 or 6")
    if rate != int(rate):
        raise InputError(f"a sample rate of {rate} can't be written; expected whole Hz")
    layout = _LAYOUTS[channels]
    known = _RATES.get(encoder) or sorted(av.codec.Codec(encoder, "w").audio_rates or [int(rate)])
    taken = next((one for one in known if one >= rate), known[-1])
    stream: Any = output.add_stream(encoder, rate=taken, options=options, layout=layout)
    stream.format = samples

    def packets() -> Iterator[Any]:
        convert = av.AudioResampler(format=samples, layout=layout, rate=taken)
        chunk, done = max(1, round(_CHUNK * rate)), 0
        for piece in pieces:
            for part in piece.detach().to("cpu").float().split(chunk, 1) if piece.shape[1] else ():
                line = np.ascontiguousarray(part.numpy())
                frame = av.AudioFrame.from_ndarray(line, format="fltp", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = int(rate), done, Fraction(1, int(rate))
                done += line.shape[1]
                for converted in convert.resample(frame):
                    yield from stream.encode(converted)
        for converted in convert.resample(None) if taken != rate else ():
            yield from stream.encode(converted)
        yield from stream.encode(None)

    return packets()


def png(frames: Tensor) -> bytes:
    """Frames (3, T, H, W) side by side as a PNG file."""
    picture = to_bytes(rearrange(frames, "c t h w -> c h (t w)"))
    encoder: Any = av.CodecContext.create("png", "w")
    encoder.height, encoder.width, encoder.pix_fmt = picture.shape[0], picture.shape[1], "rgb24"
    encoder.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def to_bytes(picture: Tensor) -> NDArray[np.uint8]:
    """A video (3, H, W) in [0, 1] as bytes (H, W, 3)."""
    scaled = picture.detach().to("cpu").float().clamp(0, 1).mul(255).round().byte()
    return rearrange(scaled, "c h w -> h w c").contiguous().numpy()
