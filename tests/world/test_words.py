"""Captions say what is true, all of it or some, in many ways."""

import re
from collections import Counter
from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest

from avsim import ClipSpec
from avsim.clip import OFF_SCREEN
from avsim.world import DIFFICULTIES, Scene, WorldDataset
from avsim.world.captions.compose import LONGEST, captions, full_caption, noun_of, short_caption, things_of
from avsim.world.captions.facts import Facts, Noun, facts_of, holds_in
from avsim.world.captions.parsing import VOCABULARY, facts_in, unknown_words
from avsim.world.flat.camera import Camera, Framing, Shot
from avsim.world.flat.random_scenes import draw_scene
from avsim.world.flat.render import perform
from avsim.world.flat.scene import SHAPES, TARGETS, Body, Player
from avsim.world.sound.phrases import Note
from tests.world.agreement import agree

SPEC = ClipSpec(height=32, width=32, sample_rate=8000, channels=1)


def stated(scene) -> Facts:
    """What is true of a scene, as far as it can be known without drawing it."""
    things = things_of(scene, SPEC)
    actors, _ = perform(scene, SPEC, things)
    shown = [k for k, each in enumerate(scene.things) if abs(each.x) < 1.2]
    names, nouns = [thing.name for thing in things], [noun_of(thing) for thing in things]
    return facts_of(scene, SPEC, names, nouns, actors, shown, shown)


@cache
def facts(level: str, count: int) -> list[Facts]:
    return [stated(draw_scene(DIFFICULTIES[level], np.random.default_rng(k))) for k in range(count)]


@cache
def truths(level: str, count: int):
    world = WorldDataset(replace(DIFFICULTIES[level], spec=SPEC), seed=11)
    return [world[index][1] for index in range(count)]


def in_order(found: Facts) -> Facts:
    """With things in an order of their own, as captions name them in any."""
    lists = ("things", "unseen", "meetings", "walls")
    return replace(found, **{name: tuple(sorted(getattr(found, name), key=repr)) for name in lists})


@pytest.mark.parametrize("level", DIFFICULTIES)
def test_a_full_caption_tells_every_fact_and_a_short_one_only_true_ones(level):
    for number, true in enumerate(facts(level, 200)):
        said = captions(true, np.random.default_rng(number))
        assert in_order(facts_in(said.full)) == in_order(true), said.full
        assert agree(facts_in(said.short), true), said.short
        for noun, text in zip(true.things, said.things, strict=True):
            assert text.startswith("the ") and holds_in(facts_in(text).things[0].noun, noun.noun)


@pytest.mark.parametrize("level", DIFFICULTIES)
def test_facts_are_what_the_clip_shows_and_lets_hear(level):
    """Counted anew from the truth's contacts, notes and masks."""
    for truth in truths(level, 30):
        assert in_order(facts_in(truth.captions.full)) == in_order(truth.facts)
        assert truth.facts.place == truth.place and truth.facts.count == len(truth.things)
        touched = Counter(name for contact in truth.contacts for name in contact.things)
        landed = Counter(c.things[0] for c in truth.contacts if c.things[1] == "floor")
        struck = Counter(c.things[0] for c in truth.contacts if c.things[1] == "stick")
        notes = {score.thing: len(score.notes) for score in truth.scores}
        for thing, one, mask in zip(truth.things, truth.facts.things, truth.masks, strict=True):
            expected = {"falls": landed, "is struck": struck, "plays": notes}.get(one.does)
            assert one.times == (None if expected is None else expected.get(thing.name, 0))
            silent = not touched[thing.name] and thing.name not in notes
            assert bool(one.silent) == silent
            assert bool(one.leaves) == (mask[-1].sum() < 0.001 * mask[-1].numel())
            if silent:
                assert not truth.stems[thing.name].any()
        heard = any(OFF_SCREEN in contact.things for contact in truth.contacts)
        assert heard <= bool(truth.facts.unseen)
        if not truth.facts.unseen:
            assert not truth.stems[OFF_SCREEN].any()


def test_short_captions_are_short_and_name_the_place_and_every_thing():
    for number, true in enumerate(facts("full", 200)):
        text = short_caption(true, np.random.default_rng(number))
        said = facts_in(text)
        assert len(re.findall(r"\w+|[^\w\s]", text)) <= LONGEST, text
        assert said.place == true.place
        assert Counter(t.noun.kind for t in said.things) == Counter(t.noun.kind for t in true.things)
        assert all(one.does for one in said.things)


def test_what_a_thing_is_called_singles_it_out():
    for number, true in enumerate(facts("full", 200)):
        nouns = [one.noun for one in true.things]
        for noun, text in zip(nouns, captions(true, np.random.default_rng(number)).things, strict=True):
            meant = [other for other in nouns if holds_in(facts_in(text).things[0].noun, other)]
            assert meant == [noun] * nouns.count(noun)


@pytest.mark.parametrize("level", DIFFICULTIES)
def test_words_for_sizes_are_in_order_and_each_is_used(level):
    """No small thing is as large as a medium one, no medium one as a large one."""
    drawn = [things_of(draw_scene(DIFFICULTIES[level], np.random.default_rng(k)), SPEC) for k in range(600)]
    for kinds in (SHAPES, TARGETS):
        sizes = {word: [] for word in ("small", "medium", "large")}
        for thing in (thing for things in drawn for thing in things if thing.kind in kinds):
            sizes[thing.size].append(thing.metres)
        assert min(len(found) for found in sizes.values()) > 0.1 * sum(map(len, sizes.values()))
        assert max(sizes["small"]) < min(sizes["medium"]) and max(sizes["medium"]) < min(sizes["large"])


def test_one_scene_is_told_in_many_ways():
    for true in facts("medium", 5):
        randoms = [np.random.default_rng(k) for k in range(200)]
        assert len({full_caption(true, random) for random in randoms}) > 190
        assert len({short_caption(true, random) for random in randoms}) > 60
    same = [full_caption(facts("full", 9)[8], np.random.default_rng(3)) for _ in range(2)]
    assert same[0] == same[1]


def test_captions_have_no_word_beside_the_vocabulary():
    for number, true in enumerate(facts("full", 200)):
        said = captions(true, np.random.default_rng(number))
        for text in (said.short, said.full, *said.things):
            assert unknown_words(text) == () and "  " not in text and text == text.lower()
            assert not re.search(r"\bdown,? down\b", text), text
            assert not set("{}[]()") & set(text)
    assert isinstance(VOCABULARY, frozenset) and {"cello", "golden", "cave", "twice"} <= VOCABULARY
    assert unknown_words("a pink gong falls 3 times, gong!") == ("gong",)


def test_there_are_more_than_a_million_scenes():
    """By what captions tell: drawn, they hardly ever repeat."""
    drawn = [draw_scene(DIFFICULTIES["full"], np.random.default_rng(k)) for k in range(2000)]
    seen = Counter(
        (scene.place, scene.floor, len(scene.camera.cuts), tuple(noun_of(t) for t in things_of(scene, SPEC)))
        + tuple((hit.target, hit.miss, round(hit.seconds, 1)) for hit in scene.stick.hits)
        + tuple((len(player.notes), round(player.notes[0].seconds, 1) if player.notes else None)
                for player in scene.players)
        + tuple(round(body.release, 1) for body in scene.bodies)
        for scene in drawn
    )  # fmt: skip
    assert len(seen) > 1980


def test_a_lie_is_found_out():
    random = np.random.default_rng(0)
    for true in facts("full", 60):
        assert agree(true, true) and agree(Facts(), true)
        text = full_caption(true, random)
        said = facts_in(text)
        assert not agree(replace(said, place="moon"), true)
        assert not agree(replace(said, count=9), true)
        assert not agree(replace(said, things=(*said.things, *said.things[:1])), true) or not said.things
        for number, one in enumerate(said.things):
            for field in fields(Noun):
                other = replace(one, noun=replace(one.noun, **{field.name: "other"}))
                lie = (*said.things[:number], other, *said.things[number + 1 :])
                assert not agree(replace(said, things=lie), true)


def test_scenes_by_hand_are_told_whatever_is_in_them():
    near, wide = Framing(height=1.2), Framing()
    shots = [Shot(0.2 * k, near if k % 2 else wide, replace(wide, x=0.3)) for k in range(12)]
    tuba = Player("tuba", (Note(0.2, 0.5, 40, 0.8),), x=4.0)
    for scene in (Scene(), Scene(players=(tuba,)), Scene(bodies=(Body(),), camera=Camera(tuple(shots)))):
        true = stated(scene)
        for seed in range(20):
            said = captions(true, np.random.default_rng(seed))
            assert in_order(facts_in(said.full)) == in_order(true) and agree(facts_in(said.short), true)
    assert true.cuts == (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8) and len(true.moves) == 10
