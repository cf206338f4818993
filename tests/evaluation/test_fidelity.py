import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.evaluation.embeddings import UNTRAINED, audio_statistics, video_statistics, world_trained
from avsim.evaluation.fidelity import Fidelity
from avsim.evaluation.frechet import frechet, frechet_extrapolated, kernel_distance
from avsim.evaluation.result import NotJudged
from avsim.perception.audio_detector import AudioDetector
from avsim.perception.video_detector import VideoDetector
from avsim.seeds import generator


def cloud(count: int, width: int = 6, at: float = 0.0, name: str = "cloud") -> torch.Tensor:
    random = generator(0, name, count)
    return at + torch.randn(count, width, generator=random, dtype=torch.float64)


def test_frechet_by_hand():
    one = torch.tensor([[0.0], [2.0]])  # mean 1, variance 2
    other = torch.tensor([[3.0], [7.0]])  # mean 5, variance 8
    assert frechet(one, other) == pytest.approx(16 + 2 + 8 - 2 * math.sqrt(16))
    assert frechet(one, one) == pytest.approx(0, abs=1e-12)


def test_frechet_agrees_with_torchmetrics_and_with_the_matrix_root():
    one, other = cloud(50) @ cloud(6, name="mix"), cloud(80, at=0.5)
    moments = [(each.mean(0), torch.cov(each.T)) for each in (one, other)]
    expected = _compute_fid(*moments[0], *moments[1]).item()
    assert frechet(one, other) == pytest.approx(expected, rel=1e-9)
    (m, c), (n, d) = ((mean.numpy(), covariance.numpy()) for mean, covariance in moments)
    root = scipy.linalg.sqrtm(c @ d).real
    assert frechet(one, other) == pytest.approx(np.square(m - n).sum() + np.trace(c + d - 2 * root))


def test_kernel_distance_agrees_with_torchmetrics_and_has_no_bias():
    one, other = cloud(30), cloud(30, at=0.4, name="other")
    theirs = poly_mmd(one, other, degree=3, gamma=None, coef=1.0)
    assert kernel_distance(one, other) == pytest.approx(theirs.item())
    random = generator(3, "unbiased")
    draws = [kernel_distance(*torch.randn(2, 12, 3, generator=random)) for _ in range(400)]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / 20


def test_extrapolation_takes_away_most_of_the_bias_of_few_clips():
    other = cloud(4000, 20, name="many")
    plain = [frechet(cloud(60, 20, name=f"few {k}"), other) for k in range(5)]
    better = [frechet_extrapolated(cloud(60, 20, name=f"few {k}"), other) for k in range(5)]
    assert np.mean(plain) > 2 and abs(np.mean(better)) < 0.5 * np.mean(plain)


def test_the_judge_its_names_and_its_interval():
    scorer = Fidelity("statistics", cloud(300))
    for embedded in cloud(200, at=1.0, name="clips"):
        scorer.update(embedded)
    score = scorer.scores()["Fréchet distance, statistics"]
    assert score.low < score.value < score.high and score.low < 6 < score.high + 0.5 and score.clips == 200
    assert len(scorer.compute()) == 3 and all("statistics" in name for name in scorer.compute())
    typical = scorer.each(torch.stack([torch.zeros(6), 3 * torch.ones(6)]).double())
    assert typical[0] > -1 and typical[1] == pytest.approx(-3 * math.sqrt(6), rel=0.15)


def test_too_few_clips_are_no_distance():
    scorer = Fidelity("statistics", cloud(300))
    for embedded in cloud(5):
        scorer.update(embedded)
    assert math.isnan(scorer.scores()["Fréchet distance, statistics"].value)
    scorer = Fidelity("statistics", cloud(300, 20))
    for embedded in cloud(20, 20):
        scorer.update(embedded)
    assert [value.isfinite().item() for value in scorer.compute().values()] == [True, False, False]
    scorer = Fidelity("statistics", cloud(300, 20))
    for embedded in cloud(22, 20):  # enough for a Fréchet distance, not for its interval
        scorer.update(embedded)
    assert scorer.compute()["Fréchet distance, statistics"].isfinite()
    assert math.isnan(scorer.scores()["Fréchet distance, statistics"].value)
    with pytest.raises(InputError, match="at least 2"):
        frechet(cloud(1), cloud(5))
    with pytest.raises(InputError, match="expected"):
        frechet(cloud(5), cloud(5, 7))


def test_statistics_of_clips():
    random = generator(0, "clip")
    clip = Clip(torch.rand(3, 8, 20, 30, generator=random), 0.1 * torch.randn(2, 8000, generator=random))
    assert UNTRAINED["statistics of both"](clip).shape == (96 + 112,)
    louder = Clip(clip.frames, 10 * clip.wave)
    difference = audio_statistics(louder) - audio_statistics(clip)
    assert difference[:32] == pytest.approx(torch.ones(32), abs=1e-4)  # 20 dB
    assert difference[32:] == pytest.approx(torch.zeros(64), abs=1e-4)
    still = Clip(clip.frames[:, :1].expand(3, 8, 20, 30), None)
    assert not video_statistics(still)[-16:].any()
    for function, absent in (
        (audio_statistics, clip.without_audio()),
        (video_statistics, clip.without_video()),
    ):
        with pytest.raises(NotJudged):
            function(absent)


def test_features_of_detectors_are_embeddings_too():
    torch.manual_seed(0)
    found = world_trained(AudioDetector().eval(), VideoDetector().eval())
    clip = Clip(torch.rand(3, 16, 64, 64), 0.1 * torch.randn(2, 16000))
    sizes = [len(embed(clip)) for embed in found.values()]
    assert len(sizes) == 3 and sizes[2] == sizes[0] + sizes[1]
    assert all(embed(clip).isfinite().all() for embed in found.values())
    assert list(world_trained(None, None)) == []
    with pytest.raises(NotJudged):
        found["world-trained features of both"](clip.without_audio())


def test_statistics_of_a_video_by_hand():
    """A grey clip of two frames, half of it brighter in the second, whose red is striped."""
    frames = torch.full((3, 2, 8, 8), 0.5)
    frames[:, 1, :, 4:] = 0.8
    frames[0, :, ::2] = 0.1
    found = video_statistics(Clip(frames, None)).float()
    mean, spread, change = found.split([48, 48, 16])
    left, right = [0.5] * 2, [0.65] * 2
    red = [(0.1 + 0.5) / 2] * 2 + [((0.1 + 0.5) / 2 + (0.1 + 0.8) / 2) / 2] * 2
    torch.testing.assert_close(
        mean, torch.tensor([red * 4, [*left, *right] * 4, [*left, *right] * 4]).flatten()
    )
    stripes = torch.tensor([0.2, 0.2, (0.2 + 0.35) / 2, (0.2 + 0.35) / 2] * 4)
    torch.testing.assert_close(spread[:16], stripes, atol=1e-4, rtol=0)
    assert spread[16:].abs().max() < 1e-3
    expected = 10 * (2 * 0.3 + 0.5 * 0.3) / 3  # of three colours, half of the red
    torch.testing.assert_close(change, torch.tensor([0, 0, expected, expected] * 4))
