from dataclasses import replace

import pytest

from avsim.clip import ClipSpec
from avsim.evaluation.result import NotJudged
from avsim.evaluation.text import (
    TextAgreement,
    checked_facts,
    facts_of_caption,
    kind_of,
    side,
    sounding_things,
    sounds,
)
from avsim.perception import ground_truth as truths
from avsim.perception.detections import AudioDetections, DetectedThing, VideoDetections
from avsim.world import WorldDataset
from avsim.world.captions.facts import Facts, Noun, ThingFacts

BALL = DetectedThing(0.0, 0.2, 0.5, "ball", "metal", "gold", 0.2, 1.0)
BELL = DetectedThing(0.0, 0.8, 0.5, "bell", "metal", "copper", 0.2, 1.0)
VIEW = VideoDetections((), ((BALL, BELL),) * 8, {"cave": 0.7, "dry studio": 0.3})
HEARD = AudioDetections(
    kinds={"ball": 0.9, "bell": 0.1, "wooden block": 0.8},
    materials={"metal": 0.8, "wood": 0.1},
    places={"cave": 0.2, "restaurant": 0.8},
    decay=1.0,
)
FACTS = Facts(
    place="cave",
    count=2,
    things=(
        ThingFacts(Noun("ball", "metal", "gold", side="left"), does="falls"),
        ThingFacts(Noun("bell", None, "silver", side="left"), does="is struck"),
    ),
)


def test_every_fact_by_hand():
    scorer = TextAgreement()
    scorer.update(FACTS, VIEW, HEARD)
    found = {name.removesuffix(", right"): value.item() for name, value in scorer.compute().items()}
    expected = {
        "things seen": 1, "materials seen": 1, "colours seen": 0.5, "sides": 0.5, "number of things": 1,
        "place seen": 1, "things heard": 0.5, "materials heard": 1, "place heard": 0,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert found["facts right"] == pytest.approx((2 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 0) / 13)


def test_what_is_not_told_or_does_not_sound_is_not_asked_for():
    scorer = TextAgreement()
    scorer.update(Facts(things=(ThingFacts(Noun("ball"), does="falls", silent=True),)), VIEW, HEARD)
    found = scorer.compute()
    assert found["things heard, right"].isnan() and found["things seen, right"] == 1
    scorer.reset()
    scorer.update(Facts(), VIEW, HEARD)
    assert scorer.scores()["facts right"].skipped == {"has no caption": 1}


def test_words_and_sides():
    assert kind_of(Noun("block", "wood")) == "wooden block" and kind_of(Noun("cello")) == "cello"
    assert [side(x) for x in (0.1, 0.5, 0.9)] == ["left", "middle", "right"]
    for caption in ("", "quantum chromodynamics"):
        with pytest.raises(NotJudged):
            facts_of_caption(caption)


def test_the_worlds_captions_are_true_of_its_clips_and_not_of_others():
    dataset, spec = WorldDataset("easy", seed=3, split="test"), ClipSpec()
    truth, corruption = TextAgreement(), TextAgreement()
    made = [dataset[index][1] for index in range(8)]
    for k, one in enumerate(made):
        view = VideoDetections((), tuple(map(tuple, truths.things(one, spec))), {one.place: 1.0})
        facts = facts_of_caption(one.caption)
        truth.update(facts, view, None)
        other = tuple(map(tuple, truths.things(made[k - 1], spec)))
        corruption.update(facts, replace(view, things=other), None)
    assert truth.compute()["facts right"] > 0.9, truth.compute()
    assert corruption.compute()["facts right"] < 0.7


def test_things_that_a_caption_says_sound_are_counted(monkeypatch):
    falls, silent, rests = (
        ThingFacts(Noun("ball"), does="falls"), ThingFacts(Noun("ball"), does="falls", silent=True),
        ThingFacts(Noun("ball"), does=""),
    )  # fmt: skip
    for facts, expected in (
        (Facts(things=(falls, silent, rests), unseen=(falls,)), 2),
        (Facts(things=(rests,)), 0),
        (Facts(things=(falls,), silent=True), 0),
    ):
        monkeypatch.setattr("avsim.evaluation.text.facts_of_prompt", lambda caption: facts)  # noqa: B023
        assert sounding_things("a caption") == expected
    assert sounding_things("") == 0


@pytest.mark.parametrize(
    ("caption", "count"),
    [
        ("a red ball falls in a studio", 1), ("a violin plays and a bell is struck in a studio", 2),
        ("in a studio, a trumpet is held and not played", 0), ("nothing that can be read", 0),
    ],
)  # fmt: skip
def test_things_of_real_captions_are_counted(caption, count):
    assert sounding_things(caption) == count


def test_a_thing_that_is_struck_no_times_is_not_heard():
    counts = [sounds(ThingFacts(Noun("bell"), does="is struck", times=times)) for times in (None, 0, 1, 2)]
    assert counts == [True, False, True, True]
    assert not sounds(ThingFacts(Noun("bell"), does="hangs"))


def test_each_check_in_words_and_none_where_no_detector_can_look():
    thrice = replace(FACTS.things[1], times=3)
    checks = checked_facts(replace(FACTS, things=(FACTS.things[0], thrice), unseen=(thrice,)), VIEW, HEARD)
    told = {check.stated: check.right for check in checks}
    assert told == {
        "ball seen": True, "metal seen": True, "gold seen": True, "left seen": False, "bell seen": True,
        "silver seen": False, "2 things seen": True, "cave seen": True, "ball heard": True,
        "metal heard": True, "bell heard": False, "cave heard": False, "3 times": None,
    }  # fmt: skip
    assert [check.about for check in checks].count("") == 2
    assert [c.about for c in checked_facts(FACTS, None, HEARD)].count("things heard") == 2
    assert all(c.about.endswith("heard") for c in checked_facts(FACTS, None, HEARD))
    assert not any(c.about.endswith("heard") for c in checked_facts(FACTS, VIEW, None))


def test_what_a_quarter_of_the_frames_show_is_seen():
    for shown, seen in ((2, True), (1, False)):
        frames = ((BALL,),) * shown + ((),) * (8 - shown)
        facts = Facts(things=(ThingFacts(Noun("ball")),))
        (check,) = checked_facts(facts, VideoDetections((), frames, {}), None)
        assert check.right == seen
    half = VideoDetections((), ((BALL,),) * 4 + ((BALL, BELL),) * 5, {})
    (number,) = checked_facts(Facts(count=2), half, None)
    assert number.right and number.about == "number of things"


def test_a_clip_is_as_right_as_the_worse_of_what_is_seen_and_heard():
    scorer = TextAgreement()
    scorer.update(FACTS, VIEW, HEARD)
    probabilities = [0.9, 0.8, 0.1, 0.2]  # of ball, metal, bell and the cave
    assert scorer.rows[0, -1].item() == pytest.approx(sum(probabilities) / 4)
    assert scorer.each(scorer.rows).item() == pytest.approx(sum(probabilities) / 4)
    sure = replace(HEARD, kinds={"ball": 1.0, "bell": 1.0}, materials={"metal": 1.0}, places={"cave": 1.0})
    scorer.reset()
    scorer.update(FACTS, VIEW, sure)
    assert scorer.each(scorer.rows).item() == pytest.approx((2 + 1 + 1 + 1 + 1 + 1) / 9)
