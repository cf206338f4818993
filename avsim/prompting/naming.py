"""Which things a prompt names: new ones, ones named before, and what they look like."""

from avsim.prompting.reading_state import ReadingState
from avsim.prompting.tags import Part, Tag
from avsim.prompting.things import Thing
from avsim.world.captions.facts import Noun, ThingFacts
from avsim.world.captions.lexicon import WORDS
from avsim.world.flat.scene import MOST

SEVERAL = {
    *("them", "both", "all", "each", "these", "those", "all of them", "both of them", "each of them"),
    *("它们", "两者", "每个", "每一个", "全都", "两个都", "都"),
}
DEFINITE = ("the", "this", "that", "its")


def _name_of(value: str) -> str:
    """Of which of a noun's facts a compound's second half is: "bell/copper", "block/wood"."""
    return "colour" if value in WORDS["colour"] else "material"


class Naming(ReadingState):
    """Nouns, pronouns, adjectives and sides -> things."""

    def _noun(self, tag: Tag, place: int) -> None:
        """A thing, or several, or one that was named before."""
        if self.negated or self.number == 0:
            words = [self.mods[name] for name in ("size", "colour", "material") if name in self.mods]
            self.negative.append(
                " ".join(["wooden" if each == "wood" else each for each in words] + [tag.value])
            )
            self.mods, self.number, self.swallow = {}, None, True
            return
        self.swallow = False
        mods, self.mods = self.mods, {}
        kind, _, made_of = tag.value.partition("/")
        noun = {"kind": kind} | ({_name_of(made_of): made_of} if made_of else {}) | mods
        named = self._named(noun)
        count = self.number or (2 if tag.plural else 1)
        if count > 1 and not tag.plural and tag.words.isascii() and self._next(place) is Part.ACTION:
            self.details.append(("times", count, tag.words))  # "three drum hits"
            count = self.number = 1
        if self.player == kind and self.sentence and self.sentence[-1].noun["kind"] == kind:
            self.player = ""
            self._describe(self.recent, mods)
            return  # "a violinist plays the violin"
        self.referred = bool(named) and self.number is None
        if self.referred:
            found = named
            self._move_up(found)
        else:
            room = max(0, MOST - len(self.things))
            if count > room:
                self.unused.append(f"{count} {tag.words}" if room else tag.words)
            found = [Thing(dict(noun), self.clause, self.rank) for _ in range(min(count, room))]
            self.things += found
            for one in found:
                one.hidden, one.rank = self.hidden, self.rank
        self.hidden = self.something = False
        self.number, self.article, self.of = None, "", False
        self.recent = self.here = found
        self.refined = 0
        self.sentence += found
        if self.colliding is not None:
            self.colliding += found
        elif self.pending is not None and not (self.group and self._acts_itself(place)):
            self._act(found, self.pending, joined=True)
        else:
            self.waiting += found

    def _named(self, noun: dict[str, str]) -> list[Thing]:
        """Things that this noun names again."""
        if self.article not in DEFINITE:
            return []
        same = [
            thing
            for thing in self.things
            if thing.clause < self.clause and all(thing.noun.get(k, v) == v for k, v in noun.items())
        ]
        for thing in same:
            thing.noun |= noun
        return same[:1] if len(same) == 1 else []

    def _modifier(self, name: str, tag: Tag) -> None:
        if name == "material" and tag.value in ("felt", "stone"):
            return
        if self.of and self.here:
            self._describe(self.here, {name: tag.value})
        elif name in self.mods and name == "colour" and self.mods[name] in ("gold", "silver", "copper"):
            self.mods[name] = tag.value
        else:
            self.mods.setdefault(name, tag.value)
        self.of = False

    def _side(self, tag: Tag) -> None:
        if self.wall is not None:
            if tag.value != "middle":
                self.walls.append((tag.value, self.wall))
            self.wall = None
            return
        if self.referred and self.here and self.here[0].noun.get("side", tag.value) != tag.value:
            self._another(tag.value)
            return
        bare = [thing for thing in self.here if "side" not in thing.noun]
        if bare and not self.mods and self.number is None:
            self._describe(bare, {"side": tag.value})
        else:
            self.mods.setdefault("side", tag.value)

    def _another(self, side: str) -> None:
        """What seemed to be named again is another thing of its kind, on the other side."""
        (old,) = self.here
        new = Thing({"kind": old.noun["kind"], "side": side}, self.clause, self.rank, does=None)
        self.things.append(new)
        for names in (self.waiting, self.group, self.sentence):
            names[:] = [new if thing is old else thing for thing in names]
        self.here = self.recent = [new]
        self.referred = False
        if any(thing is new for thing in self.group) and self.previous:
            new.do(self.previous)

    def _spare_mods(self, ends: bool = False) -> None:
        """Adjectives behind their noun, or of one of several."""
        if self.mods and not self.negated:
            named = [each for each in self.things if self.mods.items() <= each.noun.items()]
            if self.number == 1 and named and self.pending is not None:
                self._act(named[:1], self.pending)  # "ring the small one"
                self.pending = None
            elif self.number == 1 and len(self.recent) > 1:
                self._describe(self.recent[self.refined : self.refined + 1], self.mods)
                self.refined += 1
            elif self.recent and (self.sentence or ends):
                self._describe(self.recent, self.mods)
            else:
                return
            self.mods, self.number = {}, None

    def _agent(self, tag: Tag) -> None:
        if tag.value is not None:
            self._noun(Tag(Part.KIND, tag.value, tag.words, tag.plural), 0)
            self.player = tag.value
        elif tag.words == "they" and len(self.recent) > 1 and not self.waiting:
            self._pronoun(tag)
        elif self.negated:
            self.negative.append(tag.words if tag.words.isascii() else "people")
            self.negated = False
        else:
            self.agent, self.number = True, None

    def _pronoun(self, tag: Tag) -> None:
        if not self.things or (self.waiting and self.pending is None):
            return
        found = self.recent or self.things[-1:]
        if tag.words in SEVERAL and len(found) < 2:
            found = (self.sentence or self.before) if len(self.sentence or self.before) > 1 else self.things
            found = found[-2:] if tag.value == 2 else list(found)
        self._move_up(found)
        if self.pending is not None:
            self.waiting = [thing for thing in self.waiting if not any(thing is each for each in found)]
            self._act(found, self.pending)
        else:
            self.waiting = list(found)
        self.here, self.sentence = found, self.sentence + found

    def _hide(self) -> None:
        if self.here:
            for thing in self.here:
                thing.hidden = True
        elif self.something:
            self.unseen.append(ThingFacts(Noun()))
            self.something = False
        else:
            self.hidden = True
