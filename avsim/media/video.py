"""The video of a file on a clip's grid of frames."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray
from torch import Tensor

from avsim.errors import InputError
from avsim.media.hdr import HDR, tone_mapped
from avsim.media.opening import Decoding, MediaFile, opened

IMAGE_RATE = 16.0  # frames per second of a still image, which has none of its own
TOLERANCE = 0.25  # seconds by which data may end before its header says, and still count as whole

log = logging.getLogger("avsim")
_EXIF = 31  # AV_FRAME_DATA_EXIF of FFmpeg 8
_BYTES = 5  # of memory for each value of a frame: a byte as decoded, a float as returned


def rate_of(file: MediaFile) -> float:
    """Frames per second of the video: the mean where the rate varies."""
    if file.is_image:
        return IMAGE_RATE
    mean, nominal = file.video.average_rate, file.video.guessed_rate
    if mean and nominal and abs(mean / nominal - 1) < 0.01:
        return float(nominal)  # 30000/1001 rather than the mean of rounded time stamps
    return float(mean or nominal or 25)


def read_frames(
    file: MediaFile,
    start: float,
    seconds: float | None,
    size: tuple[int, int] | None,
    fps: float,
    budget: float,
) -> Tensor:
    """Frames (3, T, H, W) in [0, 1] from `start` on, as `decoded_frames` gives them.

    Raises:
        InputError: as `decoded_frames`, or the frames would take more than `budget` bytes.
    """
    return to_tensor(list(decoded_frames(file, start, seconds, size, fps, within(file.path, budget))))


def within(path: Path, budget: float) -> Callable[[int, int, int], None]:
    """A check that so many frames of a size (count, H, W) take no more than `budget` bytes."""

    def check(count: int, high: int, wide: int) -> None:
        if count * 3 * high * wide * _BYTES > budget:
            raise InputError(
                f"{path}: {count} frames of {wide} x {high} take more than {budget / 1e9:g} GB; "
                "read a span, a smaller size, or raise the budget"
            )

    return check


def decoded_frames(
    file: MediaFile,
    start: float,
    seconds: float | None,
    size: tuple[int, int] | None,
    fps: float,
    check: Callable[[int, int, int], None] = lambda count, high, wide: None,
) -> Iterator[NDArray[np.uint8]]:
    """Images (3, H, W) from `start` on, one after the other: memory holds a few.

    Image i is what the file shows at the middle of its span, start + (i + 1/2) / fps; before the first time
    stamp it is the first one. There are round(seconds fps), fewer where the file ends earlier. Nothing may
    have been read of `file` before. `check` is called with (how many there will be at least, H, W) before
    each is made.

    Raises:
        InputError: `start` lies beyond the end, the span is damaged, or the data ends before its header says.
    """
    path = file.path
    check(1, file.video.codec_context.height, file.video.codec_context.width)
    count = 1 if file.is_image else math.inf if seconds is None else max(1, round(seconds * fps))
    made, made_size = 0, size
    scaler = VideoReformatter()
    upright: tuple[bool, bool, bool] | None = None
    transparent = False

    def show(frame: Any, until: float) -> Iterator[NDArray[np.uint8]]:
        """Let `frame` fill the grid up to the moment `until`."""
        nonlocal made, made_size, upright, transparent
        shown = None
        while made < count and start + (made + 0.5) / fps < until:
            if shown is None:
                # A frame whose side data is read lives until the garbage collector runs: once is enough.
                upright = upright or _orientation(frame)
                if (opaque := _opaque(frame)) is not None:
                    if not transparent:
                        log.warning("%s: is transparent in parts; they are shown over black", path)
                    transparent, frame = True, opaque
                check(1, *_covering(frame, upright, file.aspect, size))
                shown = conform(frame, made_size, file.aspect, scaler, upright)
                made_size = shown.shape[1], shown.shape[2]  # of all, should the stream change its size
            made += 1
            check(made, *made_size)  # type: ignore[misc]
            yield shown

    declared = None if file.is_uneven else file.declared_end("video")  # before decoding extends durations
    decoding = Decoding(file, "video", start)
    last: tuple[float, Any] | None = None
    for moment, frame in decoding:
        yield from show(frame if last is None else last[1], moment)
        last = moment, frame
        if made >= count:
            break
    else:
        if last is None:
            raise InputError(f"{path}: no frame of its video could be decoded")
        moment, frame = last
        lasts = float(frame.duration * frame.time_base) if frame.duration else 1 / fps
        end = moment + lasts
        if file.is_uneven:
            declared = end = file.declared_end("video") or end
        yield from show(frame, math.inf if file.is_image and start == 0 else end)
        until = math.inf if seconds is None else start + seconds
        check_whole(path, "video", until, end, declared)
        if start >= end:
            raise InputError(f"{path}: start {start:g} s lies beyond the end of its video at {end:.2f} s")
        if not made:  # the file ends within half a frame of `start`
            yield conform(_opaque(frame) or frame, size, file.aspect, scaler, _orientation(frame))
    if decoding.damage is not None:
        raise InputError(f"{path}: its video is damaged at {decoding.damage:.2f} s; read a span without it")


def check_whole(path: Path, what: str, until: float, end: float, declared: float | None) -> None:
    """Raise InputError where data that ended at `end` leaves out what its header promised before `until`."""
    if declared is not None and min(until, declared) - end > TOLERANCE:
        raise InputError(
            f"{path}: is truncated: its header says {declared:.2f} s of {what}, its data ends at {end:.2f} s"
        )


def shown_size(file: MediaFile) -> tuple[int, int]:
    """(H, W) as shown: upright, with square pixels."""
    with opened(file.path) as again:  # `file` may be read later
        frame = next((frame for _, frame in Decoding(again, "video", 0.0)), None)
        if frame is None:
            raise InputError(f"{file.path}: no frame of its video could be decoded")
        return _shown(frame, _orientation(frame), file.aspect)


def conform(
    frame: Any,
    size: tuple[int, ...] | None,
    aspect: float,
    scaler: VideoReformatter,
    orientation: tuple[bool, bool, bool],
) -> NDArray[np.uint8]:
    """A decoded frame upright, with square pixels, scaled to cover `size`, its centre cropped: (3, H, W).

    `aspect` is the width over height of its pixels, `orientation` as `_orientation` gives it; one `scaler`
    serves all frames of a video. Shrinking averages over what it merges (no aliasing).
    """
    scaled = _covering(frame, orientation, aspect, size)
    wanted = size or scaled
    turned = orientation[0]
    filtering = Interpolation.AREA if scaled < _shown(frame, orientation, aspect) else Interpolation.BICUBIC
    planar = scaler.reformat(
        frame,
        width=scaled[0] if turned else scaled[1],
        height=scaled[1] if turned else scaled[0],
        format="gbrp",
        src_colorspace=_untagged_colours(frame),
        # without these two flags colour is copied to 2 x 2 pixels: 37 dB on a smooth video instead of 51
        interpolation=int(filtering) | int(Interpolation.ACCURATE_RND) | int(Interpolation.FULL_CHR_H_INT),
        threads=1,  # threads of its own for each small video cost more than they save
    )
    green, blue, red = (_plane(planar, index) for index in range(3))
    top, left = (scaled[0] - wanted[0]) // 2, (scaled[1] - wanted[1]) // 2
    rows, columns = slice(top, top + wanted[0]), slice(left, left + wanted[1])
    image = np.stack([_upright(plane, orientation)[rows, columns] for plane in (red, green, blue)])
    return tone_mapped(image, frame.color_trc) if frame.color_trc in HDR else image


def _plane(frame: Any, index: int) -> NDArray[np.uint8]:
    plane = frame.planes[index]
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


def to_tensor(images: list[NDArray[np.uint8]]) -> Tensor:
    """Images (3, H, W) of bytes -> frames (3, T, H, W) in [0, 1]."""
    frames = torch.empty(3, len(images), *images[0].shape[1:])
    for index, image in enumerate(images):
        torch.div(torch.from_numpy(image), 255, out=frames[:, index])
    return frames


def _untagged_colours(frame: Any) -> int | None:
    """The matrix of YUV that doesn't name one: BT.709 from 720 lines on, BT.601 below, as players assume."""
    unspecified = 2
    if frame.colorspace != unspecified:
        return None
    return int(Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601)


def _shown(frame: Any, orientation: tuple[bool, bool, bool], aspect: float) -> tuple[int, int]:
    height, width = frame.height, max(1, round(frame.width * aspect))
    return (width, height) if orientation[0] else (height, width)


def _covering(
    frame: Any, orientation: tuple[bool, bool, bool], aspect: float, size: tuple[int, ...] | None
) -> tuple[int, int]:
    """(H, W) of the frame as shown, scaled to cover `size`."""
    height, width = _shown(frame, orientation, aspect)
    wanted = size or (height, width)
    scale = max(wanted[0] / height, wanted[1] / width)
    return max(wanted[0], round(height * scale)), max(wanted[1], round(width * scale))


def _orientation(frame: Any) -> tuple[bool, bool, bool]:
    """(transpose, flip rows, flip columns) that the frame's display matrix asks for, in this order."""
    try:
        matrix = np.frombuffer(bytes(frame.side_data["DISPLAYMATRIX"]), np.int32)
    except KeyError:
        return False, False, False
    except ValueError:  # PyAV 18.1 on a kind of side data that it lacks a name for
        return _orientation(_without_exif(frame))
    a, b, c, d = matrix[[0, 1, 3, 4]].tolist()  # x' = a x + c y, y' = b x + d y
    if abs(b) > abs(a):
        return True, b < 0, c < 0
    return False, d < 0, a < 0


def _without_exif(frame: Any) -> Any:
    """A frame without its Exif data, which FFmpeg has turned into a display matrix already."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    delete, sink = graph.add("sidedata", f"mode=delete:type={_EXIF}"), graph.add("buffersink")
    source.link_to(delete)
    delete.link_to(sink)
    graph.configure()
    graph.push(frame)
    return graph.pull()


def _opaque(frame: Any) -> Any | None:
    """A frame over black where some of it is transparent; None where nothing is."""
    if not (frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)):
        return None
    pixels = frame.to_ndarray(format="rgba")  # (H, W, 4)
    alpha = pixels[..., 3:]
    if alpha.min() == 255:
        return None
    over_black = (pixels[..., :3].astype(np.uint16) * alpha + 127) // 255
    return av.VideoFrame.from_ndarray(over_black.astype(np.uint8), format="rgb24")


def _upright(plane: NDArray[np.uint8], orientation: tuple[bool, bool, bool]) -> NDArray[np.uint8]:
    transpose, flip_rows, flip_columns = orientation
    plane = plane.T if transpose else plane
    plane = plane[::-1] if flip_rows else plane
    return plane[:, ::-1] if flip_columns else plane
