import math
from dataclasses import replace

import pytest
import torch

from avsim.clip import Clip, Stems
from avsim.evaluation import suite as panels
from avsim.evaluation.calibration import Calibration, CorruptionResult, Range, Weights
from avsim.evaluation.features import Detectors, Features
from avsim.evaluation.reference import fidelity
from avsim.evaluation.suite import METRICS, MetricSuite
from avsim.perception.detections import DetectedThing, Event, Onset, VideoDetections
from avsim.seeds import generator

ANY = Range(0, 1e6)


class Truthful:
    """Detectors that know what was made, and count how often they are asked."""

    def __init__(self) -> None:
        self.looked = self.listened = 0

    def look(self, clip: Clip) -> VideoDetections:
        self.looked += 1
        flashes = (clip.frames.mean((0, 2, 3)) > 0.5).nonzero()[:, 0].tolist()
        rate = clip.frames_per_second
        return VideoDetections(
            tuple(Event(k / rate, 0.5, 0.5, "ball", "metal", 1.0, 2.0) for k in flashes), (), {}
        )

    def onsets(self, clip: Clip) -> list[Onset]:
        self.listened += 1
        clicks = (clip.wave[0] > 0.5).nonzero()[:, 0].tolist()
        return [Onset(k / clip.sample_rate, -10.0, "ball", "metal", 1.0) for k in clicks]

    @property
    def detectors(self) -> Detectors:
        return Detectors(onsets=self.onsets, video_content=self.look)


def clip(*flashes: int) -> Clip:
    frames, wave = torch.zeros(3, 32, 8, 8), torch.zeros(2, 32000)
    frames[:, list(flashes)] = 1.0
    wave[:, [1000 * k for k in flashes]] = 0.9
    return Clip(frames, wave)


def shown(eyes: Truthful, clips, **options) -> MetricSuite:
    suite = MetricSuite(**options)
    for each in clips:
        suite.update(Features(each, eyes.detectors))
    return suite


def test_each_clip_is_looked_at_once_and_shuffled_pairs_are_the_floor():
    eyes = Truthful()
    suite = shown(eyes, [clip(3, 20), clip(10), clip(15, 27)])
    synchrony = suite.results()[0]
    score = synchrony.scores["F1 within 1 frame"]
    assert (score.value, score.clips, score.floor) == (1.0, 3, 0.0)
    assert (eyes.looked, eyes.listened) == (3, 3)


def test_a_floor_can_be_that_of_many_shuffled_pairs():
    few, many = replace(METRICS[0], name="few"), replace(METRICS[0], name="many", shuffles=3)
    eyes = Truthful()
    suite = shown(eyes, [clip(3), clip(10), clip(15), clip(20), clip(3)], metrics=(few, many))
    one, all_ = suite.results()
    assert one.scores["F1 within 1 frame"].floor == 0.2  # the first with the last is as it should be
    assert all_.scores["F1 within 1 frame"].floor == pytest.approx(0.1)  # of ten pairs
    assert (eyes.looked, eyes.listened) == (5, 5)


def test_of_the_ceiling_with_what_the_truth_gets():
    results = shown(Truthful(), [clip(3), clip(10)]).results({"synchrony of events": 0.8})
    score = results[0].scores["F1 within 1 frame"]
    assert score.ceiling == 0.8 and score.of_ceiling == pytest.approx(1 / 0.8)
    assert math.isnan(results[0].scores["recall within 1 frame"].ceiling)


def test_judges_that_do_not_apply_say_why():
    clips = [clip(3).without_audio(), clip(3).without_video(), Clip(clip(3).frames, clip(3).wave[:1])]
    results = {v.metric.name: v for v in shown(Truthful(), clips).results()}
    assert results["synchrony of events"].scores["F1 within 1 frame"].clips == 1
    assert "no detector" in results["offset"].warning and "no audio" in results["offset"].warning
    assert "1 has one audio channel" in results["space"].warning
    assert shown(Truthful(), []).results()[0].warning == "doesn't apply: of the clips, there are none"


def calibration(**changes) -> Calibration:
    plain = dict(
        metric="synchrony of events", frames_per_second=ANY, height=ANY, sample_rate=ANY, seconds=ANY,
        clips=300, truth=0.9, through_codecs=0.95,
        corruptions=(CorruptionResult("shuffled", 0.3, 0.99, own=True),), weights=(), made_by="",
    )  # fmt: skip
    return Calibration(**{**plain, **changes})


@pytest.fixture
def calibrated(monkeypatch, tmp_path):
    monkeypatch.setattr(panels, "CALIBRATIONS", tmp_path)
    return lambda **changes: calibration(**changes).save(tmp_path / "synchrony-of-events.json")


def test_calibrated_judges_are_believed_failed_ones_are_not(calibrated):
    calibrated()
    result = shown(Truthful(), [clip(3), clip(9)]).results()[0]
    assert result.warning is None and result.scores["F1 within 1 frame"].ceiling == 0.95
    calibrated(corruptions=(CorruptionResult("shuffled", 0.8, 0.6, own=True),))
    result = shown(Truthful(), [clip(3), clip(9)]).results()[0]
    assert result.warning == "failed its calibration: can't distinguish from the truth shuffled (AUROC 0.60)"


def test_a_result_in_one_line(calibrated):
    calibrated()
    result = shown(Truthful(), [clip(3), clip(9), clip(12)]).results()[0]
    assert result.summary(5) == (
        "synchrony of events: 1 (1 … 1), floor 0, ceiling 0.95, judged 3 of 5: F1 within 1 frame"
    )
    assert result.applies
    alone = shown(Truthful(), [clip(3)]).results()[0]  # its floor is the calibration's, its headline's alone
    assert alone.scores["F1 within 1 frame"].floor == 0.3
    assert math.isnan(alone.scores["recall within 1 frame"].floor)
    calibrated(corruptions=(CorruptionResult("shuffled", 0.8, 0.6, own=True),))
    failed = shown(Truthful(), [clip(3), clip(9)]).results()[0]
    assert failed.summary(2).endswith("judged 2 of 2: F1 within 1 frame (failed its calibration)")
    calibrated(corruptions=(CorruptionResult("shuffled", 0.8, 0.99),))
    assert shown(Truthful(), [clip(3)]).results()[0].warning == (
        "not calibrated: its calibration has no corruption that it must detect"
    )


def test_too_few_clips_give_no_value():
    many = replace(METRICS[0], name="many", min_clips=3)
    few, enough = (shown(Truthful(), [clip(3)] * count, metrics=(many,)).results()[0] for count in (2, 3))
    assert not few.applies and few.warning == "doesn't apply: needs 3 clips, 2 were judged"
    assert few.summary(2) == "many: no value, judged 2 of 2"
    assert enough.applies and enough.warning.startswith("not calibrated: it was never measured")
    nothing = shown(Truthful(), [clip()], metrics=(many,)).results()[0]
    assert not nothing.applies and nothing.summary(1) == "many: no value, judged 0 of 1"


def test_a_calibration_with_other_weights_does_not_hold(calibrated):
    calibrated(weights=(Weights("video_detector", "a" * 64),), frames_per_second=Range(24, 30))
    for weights, held in (
        ({"video_detector": "a" * 64}, True),
        ({"video_detector": "b" * 64}, False),
        (None, False),
    ):
        suite = shown(Truthful(), [clip(3), clip(9)], weights=weights)
        result = suite.results()[0]
        score = result.scores["F1 within 1 frame"]
        if held:  # and refuses what it doesn't cover
            assert score.clips == 0 and suite.refusals
        else:  # the numbers are shown as those of a scorer that was never calibrated
            assert result.warning.startswith("not calibrated with this video")
            assert score.clips == 2 and result.calibration is None and math.isnan(score.ceiling)


def test_clips_outside_the_calibration_are_refused_and_counted(calibrated):
    calibrated(frames_per_second=Range(24, 30))
    suite = shown(Truthful(), [clip(3), clip(9)])
    score = suite.results()[0].scores["F1 within 1 frame"]
    assert score.clips == 0 and score.skipped == {"outside the calibration": 2}
    assert suite.refusals["synchrony of events"].startswith("not calibrated for 16 fps")


def long_clip(*flashes: int) -> Clip:
    """Of 5 s."""
    frames, wave = torch.zeros(3, 80, 8, 8), torch.zeros(2, 80000)
    frames[:, list(flashes)] = 1.0
    wave[:, [1000 * k for k in flashes]] = 0.9
    return Clip(frames, wave)


def test_clips_longer_than_the_calibration_count_as_the_mean_of_windows(calibrated):
    calibrated(seconds=Range(2, 4))
    eyes = Truthful()
    suite = shown(eyes, [long_clip(3, 30, 70), long_clip(10, 60)])
    score = suite.results()[0].scores["F1 within 1 frame"]
    assert (score.value, score.clips, score.skipped) == (1.0, 2, {}) and score.floor < 0.5
    assert not suite.refusals
    late = long_clip(3, 70)
    late.wave[:, 3000], late.wave[:, 33000] = 0.0, 0.9  # the first is 30 frames late
    found = shown(Truthful(), [late]).results()[0].scores["F1 within 1 frame"]
    assert 0 < found.value < 1 and found.clips == 1


def test_windows_cover_a_clip_evenly_with_their_own_audio():
    ramp = torch.arange(80).float().expand(3, 80)[:, :, None, None].expand(3, 80, 4, 4) / 80
    wave = torch.arange(80000).float().expand(2, 80000) / 80000
    found = Features(Clip(ramp, wave), Truthful().detectors, "a bell")
    assert found.windows(5.0) == [found]
    for clip, seconds, starts in ((found, 4.0, [0, 16]), (found, 2.0, [0, 24, 48])):
        windows = clip.windows(seconds)
        assert [round(float(w.clip.frames[0, 0, 0, 0]) * 80) for w in windows] == starts
        assert [round(float(w.clip.wave[0, 0]) * 80) for w in windows] == starts
        assert all(w.clip.seconds == seconds and w.caption == "a bell" for w in windows)
        assert windows == clip.windows(seconds)  # kept, with what was found in them
    for part in (found.clip.without_audio(), found.clip.without_video()):
        assert [w.clip.seconds for w in Features(part, Truthful().detectors).windows(2.0)] == [2.0] * 3


def test_windows_that_no_metric_can_judge_are_one_skipped_clip(calibrated):
    calibrated(seconds=Range(2, 4))
    score = shown(Truthful(), [long_clip(3).without_video()]).results()[0].scores["F1 within 1 frame"]
    assert score.clips == 0 and score.skipped == {"has no video": 1}


def test_grounding_needs_a_separator_and_a_clip_before():
    ball = DetectedThing(0.0, 0.5, 0.5, "ball", "metal", "gold", 0.5, 1.0)

    def look(clip: Clip) -> VideoDetections:
        return VideoDetections((Event(0.5, 0.5, 0.5, "ball", "metal", 1.0, 1.0),), ((ball,),) * 32, {})

    def separate(clip: Clip, regions) -> Stems:
        return Stems(torch.stack([0.6 * clip.wave, 0.8 * clip.wave]), regions, clip.sample_rate)

    suite = MetricSuite()
    for each in (clip(3), clip(9), clip(11)):
        suite.update(Features(each, Detectors(video_content=look, separate=separate)))
    results = {v.metric.name: v for v in suite.results()}
    result = results["grounding"]
    assert "no detector" in results["grounding by a second separator"].warning
    score = result.scores[result.headline]
    assert score.value == pytest.approx(0.36) and score.clips == 2
    assert score.skipped == {"has no clip before it to compare with": 1}
    assert result.scores["the same, constant mask"].value < 0.6


def test_fidelity_joins_the_panel_where_there_is_a_reference():
    random = generator(0, "reference")
    metric = fidelity("loudness", lambda clip: clip.wave.std()[None], torch.rand(30, 1, generator=random))
    suite = MetricSuite([*METRICS, metric])
    suite.update(Features(clip(3), Truthful().detectors))
    result = suite.results()[-1]
    assert result.metric.name == "fidelity of loudness" and "too few" in result.warning
