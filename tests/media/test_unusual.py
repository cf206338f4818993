"""Files of unusual kinds: each is read as it is meant, or refused with one line."""

import json
import logging
import shutil
import struct
import subprocess
import time
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from avsim import media
from avsim.data.captions import Captions
from avsim.errors import InputError
from avsim.separation.regions import read_mask
from tests.films import film, tone
from tests.fuzz.seeds import with_exif


def ffmpeg(*arguments):
    if shutil.which("ffmpeg") is None:
        pytest.skip("the ffmpeg binary is absent")
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)], check=True)


def picture(pixels, path, form):
    """Pixels (H, W, C) as an image file."""
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width, encoder.pix_fmt = *pixels.shape[:2], form
    encoder.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(pixels, format=form)
    path.write_bytes(b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)]))


def wav_of(rate, path):
    """100 samples, 0, 100, 200 ... in a WAV that states any sample rate."""
    samples = np.arange(100, dtype="<i2") * 100
    form = struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
    riff = b"RIFF" + struct.pack("<I", 236) + b"WAVEfmt " + form
    path.write_bytes(riff + b"data" + struct.pack("<I", 200) + samples.tobytes())


def pitches(clip, moments):
    """The strongest frequency of 0.2 s of sound from each moment on, in Hz."""
    found = []
    for moment in moments:
        part = clip.wave[0, round(moment * clip.sample_rate) :][: clip.sample_rate // 5]
        found.append(int(torch.fft.rfft(part).abs().argmax()) * 5)
    return found


def test_interlaced_fields_are_not_combed(tmp_path):
    # A bar moves by 8 pixels from field to field: woven fields have teeth, rows unlike both neighbours.
    ffmpeg(
        "-f", "lavfi", "-i", "color=black:size=96x64:rate=50:duration=1,format=yuv420p", "-f", "lavfi", "-i",
        "color=white:size=8x64:rate=50:duration=1", "-filter_complex",
        "[0][1]overlay=x=mod(8*n\\,88):y=0,interlace=scan=tff:lowpass=0", "-c:v", "mpeg2video", "-q:v", "2",
        "-flags", "+ilme+ildct", tmp_path / "a.mpg",
    )  # fmt: skip
    with av.open(str(tmp_path / "a.mpg")) as container:
        woven = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert len(woven) == 25
    clip = media.read(tmp_path / "a.mpg")

    def teeth(rows):  # (H, W) in [0, 1]
        return (rows[1:-1] - (rows[:-2] + rows[2:]) / 2).abs().mean()

    read = torch.stack([teeth(clip.frames[:, i].mean(0)) for i in range(2, 23)]).mean()
    raw = torch.stack(
        [teeth(torch.from_numpy(woven[i].astype(np.float32) / 255)) for i in range(2, 23)]
    ).mean()
    assert clip.frames.shape[1] == 25 and raw > 0.05
    assert read < raw / 4


@pytest.mark.parametrize("alpha", [0, 128])
def test_what_is_transparent_is_shown_over_black_and_said_so(alpha, tmp_path, caplog):
    pixels = np.full((32, 48, 4), 255, np.uint8)
    pixels[:, 24:, 3] = alpha
    picture(pixels, tmp_path / "a.png", "rgba")
    with caplog.at_level(logging.WARNING, "avsim"):
        frames = media.read(tmp_path / "a.png").frames
    assert frames[:, 0, :, :20].min() == 1
    assert frames[:, 0, :, 28:].sub(alpha / 255).abs().max() < 0.01
    assert caplog.text.count("a.png: is transparent in parts") == 1


def test_an_opaque_alpha_channel_is_not_spoken_of(tmp_path, caplog):
    picture(np.full((32, 48, 4), 255, np.uint8), tmp_path / "a.png", "rgba")
    with caplog.at_level(logging.WARNING, "avsim"):
        assert media.read(tmp_path / "a.png").frames.min() == 1
    assert not caplog.text


def test_a_transparent_gif_is_shown_over_black(tmp_path, caplog):
    ffmpeg(
        "-f", "lavfi", "-i", "color=white:size=48x32:rate=10:duration=0.5,format=rgba,"
        "geq=r=255:g=255:b=255:a='if(lt(X,24),255,0)',split[a][b];[a]palettegen[p];[b][p]paletteuse",
        tmp_path / "a.gif",
    )  # fmt: skip
    with caplog.at_level(logging.WARNING, "avsim"):
        frames = media.read(tmp_path / "a.gif").frames
    assert frames[..., :24].min() > 0.95 and frames[..., 25:].max() < 0.05
    assert caplog.text.count("a.gif: is transparent in parts") == 1


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda image: image),
        (2, lambda image: image[:, ::-1]),
        (3, lambda image: image[::-1, ::-1]),
        (4, lambda image: image[::-1]),
        (5, lambda image: image.swapaxes(0, 1)),
        (6, lambda image: np.rot90(image, -1)),
        (7, lambda image: image[::-1, ::-1].swapaxes(0, 1)),
        (8, lambda image: np.rot90(image, 1)),
    ],
)
def test_exif_mirrors_and_turns(orientation, turned, tmp_path):
    pixels = np.full((32, 48, 3), 40, np.uint8)
    pixels[:8, :24] = 220  # the left half of the top: no two orientations agree
    with av.open(str(tmp_path / "plain.jpg"), "w", format="image2", options={"update": "1"}) as output:
        stream = output.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuvj444p"
        for packet in [*stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")), *stream.encode(None)]:
            output.mux(packet)
    (tmp_path / "a.jpg").write_bytes(with_exif((tmp_path / "plain.jpg").read_bytes(), orientation))
    read = media.read(tmp_path / "a.jpg").frames[:, 0].permute(1, 2, 0).numpy()
    expected = turned(pixels) / 255
    assert read.shape == expected.shape
    assert np.abs(read - expected).mean() < 0.03


@pytest.mark.parametrize(
    ("suffix", "codecs"),
    [
        (".mpg", ("-c:v", "mpeg2video", "-c:a", "mp2")),
        (".webm", ("-c:v", "libvpx", "-c:a", "libvorbis")),
        (".ts", ("-c:v", "libx264", "-c:a", "aac")),
        (".opus", ("-vn", "-c:a", "libopus")),
        (".ogg", ("-vn", "-c:a", "libvorbis")),
    ],
)
def test_clocks_that_restart_are_refused_or_read_in_order(suffix, codecs, tmp_path):
    for name, pitch in (("a", 440), ("b", 880)):
        ffmpeg(
            "-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=1", "-f", "lavfi", "-i",
            f"sine=frequency={pitch}:sample_rate=48000:duration=1", *codecs, tmp_path / f"{name}{suffix}",
        )  # fmt: skip
    joined = tmp_path / f"joined{suffix}"
    joined.write_bytes(b"".join((tmp_path / f"{name}{suffix}").read_bytes() for name in "ab"))
    with pytest.raises(InputError, match="time stamps jump back|Ogg files put end to end"):
        media.read(joined)


@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
def test_a_clock_that_jumps_forward_keeps_picture_and_sound_together(suffix, tmp_path):
    ffmpeg(
        "-f", "lavfi", "-i",
        "color=gray:size=64x48:rate=25:d=2,drawbox=c=white:t=fill:enable='gte(t,1)'",
        "-f", "lavfi", "-i", "aevalsrc='0.5*sin(2*PI*t*if(lt(t,1),440,880))':s=48000:d=2",
        "-vf", "setpts='PTS+gte(T,1)*3/TB'", "-af", "asetpts='PTS+gte(T,1)*3/TB'", "-fps_mode", "passthrough",
        "-c:v", "libx264", "-bf", "0", "-c:a", "mp2", tmp_path / f"a{suffix}",
    )  # fmt: skip
    clip = media.read(tmp_path / f"a{suffix}", frames_per_second=25)
    white = int((clip.frames.mean((0, 2, 3)) > 0.9).nonzero()[0]) / 25
    assert white == pytest.approx(4, abs=0.1)
    assert pitches(clip, (0.3, white + 0.3)) == [440, 880]
    assert clip.wave[:, round(1.5 * 48000) : round((white - 0.3) * 48000)].abs().max() < 1e-3


@pytest.mark.parametrize("suffix", [".wav", ".mkv"])
def test_pcm_of_64_bits(suffix, tmp_path):
    ffmpeg(
        "-f", "lavfi", "-i", "aevalsrc=0.5*sin(880*PI*t)|0.25*sin(880*PI*t):s=16000:d=1", "-c:a", "pcm_s64le",
        tmp_path / f"a{suffix}",
    )  # fmt: skip
    wave = media.read(tmp_path / f"a{suffix}").wave
    expected = tone(1.0, 16000)
    assert wave.shape == (2, 16000)
    assert np.abs(wave.numpy() - expected * [[1], [0.5]]).max() < 1e-4


def test_one_sample_a_second(tmp_path):
    wav_of(1, tmp_path / "a.wav")
    assert media.probe(tmp_path / "a.wav").seconds == 100
    clip = media.read(tmp_path / "a.wav")
    assert clip.sample_rate == 1 and torch.equal(clip.wave[0] * 32768, torch.arange(100) * 100.0)
    with pytest.raises(InputError, match="1 Hz can't be resampled"):
        media.read(tmp_path / "a.wav", 10, 5, sample_rate=16000)


def test_a_damaged_sample_rate_of_hundreds_of_mhz_is_refused_at_once(tmp_path):
    """FFmpeg's resampling filter grows with the ratio: 10 s of CPU for 268 MHz (a fuzzer's mutant)."""
    wav_of(268_451_456, tmp_path / "fast.wav")
    began = time.process_time()
    with pytest.raises(InputError, match="268451456 Hz can't be resampled to 8000 Hz"):
        media.read(tmp_path / "fast.wav", sample_rate=8000)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("size", [None, (32, 32)])
def test_a_display_width_out_of_all_bounds_is_refused(size, tmp_path):
    ffmpeg(
        "-f", "lavfi", "-i", "color=size=64x48:rate=25:duration=1", "-vf", "setsar=60000/1", "-c:v", "ffv1",
        tmp_path / "a.mkv",
    )  # fmt: skip
    data = (tmp_path / "a.mkv").read_bytes()
    at = data.find(b"\x54\xb0\x82") + 3  # DisplayWidth, an integer of two bytes
    assert at > 3
    (tmp_path / "b.mkv").write_bytes(data[:at] + b"\xff\xff" + data[at + 2 :])
    with pytest.raises(InputError, match=r"b\.mkv: .*(take more than|cannot be read)"):
        media.read(tmp_path / "b.mkv", size=size)


def test_deeply_nested_captions_are_refused(tmp_path):
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"a\.json: not captions"):
        Captions.beside(tmp_path / "a.mp4")
    (tmp_path / "a.json").write_text(json.dumps({"caption": "a drum"}))
    assert Captions.beside(tmp_path / "a.mp4").at(0, 1) == "a drum"


@pytest.mark.parametrize(("inside", "warned"), [(1, True), (255, False)])
def test_masks_of_0_and_1_are_warned_of(inside, warned, tmp_path, caplog):
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[8:16] = inside
    picture(pixels, tmp_path / "mask.png", "rgb24")
    with caplog.at_level(logging.WARNING, "avsim"):
        read_mask(tmp_path / "mask.png", (32, 48))
    assert ("largest value is 1 of 255" in caplog.text) == warned


@pytest.mark.parametrize("broken", ["probe", "cuts", "fault"])
def test_prepare_goes_on_without_a_film_that_breaks_its_steps(broken, tmp_path, monkeypatch):
    from avsim.clip import ClipSpec
    from avsim.data import filters, prepare, shots

    ramp = np.repeat(np.linspace(80, 240, 48)[None, :, None], 32, 0).repeat(3, 2)
    for name, light in (("good", 1.0), ("bad", 0.4)):
        shown = []
        for i in range(20):
            image = ramp * light
            image[8:16, i : i + 8] = 20  # a square that moves, for a frozen video is dropped
            shown.append(image.astype(np.uint8))
        film(tmp_path / f"{name}.mp4", shown, [i / 10 for i in range(20)], tone(2.0), nominal=10)
    module, sound = {
        "probe": (media, media.probe),
        "cuts": (shots, shots.cuts),
        "fault": (filters, filters.fault),
    }[broken]

    def breaks(what, *rest):
        if broken == "fault":
            bad = float(what.mean()) < 0.35
        else:
            bad = what.name == "bad.mp4"
        if bad:
            raise RuntimeError("not foreseen")
        return sound(what, *rest)

    monkeypatch.setattr(module, broken, breaks)
    spec = ClipSpec(seconds=0.5, frames_per_second=10, height=32, width=32, sample_rate=16000, channels=1)
    found = prepare.prepare([tmp_path / "good.mp4", tmp_path / "bad.mp4"], tmp_path / "out", spec)
    assert sum(found.clips.values()) > 0
    if broken == "fault":
        assert found.dropped[filters.UNREADABLE] > 0
    else:
        assert "RuntimeError: not foreseen" in found.passed_over[str(tmp_path / "bad.mp4")]


@pytest.mark.parametrize(("first", "second"), [(1.0, 1.0), (1.0, 2.0), (2.0, 1.0), (1.0, 0.2)])
@pytest.mark.parametrize("codec", ["libopus", "flac"])
def test_ogg_files_put_end_to_end_are_refused(tmp_path, first, second, codec):
    form = {"libopus": "flt", "flac": "s16"}[codec]
    parts = [
        film(tmp_path / f"{name}.ogg", wave=tone(seconds), audio=codec, samples=form)
        for name, seconds in (("a", first), ("b", second))
    ]
    assert media.probe(parts[0]).audio_seconds == pytest.approx(first, abs=0.02)
    assert media.read(parts[0]).wave.shape[1] == pytest.approx(48000 * first, abs=1000)
    chained = tmp_path / "chained.ogg"
    chained.write_bytes(b"".join(part.read_bytes() for part in parts))
    for look in (media.probe, media.read, lambda path: media.read(path, 0.1, 0.5)):
        with pytest.raises(InputError, match="several Ogg files put end to end"):
            look(chained)
