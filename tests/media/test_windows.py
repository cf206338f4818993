"""The video of a file in windows equals the video read at once; a dubbed video keeps its packets."""

import torch

from avsim import media
from avsim.clip import Clip, ClipSpec


def film(seconds=6.0, fps=10.0, size=(32, 48)) -> Clip:
    count = round(seconds * fps)
    light = torch.linspace(0, 1, count)[None, :, None, None].expand(3, -1, *size)
    return Clip(light.contiguous(), None, fps)


def test_windows_are_what_is_read_at_once(tmp_path, monkeypatch):
    path = film().write(tmp_path / "film.mkv")
    monkeypatch.setattr("avsim.media.windows.CHUNK", 2.0)
    spec = ClipSpec(seconds=1.0, height=16, width=16, frames_per_second=8.0)
    whole = media.read(path, size=(16, 16), frames_per_second=8.0).frames
    windows = media.Windows(path)
    assert windows.seconds == 6.0
    for first in (0, 4, 8, 20, 40):
        assert torch.equal(windows(first / 8, spec), whole[:, first : first + 8])
    held = windows(5.5, spec)
    assert torch.equal(held[:, :4], whole[:, 44:48]) and torch.equal(
        held[:, 4:], whole[:, 47:].expand(-1, 4, -1, -1)
    )


def test_a_dubbed_film_keeps_its_picture(tmp_path):
    wave = 0.1 * torch.sin(torch.arange(96000) / 20)[None]
    for name in ("film.mp4", "film.gif"):  # copied, and encoded anew
        path = film().write(tmp_path / name)
        out = media.write_dubbed(path, wave, 16000, tmp_path / f"{name}.mp4")
        shown, before = media.read(out), media.read(path)
        assert abs(shown.wave.shape[1] - 96000) <= 16 and shown.frames.shape == before.frames.shape
        assert (shown.frames - before.frames).abs().mean() < (1e-6 if name == "film.mp4" else 0.02)
