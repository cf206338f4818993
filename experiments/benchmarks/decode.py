"""Frames per second of `avsim.media.read` against OpenCV's reader on the same spans of a video, in one run.

    python experiments/benchmarks/decode.py FILM [--seconds 2] [--spans 12] [--size 64x64] [--repeats 3]

Both seek to each span, decode it and resize its frames: OpenCV by INTER_AREA and a centre crop, as bytes;
avsim by time stamps, as float32, four times the memory. OpenCV reads no audio: a separate line has its cost.
The order alternates between repeats, medians are compared. Peak memory is that of a
fresh process for each reader.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from avsim.cli import size

READERS = ("avsim", "opencv", "avsim with audio")


def read_avsim(film: Path, start: float, seconds: float, size: tuple[int, int] | None, want: str) -> int:
    from avsim import media

    clip = media.read(film, start, seconds, size, want=want)
    return clip.frames.shape[1]


def read_opencv(film: Path, start: float, seconds: float, size: tuple[int, int] | None) -> int:
    import cv2
    import numpy as np

    capture = cv2.VideoCapture(str(film))
    capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * start)
    frames = []
    for _ in range(round(seconds * capture.get(cv2.CAP_PROP_FPS))):
        ok, frame = capture.read()
        if not ok:
            break
        if size is not None:
            scale = max(size[0] / frame.shape[0], size[1] / frame.shape[1])
            width, height = round(frame.shape[1] * scale), round(frame.shape[0] * scale)
            frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
            top, left = (height - size[0]) // 2, (width - size[1]) // 2
            frame = frame[top : top + size[0], left : left + size[1]]
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    capture.release()
    return len(np.stack(frames))


def read(reader: str, film: Path, start: float, seconds: float, size: tuple[int, int] | None) -> int:
    if reader == "opencv":
        return read_opencv(film, start, seconds, size)
    return read_avsim(film, start, seconds, size, "frames" if reader == "avsim" else "any")


def peak(
    reader: str, film: Path, start: float, seconds: float, size: tuple[int, int] | None
) -> tuple[float, float]:
    """MiB before and at the peak of reading one span, in a process of its own."""
    code = (
        "import re, sys; sys.path.insert(0, sys.argv[1]); import decode, cv2, numpy\n"
        "from avsim import media; from pathlib import Path\n"
        "used = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) / 1024\n"
        "before = used()\n"
        f"decode.read({reader!r}, Path(sys.argv[2]), {start}, {seconds}, {size})\n"
        "print(before, used())\n"
    )
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", code, here, str(film)], capture_output=True, text=True, check=True
    )
    before, after = map(float, done.stdout.split())
    return before, after


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("film", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a span")
    parser.add_argument("--spans", type=int, default=12, help="spread evenly over the video")
    parser.add_argument("--size", type=size, default=(64, 64), metavar="WxH", help="to read it at")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()

    from avsim import media

    info, span, small = media.probe(arguments.film), arguments.seconds, arguments.size
    room = info.seconds - arguments.seconds
    starts = [room * (index + 0.5) / arguments.spans for index in range(arguments.spans)]
    shape = f"{info.size[1]} x {info.size[0]} at {info.frames_per_second:g} fps"
    print(f"{arguments.film.name}: {shape}, read as {small[1]} x {small[0]}")
    rates: dict[str, list[float]] = {reader: [] for reader in READERS}
    for repeat in range(arguments.repeats):
        for reader in READERS if repeat % 2 == 0 else reversed(READERS):
            began = time.perf_counter()
            frames = sum(read(reader, arguments.film, start, span, small) for start in starts)
            rates[reader].append(frames / (time.perf_counter() - began))
    medians = {reader: statistics.median(values) for reader, values in rates.items()}
    for reader in READERS:
        before, after = peak(reader, arguments.film, starts[-1], span, small)
        ratio = medians[reader] / medians["opencv"]
        print(
            f"{reader:17} {medians[reader]:7.1f} frames/s  {ratio:5.2f} x OpenCV  "
            f"peak {after:.0f} MiB, of which {before:.0f} MiB before the first read"
        )


if __name__ == "__main__":
    main()
