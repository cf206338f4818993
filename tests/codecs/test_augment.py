import torch

from avsim.codecs.augment import augment


def test_a_clip_is_only_mirrored_turned_run_backward_and_relit():
    frames = torch.rand(3, 5, 8, 8)
    seen = [augment(frames, torch.Generator().manual_seed(seed)) for seed in range(40)]
    again = augment(frames, torch.Generator().manual_seed(3))
    assert torch.equal(seen[3], again) and len({clip.sum().item() for clip in seen}) == 40
    for clip in seen:
        assert clip.shape == frames.shape and 0 <= clip.min() and clip.max() <= 1
        for colour in range(
            3
        ):  # light is monotone in each colour: the order of its pixels is kept, up to place
            order = clip[colour].flatten().sort().values
            rank = frames[colour].flatten().sort().values
            unclipped = order < 1
            assert torch.corrcoef(torch.stack([order[unclipped].log(), rank[unclipped].log()]))[0, 1] > 0.999


def test_no_symmetry_is_left_out():
    frames = torch.zeros(3, 2, 4, 4)
    frames[:, 0, 0, 1] = 1.0
    places = {
        tuple(augment(frames, torch.Generator().manual_seed(seed))[0].nonzero()[0].tolist())
        for seed in range(200)
    }
    assert len(places) == 16


def test_a_wide_clip_keeps_its_shape():
    assert all(
        augment(torch.rand(3, 2, 4, 6), torch.Generator().manual_seed(k)).shape[2:] == (4, 6)
        for k in range(9)
    )
