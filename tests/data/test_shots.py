"""Cuts are found where they are, whatever the segment in which they lie."""

import dataclasses

import pytest
import torch

from avsim.data import shots
from avsim.errors import InputError
from tests.data.conftest import film, shot


def test_cuts_are_found_at_their_frames(one_film):
    found = shots.cuts(one_film, 0.0, 15.0)
    assert found == pytest.approx([2.5, 5.0, 7.5, 10.0, 12.5], abs=1e-3)


def test_segments_find_what_the_whole_finds(one_film):
    parts = [shots.cuts(one_film, k, k + 2.5) for k in (0.0, 2.5, 5.0, 7.5, 10.0, 12.5)]
    assert [len(part) for part in parts] == [0, 1, 1, 1, 1, 1]  # a cut on an edge belongs to one segment
    assert sum(parts, []) == pytest.approx([2.5, 5.0, 7.5, 10.0, 12.5], abs=1e-3)


@pytest.mark.parametrize("seconds", [0.5, 60.0, 596.4, 7200.0])
def test_segments_tile_a_film(seconds):
    spans = shots.segments(seconds)
    assert spans[0][0] == 0 and spans[-1][1] == seconds
    assert all(a[1] == b[0] for a, b in zip(spans, spans[1:], strict=False))
    assert max(end - start for start, end in spans) <= 1.5 * shots.SEGMENT


def test_text_named_mp4(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("not a video")
    with pytest.raises(InputError, match="a.mp4"):
        shots.cuts(path, 0.0, 1.0)


def test_a_cut_between_fast_motions(tmp_path):
    """Where every frame differs much from the last, a cut is not lost, and nothing else is taken for one."""

    def flicker(colour):
        still = shot(1.0, 0.5)
        light = torch.tensor([0.15, 0.5]).repeat(12)[:, None, None]
        frames = torch.tensor(colour)[:, None, None, None] * light.expand(24, 48, 64)
        return dataclasses.replace(still, frames=frames.contiguous())

    path = film(tmp_path / "fast.mp4", flicker((1.1, 1.1, 0.9)), flicker((0.8, 0.5, 1.2)))
    assert shots.cuts(path, 0.0, 2.0) == pytest.approx([1.0], abs=1e-3)
