import math
import shutil
import struct
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from avsim import media
from avsim.clip import Clip, samples_of
from avsim.errors import InputError
from avsim.media.audio import _runs
from tests.films import brightness, film, greys, lag, tone

EVEN = [i / 10 for i in range(10)]


@pytest.mark.parametrize(
    ("suffix", "video", "pixels", "audio", "samples"),
    [
        (".mp4", "libx264", "yuv420p", "aac", "fltp"),
        (".mov", "mjpeg", "yuvj420p", "pcm_s16le", "s16"),
        (".mkv", "libx264", "yuv420p", "libmp3lame", "fltp"),
        (".webm", "libvpx-vp9", "yuv420p", "libopus", "flt"),
        (".avi", "mpeg4", "yuv420p", "pcm_s16le", "s16"),
    ],
)
def test_containers(tmp_path, suffix, video, pixels, audio, samples):
    wave = tone(1.0)
    path = film(
        tmp_path / f"a{suffix}", greys(10), EVEN, wave,
        video=video, pixels=pixels, audio=audio, samples=samples, nominal=10, options={"b": "2000000"},
    )  # fmt: skip
    clip = media.read(path)
    assert brightness(clip) == list(range(10))
    assert clip.frames_per_second == 10 and clip.wave.shape == (1, 48000)
    middle = slice(4800, 40000)
    assert np.abs(clip.wave.numpy() - wave)[:, middle].max() < 0.03
    info = media.probe(path)
    assert info.size == (32, 48) and (info.sample_rate, info.channels) == (48000, 1)
    assert info.seconds == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("suffix", "audio", "samples"),
    [
        (".wav", "pcm_u8", "u8"),
        (".wav", "pcm_s32le", "s32"),
        (".flac", "flac", "s16"),
        (".mp3", "libmp3lame", "fltp"),
        (".ogg", "libopus", "flt"),
    ],
)
def test_sound_files(tmp_path, suffix, audio, samples):
    wave = tone(1.0, channels=2)
    path = film(tmp_path / f"a{suffix}", wave=wave, audio=audio, samples=samples, layout="stereo")
    clip = media.read(path)
    assert clip.frames is None and clip.wave.shape == (2, 48000)
    assert np.abs(clip.wave.numpy() - wave)[:, 2400:-2400].max() < 0.03
    part = media.read(path, start=0.25, seconds=0.5)
    assert (part.wave - clip.wave[:, 12000:36000]).abs().max() < 1e-4


def test_variable_rate_goes_by_time_stamps(tmp_path):
    times = [0.0, 0.1, 0.5, 0.6, 0.7]
    path = film(tmp_path / "a.mp4", greys(5), times)
    clip = media.read(path, frames_per_second=10, seconds=0.8)
    assert brightness(clip)[:7] == [0, 1, 1, 1, 1, 2, 3]
    assert brightness(media.read(path, start=0.3, seconds=0.3, frames_per_second=10)) == [1, 1, 2]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_late_streams(tmp_path, suffix):
    click = np.zeros((1, 24000), np.float32)
    click[:, 0] = 0.9
    late_sound = film(
        tmp_path / f"s{suffix}", greys(10), EVEN, click, wave_at=0.4, audio="flac", samples="s16", nominal=10
    )
    clip = media.read(late_sound)
    assert clip.wave.shape == (1, 48000)
    assert int(clip.wave.abs().argmax()) == pytest.approx(0.4 * 48000, abs=48)
    before, over = media.read(late_sound, 0.0, 0.2), media.read(late_sound, 0.3, 0.2)
    assert before.wave.shape == (1, 9600) and not before.wave.any()  # all of the sound comes later
    assert int(over.wave.abs().argmax()) == pytest.approx(0.1 * 48000, abs=48)
    late_picture = film(tmp_path / f"p{suffix}", greys(6), [0.4 + t for t in EVEN[:6]], tone(1.0), nominal=10)
    clip = media.read(late_picture, frames_per_second=10)
    assert brightness(clip) == [0, 0, 0, 0, 0, 1, 2, 3, 4, 5]  # its first frame stands until its time comes


def test_edit_list_hides_the_beginning(tmp_path):
    path = film(
        tmp_path / "a.mp4", greys(10), [t - 0.3 for t in EVEN], tone(0.7), nominal=10, options={"bf": "0"}
    )
    clip = media.read(path, frames_per_second=10)
    assert brightness(clip) == [3, 4, 5, 6, 7, 8, 9]
    assert brightness(media.read(path, start=0.2, seconds=0.2, frames_per_second=10)) == [5, 6]


def test_mpeg_transport_streams_start_late_on_their_own_clock(tmp_path):
    path = film(tmp_path / "a.ts", greys(10), EVEN, tone(1.0))
    clip = media.read(path, frames_per_second=10)
    assert brightness(clip)[:9] == list(range(9))
    assert np.abs(clip.wave.numpy()[:, 4800:40000] - tone(1.0)[:, 4800:40000]).max() < 0.03


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".avi"])
def test_a_span_is_a_slice_of_the_whole(tmp_path, suffix):
    codecs = {
        ".webm": {"video": "libvpx-vp9", "audio": "libopus", "samples": "flt", "options": {"g": "9"}},
        ".avi": {"video": "mpeg4", "audio": "pcm_s16le", "samples": "s16", "options": {"g": "9"}},
    }.get(suffix, {"options": {"g": "9", "bf": "2"}})
    chirp = np.sin(2000 * (np.arange(96000) / 48000) ** 2)[None].astype(np.float32) / 2
    pictures = [np.roll(np.tile(np.arange(48, dtype=np.uint8) * 5, (32, 1)), 2 * i, 1) for i in range(50)]
    pictures = [np.repeat(p[..., None], 3, -1) for p in pictures]
    path = film(tmp_path / f"a{suffix}", pictures, [i / 25 for i in range(50)], chirp, **codecs)
    whole = media.read(path, sample_rate=16000)
    assert whole.frames.shape[1] == 50
    for first in (1, 13, 31, 44):
        part = media.read(path, start=first / 25, seconds=0.2, sample_rate=16000)
        assert torch.equal(part.frames, whole.frames[:, first : first + 5])
        same = whole.wave[0, first * 640 : first * 640 + 3200].numpy()
        if suffix in (".mp4", ".avi"):
            assert np.abs(part.wave[0].numpy() - same).max() < 2e-3
        else:  # time stamps in whole milliseconds
            assert abs(lag(part.wave[0].numpy(), same, reach=200)) <= 8


@pytest.mark.parametrize(
    ("start", "seconds"), [(0.0, 0.5), (0.33, 0.4), (0.7, None), (0.0, None), (0.9, 3.0)]
)
@pytest.mark.parametrize(("fps", "rate"), [(None, None), (16, 16000), (29.97, 22050), (7.3, 8001)])
def test_samples_are_those_that_the_frames_own(tmp_path, start, seconds, fps, rate):
    path = film(tmp_path / "a.mp4", greys(10), EVEN, tone(0.6, rate=44100), rate=44100, nominal=10)
    clip = media.read(path, start, seconds, frames_per_second=fps, sample_rate=rate)
    assert clip.wave.shape[1] == samples_of(clip.frames.shape[1], clip.frames_per_second, clip.sample_rate)
    expected = min(seconds or 9.0, 1.0 - start) * clip.frames_per_second
    assert clip.frames.shape[1] == max(1, round(expected))


def test_sound_longer_and_shorter_than_the_picture(tmp_path):
    path = film(tmp_path / "a.mp4", greys(10), EVEN, tone(2.0), nominal=10)
    assert media.read(path).wave.shape[1] == 48000
    assert media.read(path, want="wave").wave.shape[1] == 96000
    path = film(tmp_path / "b.mp4", greys(10), EVEN, tone(0.3), nominal=10)
    wave = media.read(path).wave
    assert wave.shape[1] == 48000 and not wave[:, 14400:].any() and wave[:, 13000:14000].any()


def test_absent_modalities_are_none(tmp_path):
    silent = film(tmp_path / "a.mp4", greys(4), EVEN[:4])
    assert media.read(silent).wave is None and not media.probe(silent).has_wave
    both = film(tmp_path / "b.mp4", greys(4), EVEN[:4], tone(0.4))
    assert media.read(both, want="frames").wave is None
    assert media.read(both, want="wave").frames is None


def test_five_channels_become_stereo_by_bs_775(tmp_path):
    wave = np.zeros((6, 9600), np.float32)  # FL FR FC LFE BL BR
    wave[0], wave[2], wave[3], wave[5] = 0.5, 0.25, 0.9, 0.125
    path = film(tmp_path / "a.wav", wave=wave, audio="pcm_f32le", samples="flt", layout="5.1")
    half = math.sqrt(0.5)
    left, right = 0.5 + half * 0.25, half * 0.25 + half * 0.125
    stereo = media.read(path).wave
    assert stereo.shape == (2, 9600)
    assert torch.allclose(stereo.mean(1), torch.tensor([left, right]) / (1 + 2 * half), atol=1e-6)
    assert media.read(path, channels=1).wave.mean() == pytest.approx(float(stereo.mean()), abs=1e-6)
    assert np.array_equal(media.read(path, channels=6).wave.numpy(), wave)


def test_mono_and_stereo(tmp_path):
    path = film(tmp_path / "a.wav", wave=tone(0.1), audio="pcm_f32le", samples="flt")
    assert media.read(path).wave.shape == (1, 4800)
    assert np.array_equal(media.read(path, channels=2).wave.numpy(), np.repeat(tone(0.1), 2, axis=0))


def test_resampling_keeps_a_tone_in_place(tmp_path):
    path = film(tmp_path / "a.wav", wave=tone(1.0, 44100), rate=44100, audio="pcm_f32le", samples="flt")
    wave = media.read(path, start=0.2, seconds=0.5, sample_rate=16000).wave.numpy()
    expected = tone(1.0, 16000)[:, 3200:11200]
    assert np.abs(wave - expected).max() < 1e-3


def rotated(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a display matrix (a, b, c, d) into an mp4's only track."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        (
            (0, 1, -1, 0),
            lambda x: torch.rot90(x, -1, (2, 3)),
        ),  # a telephone held upright: 90 degrees clockwise
        ((-1, 0, 0, -1), lambda x: torch.rot90(x, 2, (2, 3))),
        ((0, -1, 1, 0), lambda x: torch.rot90(x, 1, (2, 3))),
        ((-1, 0, 0, 1), lambda x: x.flip(3)),
    ],
)
def test_rotation_flags(tmp_path, matrix, turn):
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:16, :24, 0] = picture[16:, :, 1] = 200
    upright = media.read(film(tmp_path / "a.mp4", [picture] * 2, [0, 0.1])).frames
    path = rotated(film(tmp_path / "b.mp4", [picture] * 2, [0, 0.1]), matrix)
    frames = media.read(path).frames
    assert frames.shape == turn(upright).shape and (frames - turn(upright)).abs().max() < 0.02
    assert media.probe(path).size == tuple(frames.shape[2:])
    assert media.read(path, size=(20, 10)).frames.shape[2:] == (20, 10)


def test_pixels_become_square(tmp_path):
    path = film(tmp_path / "a.mp4", greys(2), [0, 0.1], aspect=Fraction(4, 3))
    assert media.read(path).frames.shape[2:] == (32, 64) == media.probe(path).size


def test_size_covers_and_crops_the_centre(tmp_path):
    picture = np.zeros((64, 192, 3), np.uint8)
    picture[:, 64:128] = 255  # the middle third is what a square crop keeps
    path = film(tmp_path / "a.mkv", [picture], [0], video="ffv1", pixels="bgr0", options={})
    frames = media.read(path, size=(32, 32)).frames
    assert frames.shape == (3, 1, 32, 32)
    assert frames[..., 2:-2].min() > 0.99


def test_shrinking_does_not_alias(tmp_path):
    lines = np.zeros((128, 128, 3), np.uint8)
    lines[:, ::2] = 255
    path = film(tmp_path / "a.mkv", [lines], [0], video="ffv1", pixels="bgr0", options={})
    assert (media.read(path, size=(16, 16)).frames - 0.5).abs().max() < 0.02


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels"), [(".png", "png", "rgb24"), (".jpg", "mjpeg", "yuvj420p")]
)
def test_images_are_one_frame(tmp_path, suffix, codec, pixels):
    path = tmp_path / f"a{suffix}"
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 48, 32, pixels, Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), (220, 40, 90), np.uint8), format="rgb24")
    path.write_bytes(
        b"".join(bytes(p) for p in [*encoder.encode(frame.reformat(format=pixels)), *encoder.encode()])
    )
    clip = media.read(path, seconds=2.0)
    assert clip.frames.shape == (3, 1, 32, 48) and clip.wave is None and clip.frames_per_second == 16
    assert (clip.frames.mean((1, 2, 3)) - torch.tensor([220, 40, 90]) / 255).abs().max() < 0.02
    assert media.probe(path).size == (32, 48)


def test_gif_goes_by_its_delays(tmp_path):
    path = film(
        tmp_path / "a.gif", greys(4), [0.0, 0.1, 0.5, 0.6], video="gif", pixels="rgb8", nominal=10, options={}
    )
    levels = media.read(path, frames_per_second=10).frames.mean((0, 2, 3)).tolist()
    assert len(levels) == 7
    assert levels[1] == levels[4] < levels[5] < levels[6]


def test_names_that_look_like_patterns_and_addresses(tmp_path):
    clip = Clip(torch.rand(3, 2, 16, 16), None)
    for name in ("http:a.mkv", "50%d.mkv", "50%d.png", "ümlaut [1].mkv"):
        assert media.read(clip.write(tmp_path / name)).frames is not None


def test_clip_reads_and_writes(tmp_path):
    path = Clip(None, torch.zeros(1, 800), sample_rate=8000).write(tmp_path / "a.wav")
    assert Clip.read(path, 0.05, 0.025).wave.shape == (1, 200)


def _ffmpeg(folder, *arguments):
    """Run the ffmpeg binary in `folder`; the test skips where there is none."""
    binary = shutil.which("ffmpeg") or pytest.skip("needs the ffmpeg binary, to write what PyAV can't")
    quiet = [binary, "-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
    return subprocess.run([*quiet, *arguments], cwd=folder, check=True, capture_output=True).stdout


@pytest.mark.parametrize(
    "layout, codec, name",
    [("7.1", "aac", "a.mp4"), ("7.1", "pcm_s16le", "a.mov"), ("6.1", "pcm_s16le", "b.mov")],
)
def test_sound_of_many_channels_is_mixed_to_stereo(layout, codec, name, tmp_path):
    tone = ["-f", "lavfi", "-i", f"sine=440:d=1:r=16000,aformat=channel_layouts={layout}"]
    _ffmpeg(tmp_path, *tone, "-c:a", codec, name)
    assert media.probe(tmp_path / name).channels == int(layout[0]) + 1
    wave = media.read(tmp_path / name).wave
    assert wave.shape == (2, 16000) and wave[:, 2000:14000].abs().max() > 0.01
    with pytest.raises(InputError, match="can become 1 or 2"):
        media.read(tmp_path / name, channels=6)


def test_a_wav_from_a_pipe_is_whole(tmp_path):
    piped = _ffmpeg(tmp_path, "-f", "lavfi", "-i", "sine=440:d=1:r=16000", "-f", "wav", "pipe:1")
    (tmp_path / "a.wav").write_bytes(piped)
    assert media.read(tmp_path / "a.wav").wave.shape == (1, 16000)


def test_headers_without_lengths_are_made_up_for(tmp_path):
    film = ["-f", "lavfi", "-i", "testsrc2=s=64x64:r=16:d=3", "-f", "lavfi", "-i", "sine=440:d=3:r=48000"]
    for name, codecs in (
        ("a.ts", ["-c:v", "mpeg2video", "-c:a", "mp2"]),
        ("a.flv", ["-c:v", "flv", "-ar", "44100"]),
    ):
        _ffmpeg(tmp_path, *film, *codecs, name)
        info = media.probe(tmp_path / name)
        assert info.video_seconds == pytest.approx(3, abs=0.1) and info.audio_seconds == pytest.approx(
            3, abs=0.1
        )


def test_files_put_end_to_end_are_refused(tmp_path):
    for colour, pitch in (("red", 440), ("blue", 880)):
        film = [
            "-f",
            "lavfi",
            "-i",
            f"color={colour}:s=64x64:r=16:d=2",
            "-f",
            "lavfi",
            "-i",
            f"sine={pitch}:d=2",
        ]
        _ffmpeg(tmp_path, *film, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", f"{colour}.ts")
    joined = tmp_path / "both.ts"
    joined.write_bytes((tmp_path / "red.ts").read_bytes() + (tmp_path / "blue.ts").read_bytes())
    with pytest.raises(InputError, match="jump back"):
        media.read(joined)


def test_the_default_track_is_read(tmp_path):
    silent, loud = (
        ["-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono"],
        ["-f", "lavfi", "-i", "sine=440:r=16000"],
    )
    marks = ["-disposition:a:0", "0", "-disposition:a:1", "default"]
    _ffmpeg(tmp_path, *silent, *loud, "-t", "1", "-map", "0", "-map", "1", "-c:a", "aac", *marks, "a.mp4")
    assert media.read(tmp_path / "a.mp4").wave.abs().max() > 0.05


def test_a_still_under_longer_sound_is_not_truncated(tmp_path):
    film = ["-f", "lavfi", "-i", "color=gray:s=64x48:r=25:d=0.04", "-f", "lavfi", "-i", "sine=440:d=5"]
    _ffmpeg(tmp_path, *film, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "a.mkv")
    assert media.read(tmp_path / "a.mkv").frames.shape[1] <= 2


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("orientation, corner", [(1, (0, 0)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0))])
def test_a_photograph_with_exif_is_upright(suffix, orientation, corner, tmp_path):
    image = pytest.importorskip("PIL.Image")
    picture, exif = image.new("RGB", (64, 48), (30, 30, 220)), image.Exif()
    picture.paste((220, 30, 30), (0, 0, 32, 24))
    exif[274] = orientation
    picture.save(tmp_path / f"a{suffix}", exif=exif, quality=95)
    frames = media.read(tmp_path / f"a{suffix}").frames
    assert frames.shape[2:] == ((64, 48) if orientation > 4 else (48, 64))
    assert frames[0, 0, corner[0], corner[1]] > 0.7  # the red quarter, turned
    assert (frames[0, 0] > 0.7).float().mean() == pytest.approx(0.25, abs=0.05)


def test_whatever_a_reader_raises_names_the_file(tmp_path, monkeypatch):
    Clip(torch.rand(3, 2, 16, 16), None, 10.0).write(tmp_path / "a.mkv")
    monkeypatch.setattr(sys.modules["avsim.media.read"], "read_frames", lambda *_: [].pop())
    with pytest.raises(InputError, match=r"a\.mkv: cannot be read \(IndexError"):
        media.read(tmp_path / "a.mkv")


def test_an_hour_of_small_packets_is_joined_in_linear_time():
    pieces = [(index * 0.02, np.zeros((1, 10), np.float32)) for index in range(180_000)]
    began = time.process_time()
    assert len(_runs(pieces, 500, 0.001)) == 1
    assert time.process_time() - began < 10


def test_uneven_reordered_frames_end_where_the_last_is_shown(tmp_path):
    for index in range(4):
        _ffmpeg(
            tmp_path,
            "-f",
            "lavfi",
            "-i",
            f"color=0x{40 + 40 * index:02x}4040:s=64x48",
            "-frames:v",
            "1",
            f"{index}.png",
        )
    spans = zip(range(4), (0.1, 1.3, 0.1, 1.5), strict=True)
    lines = [line for index, span in spans for line in (f"file {index}.png", f"duration {span}")]
    (tmp_path / "list.txt").write_text("\n".join(["ffconcat version 1.0", *lines, "file 3.png"]))
    h264 = ["-fps_mode", "vfr", "-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p"]
    _ffmpeg(tmp_path, "-f", "concat", "-i", "list.txt", *h264, "a.mp4")
    with av.open(str(tmp_path / "a.mp4")) as file:
        last = max(float(p.pts * p.time_base) for p in file.demux(video=0) if p.pts is not None)
    clip = media.read(tmp_path / "a.mp4")
    assert media.probe(tmp_path / "a.mp4").video_seconds == pytest.approx(last + 0.04, abs=0.01)
    assert clip.seconds == pytest.approx(last + 0.04, abs=1 / clip.frames_per_second)


@pytest.mark.parametrize("transfer, level", [("smpte2084", 0.58), ("arib-std-b67", 0.75)])
def test_diffuse_white_of_hdr_is_nearly_white(transfer, level, tmp_path):
    white = np.full((96, 128), int(64 + 876 * level), np.uint16).tobytes()
    (tmp_path / "a.yuv").write_bytes((white + np.full((96, 64), 512, np.uint16).tobytes()) * 3)
    raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s", "128x96", "-r", "10", "-i", "a.yuv"]
    tags = ["-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc"]
    _ffmpeg(tmp_path, *raw, "-c:v", "ffv1", *tags, "a.mkv")
    frames = media.read(tmp_path / "a.mkv").frames
    assert frames.min() > 0.9 and frames.max() < 1.0


def test_what_would_take_more_than_the_budget_is_refused_before_it_does(tmp_path):
    Clip(torch.rand(3, 20, 64, 64), torch.rand(1, 32000), 10.0).write(tmp_path / "a.mkv")
    with pytest.raises(InputError, match="raise the budget"):
        media.read(tmp_path / "a.mkv", budget=1e6)
    assert media.read(tmp_path / "a.mkv", size=(16, 16), budget=1e6).frames.shape[1] == 20
    with pytest.raises(InputError, match="s of sound take more than"):
        media.read(tmp_path / "a.mkv", want="wave", budget=1e5)
