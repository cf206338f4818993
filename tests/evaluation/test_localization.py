import pytest
import torch
from sklearn.metrics import average_precision_score

from avsim.errors import InputError
from avsim.evaluation.localization import Localization, ciou
from avsim.seeds import generator


def cells(*rows: str) -> torch.Tensor:
    return torch.tensor([[float(cell) for cell in row.split()] for row in rows])


def test_ciou_by_hand():
    truth = cells("1 .5 0", "0 0 0")
    assert ciou(truth > 0, truth) == 1
    assert ciou(cells("1 0 0", "0 0 0") > 0, truth) == pytest.approx(1 / 1.5)
    assert ciou(cells("1 1 1", "1 1 1") > 0, truth) == pytest.approx(1.5 / 5.5)  # all of the video
    assert ciou(cells("0 0 1", "0 0 0") > 0, truth) == 0


def judged() -> Localization:
    scorer = Localization(threshold=0.5)
    truth = cells("1 0", "0 0")
    scorer.update(cells(".9 0", "0 0"), truth)  # right: cIoU 1
    scorer.update(cells(".8 .7", "0 0"), truth)  # cIoU 1/2: right
    scorer.update(cells("0 .7", "0 0"), truth)  # wrong place
    scorer.update(cells(".4 .3", ".2 .1"), truth)  # found nothing
    scorer.update(cells(".4 .3", ".2 .1"), torch.zeros(2, 2))  # a negative sound, rejected
    scorer.update(cells(".85 .3", ".2 .1"), torch.zeros(2, 2))  # and one that is not
    return scorer


def test_scores_by_hand():
    found = judged().compute()
    assert found["cIoU (share of clips at 0.5)"] == 0.5
    assert found["mean cIoU"] == pytest.approx(1.5 / 4)
    assert found["negatives rejected"] == 0.5
    # shares of clips at 0, 0.05, ...: 1 at 0, 1/2 up to 0.5, 1/4 up to 1
    shares = [1.0] + 10 * [0.5] + 10 * [0.25]
    area = sum(0.05 * (a + b) / 2 for a, b in zip(shares, shares[1:], strict=False))
    assert found["AUC of cIoU"] == pytest.approx(area)
    # Ranked: .9 right, .85 negative, .8 right, .7 wrong, .4, .4; four could be right.
    assert found["AP"] == pytest.approx((1 + 2 / 3) / 4)
    assert found["max-F1"] == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))


def test_ap_agrees_with_scikit_learn_with_ties():
    random = generator(0, "ap")
    scorer = Localization(threshold=0.35)
    truth = cells("1 0", "0 0")
    for _ in range(60):
        heat = torch.randint(0, 10, (2, 2), generator=random) / 10
        scorer.update(heat, truth * torch.randint(0, 2, (), generator=random))
    overlap, loudest, sounds = scorer.rows.T
    right = overlap >= 0.5
    expected = average_precision_score(right, loudest) * right.sum() / sounds.sum()
    assert scorer.compute()["AP"] == pytest.approx(expected.item())


def test_the_whole_picture_is_no_answer():
    scorer = Localization(threshold=0.5)
    truth = torch.zeros(10, 10)
    truth[:2, :2] = 1
    scorer.update(torch.ones(10, 10), truth)
    scorer.update(torch.ones(10, 10), 0 * truth)
    assert scorer.compute()["cIoU (share of clips at 0.5)"] == 0
    assert scorer.compute()["negatives rejected"] == 0


def test_intervals_and_bad_input():
    score = judged().scores()["AP"]
    assert score.low <= score.value <= score.high and score.clips == 6
    with pytest.raises(InputError, match="one shape"):
        Localization(0.5).update(torch.zeros(2, 2), torch.zeros(2, 3))
