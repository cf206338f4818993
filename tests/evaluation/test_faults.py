"""Corruptions by faults, the metric of visible faults, and how sharp things are."""

import math

import pytest
import torch
import torch.nn.functional as F

from avsim.clip import Clip, ClipSpec
from avsim.evaluation.faults import VisibleFaults, gradient_energy, log_sharpness, with_fault
from avsim.evaluation.features import Detectors, Features
from avsim.evaluation.result import NotJudged
from avsim.evaluation.suite import CODED, METRICS, MetricSuite
from avsim.perception.detections import DetectedThing, VideoDetections
from avsim.perception.fault_detector import KINDS, Faults
from avsim.world import Scene, render
from avsim.world.flat.faults import FAULTS
from avsim.world.flat.scene import Body

SPEC = ClipSpec(seconds=1.0)
FALLS = Scene(bodies=(Body("ball", "rubber", "red", size=0.4, height=1.0),))


def faults(clean: float, logit: float, kind: str = KINDS[1], frames: int = 20) -> Faults:
    probabilities = torch.zeros(frames)
    probabilities[: round(frames * (1 - clean))] = 0.9
    kinds = F.one_hot(torch.tensor(KINDS.index(kind)), len(KINDS)).float()
    return Faults(probabilities, torch.zeros(frames, 2, 2), kinds, logit, 0.5)


def test_a_clip_of_the_world_with_a_fault_keeps_its_sound():
    clip, truth = render(FALLS, SPEC)
    spoilt = with_fault(clip, truth, "ghost left behind", 0.5, seed=1)
    assert spoilt.wave is clip.wave and not torch.equal(spoilt.frames, clip.frames)
    assert torch.equal(with_fault(clip, truth, "fades", 0.0).frames, clip.frames)
    with pytest.raises(NotJudged):
        with_fault(clip, truth, "haze in place of a stick", 0.5)


def test_shares_of_frames_and_clips():
    scorer = VisibleFaults()
    scorer.update(faults(1.0, -6.0))
    scorer.update(faults(0.95, -2.0))
    scorer.update(faults(0.5, 4.0, "ghost left behind"), sharp=math.log(0.5))
    scorer.update(faults(0.55, 5.0, "fades"), sharp=math.log(2.0))
    values = [float(value) for value in scorer.compute().values()]
    assert values == pytest.approx([0.75, 0.5, 1.0])
    worst = scorer.each(torch.stack([scorer.kept[k] for k in range(4)]))
    assert worst.tolist() == sorted(worst.tolist(), reverse=True)  # the clip with the highest logit last


def thing(x: float, y: float, size: float, kind: str = "ball") -> DetectedThing:
    return DetectedThing(0.0, x, y, kind, "metal", "gold", size, 1.0)


def test_a_blurred_thing_has_less_gradient_energy_whatever_is_around_it():
    frames = torch.rand(3, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    blurred = frames.clone()
    patch = frames[:, :, 16:48, 16:48].transpose(0, 1)
    soft = F.avg_pool2d(F.pad(patch, (1, 1, 1, 1), mode="replicate"), 3, 1)
    blurred[:, :, 16:48, 16:48] = soft.transpose(0, 1)
    seen = [[thing(0.5, 0.5, 0.3)] for _ in range(4)]
    sharp, dull = (gradient_energy(Clip(each, None), seen) for each in (frames, blurred))
    assert [kind for kind, _ in sharp] == ["ball"] * 4
    assert all(one[1] - other[1] > 1 for one, other in zip(sharp, dull, strict=True))
    away = [[thing(0.05, 0.05, 0.1)] for _ in range(4)]
    assert gradient_energy(Clip(frames, None), away) == gradient_energy(Clip(blurred, None), away)
    typical = {"ball": sharp[0][1]}
    assert log_sharpness(sharp[:1], typical) == pytest.approx(0.0)
    assert math.isnan(log_sharpness([("bell", 1.0)], typical))


def test_gradients_of_larger_clips_are_of_the_same_scale():
    small = F.interpolate(torch.rand(1, 3, 2, 8, 8), (2, 64, 64), mode="trilinear")
    large = F.interpolate(small, (2, 128, 128), mode="trilinear")
    seen = [[thing(0.5, 0.5, 0.4)] for _ in range(2)]
    one, other = (gradient_energy(Clip(each[0], None), seen)[0][1] for each in (small, large))
    assert one == pytest.approx(other, abs=0.15)


def test_the_suite_reports_it_and_counts_clips_without_video_or_detector():
    clip, _ = render(FALLS, SPEC)
    view = VideoDetections((), tuple((thing(0.5, 0.5, 0.2),) for _ in range(16)), {})
    metric = next(each for each in METRICS if each.name == "visible faults")
    assert set(metric.corruptions) == {f"{name}{how}" for name in FAULTS for how in ("", CODED)}
    known = Detectors(video_content=lambda clip: view, faults=lambda clip: faults(0.5, 1.0, frames=16))
    suite = MetricSuite([metric], calibrated=False)
    suite.update(Features(clip, known))
    suite.update(Features(clip.without_video(), known))
    suite.update(Features(clip, Detectors()))
    score = suite.results()[0].scores["frames without visible faults"]
    assert (score.value, score.clips) == (0.5, 1)
    assert score.skipped == {"has no video": 1, "no detector for it": 1}


def test_a_clip_is_as_likely_without_a_fault_as_its_logit_says():
    scorer = VisibleFaults()
    rows = torch.tensor([[1.0, 0.25, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    assert scorer.each(rows).tolist() == [0.75, 0.0]


def test_the_gradient_energy_of_a_ramp_by_hand():
    rows, columns = torch.arange(64.0)[:, None], torch.arange(64.0)
    ramp = torch.stack(
        [0.01 * columns.expand(64, 64), 0.005 * rows.expand(64, 64), 0.004 * columns.expand(64, 64)]
    )
    ((kind, found),) = gradient_energy(Clip(ramp[:, None], None), [[thing(0.5, 0.5, 0.3, "bell")]])
    right, down = 0.299 * 0.01 + 0.114 * 0.004, 0.587 * 0.005  # of Rec. 601's brightness, a pixel
    assert kind == "bell" and found == pytest.approx(math.log(right**2 + down**2), abs=1e-3)
