"""The detectors that folders of weights give."""

import pytest
import torch

from avsim.clip import Clip, Region
from avsim.errors import InputError
from avsim.evaluation.clips import guiding_model
from avsim.evaluation.features import Detectors, Features
from avsim.evaluation.onsets import flux_onsets
from avsim.evaluation.result import NotJudged
from avsim.perception.sync import Shift
from avsim.separation import Separator, separate
from avsim.weights import TENSORS, hash_of, save_model, shipped

SMALL = {"short_side": 16, "width": 4, "fine": 4, "coarse": 8, "frame_blocks": 1, "bin_widths": [4, 8]}


def saved(folder, seed):
    torch.manual_seed(seed)
    model = Separator(**SMALL).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape))
    return model, save_model(model, folder / "separator")


def test_two_separators_each_under_its_own_name(tmp_path):
    (one, first), (other, second) = (saved(tmp_path / name, k) for k, name in enumerate(("a", "b")))
    found = Detectors.trained(separator=tmp_path / "a", second=tmp_path / "b")
    random = torch.Generator().manual_seed(0)
    clip = Clip(torch.rand(3, 8, 16, 16, generator=random), torch.rand(2, 8000, generator=random) - 0.5)
    regions = [Region.box(0, 0, 8, 16, (16, 16))]
    assert torch.equal(found.separate(clip, regions).wave, separate(one, clip, regions).wave)
    assert torch.equal(found.second(clip, regions).wave, separate(other, clip, regions).wave)
    hashes = [hash_of(folder / "model.safetensors") for folder in (first, second)]
    assert found.weights == {"separator": hashes[0], "second separator": hashes[1]}
    assert found.onsets is flux_onsets and found.video_content is None and found.offset is None
    assert set(found.embeddings) == set(Detectors().embeddings)
    with pytest.raises(InputError):
        Detectors.trained(sync_model=tmp_path / "a")


def test_windows_cover_a_clip_evenly_and_keep_what_was_found():
    clip = Clip(torch.rand(3, 40, 4, 4), torch.rand(1, 40000))
    found = Features(clip, Detectors(), "a bell", "x")
    before = Features(Clip(torch.rand(3, 40, 4, 4), torch.rand(1, 40000)), Detectors())
    found.before = before
    windows = found.windows(1.0)
    assert [window.clip.frames.shape[1] for window in windows] == [16] * 3
    for window, first, other in zip(windows, (0, 12, 24), before.windows(1.0), strict=True):
        assert torch.equal(window.clip.frames, clip.frames[:, first : first + 16])
        assert torch.equal(window.clip.wave, clip.wave[:, 1000 * first : 1000 * first + 16000])
        assert window.before is other and (window.caption, window.name) == ("a bell", "x")
    assert found.windows(1.0) is windows and found.windows(2.5) == [found]
    heard = Features(Clip(None, clip.wave), Detectors()).windows(1.0)
    assert [window.clip.wave.shape[1] for window in heard] == [16000] * 3
    seen = Features(Clip(clip.frames, None), Detectors()).windows(0.01)
    assert [window.clip.frames.shape[1] for window in seen] == [1] * 40


def test_a_sync_model_does_not_judge_what_it_guided():
    clip = Clip(torch.rand(3, 32, 4, 4), torch.rand(1, 32000))
    known = Detectors(offset=lambda clip: Shift(0.04, 1.0), weights={"sync_model": "abc"})
    assert Features(clip, known).offset == Features(clip, known, guided_by="another").offset == 0.04
    guided = Features(clip, known, guided_by="abc")
    with pytest.raises(NotJudged, match="has guided its generation"):
        guided.offset  # noqa: B018
    with pytest.raises(NotJudged):
        guided.windows(1.0)[0].offset  # noqa: B018


def test_a_folder_says_which_sync_model_guided_it(tmp_path):
    own = hash_of(shipped("sync_model") / TENSORS)
    for name, settings, expected in (
        ("small", '{"checkpoint": "small", "video": null}', own),
        ("foley", '{"checkpoint": "small", "video": "a.mp4"}', ""),
        ("other", '{"checkpoint": "/no/such/run", "video": null}', ""),
        ("plain", '{"frames": 3}', ""), ("broken", "{", ""),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "settings.json").write_text(settings)
        assert guiding_model(tmp_path / name) == expected, name
    assert guiding_model(tmp_path) == ""
