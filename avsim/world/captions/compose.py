"""Facts -> captions. Every word of them is true of the clip; which words, and in which order, is chance."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from avsim.clip import ClipSpec
from avsim.world.captions.facts import TARGET_WORDS, Facts, Meeting, Noun, ThingFacts, holds_in
from avsim.world.captions.grammar import Form, noun_phrase, pick
from avsim.world.captions.lexicon import ANYWHERE, CORES, OF_ALL, OFF_SCREEN, TAILS
from avsim.world.flat.camera import half_width
from avsim.world.flat.scene import Body, Player, Scene, Target
from avsim.world.truth import Captions, Thing

LONGEST = 31  # words and marks: what the generator's own text encoder reads
SIZES = {Body: (0.30, 0.42), Target: (0.48, 0.60)}  # m, up to where a thing is small, and medium

Generator = np.random.Generator


# Names ----------------------------------------------------------------------------------------------------


def things_of(scene: Scene, spec: ClipSpec) -> tuple[Thing, ...]:
    """All things of a scene, seen or not, in its order; each name once."""
    found = [_thing(each, scene, spec) for each in scene.things]
    return tuple(replace(one, name=_unique(k, found)) for k, one in enumerate(found))


def _thing(each: Body | Target | Player, scene: Scene, spec: ClipSpec) -> Thing:
    side = _side(each, scene, spec)
    if isinstance(each, Player):
        return Thing(each.instrument, each.instrument, "", "", "", each.size, side)
    small, medium = SIZES[type(each)]
    size = "small" if each.size < small else "medium" if each.size < medium else "large"
    if isinstance(each, Target):
        name = f"{size} {each.kind}" if each.kind == "drum skin" else f"{size} {each.colour} {each.kind}"
        return Thing(name, each.kind, each.material, each.colour, size, each.size, side)
    name = f"{size} {each.colour} {adjective(each.material)} {each.shape}"
    return Thing(name, each.shape, each.material, each.colour, size, each.size, side)


def adjective(material: str) -> str:
    """A material as an adjective."""
    return "wooden" if material == "wood" else material


def _side(each: Body | Target | Player, scene: Scene, spec: ClipSpec) -> str:
    """Where it is in the first shot that begins with it in the frame, or else in the first."""
    starts = [shot.start for shot in scene.camera.shots]
    shown = [start for start in starts if abs(each.x - start.x) < half_width(spec, start.height)]
    start = (shown or starts)[0]
    third = half_width(spec, start.height) / 3
    return "left" if each.x < start.x - third else "right" if each.x > start.x + third else "middle"


def _unique(number: int, things: Sequence[Thing]) -> str:
    """The name of a thing; of several called so, with the place; if still alike, with a number."""
    one = things[number]
    names = Counter(thing.name for thing in things)
    if names[one.name] == 1:
        return one.name
    placed = [f"{thing.name} {where(thing.side)}" for thing in things]
    same = [k for k, name in enumerate(placed) if name == placed[number]]
    return placed[number] if len(same) == 1 else f"{placed[number]} ({same.index(number) + 1})"


def where(side: str) -> str:
    """Such as "on the left"."""
    return "in the middle" if side == "middle" else f"on the {side}"


def noun_of(thing: Thing) -> Noun:
    """What is stated of a thing in words."""
    if thing.kind in TARGET_WORDS:
        kind, material = TARGET_WORDS[thing.kind]
        return Noun(kind, material, thing.colour if material else None, thing.size, thing.side)
    return Noun(thing.kind, thing.material or None, thing.colour or None, thing.size or None, thing.side)


# Captions -------------------------------------------------------------------------------------------------


def captions(facts: Facts, random: Generator) -> Captions:
    """A short caption, a full one, and one for each thing that is seen."""
    return Captions(
        short=short_caption(facts, random),
        full=full_caption(facts, random),
        things=tuple(
            noun_phrase(_singled_out(k, [stated.noun for stated in facts.things], random), random, "the")
            for k in range(len(facts.things))
        ),
    )


def _singled_out(number: int, nouns: Sequence[Noun], random: Generator) -> Noun:
    """A noun with one thing less in it, that still is no other's."""
    others = [*nouns[:number], *nouns[number + 1 :]]
    less = [replace(nouns[number], **{name: None}) for name in ("colour", "size", "side")]
    clear = [noun for noun in less if not any(holds_in(noun, other) for other in others)]
    return pick(clear or [nouns[number]], random)


def full_caption(facts: Facts, random: Generator) -> str:
    """Everything that is known, in some order: the things, what they do to each other, then the rest."""
    things = [_clause(stated, random) for stated in facts.things]
    hidden = [_unseen(stated, random) for stated in facts.unseen]
    meetings = [_of_all("meetings", _meeting(meeting), random) for meeting in facts.meetings]
    rest = [*_surroundings(facts, random), *_shots(facts, random)]
    random.shuffle(things)
    random.shuffle(rest)
    count = _of_all("count", {"count": facts.count}, random)
    if not things or random.random() < 0.5:
        things.insert(0, count)
    else:
        rest.append(count)
    place = _word("place", facts.place, random)
    where_ = int(random.integers(3))
    if where_ == 0:
        rest.insert(0, _of_all("place", {"place": facts.place}, random))
    elif where_ == 1:
        things[-1] += f", {place}"
    groups = [things + meetings, hidden, rest]
    if random.random() < 0.3:
        random.shuffle(groups)
    text = pick(("; ", ". "), random).join(clause for group in groups for clause in group)
    return f"{place}, {text}" if where_ == 2 else text


def _surroundings(facts: Facts, random: Generator) -> list[str]:
    said = []
    if facts.background:
        said.append(_of_all("background", {"background": facts.background}, random))
    said += [_of_all("walls", {"at": side, "wall": wall}, random) for side, wall in facts.walls]
    if facts.pillars:
        said.append(_of_all("pillars", {"count": facts.pillars}, random))
    if facts.silent:
        said.append(_of_all("silent", {}, random))
    return said


def _shots(facts: Facts, random: Generator) -> list[str]:
    cuts = (*(facts.cuts or ()), None)
    pairs = [{"seconds": cuts[k], "again": cuts[k + 1]} for k in range(0, len(cuts) - 1, 2)]
    said = [_of_all("cuts", pair, random) for pair in pairs] or [_of_all("no cuts", {}, random)]
    moves = [_of_all("moves", {"shot": shot, "move": move}, random) for shot, move in facts.moves or ()]
    return said + (moves or [_of_all("no moves", {}, random)])


def short_caption(facts: Facts, random: Generator) -> str:
    """Each thing and what it does, and the place, in at most 31 words: the more things, the fewer facts."""
    tries = [_short(facts, detail, random) for detail in (4, 3, 2, 1, 0, 0, 0, 0, 0)]
    return next((text for text in tries if _length(text) <= LONGEST), min(tries, key=_length))


def _length(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


def _short(facts: Facts, detail: int, random: Generator) -> str:
    """So many facts of each thing, at most; fewer by chance."""
    clauses = [_clause(_shortened(stated, detail, random), random) for stated in facts.things]
    clauses = clauses or [_of_all("count", {"count": 0}, random)]
    if facts.unseen and (detail > 0 or len(clauses) < 4):
        clauses.append(_of_all("unseen", {}, random))
    joints = ("; ", ", and ", " while ") if len(clauses) == 2 else ("; ",)
    text = pick(joints, random).join(clauses)
    place = _word("place", facts.place, random)
    return f"{place}, {text}" if random.random() < 0.3 else f"{text} {place}"


def _shortened(stated: ThingFacts, detail: int, random: Generator) -> ThingFacts:
    """What a thing is and does, its colour before all else, and chance facts."""
    tails = ["size", "side", "tip", "silent", *TAILS[stated.does or ""]]
    kept = {*random.permutation(tails)[: int(random.integers(detail + 1))].tolist()}
    if detail > 0:
        kept.add("colour")
    noun = replace(stated.noun, **{name: None for name in ("colour", "size", "side") if name not in kept})
    facts = {field.name: getattr(stated, field.name) for field in fields(stated) if field.name in kept}
    return ThingFacts(noun, stated.does, **facts)


# Clauses --------------------------------------------------------------------------------------------------


def _clause(stated: ThingFacts, random: Generator) -> str:
    """What a thing is and does, and all that is stated of how, in any order."""
    does = stated.does or ""
    slots = {"thing": stated.noun, "tip": stated.tip}
    cores = [core for core in CORES.get(does, ("{thing}",)) if stated.tip is None or "{tip}" in core]
    text = Form(pick(cores, random)).say(slots, random)
    forms = TAILS[does] | ANYWHERE
    facts = [name for name in forms if name != "side" and getattr(stated, name) is not None]
    if random.random() < 0.4:
        random.shuffle(facts)
    tails = [_tail(forms[name], name, getattr(stated, name), random) for name in facts]
    for tail in sorted(tails, key=lambda tail: tail.startswith("and ")):
        comma = _comma(tail, random)
        first, _, rest = tail.partition(" ")
        text += comma + (rest if text.endswith(f" {first}") else tail)  # not "comes down down onto grass"
    return text


def _tail(forms: Sequence[str], fact: str, value: object, random: Generator) -> str:
    forms = [form for form in forms if value != 0 or "{often}" not in form]  # never "no times"
    slots = dict.fromkeys(("count", "often", "loudness", fact), value)
    return Form(pick(forms, random)).say(slots, random)


def _comma(tail: str, random: Generator) -> str:
    """What stands before a tail; never a comma before an "and", which begins a clause."""
    return " " if tail.startswith("and ") or random.random() < 0.5 else ", "


def _unseen(stated: ThingFacts, random: Generator) -> str:
    """The off-screen sounds."""
    where_ = pick(OFF_SCREEN, random)
    clause = _clause(stated, random)
    return f"{where_}, {clause}" if random.random() < 0.5 else f"{clause} {where_}"


def _meeting(meeting: Meeting) -> dict:
    return {"thing": meeting.one, "other": meeting.other, "often": meeting.times}


def _of_all(fact: str, slots: dict, random: Generator) -> str:
    return Form(pick(OF_ALL[fact], random)).say(slots, random)


def _word(slot: str, value: object, random: Generator) -> str:
    return Form(f"{{{slot}}}").say({slot: value}, random)


# A caption of what is stated, and nothing else ----------------------------------------------------------


class _First(Generator):
    """Always the first choice: the same facts give the same caption."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def integers(self, *_: Any, **__: Any) -> Any:
        """The first."""
        return 0

    def random(self, *_: Any, **__: Any) -> Any:
        """Random choices of words, in the default order."""
        return 0.45


def plain_caption(facts: Facts) -> str:
    """Exactly the stated facts, always in the same words; "" for none.

    Things and what they do come first, then the place, then the rest. In a caption that is longer than
    `LONGEST` the place comes first, lest it be cut.
    """
    first = _First()
    clauses = [_clause(stated, first) for stated in facts.things]
    clauses += [_unseen(stated, first) if stated != ThingFacts(Noun()) else _of_all("unseen", {}, first)
                for stated in facts.unseen]  # fmt: skip
    clauses += [_of_all("meetings", _meeting(meeting), first) for meeting in facts.meetings]
    rest = [] if facts.count is None else [_of_all("count", {"count": facts.count}, first)]
    rest += _surroundings(facts, first) + _stated_shots(facts, first)
    place = None if facts.place is None else _word("place", facts.place, first)
    text = "; ".join([*clauses, *rest])
    if place is None or not text:
        return place or text
    if not clauses or _length(f"{text} {place}") > LONGEST:
        return f"{place}, {text}"
    return "; ".join([*clauses[:-1], f"{clauses[-1]} {place}", *rest])


def _stated_shots(facts: Facts, random: Generator) -> list[str]:
    """Cuts and moves of the camera, where something is stated of them."""
    said = _shots(facts, random)
    cuts = max(1, (len(facts.cuts or ()) + 1) // 2)
    return (said[:cuts] if facts.cuts is not None else []) + (said[cuts:] if facts.moves is not None else [])
