"""The video of a file in windows equals the video read at once."""

import torch

from avsim import media
from avsim.clip import Clip, ClipSpec


def film(seconds=6.0, fps=10.0, size=(32, 48)) -> Clip:
    count = round(seconds * fps)
    light = torch.linspace(0, 1, count)[None, :, None, None].expand(3, -1, *size)
    return Clip(light.contiguous(), None, fps)


def test_windows_are_what_is_read_at_once(tmp_path, monkeypatch):
    path = film().write(tmp_path / "film.mkv")
    monkeypatch.setattr("avsim.media.windows.FORWARD", 2.0)
    spec = ClipSpec(seconds=1.0, height=16, width=16, frames_per_second=8.0)
    whole = media.read(path, size=(16, 16), frames_per_second=8.0).frames
    windows = media.Windows(path)
    assert windows.seconds == 6.0
    for first in (0, 4, 8, 20, 40, 39, 0, 0):  # on, over a gap, and back
        assert torch.equal(windows(first / 8, spec), whole[:, first : first + 8])
    held = windows(5.5, spec)
    assert torch.equal(held[:, :4], whole[:, 44:48]) and torch.equal(
        held[:, 4:], whole[:, 47:].expand(-1, 4, -1, -1)
    )
    assert torch.equal(windows(7.0, spec), whole[:, 47:].expand(-1, 8, -1, -1))


def test_a_film_is_decoded_once(tmp_path, monkeypatch):
    path, begun = film().write(tmp_path / "film.mkv"), []
    images = media.windows.decoded_frames
    monkeypatch.setattr(media.windows, "decoded_frames", lambda *given: begun.append(1) or images(*given))
    windows = media.Windows(path)
    for index in range(8):
        windows(0.75 * index, ClipSpec(seconds=1.0, height=16, width=16, frames_per_second=8.0))
    assert len(begun) == 1


def test_windows_of_a_part_end_with_it(tmp_path):
    windows = media.Windows(film().write(tmp_path / "film.mkv"), seconds=1.26)
    assert windows.seconds == 1.3  # whole frames
    assert media.Windows(tmp_path / "film.mkv", seconds=60.0).seconds == 6.0
