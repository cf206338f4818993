import math
from dataclasses import replace

import pytest
import torch

from avsim.clip import Clip, Stems
from avsim.evaluation import suite as panels
from avsim.evaluation.calibration import Against, Calibration, Range, Weights
from avsim.evaluation.features import Detectors, Evidence
from avsim.evaluation.reference import fidelity
from avsim.evaluation.suite import QUESTIONS, Panel
from avsim.perception.detections import Event, Onset, Seen, View
from avsim.seeds import generator

ANY = Range(0, 1e6)


class Truthful:
    """Detectors that know what was made, and count how often they are asked."""

    def __init__(self) -> None:
        self.looked = self.listened = 0

    def look(self, clip: Clip) -> View:
        self.looked += 1
        flashes = (clip.frames.mean((0, 2, 3)) > 0.5).nonzero()[:, 0].tolist()
        rate = clip.frames_per_second
        return View(tuple(Event(k / rate, 0.5, 0.5, "ball", "metal", 1.0, 2.0) for k in flashes), (), {})

    def onsets(self, clip: Clip) -> list[Onset]:
        self.listened += 1
        clicks = (clip.wave[0] > 0.5).nonzero()[:, 0].tolist()
        return [Onset(k / clip.sample_rate, -10.0, "ball", "metal", 1.0) for k in clicks]

    @property
    def detectors(self) -> Detectors:
        return Detectors(onsets=self.onsets, look=self.look)


def clip(*flashes: int) -> Clip:
    frames, wave = torch.zeros(3, 32, 8, 8), torch.zeros(2, 32000)
    frames[:, list(flashes)] = 1.0
    wave[:, [1000 * k for k in flashes]] = 0.9
    return Clip(frames, wave)


def shown(eyes: Truthful, clips, **options) -> Panel:
    panel = Panel(**options)
    for each in clips:
        panel.update(Evidence(each, eyes.detectors))
    return panel


def test_each_clip_is_looked_at_once_and_shuffled_pairs_are_the_floor():
    eyes = Truthful()
    panel = shown(eyes, [clip(3, 20), clip(10), clip(15, 27)])
    synchrony = panel.verdicts()[0]
    score = synchrony.scores["F1 within 1 frame"]
    assert (score.value, score.clips, score.floor) == (1.0, 3, 0.0)
    assert (eyes.looked, eyes.listened) == (3, 3)


def test_a_floor_can_be_that_of_many_shuffled_pairs():
    few, many = replace(QUESTIONS[0], name="few"), replace(QUESTIONS[0], name="many", shuffles=3)
    eyes = Truthful()
    panel = shown(eyes, [clip(3), clip(10), clip(15), clip(20), clip(3)], questions=(few, many))
    one, all_ = panel.verdicts()
    assert one.scores["F1 within 1 frame"].floor == 0.2  # the first with the last is as it should be
    assert all_.scores["F1 within 1 frame"].floor == pytest.approx(0.1)  # of ten pairs
    assert (eyes.looked, eyes.listened) == (5, 5)


def test_of_the_ceiling_with_what_the_truth_gets():
    verdicts = shown(Truthful(), [clip(3), clip(10)]).verdicts({"synchrony of events": 0.8})
    score = verdicts[0].scores["F1 within 1 frame"]
    assert score.ceiling == 0.8 and score.of_ceiling == pytest.approx(1 / 0.8)
    assert math.isnan(verdicts[0].scores["recall within 1 frame"].ceiling)


def test_judges_that_do_not_apply_say_why():
    clips = [clip(3).silent(), clip(3).unseen(), Clip(clip(3).frames, clip(3).wave[:1])]
    verdicts = {v.question.name: v for v in shown(Truthful(), clips).verdicts()}
    assert verdicts["synchrony of events"].scores["F1 within 1 frame"].clips == 1
    assert "no detector" in verdicts["offset"].trouble and "no sound" in verdicts["offset"].trouble
    assert "1 has one channel" in verdicts["space"].trouble
    assert shown(Truthful(), []).verdicts()[0].trouble == "doesn't apply: of the clips, there are none"


def calibration(**changes) -> Calibration:
    plain = dict(
        judge="synchrony of events", frames_per_second=ANY, height=ANY, sample_rate=ANY, seconds=ANY,
        clips=300, truth=0.9, through_codecs=0.95, lies=(Against("shuffled", 0.3, 0.99, own=True),),
        weights=(), made_by="",
    )  # fmt: skip
    return Calibration(**{**plain, **changes})


@pytest.fixture
def calibrated(monkeypatch, tmp_path):
    monkeypatch.setattr(panels, "CALIBRATIONS", tmp_path)
    return lambda **changes: calibration(**changes).save(tmp_path / "synchrony-of-events.json")


def test_calibrated_judges_are_believed_failed_ones_are_not(calibrated):
    calibrated()
    verdict = shown(Truthful(), [clip(3), clip(9)]).verdicts()[0]
    assert verdict.trouble is None and verdict.scores["F1 within 1 frame"].ceiling == 0.95
    calibrated(lies=(Against("shuffled", 0.8, 0.6, own=True),))
    verdict = shown(Truthful(), [clip(3), clip(9)]).verdicts()[0]
    assert verdict.trouble == "failed its calibration: can't tell from the truth shuffled (AUROC 0.60)"


def test_a_calibration_with_other_weights_does_not_hold(calibrated):
    calibrated(weights=(Weights("picture", "a" * 64),), frames_per_second=Range(24, 30))
    for weights, held in (({"picture": "a" * 64}, True), ({"picture": "b" * 64}, False), (None, False)):
        panel = shown(Truthful(), [clip(3), clip(9)], weights=weights)
        verdict = panel.verdicts()[0]
        score = verdict.scores["F1 within 1 frame"]
        if held:  # and refuses what it doesn't cover
            assert score.clips == 0 and panel.refusals
        else:  # the numbers are shown as those of a judge that was never calibrated
            assert verdict.trouble.startswith("not calibrated with this picture")
            assert score.clips == 2 and verdict.calibration is None and math.isnan(score.ceiling)


def test_clips_outside_the_calibration_are_refused_and_counted(calibrated):
    calibrated(frames_per_second=Range(24, 30))
    panel = shown(Truthful(), [clip(3), clip(9)])
    score = panel.verdicts()[0].scores["F1 within 1 frame"]
    assert score.clips == 0 and score.skipped == {"outside what the judge was calibrated for": 2}
    assert panel.refusals["synchrony of events"].startswith("not calibrated for 16 fps")


def test_grounding_needs_a_separator_and_a_clip_before():
    ball = Seen(0.0, 0.5, 0.5, "ball", "metal", "gold", 0.5, 1.0)

    def look(clip: Clip) -> View:
        return View((Event(0.5, 0.5, 0.5, "ball", "metal", 1.0, 1.0),), ((ball,),) * 32, {})

    def separate(clip: Clip, regions) -> Stems:
        return Stems(torch.stack([0.6 * clip.wave, 0.8 * clip.wave]), regions, clip.sample_rate)

    panel = Panel()
    for each in (clip(3), clip(9), clip(11)):
        panel.update(Evidence(each, Detectors(look=look, separate=separate)))
    verdicts = {v.question.name: v for v in panel.verdicts()}
    verdict = verdicts["grounding"]
    assert "no detector" in verdicts["grounding by a second separator"].trouble
    score = verdict.scores[verdict.headline]
    assert score.value == pytest.approx(0.36) and score.clips == 2
    assert score.skipped == {"has no other clip before it to be compared with": 1}
    assert verdict.scores["the same, constant mask"].value < 0.6


def test_fidelity_joins_the_panel_where_there_is_a_reference():
    random = generator(0, "reference")
    question = fidelity("loudness", lambda clip: clip.wave.std()[None], torch.rand(30, 1, generator=random))
    panel = Panel([*QUESTIONS, question])
    panel.update(Evidence(clip(3), Truthful().detectors))
    verdict = panel.verdicts()[-1]
    assert verdict.question.name == "fidelity of loudness" and "too few" in verdict.trouble
