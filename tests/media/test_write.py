import av
import pytest
import torch

from avsim import media
from avsim.clip import Clip
from tests.films import film, flash_and_click, greys, offset, tone

BOTH = (".mp4", ".mov", ".webm", ".mkv")


def moving(frames: int = 6, height: int = 24, width: int = 40) -> torch.Tensor:
    """A smooth wave that moves, in bytes / 255."""
    t = torch.arange(frames)[:, None, None] / 5
    y, x = torch.arange(height)[:, None] / 9, torch.arange(width) / 7
    pictures = torch.stack([torch.sin(x + y + t + c) for c in range(3)]) / 2 + 0.5
    return (pictures * 255).round() / 255


def packets(path, kind: str) -> list[bytes]:
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


@pytest.mark.parametrize("suffix", BOTH)
@pytest.mark.parametrize(("fps", "rate"), [(25.0, 48000), (16.0, 16000), (30000 / 1001, 44100)])
def test_flash_and_click_keep_their_offset(tmp_path, suffix, fps, rate):
    clip = flash_and_click(fps, rate, frames=45)
    back = media.read(clip.write(tmp_path / f"clip{suffix}"), sample_rate=rate)
    assert back.frames.shape == clip.frames.shape and back.wave.shape == clip.wave.shape
    assert back.frames_per_second == pytest.approx(fps, rel=1e-6)
    assert abs(offset(back) - offset(clip)) < 1e-3


def test_mkv_is_lossless_in_bytes_and_24_bits(tmp_path):
    clip = Clip.fitted(moving(), torch.rand(2, 20000) * 1.6 - 0.8, 12.5, 22050)
    back = media.read(clip.write(tmp_path / "clip.mkv"))
    assert torch.equal(back.frames, clip.frames)
    assert (back.wave - clip.wave).abs().max() <= 2.0**-23
    assert (back.frames_per_second, back.sample_rate) == (12.5, 22050)


def test_wav_is_exact_beyond_full_scale(tmp_path):
    wave = torch.randn(2, 5000) * 2
    assert torch.equal(media.read(Clip(None, wave).write(tmp_path / "a.wav")).wave, wave)


@pytest.mark.parametrize(
    ("suffix", "error"), [(".flac", 2.0**-23), (".mp3", 0.03), (".mp4", 0.03), (".webm", 0.03)]
)
def test_sound_alone_keeps_its_length(tmp_path, suffix, error):
    fade = torch.hann_window(33000, periodic=False)
    wave = torch.from_numpy(tone(33000 / 16000, 16000, channels=2)) * fade
    back = media.read(Clip(None, wave, sample_rate=16000).write(tmp_path / f"a{suffix}"), sample_rate=16000)
    assert back.frames is None
    assert back.wave.shape == (2, 33000)  # AAC decodes to 33,792
    assert (back.wave - wave).abs().max() < error


@pytest.mark.parametrize("suffix", [*BOTH, ".gif"])
def test_picture_alone_stays_without_sound(tmp_path, suffix):
    clip = Clip(moving(), None, 12.5)
    back = media.read(clip.write(tmp_path / f"a{suffix}"))
    assert back.wave is None and back.frames.shape == clip.frames.shape
    assert (back.frames - clip.frames).square().mean() < 10**-2.6  # 26 dB: GIF has 256 colours
    assert back.frames_per_second == 12.5


def test_gif_faster_than_its_clock_drops_frames_and_keeps_its_length(tmp_path):
    back = media.read(Clip(moving(30), None, 100.0).write(tmp_path / "a.gif"))
    assert back.seconds == pytest.approx(0.3, abs=0.03)


def test_png_is_a_strip_and_one_frame_a_plain_image(tmp_path):
    frames = moving(4)
    strip = media.read(Clip(frames, None).write(tmp_path / "strip.png")).frames[:, 0]
    assert torch.equal(strip, torch.cat(list(frames.unbind(1)), dim=2))
    assert torch.equal(
        media.read(Clip(frames[:, :1], None).write(tmp_path / "one.png")).frames, frames[:, :1]
    )


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (17, 32)])
def test_odd_sizes(tmp_path, size):
    clip = Clip(moving(3, *size), None, 8.0)
    even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert media.read(clip.write(tmp_path / "a.mp4")).frames.shape == (3, 3, *even)
    for suffix in (".mkv", ".webm", ".gif"):
        assert media.read(clip.write(tmp_path / f"a{suffix}")).frames.shape == clip.frames.shape
    repeated = media.read(tmp_path / "a.mp4").frames
    assert (repeated[..., : size[0], : size[1]] - clip.frames).abs().mean() < 0.1


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_colours_survive(tmp_path, suffix):
    colours = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0.5, 0.5, 0.5]])
    frames = torch.nn.functional.interpolate(colours.T[None, :, None], size=(32, 160))[0][:, None]
    back = media.read(Clip(frames, None).write(tmp_path / f"a{suffix}")).frames
    middles = slice(16, None, 32)
    assert (back - frames)[:, 0, 16, middles].abs().max() < 0.03


def test_mp4_plays_in_a_browser(tmp_path):
    path = flash_and_click(16.0, 16000, 32).write(tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert audio.codec_context.codec.canonical_name == "aac"
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # fast start


def test_values_outside_are_clipped(tmp_path):
    clip = Clip(moving() * 3 - 1, None)
    assert torch.equal(
        media.read(clip.write(tmp_path / "a.mkv")).frames, clip.frames.mul(255).round().div(255).clamp(0, 1)
    )


# What is wholly given passes through.


@pytest.mark.parametrize("source", [".mp4", ".mkv", ".webm"])
def test_a_given_picture_is_copied_packet_by_packet(tmp_path, source):
    codec = {"video": "libvpx-vp9", "options": {"b": "0"}} if source == ".webm" else {}
    given = film(tmp_path / f"given{source}", greys(12), [i / 24 for i in range(12)], nominal=24, **codec)
    sound = Clip(None, torch.from_numpy(tone(0.5, 16000)), sample_rate=16000)
    path = media.write(sound, tmp_path / "out.mp4", video_from=given)
    assert packets(path, "video") == packets(given, "video")
    back = media.read(path)
    assert back.frames.shape == (3, 12, 32, 48) and back.wave.shape == (1, 8000)
    assert torch.equal(back.frames, media.read(given).frames)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_given_sound_is_copied_and_stays_in_time(tmp_path, suffix):
    clip = flash_and_click(24.0, 44100, 40)
    given = clip.write(tmp_path / "given.mp4")
    path = media.write(clip, tmp_path / f"out{suffix}", audio_from=given)
    assert packets(path, "audio") == packets(given, "audio")
    assert abs(offset(media.read(path)) - offset(clip)) < 1e-3


def test_what_cannot_be_copied_is_encoded(tmp_path):
    clip = flash_and_click(24.0, 44100, 40)
    pcm = clip.write(tmp_path / "given.wav")
    path = media.write(clip, tmp_path / "out.mp4", audio_from=pcm)  # browsers don't play PCM in mp4
    assert abs(offset(media.read(path)) - offset(clip)) < 1e-3
    longer = flash_and_click(24.0, 44100, 80).write(tmp_path / "longer.mp4")
    assert media.read(media.write(clip, tmp_path / "cut.mp4", video_from=longer)).frames.shape[1] == 40


def test_same_clip_same_bytes(tmp_path):
    clip = flash_and_click(16.0, 16000, 24)
    for suffix in (".mp4", ".wav"):
        one, two = clip.write(tmp_path / f"1{suffix}"), clip.write(tmp_path / f"2{suffix}")
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv444p"])
def test_h264_that_browsers_do_not_play_is_encoded_anew(pixels, tmp_path):
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = pixels
        for index in range(10):
            shade = torch.full((64, 64, 3), 20 * index, dtype=torch.uint8).numpy()
            file.mux(stream.encode(av.VideoFrame.from_ndarray(shade, format="rgb24")))
        file.mux(stream.encode(None))
    clip = media.read(tmp_path / "a.mp4")
    out = media.write(clip, tmp_path / "b.mp4", video_from=tmp_path / "a.mp4")
    with av.open(str(out)) as file:
        assert file.streams.video[0].codec_context.pix_fmt == "yuv420p"
