"""Small valid media files, one per container and codec family, made by the ffmpeg binary."""

from __future__ import annotations

import subprocess
from pathlib import Path

_VIDEO = "-f lavfi -i testsrc=size=64x48:rate=10:duration=1.2"
_AUDIO = "-f lavfi -i sine=frequency=440:sample_rate=16000:duration=1.2"
_BOTH = f"{_VIDEO} {_AUDIO}"
_X264 = "-c:v libx264 -preset ultrafast -g 4 -pix_fmt yuv420p"

# File name -> arguments of ffmpeg.
SEEDS = {
    "h264-aac.mp4": f"{_BOTH} {_X264} -c:a aac",
    "b-frames.mp4": f"{_BOTH} -c:v libx264 -bf 2 -pix_fmt yuv420p -c:a aac -movflags +faststart",
    "fragments.mp4": f"{_BOTH} {_X264} -c:a aac -movflags +frag_keyframe+empty_moov",
    "rotated.mov": f"{_BOTH} -c:v mjpeg -pix_fmt yuvj420p -c:a pcm_s16le",
    "h264-flac.mkv": f"{_BOTH} {_X264} -c:a flac",
    "ffv1-pcm.mkv": f"{_BOTH} -c:v ffv1 -c:a pcm_s16le",
    "vp9-opus.webm": f"{_BOTH} -c:v libvpx-vp9 -cpu-used 8 -b:v 100k -c:a libopus",
    "vp8-vorbis.webm": f"{_BOTH} -c:v libvpx -b:v 100k -c:a libvorbis",
    "h264-aac.ts": f"{_BOTH} {_X264} -c:a aac",
    "mpeg1-mp2.mpg": f"{_BOTH} -r 25 -c:v mpeg1video -c:a mp2 -ar 32000",
    "h264-aac.flv": f"{_BOTH} {_X264} -c:a aac -ar 44100",
    "mpeg4-mp3.avi": f"{_BOTH} -c:v mpeg4 -c:a libmp3lame",
    "vorbis.ogg": f"{_AUDIO} -c:a libvorbis",
    "opus.ogg": f"{_AUDIO} -c:a libopus",
    "s16.wav": f"{_AUDIO} -c:a pcm_s16le",
    "u8.wav": f"{_AUDIO} -c:a pcm_u8",
    "s24.wav": f"{_AUDIO} -c:a pcm_s24le",
    "f32.wav": f"{_AUDIO} -c:a pcm_f32le",
    "f64.wav": f"{_AUDIO} -c:a pcm_f64le",
    "adpcm.wav": f"{_AUDIO} -c:a adpcm_ms",
    "surround.wav": f"{_AUDIO} -ac 8 -c:a pcm_s16le",
    "s16.caf": f"{_AUDIO} -ac 6 -c:a pcm_s16be",
    "s16.aiff": f"{_AUDIO} -c:a pcm_s16be",
    "flac.flac": f"{_AUDIO} -c:a flac",
    "mp3.mp3": f"{_AUDIO} -c:a libmp3lame",
    "aac.aac": f"{_AUDIO} -c:a aac",
    "image.gif": _VIDEO,
    "image.png": f"{_VIDEO} -frames:v 1 -pix_fmt rgba",
    "image.jpg": f"{_VIDEO} -frames:v 1",
    "image.webp": f"{_VIDEO} -frames:v 1 -c:v libwebp",
    "image.bmp": f"{_VIDEO} -frames:v 1",
    "image.tiff": f"{_VIDEO} -frames:v 1",
}  # fmt: skip


def make(folder: Path) -> dict[str, Path]:
    """The seeds that this ffmpeg can make, by name: builds lack encoders."""
    made = {}
    for name, arguments in SEEDS.items():
        path = folder / name
        command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments.split(), "-fflags", "+bitexact"]
        done = subprocess.run([*command, "-threads", "1", str(path)], capture_output=True, check=False)
        if done.returncode == 0 and path.stat().st_size:
            made[name] = path
    if "image.jpg" in made:
        made["image.jpg"].write_bytes(with_exif(made["image.jpg"].read_bytes(), orientation=6))
    return made


def with_exif(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG with an Exif segment that names its orientation (1 to 8)."""
    tiff = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0" + bytes([orientation, 0, 0, 0])
    body = b"Exif\0\0" + tiff + b"\0\0\0\0"
    return jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]
