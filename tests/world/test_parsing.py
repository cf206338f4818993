"""What is said is read back: every form with every word in it, and what people write."""

import numpy as np
import pytest

from avsim import InputError
from avsim.world.captions.facts import Facts, Meeting, Noun, ThingFacts
from avsim.world.captions.grammar import NUMERIC, Form
from avsim.world.captions.lexicon import ALSO_READ, ANYWHERE, CORES, JOINTS, OF_ALL, TAILS, WORDS
from avsim.world.captions.parsing import facts_in

BALL = Noun("ball", "metal", "gold", "large", "left")
FORMS = [text for texts in CORES.values() for text in texts] + [
    text for of in (*TAILS.values(), ALSO_READ, ANYWHERE, OF_ALL) for texts in of.values() for text in texts
]


@pytest.mark.parametrize("text", sorted(set(FORMS)))
def test_every_form_is_read_as_it_is_said(text):
    form, random = Form(text), np.random.default_rng(0)
    numbers = {"count": (0, 1, 2, 12, 17), "often": (1, 2, 3, 40), "rate": (2.0, 3.5)}
    numbers |= {"seconds": (0.0, 0.8, 1.0, 12.3), "again": (1.5,)}
    for slot in form.slots or [""]:
        nouns = (BALL, Noun("drum"), Noun("acoustic guitar", side="middle"))
        values = nouns if slot in ("thing", "other") else numbers.get(slot) or tuple(WORDS.get(slot, {"": 0}))
        for value in values:
            for _ in range(4):
                stated = {name: numbers[name][0] if name in numbers else next(iter(WORDS.get(name, [0])))
                        for name in form.slots}  # fmt: skip
                stated |= {name: BALL for name in ("thing", "other") if name in stated}
                stated |= {slot: value} if slot else {}
                said = form.say(stated, random)
                assert form.read(said, 0) == (stated, len(said)), said
                assert not any(joint in said for joint in JOINTS)


def test_no_word_means_two_things():
    for slot, values in WORDS.items():
        words = [word for said in values.values() for word in said]
        assert len(set(words)) == len(words), slot
    assert not set(NUMERIC) & set(WORDS)


STRUCK = ThingFacts(Noun("bottle", "glass"), "is struck", seconds=0.8, force="hard")
READ = {
    "a stick strikes a glass bottle at 0.8 s, hard, in a cave": Facts("cave", things=(STRUCK,)),
    "In a cave, a stick strikes a glass bottle hard at 0.8 seconds.": Facts("cave", things=(STRUCK,)),
    "the glass bottle is struck, hard at 0.8s inside a cave": Facts("cave", things=(STRUCK,)),
    "a large golden metal ball on the left falls onto stone": Facts(
        things=(ThingFacts(BALL, "falls", floor="stone"),)
    ),
    "the drum is hit 3 times; a wooden stick taps": None,
    "a bell is left alone while a felt-tipped stick hits a wooden block twice": Facts(
        things=(
            ThingFacts(Noun("bell"), "is left alone"),
            ThingFacts(Noun("block", "wood"), "is struck", times=2, tip="felt"),
        )
    ),
    "someone plays a fiddle loudly, and someone holds a tuba in silence": Facts(
        things=(
            ThingFacts(Noun("violin"), "plays", force="loudly"),
            ThingFacts(Noun("tuba"), "is held", silent=True),
        )
    ),
    "off screen, a glass cube falls. something is heard off screen": Facts(
        unseen=(ThingFacts(Noun("cube", "glass"), "falls"), ThingFacts(Noun()))
    ),
    "the camera pans left in the first shot; the frame cuts at 0.7 s": Facts(
        cuts=(0.7,), moves=((0, "pans left"),)
    ),
    "a ball and a red rubber cube collide twice": Facts(
        meetings=(Meeting(Noun("ball"), Noun("cube", "rubber", "red"), 2),)
    ),
    "the large metal ball on the left": Facts(
        things=(ThingFacts(Noun("ball", "metal", None, "large", "left")),)
    ),
    "in a cave": Facts("cave"),
}


@pytest.mark.parametrize("text", READ)
def test_what_people_write_is_read(text):
    if READ[text] is None:
        with pytest.raises(InputError):
            facts_in(text)
    else:
        assert facts_in(text) == READ[text]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a gong is struck", "unknown word 'gong'"),
        ("a xilophone plays", "did you mean 'xylophone'"),
        ("", "without words"),
        (" . ", "without words"),
        ("ball a falls", "'ball a falls' can't be read"),
        ("a metal ball falls upwards", "unknown word 'upwards'"),
        ("a stick strikes", "can't be read"),
        ("a ball falls\n\nwith {count} landings", "unknown word 'count'"),
        ("<b>a ball falls</b>", "unknown word 'b'"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_says_so(text, found):
    with pytest.raises(InputError) as error:
        facts_in(text)
    assert found in str(error.value) and "\n" not in str(error.value)
